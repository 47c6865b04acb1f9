// Every line of decode_fp_simd.inc against Unicorn: random encodings of the line, operands biased to special values,
// every rounding mode, flush-to-zero and default NaN; all registers, flags, FPSR and memory are compared.
//
// SOLDER_FUZZ_WORDS: encodings per line (default 8). SOLDER_FUZZ_SEED: another stream. SOLDER_FUZZ_LINE: one line
// only.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "differential/arm64/differences.h"
#include "differential/arm64/executor.h"
#include "differential/arm64/random_machine.h"
#include "guest/arm64/decode.h"
#include "unit/translator_fp/values.h"

namespace solder::test {
namespace {

using arm64::Encoding;
using fp::test::Values;

constexpr unsigned kStatesPerWord = 6;

u64 number_from(const char* variable, u64 otherwise) {
  const char* text = std::getenv(variable);
  return text != nullptr ? std::strtoull(text, nullptr, 0) : otherwise;
}

/// Structure loads and stores (DDI 0487, C4.1.94).
bool accesses_memory(const Encoding& e) {
  return (e.value & 0x3e000000) == 0x0c000000;
}

std::string operands(u32 word, const Machine& m) {
  std::string text = fmt::format("fpcr {:08x} fpsr {:08x} nzcv {:08x}", m.fpcr, m.fpsr, m.nzcv);
  for (const unsigned at : {0U, 5U, 16U, 10U}) {
    const unsigned r = (word >> at) & 31;
    text += fmt::format("\n    v{} {:016x}:{:016x} x{} {:x}", r, m.v[r].d[1], m.v[r].d[0], r, r == 31 ? m.sp : m.x[r]);
  }
  return text;
}

class FpSimd : public testing::Test {
 protected:
  void compare(Executor& ours, const char* table) {
    const std::unique_ptr<Executor> oracle = make_unicorn_executor();
    ASSERT_NE(oracle, nullptr);
    const u64 words = number_from("SOLDER_FUZZ_WORDS", 8);
    const char* only = std::getenv("SOLDER_FUZZ_LINE");
    Values values(number_from("SOLDER_FUZZ_SEED", 1));
    u64 ran = 0;
    for (const Encoding& e : arm64::encodings()) {
      if (std::string_view(e.table) != table || (only != nullptr && std::string_view(e.name) != only)) continue;
      unsigned failures = 0;
      normal_ = 0;
      for (u64 n = 0; n < words && failures < 3; ++n) {
        const u32 word = e.value | (static_cast<u32>(values.bits()) & ~e.mask);
        if (arm64::decode(word) != &e) continue;
        for (unsigned k = 0; k < kStatesPerWord && failures < 3; ++k, ++ran)
          failures += check(e, word, random_machine(values), values, ours, *oracle) ? 0 : 1;
      }
      EXPECT_GT(normal_, 0U) << e.name << ": no encoding of the line was defined";
    }
    EXPECT_GT(ran, 0U);
  }

 private:
  u64 normal_ = 0;  // runs of the current line that did something

  bool check(const Encoding& e, u32 word, Machine before, Values& values, Executor& ours, Executor& oracle) {
    if (accesses_memory(e)) {
      const unsigned rn = (word >> 5) & 31;
      if (rn != 31) before.x[rn] = kDataBase + kDataSize / 2 - 64 + values.below(128);
    }
    Machine a = before;
    Machine b = before;
    const Ended end_a = ours.run(a, {&word, 1});
    const Ended end_b = oracle.run(b, {&word, 1});
    if (end_a == Ended::undefined && end_b == Ended::undefined) return true;
    if (end_a == Ended::normally) ++normal_;
    const std::string text = end_a != end_b
                                 ? fmt::format("\n    ended {} / {}", static_cast<int>(end_a), static_cast<int>(end_b))
                                 : difference(a, b);
    if (text.empty() || known_difference(e.name, word, before, a, b) != nullptr) return true;
    ADD_FAILURE() << fmt::format("{} {:08x} {}{}", e.name, word, operands(word, before), text);
    return false;
  }
};

TEST_F(FpSimd, InterpretedIrDoesWhatTheOracleDoes) {
  const auto ours = make_front_end_executor(make_interpreter_engine());
  compare(*ours, "fp_simd");
}

TEST_F(FpSimd, CompiledIrDoesWhatTheOracleDoes) {
  const auto ours = make_front_end_executor(make_compiled_engine());
  compare(*ours, "fp_simd");
}

TEST_F(FpSimd, CompiledIrWithFallbacksDoesWhatTheOracleDoes) {
  const auto ours = make_front_end_executor(make_compiled_engine(false, true));
  compare(*ours, "fp_simd");
}

TEST_F(FpSimd, CompiledIrWithSlowMemoryDoesWhatTheOracleDoes) {
  const auto ours = make_front_end_executor(make_compiled_engine(true, false));
  compare(*ours, "fp_simd");
}

}  // namespace
}  // namespace solder::test
