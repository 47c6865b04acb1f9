// Advanced SIMD floating point, vector and scalar (DDI 0487, C4.1.96).
#include "guest/arm64/sem_simd.h"

namespace solder::arm64::sem {
namespace {

using ir::Round;

void unary(Translate& t, Insn i, Op op, u8 extra = 0) {
  if (!begin(t, any_float(i))) return;
  t.set_v(i.rd(), t.ir.f(op, float_shape(t, i, extra), t.v(i.rn())));
}
void binary(Translate& t, Insn i, Op op, u8 extra = 0) {
  if (!begin(t, any_float(i))) return;
  t.set_v(i.rd(), t.ir.f(op, float_shape(t, i, extra), t.v(i.rn()), t.v(i.rm())));
}
void fused(Translate& t, Insn i, u8 negate) {
  if (!begin(t, any_float(i))) return;
  t.set_v(i.rd(), t.ir.f(Op::f_mul_add, float_shape(t, i, negate), t.v(i.rn()), t.v(i.rm()), t.v(i.rd())));
}
/// Neighbours of Vn, then of Vm.
void pairwise(Translate& t, Insn i, Op op) {
  if (!begin(t, any_float(i))) return;
  const VecAttr attr = shape_of(float_lane(i), width(i));
  const Value n = t.v(i.rn());
  const Value m = t.v(i.rm());
  t.set_v(i.rd(), t.ir.f(op, float_shape(t, i), t.ir.v(Op::v_uzp1, attr, n, m), t.ir.v(Op::v_uzp2, attr, n, m)));
}
void pair_scalar(Translate& t, Insn i, Op op) {
  if (!begin(t)) return;
  const Value n = t.v(i.rn());
  const VecAttr attr{.lane = float_lane(i), .width = Width::scalar, .imm = 1};
  t.set_v(i.rd(), t.ir.f(op, float_shape(t, i), n, t.ir.v(Op::v_dup_lane, attr, n)));
}
/// Four singles, as a tree: (0,1) and (2,3), then the two results.
void across(Translate& t, Insn i, Op op) {
  if (!begin(t)) return;
  const Value n = t.v(i.rn());
  const VecAttr all = shape_of(Lane::s, Width::v128);
  const Value pairs =
      t.ir.f(op, t.fp(Lane::s, Width::v64), t.ir.v(Op::v_uzp1, all, n, n), t.ir.v(Op::v_uzp2, all, n, n));
  const VecAttr second{.lane = Lane::s, .width = Width::scalar, .imm = 1};
  t.set_v(i.rd(), t.ir.f(op, t.fp(Lane::s), pairs, t.ir.v(Op::v_dup_lane, second, pairs)));
}
void compare_zero(Translate& t, Insn i, Op op, bool swap) {
  if (!begin(t, any_float(i))) return;
  const Value zero = t.ir.v_const(0);
  const Value n = t.v(i.rn());
  const FpAttr attr = float_shape(t, i);
  t.set_v(i.rd(), swap ? t.ir.f(op, attr, zero, n) : t.ir.f(op, attr, n, zero));
}
void round(Translate& t, Insn i, FpAttr attr) {
  if (!begin(t, any_float(i))) return;
  t.set_v(i.rd(), t.ir.f(Op::f_round, attr, t.v(i.rn())));
}
FpAttr with_round(FpAttr attr, Round mode) {
  attr.round = mode;
  return attr;
}
void to_int(Translate& t, Insn i, Round mode) {
  if (!begin(t, any_float(i))) return;
  const FpAttr attr = with_round(float_shape(t, i, is_unsigned(i) ? 1 : 0), mode);
  t.set_v(i.rd(), t.ir.f_fixed(Op::f_to_int, Type::v128, attr, t.v(i.rn()), 0));
}
void narrow(Translate& t, Insn i, FpAttr attr, Lane to) {
  if (!begin(t)) return;
  attr.width = wide_width(i);
  attr.extra = convert_extra(t, to, upper(i));
  t.set_v(i.rd(), t.ir.f(Op::f_convert, attr, t.v(i.rn()), upper(i) ? t.v(i.rd()) : Value{}));
}

}  // namespace

void VfAdd(Translate& t, Insn i) {
  binary(t, i, Op::f_add);
}
void VfSub(Translate& t, Insn i) {
  binary(t, i, Op::f_sub);
}
void VfMul(Translate& t, Insn i) {
  binary(t, i, Op::f_mul);
}
void VfMulx(Translate& t, Insn i) {
  binary(t, i, Op::f_mulx);
}
void VfDiv(Translate& t, Insn i) {
  binary(t, i, Op::f_div);
}
void VfMax(Translate& t, Insn i) {
  binary(t, i, Op::f_max);
}
void VfMin(Translate& t, Insn i) {
  binary(t, i, Op::f_min);
}
void VfMaxnm(Translate& t, Insn i) {
  binary(t, i, Op::f_max_num);
}
void VfMinnm(Translate& t, Insn i) {
  binary(t, i, Op::f_min_num);
}
void VfMla(Translate& t, Insn i) {
  fused(t, i, 0);
}
void VfMls(Translate& t, Insn i) {
  fused(t, i, 1);
}
void VfRecps(Translate& t, Insn i) {
  binary(t, i, Op::f_recip_step);
}
void VfRsqrts(Translate& t, Insn i) {
  binary(t, i, Op::f_rsqrt_step);
}
void VfAbd(Translate& t, Insn i) {
  if (!begin(t, any_float(i))) return;
  const Value difference = t.ir.f(Op::f_sub, float_shape(t, i), t.v(i.rn()), t.v(i.rm()));
  t.set_v(i.rd(), t.ir.f(Op::f_abs, float_shape(t, i), difference));
}

void VfCmeq(Translate& t, Insn i) {
  binary(t, i, Op::f_cmp_eq);
}
void VfCmge(Translate& t, Insn i) {
  binary(t, i, Op::f_cmp_ge);
}
void VfCmgt(Translate& t, Insn i) {
  binary(t, i, Op::f_cmp_gt);
}
void VfAcge(Translate& t, Insn i) {
  binary(t, i, Op::f_cmp_ge, 1);
}
void VfAcgt(Translate& t, Insn i) {
  binary(t, i, Op::f_cmp_gt, 1);
}
void VfCmeqZero(Translate& t, Insn i) {
  compare_zero(t, i, Op::f_cmp_eq, false);
}
void VfCmgeZero(Translate& t, Insn i) {
  compare_zero(t, i, Op::f_cmp_ge, false);
}
void VfCmgtZero(Translate& t, Insn i) {
  compare_zero(t, i, Op::f_cmp_gt, false);
}
void VfCmleZero(Translate& t, Insn i) {
  compare_zero(t, i, Op::f_cmp_ge, true);
}
void VfCmltZero(Translate& t, Insn i) {
  compare_zero(t, i, Op::f_cmp_gt, true);
}

void VfAddp(Translate& t, Insn i) {
  pairwise(t, i, Op::f_add);
}
void VfMaxp(Translate& t, Insn i) {
  pairwise(t, i, Op::f_max);
}
void VfMinp(Translate& t, Insn i) {
  pairwise(t, i, Op::f_min);
}
void VfMaxnmp(Translate& t, Insn i) {
  pairwise(t, i, Op::f_max_num);
}
void VfMinnmp(Translate& t, Insn i) {
  pairwise(t, i, Op::f_min_num);
}
void VfAddpScalar(Translate& t, Insn i) {
  pair_scalar(t, i, Op::f_add);
}
void VfMaxpScalar(Translate& t, Insn i) {
  pair_scalar(t, i, Op::f_max);
}
void VfMinpScalar(Translate& t, Insn i) {
  pair_scalar(t, i, Op::f_min);
}
void VfMaxnmpScalar(Translate& t, Insn i) {
  pair_scalar(t, i, Op::f_max_num);
}
void VfMinnmpScalar(Translate& t, Insn i) {
  pair_scalar(t, i, Op::f_min_num);
}
void VfMaxv(Translate& t, Insn i) {
  across(t, i, Op::f_max);
}
void VfMinv(Translate& t, Insn i) {
  across(t, i, Op::f_min);
}
void VfMaxnmv(Translate& t, Insn i) {
  across(t, i, Op::f_max_num);
}
void VfMinnmv(Translate& t, Insn i) {
  across(t, i, Op::f_min_num);
}

void VfAbs(Translate& t, Insn i) {
  unary(t, i, Op::f_abs);
}
void VfNeg(Translate& t, Insn i) {
  unary(t, i, Op::f_neg);
}
void VfSqrt(Translate& t, Insn i) {
  unary(t, i, Op::f_sqrt);
}
void VfRecpe(Translate& t, Insn i) {
  unary(t, i, Op::f_recip_est);
}
void VfRsqrte(Translate& t, Insn i) {
  unary(t, i, Op::f_rsqrt_est);
}
void VfRecpx(Translate& t, Insn i) {
  unary(t, i, Op::f_recip_exp);
}

void VfRintn(Translate& t, Insn i) {
  round(t, i, with_round(float_shape(t, i), Round::nearest_even));
}
void VfRintp(Translate& t, Insn i) {
  round(t, i, with_round(float_shape(t, i), Round::up));
}
void VfRintm(Translate& t, Insn i) {
  round(t, i, with_round(float_shape(t, i), Round::down));
}
void VfRintz(Translate& t, Insn i) {
  round(t, i, with_round(float_shape(t, i), Round::zero));
}
void VfRinta(Translate& t, Insn i) {
  round(t, i, with_round(float_shape(t, i), Round::nearest_away));
}
void VfRinti(Translate& t, Insn i) {
  round(t, i, float_shape(t, i));
}
void VfRintx(Translate& t, Insn i) {
  round(t, i, float_shape(t, i, 1));
}

void VfCvtnInt(Translate& t, Insn i) {
  to_int(t, i, Round::nearest_even);
}
void VfCvtpInt(Translate& t, Insn i) {
  to_int(t, i, Round::up);
}
void VfCvtmInt(Translate& t, Insn i) {
  to_int(t, i, Round::down);
}
void VfCvtzInt(Translate& t, Insn i) {
  to_int(t, i, Round::zero);
}
void VfCvtaInt(Translate& t, Insn i) {
  to_int(t, i, Round::nearest_away);
}
void VfFromInt(Translate& t, Insn i) {
  if (!begin(t, any_float(i))) return;
  const FpAttr attr = float_shape(t, i, is_unsigned(i) ? 1 : 0);
  t.set_v(i.rd(), t.ir.f_fixed(Op::f_from_int, Type::v128, attr, t.v(i.rn()), 0));
}

// sz: 0 between half and single, 1 between single and double.
void VfCvtl(Translate& t, Insn i) {
  if (!begin(t)) return;
  const Lane to = float_lane(i);
  FpAttr attr = t.fp(to == Lane::d ? Lane::s : Lane::h, Width::v128);
  attr.extra = convert_extra(t, to, q(i));
  t.set_v(i.rd(), t.ir.f(Op::f_convert, attr, t.v(i.rn())));
}
void VfCvtn(Translate& t, Insn i) {
  const Lane from = float_lane(i);
  narrow(t, i, t.fp(from), from == Lane::d ? Lane::s : Lane::h);
}
void VfCvtxn(Translate& t, Insn i) {
  narrow(t, i, with_round(t.fp(Lane::d), Round::odd), Lane::s);
}

}  // namespace solder::arm64::sem
