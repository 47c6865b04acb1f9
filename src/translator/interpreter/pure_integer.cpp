/// Integers, flags and choices. Semantics: the comments of SOLDER_IR_OPS.
#include <array>

#include "translator/interpreter/pure.h"
#include "translator/interpreter/scalar.h"
#include "translator/ir/op_info.h"

namespace solder::interpreter::pure {
namespace {

using scalar::bits_of;
using scalar::mask_of;

i64 as_signed(const Inst& inst, u64 value) {
  return sign_extend(value, bits_of(inst.type));
}

Type operand_type(const Inst& inst) {
  return static_cast<Type>(inst.sub);
}

bool carry(const V128& flags) {
  return (flags.s[0] & ir::kFlagC) != 0;
}

constexpr u64 reverse_bits(u64 v) {
  v = ((v >> 1) & 0x5555555555555555U) | ((v & 0x5555555555555555U) << 1);
  v = ((v >> 2) & 0x3333333333333333U) | ((v & 0x3333333333333333U) << 2);
  v = ((v >> 4) & 0x0f0f0f0f0f0f0f0fU) | ((v & 0x0f0f0f0f0f0f0f0fU) << 4);
  return __builtin_bswap64(v);
}

/// Remainders of one byte for a bit-reflected 32-bit polynomial.
constexpr std::array<u32, 256> make_crc_table(u32 polynomial) {
  std::array<u32, 256> table{};
  for (u32 i = 0; i < 256; ++i) {
    u32 remainder = i;
    for (int k = 0; k < 8; ++k) remainder = (remainder >> 1) ^ ((remainder & 1) != 0 ? polynomial : 0);
    table[i] = remainder;
  }
  return table;
}
constexpr auto kCrc32 = make_crc_table(0xedb88320);   // IEEE 802.3, reflected 0x04c11db7
constexpr auto kCrc32c = make_crc_table(0x82f63b78);  // Castagnoli, reflected 0x1edc6f41

}  // namespace

SOLDER_PURE(constant) {
  result.d[0] = inst.imm_ab();
}

SOLDER_PURE(add) {
  result.d[0] = (a.d[0] + b.d[0]) & mask_of(inst.type);
}
SOLDER_PURE(sub) {
  result.d[0] = (a.d[0] - b.d[0]) & mask_of(inst.type);
}
SOLDER_PURE(and_) {
  result.d[0] = a.d[0] & b.d[0];
}
SOLDER_PURE(or_) {
  result.d[0] = a.d[0] | b.d[0];
}
SOLDER_PURE(xor_) {
  result.d[0] = a.d[0] ^ b.d[0];
}
SOLDER_PURE(and_not) {
  result.d[0] = a.d[0] & ~b.d[0];
}
SOLDER_PURE(or_not) {
  result.d[0] = (a.d[0] | ~b.d[0]) & mask_of(inst.type);
}
SOLDER_PURE(xor_not) {
  result.d[0] = (a.d[0] ^ ~b.d[0]) & mask_of(inst.type);
}
SOLDER_PURE(not_) {
  result.d[0] = ~a.d[0] & mask_of(inst.type);
}
SOLDER_PURE(neg) {
  result.d[0] = (0 - a.d[0]) & mask_of(inst.type);
}
SOLDER_PURE(mul) {
  result.d[0] = (a.d[0] * b.d[0]) & mask_of(inst.type);
}

SOLDER_PURE(mul_hi_u) {
  result.d[0] = static_cast<u64>((u128{a.d[0]} * b.d[0]) >> bits_of(inst.type));
}

SOLDER_PURE(mul_hi_s) {
  const i128 product = i128{as_signed(inst, a.d[0])} * as_signed(inst, b.d[0]);
  result.d[0] = static_cast<u64>(product >> bits_of(inst.type)) & mask_of(inst.type);
}

SOLDER_PURE(div_u) {
  result.d[0] = b.d[0] == 0 ? 0 : a.d[0] / b.d[0];
}

SOLDER_PURE(div_s) {
  const i64 dividend = as_signed(inst, a.d[0]);
  const i64 divisor = as_signed(inst, b.d[0]);
  if (divisor == 0) {
    result.d[0] = 0;
  } else if (divisor == -1) {
    result.d[0] = (0 - a.d[0]) & mask_of(inst.type);  // min / -1 = min
  } else {
    result.d[0] = static_cast<u64>(dividend / divisor) & mask_of(inst.type);
  }
}

SOLDER_PURE(shl) {
  result.d[0] = (a.d[0] << (b.d[0] & (bits_of(inst.type) - 1))) & mask_of(inst.type);
}
SOLDER_PURE(shr_u) {
  result.d[0] = a.d[0] >> (b.d[0] & (bits_of(inst.type) - 1));
}
SOLDER_PURE(shr_s) {
  result.d[0] = scalar::shift_right_signed(inst.type, a.d[0], b.d[0]);
}
SOLDER_PURE(ror) {
  result.d[0] = scalar::rotate_right(inst.type, a.d[0], b.d[0]);
}

SOLDER_PURE(clz) {
  result.d[0] = static_cast<u64>(std::countl_zero(a.d[0])) - (64 - bits_of(inst.type));
}

SOLDER_PURE(cls) {
  const auto value = static_cast<u64>(as_signed(inst, a.d[0]));
  const u64 changes = value ^ (value << 1);  // bit i: bits i and i-1 differ; bit 0 depends on the shifted-in zero
  result.d[0] = static_cast<u64>(std::countl_zero(changes | 1)) - (64 - bits_of(inst.type));
}

SOLDER_PURE(ctz) {
  result.d[0] = a.d[0] == 0 ? bits_of(inst.type) : static_cast<u64>(std::countr_zero(a.d[0]));
}
SOLDER_PURE(popcount) {
  result.d[0] = static_cast<u64>(std::popcount(a.d[0]));
}
SOLDER_PURE(bit_reverse) {
  result.d[0] = reverse_bits(a.d[0]) >> (64 - bits_of(inst.type));
}
SOLDER_PURE(byte_swap) {
  result.d[0] = __builtin_bswap64(a.d[0]) >> (64 - bits_of(inst.type));
}

SOLDER_PURE(byte_swap16) {
  const u64 v = a.d[0];
  result.d[0] = ((v >> 8) & 0x00ff00ff00ff00ffU) | ((v & 0x00ff00ff00ff00ffU) << 8);
}

SOLDER_PURE(byte_swap32) {
  result.d[0] = std::rotr(__builtin_bswap64(a.d[0]), 32);
}

SOLDER_PURE(zext32) {
  result.d[0] = a.s[0];
}
SOLDER_PURE(sext32) {
  result.d[0] = static_cast<u64>(i64{static_cast<i32>(a.s[0])});
}
SOLDER_PURE(trunc) {
  result.d[0] = a.s[0];
}

SOLDER_PURE(extract_u) {
  result.d[0] = (a.d[0] >> (inst.sub & 0xff)) & mask64(inst.sub >> 8);
}
SOLDER_PURE(extract_s) {
  result.d[0] = scalar::extract_signed(inst.type, a.d[0], inst.sub & 0xff, inst.sub >> 8);
}
SOLDER_PURE(insert) {
  result.d[0] = scalar::insert(a.d[0], b.d[0], inst.sub & 0xff, inst.sub >> 8);
}

SOLDER_PURE(extract_pair) {
  const unsigned bits = bits_of(inst.type);
  const u128 pair = (u128{a.d[0]} << bits) | b.d[0];
  result.d[0] = static_cast<u64>(pair >> inst.sub) & mask_of(inst.type);
}

SOLDER_PURE(crc32) {
  const auto& table = (inst.sub & 16) != 0 ? kCrc32c : kCrc32;
  u32 crc = a.s[0];
  u64 data = b.d[0];
  for (unsigned i = 0; i < (inst.sub & 15U); ++i) {
    crc = (crc >> 8) ^ table[(crc ^ data) & 0xff];
    data >>= 8;
  }
  result.d[0] = crc;
}

// ---- flags ----

SOLDER_PURE(adc) {
  result.d[0] = (a.d[0] + b.d[0] + (carry(c) ? 1 : 0)) & mask_of(inst.type);
}
SOLDER_PURE(sbc) {
  result.d[0] = (a.d[0] - b.d[0] - (carry(c) ? 0 : 1)) & mask_of(inst.type);
}
SOLDER_PURE(flags_add) {
  result.d[0] = scalar::flags_add(operand_type(inst), a.d[0], b.d[0], false);
}
SOLDER_PURE(flags_sub) {
  result.d[0] = scalar::flags_sub(operand_type(inst), a.d[0], b.d[0], true);
}
SOLDER_PURE(flags_adc) {
  result.d[0] = scalar::flags_add(operand_type(inst), a.d[0], b.d[0], carry(c));
}
SOLDER_PURE(flags_sbc) {
  result.d[0] = scalar::flags_sub(operand_type(inst), a.d[0], b.d[0], carry(c));
}
SOLDER_PURE(flags_logic) {
  result.d[0] = scalar::flags_nz(operand_type(inst), a.d[0]);
}
SOLDER_PURE(flags_pack) {
  result.d[0] = scalar::flags_pack(a.s[0]);
}
SOLDER_PURE(flags_unpack) {
  result.d[0] = scalar::flags_unpack(a.s[0]);
}
SOLDER_PURE(flags_select) {
  result.d[0] = holds(static_cast<ir::Cond>(inst.sub), a.s[0]) ? b.s[0] : c.s[0];
}

SOLDER_PURE(select) {
  result = holds(static_cast<ir::Cond>(inst.sub), a.s[0]) ? b : c;
}
SOLDER_PURE(select_nz) {
  result = a.d[0] != 0 ? b : c;
}

}  // namespace solder::interpreter::pure
