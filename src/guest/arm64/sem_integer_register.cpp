// Data processing, register (DDI 0487, C4.1.95).
#include "guest/arm64/decode.h"
#include "guest/arm64/sem_integer.h"
#include "guest/arm64/translator.h"

namespace solder::arm64::sem {

using ir::Cond;
using ir::Op;
using ir::Value;

namespace {

/// Rm shifted by a constant: LSL, LSR, ASR, ROR.
Value shifted_register(Translate& t, Insn i) {
  const Value m = t.r(i.rm(), i.sf());
  const unsigned amount = i.bits(15, 10);
  if (amount == 0) return m;
  static constexpr Op kShifts[] = {Op::shl, Op::shr_u, Op::shr_s, Op::ror};
  return t.ir.binary(kShifts[i.bits(23, 22)], m, t.imm(i.sf(), amount));
}

/// AL and NV both mean always.
bool always(u32 cond) {
  return (cond & 0xe) == 0xe;
}

}  // namespace

Value extended_register(Translate& t, unsigned rm, unsigned option, unsigned shift, bool sf) {
  const bool sign = (option & 4) != 0;
  const unsigned width = 8U << (option & 3);
  Value m = t.r(rm, sf);
  if (width < (sf ? 64U : 32U)) m = sign ? t.ir.extract_s(m, 0, width) : t.ir.extract_u(m, 0, width);
  return shift == 0 ? m : t.ir.shl(m, t.imm(sf, shift));
}

void Divide(Translate& t, Insn i) {
  t.set_r(i.rd(), t.ir.binary(i.bit(10) ? Op::div_s : Op::div_u, t.r(i.rn(), i.sf()), t.r(i.rm(), i.sf())));
}

void ShiftVariable(Translate& t, Insn i) {
  static constexpr Op kShifts[] = {Op::shl, Op::shr_u, Op::shr_s, Op::ror};
  t.set_r(i.rd(), t.ir.binary(kShifts[i.bits(11, 10)], t.r(i.rn(), i.sf()), t.r(i.rm(), i.sf())));
}

void Crc32(Translate& t, Insn i) {
  const Value data = t.r(i.rm(), i.sf());
  t.set_w(i.rd(), t.ir.crc32(t.w(i.rn()), data, 1U << i.bits(11, 10), i.bit(12)));
}

void ReverseBits(Translate& t, Insn i) {
  t.set_r(i.rd(), t.ir.unary(Op::bit_reverse, t.r(i.rn(), i.sf())));
}

void Reverse16(Translate& t, Insn i) {
  t.set_r(i.rd(), t.ir.unary(Op::byte_swap16, t.r(i.rn(), i.sf())));
}

void Reverse32(Translate& t, Insn i) {
  t.set_r(i.rd(), t.ir.unary(i.sf() ? Op::byte_swap32 : Op::byte_swap, t.r(i.rn(), i.sf())));
}

void Reverse64(Translate& t, Insn i) {
  t.set_x(i.rd(), t.ir.unary(Op::byte_swap, t.x(i.rn())));
}

void CountLeading(Translate& t, Insn i) {
  t.set_r(i.rd(), t.ir.unary(i.bit(10) ? Op::cls : Op::clz, t.r(i.rn(), i.sf())));
}

void LogicalShifted(Translate& t, Insn i) {
  if (!i.sf() && i.bit(15)) return t.undefined();
  const Value b = shifted_register(t, i);
  const bool invert = i.bit(21);
  const u32 opc = i.bits(30, 29);
  if (opc == 1 && i.rn() == 31) {  // MOV, MVN
    return t.set_r(i.rd(), invert ? t.ir.unary(Op::not_, b) : b);
  }
  const Value a = t.r(i.rn(), i.sf());
  Value result;
  switch (opc) {
    case 1:
      result = invert ? t.ir.binary(Op::or_not, a, b) : t.ir.or_(a, b);
      break;
    case 2:
      result = invert ? t.ir.binary(Op::xor_not, a, b) : t.ir.xor_(a, b);
      break;
    default:
      result = invert ? t.ir.binary(Op::and_not, a, b) : t.ir.and_(a, b);
      break;
  }
  if (opc == 3) t.set_flags(t.ir.flags_logic(result));
  t.set_r(i.rd(), result);
}

void AddSubShifted(Translate& t, Insn i) {
  if (i.bits(23, 22) == 3 || (!i.sf() && i.bit(15))) return t.undefined();
  const Value b = shifted_register(t, i);
  const Value a = t.r(i.rn(), i.sf());
  t.set_r(i.rd(), add_sub(t, i.bit(30), i.bit(29), a, b));
}

void AddSubExtended(Translate& t, Insn i) {
  if (i.bits(12, 10) > 4) return t.undefined();
  const Value b = extended_register(t, i.rm(), i.bits(15, 13), i.bits(12, 10), i.sf());
  const Value a = t.r_sp(i.rn(), i.sf());
  const Value result = add_sub(t, i.bit(30), i.bit(29), a, b);
  i.bit(29) ? t.set_r(i.rd(), result) : t.set_r_sp(i.rd(), result);
}

void AddSubCarry(Translate& t, Insn i) {
  const bool subtract = i.bit(30);
  const Value a = t.r(i.rn(), i.sf());
  const Value b = t.r(i.rm(), i.sf());
  const Value flags = t.flags();
  const Value result = subtract ? t.ir.sbc(a, b, flags) : t.ir.adc(a, b, flags);
  if (i.bit(29)) t.set_flags(subtract ? t.ir.flags_sbc(a, b, flags) : t.ir.flags_adc(a, b, flags));
  t.set_r(i.rd(), result);
}

void ConditionalCompare(Translate& t, Insn i) {
  const Value a = t.r(i.rn(), i.sf());
  const Value b = i.bit(11) ? t.imm(i.sf(), i.rm()) : t.r(i.rm(), i.sf());
  const Value compared = i.bit(30) ? t.ir.flags_sub(a, b) : t.ir.flags_add(a, b);
  const u32 cond = i.bits(15, 12);
  if (always(cond)) return t.set_flags(compared);
  const Value given = t.ir.flags_pack(t.ir.c32(i.bits(3, 0) << 28));
  t.set_flags(t.ir.flags_select(static_cast<Cond>(cond), t.flags(), compared, given));
}

void ConditionalSelect(Translate& t, Insn i) {
  const u32 cond = i.bits(15, 12);
  const Value a = t.r(i.rn(), i.sf());
  if (always(cond)) return t.set_r(i.rd(), a);
  Value b = t.r(i.rm(), i.sf());
  if (i.bit(30))
    b = i.bit(10) ? t.ir.unary(Op::neg, b) : t.ir.unary(Op::not_, b);
  else if (i.bit(10))
    b = t.ir.add(b, t.imm(i.sf(), 1));
  t.set_r(i.rd(), t.ir.select(static_cast<Cond>(cond), t.flags(), a, b));
}

void MultiplyAdd(Translate& t, Insn i) {
  const Value product = t.ir.mul(t.r(i.rn(), i.sf()), t.r(i.rm(), i.sf()));
  if (i.ra() == 31) return t.set_r(i.rd(), i.bit(15) ? t.ir.unary(Op::neg, product) : product);
  const Value a = t.r(i.ra(), i.sf());
  t.set_r(i.rd(), i.bit(15) ? t.ir.sub(a, product) : t.ir.add(a, product));
}

void MultiplyAddLong(Translate& t, Insn i) {
  const auto widen = [&](unsigned n) { return i.bit(23) ? t.ir.zext32(t.w(n)) : t.ir.sext32(t.w(n)); };
  const Value product = t.ir.mul(widen(i.rn()), widen(i.rm()));
  if (i.ra() == 31) return t.set_x(i.rd(), i.bit(15) ? t.ir.unary(Op::neg, product) : product);
  const Value a = t.x(i.ra());
  t.set_x(i.rd(), i.bit(15) ? t.ir.sub(a, product) : t.ir.add(a, product));
}

void MultiplyHigh(Translate& t, Insn i) {
  t.set_x(i.rd(), t.ir.binary(i.bit(23) ? Op::mul_hi_u : Op::mul_hi_s, t.x(i.rn()), t.x(i.rm())));
}

}  // namespace solder::arm64::sem
