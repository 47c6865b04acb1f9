// Advanced SIMD two-register miscellaneous, across lanes and scalar pairwise; integer (DDI 0487, C4.1.96).
#include "guest/arm64/sem_simd.h"

namespace solder::arm64::sem {
namespace {

/// Vd = op(Vn).
void unary(Translate& t, Insn i, bool allocated, Op op) {
  if (!begin(t, allocated)) return;
  t.set_v(i.rd(), t.ir.v(op, shape(i), t.v(i.rn())));
}

void reverse(Translate& t, Insn i, u8 container) {
  if (!begin(t, (1U << size(i)) < container)) return;
  t.set_v(i.rd(), t.ir.v(Op::v_reverse, shape(i, false, container), t.v(i.rn())));
}

/// Signed comparison with zero; `swap` puts zero first.
void compare_zero(Translate& t, Insn i, Op op, bool swap) {
  if (!begin(t, any_size(i))) return;
  VecAttr attr = shape(i);
  attr.sign = true;
  const Value zero = t.ir.v_const(0);
  const Value v = t.v(i.rn());
  t.set_v(i.rd(), swap ? t.ir.v(op, attr, zero, v) : t.ir.v(op, attr, v, zero));
}

void narrow(Translate& t, Insn i, Op op, bool sign) {
  if (!begin(t, not_double(i))) return;
  const VecAttr attr{.lane = lane(size(i)), .width = wide_width(i), .sign = sign, .high = upper(i)};
  t.set_v(i.rd(), t.ir.v(op, attr, t.v(i.rn()), upper(i) ? t.v(i.rd()) : Value{}));
}

/// Reductions need at least four lanes.
void across(Translate& t, Insn i, Op op) {
  if (!begin(t, size(i) < 2 || (size(i) == 2 && q(i)))) return;
  t.set_v(i.rd(), t.ir.v(op, shape(i), t.v(i.rn())));
}

}  // namespace

void VRev64(Translate& t, Insn i) {
  reverse(t, i, 8);
}
void VRev32(Translate& t, Insn i) {
  reverse(t, i, 4);
}
void VRev16(Translate& t, Insn i) {
  reverse(t, i, 2);
}

void VAddlp(Translate& t, Insn i) {
  unary(t, i, not_double(i), Op::v_pair_add_long);
}
void VAdalp(Translate& t, Insn i) {
  if (!begin(t, not_double(i))) return;
  const Value v = t.ir.v(Op::v_pair_add_long, shape(i), t.v(i.rn()));
  t.set_v(i.rd(), t.ir.v(Op::v_add, shape_of(wider(lane(size(i))), width(i)), t.v(i.rd()), v));
}
void VSatAddMixed(Translate& t, Insn i) {
  if (!begin(t, any_size(i))) return;
  t.set_v(i.rd(), t.ir.v(Op::v_add_sat_mixed, shape(i), t.v(i.rd()), t.v(i.rn())));
}
void VCls(Translate& t, Insn i) {
  unary(t, i, not_double(i), Op::v_cls);
}
void VClz(Translate& t, Insn i) {
  unary(t, i, not_double(i), Op::v_clz);
}
void VCnt(Translate& t, Insn i) {
  unary(t, i, true, Op::v_popcount);
}
void VNot(Translate& t, Insn i) {
  unary(t, i, true, Op::v_not);
}
void VRbit(Translate& t, Insn i) {
  if (!begin(t)) return;
  t.set_v(i.rd(), t.ir.v(Op::v_bit_reverse, shape_of(Lane::b, width(i)), t.v(i.rn())));
}
void VAbs(Translate& t, Insn i) {
  unary(t, i, any_size(i), Op::v_abs);
}
void VNeg(Translate& t, Insn i) {
  unary(t, i, any_size(i), Op::v_neg);
}
void VSqabs(Translate& t, Insn i) {
  unary(t, i, any_size(i), Op::v_abs_sat);
}
void VSqneg(Translate& t, Insn i) {
  unary(t, i, any_size(i), Op::v_neg_sat);
}

void VCmgtZero(Translate& t, Insn i) {
  compare_zero(t, i, Op::v_cmp_gt, false);
}
void VCmgeZero(Translate& t, Insn i) {
  compare_zero(t, i, Op::v_cmp_ge, false);
}
void VCmeqZero(Translate& t, Insn i) {
  compare_zero(t, i, Op::v_cmp_eq, false);
}
void VCmleZero(Translate& t, Insn i) {
  compare_zero(t, i, Op::v_cmp_ge, true);
}
void VCmltZero(Translate& t, Insn i) {
  compare_zero(t, i, Op::v_cmp_gt, true);
}

void VXtn(Translate& t, Insn i) {
  narrow(t, i, Op::v_narrow, false);
}
void VSatXtn(Translate& t, Insn i) {
  narrow(t, i, Op::v_narrow_sat, !is_unsigned(i));
}
void VSqxtun(Translate& t, Insn i) {
  narrow(t, i, Op::v_narrow_sat_su, true);
}
void VShll(Translate& t, Insn i) {
  if (!begin(t, not_double(i))) return;
  const Lane narrow_lane = lane(size(i));
  const Value v = t.ir.v(Op::v_widen, {.lane = narrow_lane, .high = q(i)}, t.v(i.rn()));
  const VecAttr shift{.lane = wider(narrow_lane), .imm = static_cast<u8>(lane_bits(narrow_lane))};
  t.set_v(i.rd(), t.ir.v(Op::v_shl, shift, v));
}

void VUrecpe(Translate& t, Insn i) {
  unary(t, i, true, Op::v_recip_est_u);
}
void VUrsqrte(Translate& t, Insn i) {
  unary(t, i, true, Op::v_rsqrt_est_u);
}

void VAddv(Translate& t, Insn i) {
  across(t, i, Op::v_sum);
}
void VAddlv(Translate& t, Insn i) {
  across(t, i, Op::v_sum_long);
}
void VMaxv(Translate& t, Insn i) {
  across(t, i, Op::v_max_across);
}
void VMinv(Translate& t, Insn i) {
  across(t, i, Op::v_min_across);
}
void VAddpScalar(Translate& t, Insn i) {
  if (!begin(t)) return;
  t.set_v(i.rd(), t.ir.v(Op::v_pair_add, shape_of(Lane::d, Width::scalar), t.v(i.rn()), t.v(i.rn())));
}

}  // namespace solder::arm64::sem
