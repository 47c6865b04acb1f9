/// Every encoding of the decode table that user code can run, with random fields and operands: ours = Unicorn.
///
/// SOLDER_FUZZ_CASES: cases per encoding (default 60). SOLDER_FUZZ_SEED: another seed.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <string_view>

#include "differential/allowed.h"
#include "differential/executors.h"

namespace solder::differential {
namespace {

u64 from_environment(const char* name, u64 fallback) {
  const char* text = std::getenv(name);
  return text == nullptr ? fallback : std::strtoull(text, nullptr, 0);
}

/// Branches and the system instructions that user code has and that change nothing outside it.
bool is_user_level(const arm64::Encoding& encoding) {
  if (std::string_view(encoding.table) != "branch_system") return true;
  static constexpr std::string_view kBranches[] = {"B.cond", "B",  "BL",  "CBZ", "CBNZ", "TBZ",
                                                   "TBNZ",   "BR", "BLR", "RET", "CLREX"};
  for (const std::string_view name : kBranches) {
    if (encoding.name == name) return true;
  }
  return false;
}

class Instructions : public testing::TestWithParam<const char*> {};

TEST_P(Instructions, AgreeWithUnicorn) {
  const std::string_view table = GetParam();
  const u64 cases = from_environment("SOLDER_FUZZ_CASES", 60);
  Generator generator(from_environment("SOLDER_FUZZ_SEED", 1));
  generator.set_floating_point(table == "fp_simd");
  const auto ours = make_interpreter();
  const auto oracle = make_unicorn();
  const std::vector<u8> data = generator.data();
  ours->fill(data);
  oracle->fill(data);

  u64 pc = kCodeBase;
  std::map<std::string, unsigned> failures;
  for (const arm64::Encoding& encoding : arm64::encodings()) {
    if (table != encoding.table || !is_user_level(encoding)) continue;
    const bool memory = (encoding.value & 0x0a000000) == 0x08000000;
    for (u64 n = 0; n < cases; ++n) {
      if (pc >= kCodeBase + kCodeSize - 4) pc = kCodeBase;
      const Case test = generator.make(encoding, pc);
      pc += 4;
      if (arm64::decode(test.word) != &encoding) continue;  // a more special encoding
      if (unpredictable(test)) continue;
      const Outcome expected = oracle->run(test);
      const Outcome actual = ours->run(test);
      std::string wrong = difference(expected, actual);
      if (memory) {
        const std::vector<u8> left = oracle->data();
        if (left != ours->data()) {
          ours->fill(left);
          if (wrong.empty()) wrong = "memory differs";
        }
      }
      if (wrong.empty() || is_allowed(test, expected, actual)) continue;
      if (failures[encoding.name]++ < 2) {
        ADD_FAILURE() << fmt::format("{}: {:08x}, fpcr {:08x}: {}", encoding.name, test.word, test.registers.fpcr,
                                     wrong);
      }
    }
  }
  for (const auto& [name, count] : failures) fmt::print("{:6} {}\n", count, name);
}

INSTANTIATE_TEST_SUITE_P(Tables, Instructions, testing::Values("integer", "memory", "branch_system", "fp_simd"),
                         [](const auto& instance) { return std::string(instance.param); });

}  // namespace
}  // namespace solder::differential
