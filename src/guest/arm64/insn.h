/// One A64 instruction word and its fields.
#pragma once

#include "base/bits.h"
#include "base/types.h"

namespace solder::arm64 {

/// An instruction word. Field accessors are named as the manual names the fields (DDI 0487, C4).
struct Insn {
  u32 word = 0;

  [[nodiscard]] constexpr u32 bits(unsigned hi, unsigned lo) const { return solder::bits(word, hi, lo); }
  [[nodiscard]] constexpr bool bit(unsigned n) const { return solder::bit(word, n); }
  /// A field as a signed number.
  [[nodiscard]] constexpr i64 simm(unsigned hi, unsigned lo) const { return sign_extend(bits(hi, lo), hi - lo + 1); }

  [[nodiscard]] constexpr bool sf() const { return bit(31); }
  [[nodiscard]] constexpr unsigned rd() const { return bits(4, 0); }
  [[nodiscard]] constexpr unsigned rt() const { return bits(4, 0); }
  [[nodiscard]] constexpr unsigned rn() const { return bits(9, 5); }
  [[nodiscard]] constexpr unsigned rt2() const { return bits(14, 10); }
  [[nodiscard]] constexpr unsigned ra() const { return bits(14, 10); }
  [[nodiscard]] constexpr unsigned rm() const { return bits(20, 16); }
  [[nodiscard]] constexpr unsigned rs() const { return bits(20, 16); }
};

}  // namespace solder::arm64
