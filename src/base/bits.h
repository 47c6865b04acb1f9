/// Bit fields and alignment.
#pragma once

#include <bit>
#include <concepts>

#include "base/types.h"

namespace solder {

/// Bits hi..lo of `value`, both included, as in the architecture manuals.
template <std::unsigned_integral T>
[[nodiscard]] constexpr T bits(T value, unsigned hi, unsigned lo) {
  const unsigned width = hi - lo + 1;
  const T shifted = static_cast<T>(value >> lo);
  return width >= sizeof(T) * 8 ? shifted : static_cast<T>(shifted & ((T{1} << width) - 1));
}

/// Bit `n` of `value`.
template <std::unsigned_integral T>
[[nodiscard]] constexpr bool bit(T value, unsigned n) {
  return ((value >> n) & 1) != 0;
}

/// A mask of the low `n` bits; n may be 64.
[[nodiscard]] constexpr u64 mask64(unsigned n) {
  return n >= 64 ? ~u64{0} : (u64{1} << n) - 1;
}

/// The low `width` bits of `value`, sign-extended to 64. 1 <= width <= 64.
[[nodiscard]] constexpr i64 sign_extend(u64 value, unsigned width) {
  return static_cast<i64>(value << (64 - width)) >> (64 - width);
}

[[nodiscard]] constexpr u64 align_down(u64 value, u64 alignment) {
  return value & ~(alignment - 1);
}
[[nodiscard]] constexpr u64 align_up(u64 value, u64 alignment) {
  return align_down(value + alignment - 1, alignment);
}

}  // namespace solder
