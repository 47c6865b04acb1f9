// The decode table against Capstone's decoder, on random words: both say whether a word is an instruction. Where they
// differ the reason is in the lists below.
//
// SOLDER_FUZZ_WORDS: how many words in thousands (default 400). SOLDER_FUZZ_SEED: another stream.
#include <capstone/capstone.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <random>
#include <span>
#include <string>
#include <string_view>

#include "guest/arm64/cpu.h"
#include "guest/arm64/decode.h"
#include "guest/arm64/helpers.h"

namespace solder::test {
namespace {

u64 number_from(const char* variable, u64 otherwise) {
  const char* text = std::getenv(variable);
  return text != nullptr ? std::strtoull(text, nullptr, 0) : otherwise;
}

class Capstone {
 public:
  Capstone() { EXPECT_EQ(cs_open(CS_ARCH_ARM64, CS_MODE_ARM, &handle_), CS_ERR_OK); }
  ~Capstone() { cs_close(&handle_); }
  Capstone(const Capstone&) = delete;
  Capstone& operator=(const Capstone&) = delete;
  /// Empty: not an instruction.
  std::string mnemonic(u32 word) {
    cs_insn* insn = nullptr;
    const usize count = cs_disasm(handle_, reinterpret_cast<const u8*>(&word), 4, 0x1000, 1, &insn);
    if (count == 0) return {};
    std::string text = insn->mnemonic;
    text += ' ';
    text += insn->op_str;
    cs_free(insn, count);
    return text;
  }

 private:
  csh handle_ = 0;
};

/// Ours: translated, and not to an UNDEFINED exception.
class Ours {
 public:
  bool allocated(u32 word) {
    if (arm64::decode(word) == nullptr) return false;
    const u8* bytes = reinterpret_cast<const u8*>(&word);
    ir::TranslateRequest request;
    request.code = {bytes, 4};
    request.key = arm64::key::kEl1;
    request.single = true;
    cpu_.translate(request, block_);
    for (const ir::Inst& inst : block_.insts) {
      if (inst.op != ir::Op::call || inst.sub != static_cast<u16>(arm64::HelperId::raise)) continue;
      if (block_.insts[inst.a].imm_ab() == 0x02000000) return false;
    }
    return true;
  }

 private:
  arm64::Arm64Cpu cpu_{cpu::CpuRequest{}};
  ir::Block block_;
};

struct Known {
  std::string_view prefix;
  const char* why;
};

constexpr const char* kV81 = "Capstone 4 does not know ARMv8.1";
constexpr const char* kUnpredictable =
    "CONSTRAINED UNPREDICTABLE registers (the same one loaded twice, or as base): Capstone refuses";
constexpr const char* kIgnoredBits =
    "bits of imm5 or imm4 that the lane size leaves over are ignored; Capstone wants zeros";
constexpr Known kOnlyOurs[] = {
    {"CAS", kV81},
    {"LDADD", kV81},
    {"LDCLR", kV81},
    {"LDEOR", kV81},
    {"LDSET", kV81},
    {"LDSMAX", kV81},
    {"LDSMIN", kV81},
    {"LDUMAX", kV81},
    {"LDUMIN", kV81},
    {"SWP", kV81},
    {"SQRDMLAH", kV81},
    {"SQRDMLSH", kV81},
    {"LDAPR", "Capstone 4 does not know ARMv8.3"},
    {"LDP", kUnpredictable},
    {"LDNP", kUnpredictable},
    {"LDXP", kUnpredictable},
    {"STP", kUnpredictable},
    {"STXP", kUnpredictable},
    {"STXR", kUnpredictable},
    {"LDR", kUnpredictable},
    {"STR", kUnpredictable},
    {"LDTR", kUnpredictable},
    {"STTR", kUnpredictable},
    {"DUP", kIgnoredBits},
    {"INS", kIgnoredBits},
    {"SMOV", kIgnoredBits},
    {"UMOV", kIgnoredBits},
};
constexpr Known kOnlyCapstone[] = {
    {"dcps", "UNDEFINED without halting debug"},
    {"hlt", "UNDEFINED without halting debug"},
    {"drps", "UNDEFINED outside Debug state"},
    {"mrs", "op0 0 and 1 are no register moves"},
    {"msr", "op0 0 and 1 are no register moves, and PSTATE fields that v8.2 does not have"},
    {"sys", "system instructions that do not exist are UNDEFINED"},  // sysl, too
    {"dc", "DC CVAP needs FEAT_DPB, and EL2 and EL3 operations those levels"},
    {"ic", "not of EL1"},
    {"at", "EL2 and EL3 are not there"},
    {"tlbi", "EL2 and EL3 are not there"},
    {"ldlar", "FEAT_LOR is not there"},
    {"stllr", "FEAT_LOR is not there"},
};

const char* known(std::span<const Known> list, std::string_view name) {
  for (const Known& entry : list) {
    if (name.starts_with(entry.prefix)) return entry.why;
  }
  return nullptr;
}

TEST(DecodeTable, AgreesWithCapstone) {
  Capstone capstone;
  Ours ours;
  std::mt19937 random(static_cast<u32>(number_from("SOLDER_FUZZ_SEED", 1)));
  const u64 words = number_from("SOLDER_FUZZ_WORDS", 400) * 1000;
  for (u64 n = 0; n < words; ++n) {
    const u32 word = static_cast<u32>(random());
    const std::string theirs = capstone.mnemonic(word);
    const bool mine = ours.allocated(word);
    if (mine == !theirs.empty()) continue;
    if (mine) {
      EXPECT_NE(known(kOnlyOurs, arm64::decode(word)->name), nullptr)
          << fmt::format("{:08x} is {} for us, nothing for Capstone", word, arm64::decode(word)->name);
    } else {
      EXPECT_NE(known(kOnlyCapstone, theirs), nullptr)
          << fmt::format("{:08x} is {} for Capstone, UNDEFINED for us", word, theirs);
    }
  }
}

}  // namespace
}  // namespace solder::test
