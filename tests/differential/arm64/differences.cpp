#include "differential/arm64/differences.h"

namespace solder::test {

const char* known_difference(std::string_view name, u32 word, const Machine& /*before*/, const Machine& /*ours*/,
                             const Machine& /*oracle*/) {
  const u32 immh = (word >> 19) & 15;
  if (name.find("fixed-point") != name.npos && name.find("vector") != name.npos && immh < 4)
    return "16-bit lanes need FEAT_FP16, which Unicorn's CPU has and ours has not";
  return nullptr;
}

}  // namespace solder::test
