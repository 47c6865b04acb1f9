#include "differential/arm64/differences.h"

namespace solder::test {

const char* known_difference(std::string_view name, u32 word, const Machine& /*before*/, const Machine& /*ours*/,
                             const Machine& /*oracle*/) {
  const u32 immh = (word >> 19) & 15;
  if (name.find("fixed-point") != name.npos && name.find("vector") != name.npos && immh < 4)
    return "16-bit lanes need FEAT_FP16, which Unicorn's CPU has and ours has not";
  // LDSMAX, LDSMIN, LDUMAX, LDUMIN of bytes, halves and words.
  const bool minimum_or_maximum = (word & 0x3f20cc00) == 0x38204000;
  if (minimum_or_maximum && (word >> 30) != 3)
    return "QEMU 5.0 compares the whole register with the memory operand (general_test.cpp tests ours by itself)";
  return nullptr;
}

}  // namespace solder::test
