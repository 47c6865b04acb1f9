// Straight-line sequences of arm64 instructions against Unicorn: what single instructions cannot show, values that live
// across instructions, in registers and memory, through slow paths and fallbacks of the emitter.
//
// SOLDER_FUZZ_SEQUENCES: how many (default 400). SOLDER_FUZZ_SEED: another stream.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <string_view>

#include "differential/arm64/executor.h"
#include "differential/arm64/random_machine.h"
#include "guest/arm64/decode.h"
#include "guest/arm64/state.h"
#include "guest/arm64/translator.h"

namespace solder::test {
namespace {

using arm64::Encoding;
using fp::test::Values;
using ir::Op;

/// Base of every access; nothing writes it.
constexpr unsigned kBase = 27;

u64 number_from(const char* variable, u64 otherwise) {
  const char* text = std::getenv(variable);
  return text != nullptr ? std::strtoull(text, nullptr, 0) : otherwise;
}

/// Register fields mostly name few registers, so that instructions depend on one another.
u32 crowd(const Encoding& e, u32 word, Values& values) {
  constexpr u32 kFew[] = {0, 1, 2, 19, 20, 30, 7, 31};
  for (const unsigned at : {0U, 5U, 16U, 10U}) {
    if (((e.mask >> at) & 31) != 0 || values.below(4) == 0) continue;
    word = (word & ~(31U << at)) | kFew[values.below(std::size(kFew))] << at;
  }
  return word;
}

/// Whether the instruction only computes, or accesses memory at the base register.
bool suits(u32 word) {
  const std::array<u8, 4> code{static_cast<u8>(word), static_cast<u8>(word >> 8), static_cast<u8>(word >> 16),
                               static_cast<u8>(word >> 24)};
  ir::TranslateRequest request;
  request.code = code;
  request.single = true;
  ir::Block block;
  ir::Builder builder(block);
  arm64::Translate(builder, request).run();
  for (const ir::Inst& inst : block.insts) {
    switch (inst.op) {
      case Op::call:
      case Op::exit_if:
      case Op::exit_indirect:
      case Op::exit_dispatch:
      case Op::pc_rel:
      case Op::load_ex:
      case Op::store_ex:
      case Op::cas:
      case Op::atomic:
        return false;
      case Op::put:
        if (inst.a == arm64::x_offset(kBase) || inst.a == arm64::kSpOffset) return false;
        break;
      default:
        break;
    }
  }
  return true;
}

u32 random_word(Values& values) {
  const std::span<const Encoding> all = arm64::encodings();
  for (;;) {
    const Encoding& e = all[values.below(all.size())];
    const std::string_view table = e.table;
    const std::string_view name = e.name;
    if (table == "branch_system") continue;
    u32 word = crowd(e, e.value | (static_cast<u32>(values.bits()) & ~e.mask), values);
    if ((e.value & 0x0a000000) == 0x08000000) {
      const bool near = name.find("unscaled") != name.npos || (e.value & 0xbf800000) == 0x0c000000 ||
                        (e.value & 0xbf800000) == 0x0d000000;
      if (!near) continue;
      word = (word & ~(31U << 5)) | kBase << 5;
    }
    if (arm64::decode(word) == &e && suits(word)) return word;
  }
}

class Sequences : public testing::Test {
 protected:
  void compare(Executor& ours) {
    oracle_ = make_unicorn_executor();
    ASSERT_NE(oracle_, nullptr);
    Values values(number_from("SOLDER_FUZZ_SEED", 1));
    const u64 count = number_from("SOLDER_FUZZ_SEQUENCES", 400);
    for (u64 n = 0; n < count && !HasFailure(); ++n) {
      std::vector<u32> code(2 + values.below(24));
      for (u32& word : code) word = random_word(values);
      for (int k = 0; k < 2 && !HasFailure(); ++k) {
        Machine before = random_machine(values);
        before.x[kBase] = kDataBase + kDataSize / 2;
        if (!wrong(ours, before, code).empty()) report(ours, before, code);
      }
    }
  }

 private:
  std::string wrong(Executor& ours, const Machine& before, const std::vector<u32>& code) {
    Machine a = before;
    Machine b = before;
    const Ended end_a = ours.run(a, code);
    const Ended end_b = oracle_->run(b, code);
    if (end_a != end_b) return fmt::format("\n    ended {} / {}", static_cast<int>(end_a), static_cast<int>(end_b));
    return difference(a, b);
  }

  /// Leaves out what is not needed for the difference.
  void report(Executor& ours, const Machine& before, std::vector<u32> code) {
    for (usize n = 0; n < code.size();) {
      std::vector<u32> fewer = code;
      fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(n));
      if (!fewer.empty() && !wrong(ours, before, fewer).empty()) {
        code = std::move(fewer);
      } else {
        ++n;
      }
    }
    std::string text = fmt::format("fpcr {:08x} nzcv {:08x}", before.fpcr, before.nzcv);
    for (const u32 word : code) text += fmt::format("\n    {:08x} {}", word, arm64::decode(word)->name);
    ADD_FAILURE() << text << wrong(ours, before, code);
  }

  std::unique_ptr<Executor> oracle_;
};

TEST_F(Sequences, Interpreted) {
  compare(*make_front_end_executor(make_interpreter_engine()));
}
TEST_F(Sequences, Compiled) {
  compare(*make_front_end_executor(make_compiled_engine()));
}
TEST_F(Sequences, CompiledWithFallbacks) {
  compare(*make_front_end_executor(make_compiled_engine(false, true)));
}
TEST_F(Sequences, CompiledWithSlowMemory) {
  compare(*make_front_end_executor(make_compiled_engine(true, false)));
}

}  // namespace
}  // namespace solder::test
