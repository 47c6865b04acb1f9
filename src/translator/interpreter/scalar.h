/// Integer semantics shared by the interpreter's loop and the pure functions. Values are zero-extended to 64 bits.
#pragma once

#include <bit>

#include "base/bits.h"
#include "translator/ir/core_state.h"
#include "translator/ir/ir.h"

namespace solder::interpreter::scalar {

[[nodiscard]] constexpr unsigned bits_of(ir::Type type) {
  return type == ir::Type::i32 ? 32 : 64;
}
[[nodiscard]] constexpr u64 mask_of(ir::Type type) {
  return type == ir::Type::i32 ? 0xffffffffU : ~u64{0};
}

/// Flags image of N and Z.
[[nodiscard]] constexpr u32 flags_nz(ir::Type type, u64 value) {
  return (bit(value, bits_of(type) - 1) ? ir::kFlagN : 0) | (value == 0 ? ir::kFlagZ : 0);
}

/// Flags image of a + b + carry (AddWithCarry of DDI 0487, shared pseudocode).
[[nodiscard]] constexpr u32 flags_add(ir::Type type, u64 a, u64 b, bool carry) {
  const u64 sum = (a + b + (carry ? 1 : 0)) & mask_of(type);
  const bool carry_out = sum < a || (carry && sum == a);
  const bool overflow = bit((a ^ sum) & (b ^ sum), bits_of(type) - 1);
  return flags_nz(type, sum) | (carry_out ? ir::kFlagC : 0) | (overflow ? ir::kFlagV : 0);
}

/// Flags image of a - b - !carry; C means "no borrow".
[[nodiscard]] constexpr u32 flags_sub(ir::Type type, u64 a, u64 b, bool carry) {
  return flags_add(type, a, ~b & mask_of(type), carry);
}

[[nodiscard]] constexpr u32 flags_pack(u32 nzcv) {
  return (bit(nzcv, 31) ? ir::kFlagN : 0) | (bit(nzcv, 30) ? ir::kFlagZ : 0) | (bit(nzcv, 29) ? ir::kFlagC : 0) |
         (bit(nzcv, 28) ? ir::kFlagV : 0);
}

[[nodiscard]] constexpr u32 flags_unpack(u32 flags) {
  return ((flags & ir::kFlagN) != 0 ? 1U << 31 : 0) | ((flags & ir::kFlagZ) != 0 ? 1U << 30 : 0) |
         ((flags & ir::kFlagC) != 0 ? 1U << 29 : 0) | ((flags & ir::kFlagV) != 0 ? 1U << 28 : 0);
}

[[nodiscard]] constexpr u64 extract_signed(ir::Type type, u64 a, unsigned lsb, unsigned width) {
  return static_cast<u64>(sign_extend(a >> lsb, width)) & mask_of(type);
}

[[nodiscard]] constexpr u64 insert(u64 a, u64 b, unsigned lsb, unsigned width) {
  const u64 mask = mask64(width) << lsb;
  return (a & ~mask) | ((b << lsb) & mask);
}

[[nodiscard]] constexpr u64 shift_right_signed(ir::Type type, u64 a, u64 amount) {
  const unsigned bits = bits_of(type);
  return static_cast<u64>(sign_extend(a, bits) >> (amount & (bits - 1))) & mask_of(type);
}

[[nodiscard]] constexpr u64 rotate_right(ir::Type type, u64 a, u64 amount) {
  if (type == ir::Type::i32) return std::rotr(static_cast<u32>(a), static_cast<int>(amount & 31));
  return std::rotr(a, static_cast<int>(amount & 63));
}

}  // namespace solder::interpreter::scalar
