// Advanced SIMD three same, integer and logical, vector and scalar (DDI 0487, C4.1.96).
#include "guest/arm64/sem_simd.h"

namespace solder::arm64::sem {
namespace {

/// Vd = op(Vn, Vm).
void three(Translate& t, Insn i, bool allocated, Op op, bool round = false) {
  if (!begin(t, allocated)) return;
  t.set_v(i.rd(), t.ir.v(op, shape(i, round), t.v(i.rn()), t.v(i.rm())));
}

/// Vd = outer(Vd, inner(Vn, Vm)).
void accumulate(Translate& t, Insn i, bool allocated, Op outer, Op inner) {
  if (!begin(t, allocated)) return;
  const Value v = t.ir.v(inner, shape(i), t.v(i.rn()), t.v(i.rm()));
  t.set_v(i.rd(), t.ir.v(outer, shape(i), t.v(i.rd()), v));
}

/// Vd = a chosen bitwise where mask is set, else b.
void choose(Translate& t, Insn i, unsigned mask, unsigned a, unsigned b) {
  if (!begin(t)) return;
  t.set_v(i.rd(), t.ir.v(Op::v_select, shape_of(Lane::b, width(i)), t.v(mask), t.v(a), t.v(b)));
}

void logical(Translate& t, Insn i, Op op) {
  if (!begin(t)) return;
  t.set_v(i.rd(), t.ir.v(op, shape_of(Lane::b, width(i)), t.v(i.rn()), t.v(i.rm())));
}

void double_high_accumulate(Translate& t, Insn i, u8 subtract) {
  if (!begin(t, half_or_word(i))) return;
  const VecAttr attr{.lane = lane(size(i)), .width = width(i), .sign = true, .round = true, .imm = subtract};
  t.set_v(i.rd(), t.ir.v(Op::v_mul_double_high_acc, attr, t.v(i.rd()), t.v(i.rn()), t.v(i.rm())));
}

}  // namespace

void VAdd(Translate& t, Insn i) {
  three(t, i, any_size(i), Op::v_add);
}
void VSub(Translate& t, Insn i) {
  three(t, i, any_size(i), Op::v_sub);
}
void VSatAdd(Translate& t, Insn i) {
  three(t, i, any_size(i), Op::v_add_sat);
}
void VSatSub(Translate& t, Insn i) {
  three(t, i, any_size(i), Op::v_sub_sat);
}
void VHalfAdd(Translate& t, Insn i) {
  three(t, i, not_double(i), Op::v_half_add);
}
void VRoundHalfAdd(Translate& t, Insn i) {
  three(t, i, not_double(i), Op::v_half_add, true);
}
void VHalfSub(Translate& t, Insn i) {
  three(t, i, not_double(i), Op::v_half_sub);
}
void VMax(Translate& t, Insn i) {
  three(t, i, not_double(i), Op::v_max);
}
void VMin(Translate& t, Insn i) {
  three(t, i, not_double(i), Op::v_min);
}
void VMaxPair(Translate& t, Insn i) {
  three(t, i, not_double(i), Op::v_pair_max);
}
void VMinPair(Translate& t, Insn i) {
  three(t, i, not_double(i), Op::v_pair_min);
}
void VAddp(Translate& t, Insn i) {
  three(t, i, any_size(i), Op::v_pair_add);
}
void VAbsDiff(Translate& t, Insn i) {
  three(t, i, not_double(i), Op::v_abs_diff);
}
void VAbsDiffAcc(Translate& t, Insn i) {
  accumulate(t, i, not_double(i), Op::v_add, Op::v_abs_diff);
}

void VCmpGt(Translate& t, Insn i) {
  three(t, i, any_size(i), Op::v_cmp_gt);
}
void VCmpGe(Translate& t, Insn i) {
  three(t, i, any_size(i), Op::v_cmp_ge);
}
void VCmeq(Translate& t, Insn i) {
  three(t, i, any_size(i), Op::v_cmp_eq);
}
void VCmtst(Translate& t, Insn i) {
  three(t, i, any_size(i), Op::v_test);
}

void VShift(Translate& t, Insn i) {
  three(t, i, any_size(i), Op::v_shl_var);
}
void VRoundShift(Translate& t, Insn i) {
  three(t, i, any_size(i), Op::v_shl_var, true);
}
void VSatShift(Translate& t, Insn i) {
  three(t, i, any_size(i), Op::v_shl_var_sat);
}
void VSatRoundShift(Translate& t, Insn i) {
  three(t, i, any_size(i), Op::v_shl_var_sat, true);
}

void VMul(Translate& t, Insn i) {
  three(t, i, not_double(i), Op::v_mul);
}
void VMla(Translate& t, Insn i) {
  accumulate(t, i, not_double(i), Op::v_add, Op::v_mul);
}
void VMls(Translate& t, Insn i) {
  accumulate(t, i, not_double(i), Op::v_sub, Op::v_mul);
}
void VPmul(Translate& t, Insn i) {
  three(t, i, true, Op::v_poly_mul);
}
void VSqdmulh(Translate& t, Insn i) {
  three(t, i, half_or_word(i), Op::v_mul_double_high);
}
void VSqrdmulh(Translate& t, Insn i) {
  three(t, i, half_or_word(i), Op::v_mul_double_high, true);
}
void VSqrdmlah(Translate& t, Insn i) {
  double_high_accumulate(t, i, 0);
}
void VSqrdmlsh(Translate& t, Insn i) {
  double_high_accumulate(t, i, 1);
}

void VAnd(Translate& t, Insn i) {
  logical(t, i, Op::v_and);
}
void VBic(Translate& t, Insn i) {
  logical(t, i, Op::v_and_not);
}
void VOrr(Translate& t, Insn i) {
  logical(t, i, Op::v_or);
}
void VOrn(Translate& t, Insn i) {
  logical(t, i, Op::v_or_not);
}
void VEor(Translate& t, Insn i) {
  logical(t, i, Op::v_xor);
}
void VBsl(Translate& t, Insn i) {
  choose(t, i, i.rd(), i.rn(), i.rm());
}
void VBit(Translate& t, Insn i) {
  choose(t, i, i.rm(), i.rn(), i.rd());
}
void VBif(Translate& t, Insn i) {
  choose(t, i, i.rm(), i.rd(), i.rn());
}

}  // namespace solder::arm64::sem
