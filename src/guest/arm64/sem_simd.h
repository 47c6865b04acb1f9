/// What the SIMD and FP semantics share: reading an instruction's shape.
#pragma once

#include "guest/arm64/decode.h"
#include "guest/arm64/translator.h"

namespace solder::arm64::sem {

using ir::FpAttr;
using ir::Lane;
using ir::Op;
using ir::Type;
using ir::Value;
using ir::VecAttr;
using ir::Width;

/// Start of every handler: encodings not allocated are undefined whether or not FP is enabled.
inline bool begin(Translate& t, bool allocated = true) {
  if (!allocated) {
    t.undefined();
    return false;
  }
  return t.fp_access_check();
}

/// Advanced SIMD: bit 28 tells the scalar forms, bit 30 (Q) the 128-bit ones, bit 29 (U) is mostly "unsigned".
[[nodiscard]] constexpr bool is_scalar(Insn i) {
  return i.bit(28);
}
[[nodiscard]] constexpr bool q(Insn i) {
  return i.bit(30);
}
[[nodiscard]] constexpr bool is_unsigned(Insn i) {
  return i.bit(29);
}
[[nodiscard]] constexpr unsigned size(Insn i) {
  return i.bits(23, 22);
}
[[nodiscard]] constexpr Lane lane(unsigned size_log2) {
  return static_cast<Lane>(size_log2);
}
[[nodiscard]] constexpr Lane wider(Lane l) {
  return static_cast<Lane>(static_cast<unsigned>(l) + 1);
}
[[nodiscard]] constexpr unsigned lane_bits(Lane l) {
  return 8U << static_cast<unsigned>(l);
}
[[nodiscard]] constexpr Width width(Insn i) {
  return is_scalar(i) ? Width::scalar : q(i) ? Width::v128 : Width::v64;
}
/// One or all lanes of a full register: the shape of what is widened to, or narrowed from.
[[nodiscard]] constexpr Width wide_width(Insn i) {
  return is_scalar(i) ? Width::scalar : Width::v128;
}
/// The "2" forms, of the upper half.
[[nodiscard]] constexpr bool upper(Insn i) {
  return !is_scalar(i) && q(i);
}

/// Integer attributes from size, Q and U.
[[nodiscard]] constexpr VecAttr shape(Insn i, bool round = false, u8 imm = 0) {
  return {.lane = lane(size(i)), .width = width(i), .sign = !is_unsigned(i), .round = round, .imm = imm};
}
[[nodiscard]] constexpr VecAttr shape_of(Lane l, Width w) {
  return {.lane = l, .width = w};
}

/// Every lane size but a single 64-bit one in a vector.
[[nodiscard]] constexpr bool any_size(Insn i) {
  return is_scalar(i) || size(i) != 3 || q(i);
}
[[nodiscard]] constexpr bool not_double(Insn i) {
  return size(i) != 3;
}
[[nodiscard]] constexpr bool half_or_word(Insn i) {
  return size(i) == 1 || size(i) == 2;
}

/// Floating point in vectors: bit 22 (sz) tells single from double.
[[nodiscard]] constexpr Lane float_lane(Insn i) {
  return i.bit(22) ? Lane::d : Lane::s;
}
[[nodiscard]] constexpr bool any_float(Insn i) {
  return is_scalar(i) || !i.bit(22) || q(i);
}
[[nodiscard]] inline FpAttr float_shape(Translate& t, Insn i, u8 extra = 0) {
  return t.fp(float_lane(i), width(i), extra);
}

/// f_convert's `extra`: the result's format, which half of the register, and what half precision is (FPCR.AHP).
[[nodiscard]] inline u8 convert_extra(Translate& t, Lane to, bool upper_half) {
  return static_cast<u8>(static_cast<unsigned>(to) | (t.has_key(key::kAltHalf) ? 8U : 0U) | (upper_half ? 16U : 0U));
}

/// VFPExpandImm (DDI 0487): the eight bits of FMOV's immediates.
[[nodiscard]] constexpr u64 expand_float_immediate(unsigned imm8, Lane l) {
  const u64 sign = (imm8 >> 7) & 1;
  const u64 b = (imm8 >> 6) & 1;
  const u64 low = imm8 & 63;
  if (l == Lane::d) return (sign << 63) | ((b ^ 1) << 62) | ((b ? u64{0xff} : 0) << 54) | (low << 48);
  return (sign << 31) | ((b ^ 1) << 30) | ((b ? u64{0x1f} : 0) << 25) | (low << 19);
}

}  // namespace solder::arm64::sem
