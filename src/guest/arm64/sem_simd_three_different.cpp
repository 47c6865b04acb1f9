// Advanced SIMD three different: long, wide and narrowing forms, vector and scalar (DDI 0487, C4.1.96).
#include "guest/arm64/sem_simd.h"

namespace solder::arm64::sem {
namespace {

/// Attributes of an operation on the narrow lanes, of the upper half in the "2" forms.
VecAttr narrow_shape(Insn i) {
  return {.lane = lane(size(i)), .width = wide_width(i), .sign = !is_unsigned(i), .high = upper(i)};
}
VecAttr wide_shape(Insn i) {
  return {.lane = wider(lane(size(i))), .width = wide_width(i), .sign = true};
}

Value widened(Translate& t, Insn i, unsigned n) {
  return t.ir.v(Op::v_widen, narrow_shape(i), t.v(n));
}

/// Vd = op(widened Vn, widened Vm).
void long_form(Translate& t, Insn i, Op op) {
  if (!begin(t, not_double(i))) return;
  t.set_v(i.rd(), t.ir.v(op, wide_shape(i), widened(t, i, i.rn()), widened(t, i, i.rm())));
}
/// Vd = op(Vn, widened Vm).
void wide_form(Translate& t, Insn i, Op op) {
  if (!begin(t, not_double(i))) return;
  t.set_v(i.rd(), t.ir.v(op, wide_shape(i), t.v(i.rn()), widened(t, i, i.rm())));
}
/// Vd = upper halves of op(Vn, Vm).
void high_narrow(Translate& t, Insn i, Op op) {
  if (!begin(t, not_double(i))) return;
  const Lane narrow = lane(size(i));
  Value v = t.ir.v(op, wide_shape(i), t.v(i.rn()), t.v(i.rm()));
  const VecAttr shift{.lane = wider(narrow), .round = is_unsigned(i), .imm = static_cast<u8>(lane_bits(narrow))};
  v = t.ir.v(Op::v_shr, shift, v);
  const VecAttr attr{.lane = narrow, .high = q(i)};
  t.set_v(i.rd(), t.ir.v(Op::v_narrow, attr, v, q(i) ? t.v(i.rd()) : Value{}));
}
/// Vd = product, or outer(Vd, product).
void long_product(Translate& t, Insn i, bool allocated, Op product, Op outer = Op::nop) {
  if (!begin(t, allocated)) return;
  Value v = t.ir.v(product, narrow_shape(i), t.v(i.rn()), t.v(i.rm()));
  if (outer != Op::nop) v = t.ir.v(outer, wide_shape(i), t.v(i.rd()), v);
  t.set_v(i.rd(), v);
}
/// |a - b| of widened lanes. Their difference cannot overflow, so signed absolute difference serves both.
Value long_difference(Translate& t, Insn i) {
  return t.ir.v(Op::v_abs_diff, wide_shape(i), widened(t, i, i.rn()), widened(t, i, i.rm()));
}

}  // namespace

void VAddl(Translate& t, Insn i) {
  long_form(t, i, Op::v_add);
}
void VSubl(Translate& t, Insn i) {
  long_form(t, i, Op::v_sub);
}
void VAddw(Translate& t, Insn i) {
  wide_form(t, i, Op::v_add);
}
void VSubw(Translate& t, Insn i) {
  wide_form(t, i, Op::v_sub);
}
void VAddhn(Translate& t, Insn i) {
  high_narrow(t, i, Op::v_add);
}
void VSubhn(Translate& t, Insn i) {
  high_narrow(t, i, Op::v_sub);
}

void VAbdl(Translate& t, Insn i) {
  if (begin(t, not_double(i))) t.set_v(i.rd(), long_difference(t, i));
}
void VAbal(Translate& t, Insn i) {
  if (!begin(t, not_double(i))) return;
  t.set_v(i.rd(), t.ir.v(Op::v_add, wide_shape(i), t.v(i.rd()), long_difference(t, i)));
}

void VMull(Translate& t, Insn i) {
  long_product(t, i, not_double(i), Op::v_mul_long);
}
void VMlal(Translate& t, Insn i) {
  long_product(t, i, not_double(i), Op::v_mul_long, Op::v_add);
}
void VMlsl(Translate& t, Insn i) {
  long_product(t, i, not_double(i), Op::v_mul_long, Op::v_sub);
}
void VSqdmull(Translate& t, Insn i) {
  long_product(t, i, half_or_word(i), Op::v_mul_double_long);
}
void VSqdmlal(Translate& t, Insn i) {
  long_product(t, i, half_or_word(i), Op::v_mul_double_long, Op::v_add_sat);
}
void VSqdmlsl(Translate& t, Insn i) {
  long_product(t, i, half_or_word(i), Op::v_mul_double_long, Op::v_sub_sat);
}
void VPmull(Translate& t, Insn i) {
  long_product(t, i, size(i) == 0 || size(i) == 3, Op::v_poly_mul_long);
}

}  // namespace solder::arm64::sem
