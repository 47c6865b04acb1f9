/// Integer operations on constants, for the builder. Values are zero-extended to 64 bits.
#pragma once

#include <bit>
#include <optional>

#include "base/bits.h"
#include "base/types.h"
#include "translator/ir/ir.h"

namespace solder::ir {

/// The constant result, or nothing for operations that are not worth folding.
[[nodiscard]] constexpr std::optional<u64> fold_binary(Op op, Type type, u64 a, u64 b) {
  const unsigned bits = type == Type::i32 ? 32 : 64;
  const u64 mask = mask64(bits);
  const unsigned shift = static_cast<unsigned>(b & (bits - 1));
  switch (op) {
    case Op::add:
      return (a + b) & mask;
    case Op::sub:
      return (a - b) & mask;
    case Op::mul:
      return (a * b) & mask;
    case Op::and_:
      return a & b;
    case Op::or_:
      return a | b;
    case Op::xor_:
      return a ^ b;
    case Op::and_not:
      return a & ~b;
    case Op::or_not:
      return (a | ~b) & mask;
    case Op::xor_not:
      return (a ^ ~b) & mask;
    case Op::shl:
      return (a << shift) & mask;
    case Op::shr_u:
      return a >> shift;
    case Op::shr_s:
      return static_cast<u64>(sign_extend(a, bits) >> shift) & mask;
    case Op::ror:
      if (bits == 32) return std::rotr(static_cast<u32>(a), static_cast<int>(shift));
      return std::rotr(a, static_cast<int>(shift));
    default:
      return std::nullopt;
  }
}

[[nodiscard]] constexpr std::optional<u64> fold_unary(Op op, Type type, u64 a) {
  const u64 mask = mask64(type == Type::i32 ? 32 : 64);
  switch (op) {
    case Op::not_:
      return ~a & mask;
    case Op::neg:
      return (0 - a) & mask;
    default:
      return std::nullopt;
  }
}

}  // namespace solder::ir
