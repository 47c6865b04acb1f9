// Scalar floating point: data processing, comparison, selection, conversion (DDI 0487, C4.1.96).
#include "guest/arm64/sem_simd.h"

namespace solder::arm64::sem {
namespace {

using ir::Cond;
using ir::Round;

FpAttr attr_of(Translate& t, Insn i, u8 extra = 0) {
  return t.fp(float_lane(i), Width::scalar, extra);
}
VecAttr scalar(Insn i) {
  return shape_of(float_lane(i), Width::scalar);
}

void unary(Translate& t, Insn i, Op op) {
  if (!begin(t)) return;
  t.set_v(i.rd(), t.ir.f(op, attr_of(t, i), t.v(i.rn())));
}
void binary(Translate& t, Insn i, Op op) {
  if (!begin(t)) return;
  t.set_v(i.rd(), t.ir.f(op, attr_of(t, i), t.v(i.rn()), t.v(i.rm())));
}
/// Bit 0 of negate: the product, bit 1: the addend.
void fused(Translate& t, Insn i, u8 negate) {
  if (!begin(t)) return;
  t.set_v(i.rd(), t.ir.f(Op::f_mul_add, attr_of(t, i, negate), t.v(i.rn()), t.v(i.rm()), t.v(i.ra())));
}
void round(Translate& t, Insn i, FpAttr attr) {
  if (!begin(t)) return;
  t.set_v(i.rd(), t.ir.f(Op::f_round, attr, t.v(i.rn())));
}
FpAttr with_round(FpAttr attr, Round mode) {
  attr.round = mode;
  return attr;
}
/// Bit 16 tells unsigned conversions, in all of them.
u8 unsigned_bit(Insn i) {
  return i.bit(16) ? 1 : 0;
}
void to_int(Translate& t, Insn i, Round mode, unsigned fraction_bits = 0) {
  if (!begin(t, fraction_bits <= (i.sf() ? 64U : 32U))) return;
  const FpAttr attr = with_round(attr_of(t, i, unsigned_bit(i)), mode);
  const Type type = i.sf() ? Type::i64 : Type::i32;
  t.set_r(i.rd(), t.ir.f_fixed(Op::f_to_gpr, type, attr, t.v(i.rn()), static_cast<u8>(fraction_bits)));
}
void from_int(Translate& t, Insn i, unsigned fraction_bits) {
  if (!begin(t, fraction_bits <= (i.sf() ? 64U : 32U))) return;
  const FpAttr attr = attr_of(t, i, unsigned_bit(i));
  t.set_v(i.rd(), t.ir.f_fixed(Op::f_from_gpr, Type::v128, attr, t.r(i.rn(), i.sf()), static_cast<u8>(fraction_bits)));
}
unsigned scale(Insn i) {
  return 64 - i.bits(15, 10);
}

/// Bit 4: quiet NaNs signal too.
Value compare(Translate& t, Insn i, Value a, Value b) {
  return t.ir.f_compare(attr_of(t, i, i.bit(4) ? 1 : 0), a, b);
}

}  // namespace

void FAdd(Translate& t, Insn i) {
  binary(t, i, Op::f_add);
}
void FSub(Translate& t, Insn i) {
  binary(t, i, Op::f_sub);
}
void FMul(Translate& t, Insn i) {
  binary(t, i, Op::f_mul);
}
void FDiv(Translate& t, Insn i) {
  binary(t, i, Op::f_div);
}
void FMax(Translate& t, Insn i) {
  binary(t, i, Op::f_max);
}
void FMin(Translate& t, Insn i) {
  binary(t, i, Op::f_min);
}
void FMaxnm(Translate& t, Insn i) {
  binary(t, i, Op::f_max_num);
}
void FMinnm(Translate& t, Insn i) {
  binary(t, i, Op::f_min_num);
}
void FNmul(Translate& t, Insn i) {
  if (!begin(t)) return;
  const Value product = t.ir.f(Op::f_mul, attr_of(t, i), t.v(i.rn()), t.v(i.rm()));
  t.set_v(i.rd(), t.ir.f(Op::f_neg, attr_of(t, i), product));
}
void FMadd(Translate& t, Insn i) {
  fused(t, i, 0);
}
void FMsub(Translate& t, Insn i) {
  fused(t, i, 1);
}
void FNmadd(Translate& t, Insn i) {
  fused(t, i, 3);
}
void FNmsub(Translate& t, Insn i) {
  fused(t, i, 2);
}

void FMov(Translate& t, Insn i) {
  if (!begin(t)) return;
  t.set_v(i.rd(), t.ir.v(Op::v_zero_upper, scalar(i), t.v(i.rn())));
}
void FAbs(Translate& t, Insn i) {
  unary(t, i, Op::f_abs);
}
void FNeg(Translate& t, Insn i) {
  unary(t, i, Op::f_neg);
}
void FSqrt(Translate& t, Insn i) {
  unary(t, i, Op::f_sqrt);
}
void FRintn(Translate& t, Insn i) {
  round(t, i, with_round(attr_of(t, i), Round::nearest_even));
}
void FRintp(Translate& t, Insn i) {
  round(t, i, with_round(attr_of(t, i), Round::up));
}
void FRintm(Translate& t, Insn i) {
  round(t, i, with_round(attr_of(t, i), Round::down));
}
void FRintz(Translate& t, Insn i) {
  round(t, i, with_round(attr_of(t, i), Round::zero));
}
void FRinta(Translate& t, Insn i) {
  round(t, i, with_round(attr_of(t, i), Round::nearest_away));
}
void FRinti(Translate& t, Insn i) {
  round(t, i, attr_of(t, i));
}
void FRintx(Translate& t, Insn i) {
  round(t, i, attr_of(t, i, 1));
}

void FCvt(Translate& t, Insn i) {
  constexpr Lane kLanes[] = {Lane::s, Lane::d, Lane::b, Lane::h};  // by type; 10 is not allocated
  const Lane from = kLanes[i.bits(23, 22)];
  const Lane to = kLanes[i.bits(16, 15)];
  if (!begin(t, from != to && from != Lane::b && to != Lane::b)) return;
  const FpAttr attr = t.fp(from, Width::scalar, convert_extra(t, to, false));
  t.set_v(i.rd(), t.ir.f(Op::f_convert, attr, t.v(i.rn())));
}

void FCmp(Translate& t, Insn i) {
  if (begin(t)) t.set_flags(compare(t, i, t.v(i.rn()), t.v(i.rm())));
}
void FCmpZero(Translate& t, Insn i) {
  if (begin(t)) t.set_flags(compare(t, i, t.v(i.rn()), t.ir.v_const(0)));
}
void FCcmp(Translate& t, Insn i) {
  if (!begin(t)) return;
  // Where the condition fails zeros are compared, which raises nothing.
  const auto condition = static_cast<Cond>(i.bits(15, 12));
  const Value flags = t.flags();
  const Value zero = t.ir.v_const(0);
  const Value n = t.ir.select(condition, flags, t.v(i.rn()), zero);
  const Value m = t.ir.select(condition, flags, t.v(i.rm()), zero);
  const Value given = t.ir.flags_pack(t.ir.c32(i.bits(3, 0) << 28));
  t.set_flags(t.ir.flags_select(condition, flags, compare(t, i, n, m), given));
}
void FCsel(Translate& t, Insn i) {
  if (!begin(t)) return;
  const Value v = t.ir.select(static_cast<Cond>(i.bits(15, 12)), t.flags(), t.v(i.rn()), t.v(i.rm()));
  t.set_v(i.rd(), t.ir.v(Op::v_zero_upper, scalar(i), v));
}
void FMovImmediate(Translate& t, Insn i) {
  if (!begin(t)) return;
  t.set_v(i.rd(), t.ir.v_const(expand_float_immediate(i.bits(20, 13), float_lane(i)), Width::v64));
}

void FCvtnInt(Translate& t, Insn i) {
  to_int(t, i, Round::nearest_even);
}
void FCvtpInt(Translate& t, Insn i) {
  to_int(t, i, Round::up);
}
void FCvtmInt(Translate& t, Insn i) {
  to_int(t, i, Round::down);
}
void FCvtzInt(Translate& t, Insn i) {
  to_int(t, i, Round::zero);
}
void FCvtaInt(Translate& t, Insn i) {
  to_int(t, i, Round::nearest_away);
}
void FFromInt(Translate& t, Insn i) {
  from_int(t, i, 0);
}
void FToFixed(Translate& t, Insn i) {
  to_int(t, i, Round::zero, scale(i));
}
void FFromFixed(Translate& t, Insn i) {
  from_int(t, i, scale(i));
}

void FMovToGeneral(Translate& t, Insn i) {
  if (!begin(t)) return;
  t.set_r(i.rd(), t.ir.v_extract(i.sf() ? Type::i64 : Type::i32, t.v(i.rn()), float_lane(i), 0));
}
void FMovFromGeneral(Translate& t, Insn i) {
  if (!begin(t)) return;
  t.set_v(i.rd(), t.ir.v(Op::v_dup, scalar(i), t.r(i.rn(), i.sf())));
}
void FMovToGeneralTop(Translate& t, Insn i) {
  if (begin(t)) t.set_x(i.rd(), t.ir.v_extract(Type::i64, t.v(i.rn()), Lane::d, 1));
}
void FMovFromGeneralTop(Translate& t, Insn i) {
  if (begin(t)) t.set_v(i.rd(), t.ir.v_insert(t.v(i.rd()), Lane::d, 1, t.x(i.rn())));
}

}  // namespace solder::arm64::sem
