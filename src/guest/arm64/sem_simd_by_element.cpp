// Advanced SIMD by element: one lane of Vm against every lane of Vn, vector and scalar (DDI 0487, C4.1.96).
#include "guest/arm64/sem_simd.h"

namespace solder::arm64::sem {
namespace {

VecAttr narrow_shape(Insn i) {
  return {.lane = lane(size(i)), .width = wide_width(i), .sign = !is_unsigned(i), .high = upper(i)};
}
VecAttr wide_shape(Insn i) {
  return {.lane = wider(lane(size(i))), .width = wide_width(i), .sign = true};
}

/// Every lane = the chosen element. 16-bit elements come from V0..V15, index H:L:M; 32-bit ones have index H:L.
Value element(Translate& t, Insn i, Width w) {
  const unsigned h = i.bits(11, 11);
  const unsigned l = i.bits(21, 21);
  const bool halves = size(i) == 1;
  const unsigned index = halves ? h << 2 | l << 1 | i.bits(20, 20) : h << 1 | l;
  const VecAttr attr{.lane = lane(size(i)), .width = w, .imm = static_cast<u8>(index)};
  return t.ir.v(Op::v_dup_lane, attr, t.v(halves ? i.bits(19, 16) : i.rm()));
}

void product(Translate& t, Insn i, Op op, bool round = false) {
  if (!begin(t, half_or_word(i))) return;
  VecAttr attr = shape(i, round);
  attr.sign = true;
  t.set_v(i.rd(), t.ir.v(op, attr, t.v(i.rn()), element(t, i, width(i))));
}
void accumulate(Translate& t, Insn i, Op outer) {
  if (!begin(t, half_or_word(i))) return;
  const Value v = t.ir.v(Op::v_mul, shape(i), t.v(i.rn()), element(t, i, width(i)));
  t.set_v(i.rd(), t.ir.v(outer, shape(i), t.v(i.rd()), v));
}
void long_product(Translate& t, Insn i, Op op, Op outer = Op::nop) {
  if (!begin(t, half_or_word(i))) return;
  Value v = t.ir.v(op, narrow_shape(i), t.v(i.rn()), element(t, i, wide_width(i)));
  if (outer != Op::nop) v = t.ir.v(outer, wide_shape(i), t.v(i.rd()), v);
  t.set_v(i.rd(), v);
}
void double_high_accumulate(Translate& t, Insn i, u8 subtract) {
  if (!begin(t, half_or_word(i))) return;
  const VecAttr attr{.lane = lane(size(i)), .width = width(i), .sign = true, .round = true, .imm = subtract};
  t.set_v(i.rd(), t.ir.v(Op::v_mul_double_high_acc, attr, t.v(i.rd()), t.v(i.rn()), element(t, i, width(i))));
}

/// Floating point: sz:L = 11 is not allocated, a double's index is H.
bool float_allocated(Insn i) {
  return any_float(i) && !(i.bit(22) && i.bit(21));
}
Value float_element(Translate& t, Insn i) {
  const unsigned h = i.bits(11, 11);
  const unsigned index = i.bit(22) ? h : h << 1 | i.bits(21, 21);
  const VecAttr attr{.lane = float_lane(i), .width = width(i), .imm = static_cast<u8>(index)};
  return t.ir.v(Op::v_dup_lane, attr, t.v(i.rm()));
}
void float_product(Translate& t, Insn i, Op op) {
  if (!begin(t, float_allocated(i))) return;
  t.set_v(i.rd(), t.ir.f(op, float_shape(t, i), t.v(i.rn()), float_element(t, i)));
}
void float_fused(Translate& t, Insn i, u8 negate) {
  if (!begin(t, float_allocated(i))) return;
  t.set_v(i.rd(), t.ir.f(Op::f_mul_add, float_shape(t, i, negate), t.v(i.rn()), float_element(t, i), t.v(i.rd())));
}

}  // namespace

void EMul(Translate& t, Insn i) {
  product(t, i, Op::v_mul);
}
void EMla(Translate& t, Insn i) {
  accumulate(t, i, Op::v_add);
}
void EMls(Translate& t, Insn i) {
  accumulate(t, i, Op::v_sub);
}
void EMull(Translate& t, Insn i) {
  long_product(t, i, Op::v_mul_long);
}
void EMlal(Translate& t, Insn i) {
  long_product(t, i, Op::v_mul_long, Op::v_add);
}
void EMlsl(Translate& t, Insn i) {
  long_product(t, i, Op::v_mul_long, Op::v_sub);
}
void ESqdmull(Translate& t, Insn i) {
  long_product(t, i, Op::v_mul_double_long);
}
void ESqdmlal(Translate& t, Insn i) {
  long_product(t, i, Op::v_mul_double_long, Op::v_add_sat);
}
void ESqdmlsl(Translate& t, Insn i) {
  long_product(t, i, Op::v_mul_double_long, Op::v_sub_sat);
}
void ESqdmulh(Translate& t, Insn i) {
  product(t, i, Op::v_mul_double_high);
}
void ESqrdmulh(Translate& t, Insn i) {
  product(t, i, Op::v_mul_double_high, true);
}
void ESqrdmlah(Translate& t, Insn i) {
  double_high_accumulate(t, i, 0);
}
void ESqrdmlsh(Translate& t, Insn i) {
  double_high_accumulate(t, i, 1);
}

void EfMul(Translate& t, Insn i) {
  float_product(t, i, Op::f_mul);
}
void EfMulx(Translate& t, Insn i) {
  float_product(t, i, Op::f_mulx);
}
void EfMla(Translate& t, Insn i) {
  float_fused(t, i, 0);
}
void EfMls(Translate& t, Insn i) {
  float_fused(t, i, 1);
}

}  // namespace solder::arm64::sem
