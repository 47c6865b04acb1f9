// Advanced SIMD shift by immediate, vector and scalar (DDI 0487, C4.1.96).
#include <bit>

#include "guest/arm64/sem_simd.h"

namespace solder::arm64::sem {
namespace {

/// immh:immb holds the lane size and the amount: size + amount (left), 2 * size - amount (right).
struct Shift {
  Lane lane = Lane::b;
  unsigned left = 0;
  unsigned right = 0;
};
/// immh must not be zero.
Shift shift_of(Insn i) {
  const unsigned immediate = i.bits(22, 16);
  const Lane l = lane(static_cast<unsigned>(std::bit_width(immediate)) - 4);
  return {l, immediate - lane_bits(l), 2 * lane_bits(l) - immediate};
}
/// `narrow`: the lane size is that of the narrower side, so not 64 bits.
bool allocated(Insn i, bool narrow = false) {
  const unsigned immh = i.bits(22, 19);
  if (immh == 0) return false;
  return narrow ? immh < 8 : is_scalar(i) || immh < 8 || q(i);
}
VecAttr attr_of(Insn i, Lane l, unsigned amount, bool round = false) {
  return {.lane = l, .width = width(i), .sign = !is_unsigned(i), .round = round, .imm = static_cast<u8>(amount)};
}

void right(Translate& t, Insn i, bool round, bool accumulate) {
  if (!begin(t, allocated(i))) return;
  const Shift s = shift_of(i);
  const VecAttr attr = attr_of(i, s.lane, s.right, round);
  Value v = t.ir.v(Op::v_shr, attr, t.v(i.rn()));
  if (accumulate) v = t.ir.v(Op::v_add, attr_of(i, s.lane, 0), t.v(i.rd()), v);
  t.set_v(i.rd(), v);
}

void left(Translate& t, Insn i, Op op) {
  if (!begin(t, allocated(i))) return;
  const Shift s = shift_of(i);
  t.set_v(i.rd(), t.ir.v(op, attr_of(i, s.lane, s.left), t.v(i.rn())));
}

/// SLI, SRI: the bits that the shift does not fill stay.
void insert(Translate& t, Insn i, Op op, unsigned amount, Lane l, u64 filled) {
  u64 mask = filled;
  for (unsigned bits = lane_bits(l); bits < 64; bits *= 2) mask |= mask << bits;
  const Value v = amount == lane_bits(l) ? t.ir.v_const(0) : t.ir.v(op, attr_of(i, l, amount), t.v(i.rn()));
  t.set_v(i.rd(), t.ir.v(Op::v_select, shape_of(l, width(i)), t.ir.v_const(mask), v, t.v(i.rd())));
}

/// Vd = narrowed (Vn >> amount).
void right_narrow(Translate& t, Insn i, bool round, Op op, bool sign) {
  if (!begin(t, allocated(i, true))) return;
  const Shift s = shift_of(i);
  const VecAttr shift{
      .lane = wider(s.lane), .width = wide_width(i), .sign = sign, .round = round, .imm = static_cast<u8>(s.right)};
  const Value v = t.ir.v(Op::v_shr, shift, t.v(i.rn()));
  const VecAttr attr{.lane = s.lane, .width = wide_width(i), .sign = sign, .high = upper(i)};
  t.set_v(i.rd(), t.ir.v(op, attr, v, upper(i) ? t.v(i.rd()) : Value{}));
}

}  // namespace

void VShr(Translate& t, Insn i) {
  right(t, i, false, false);
}
void VSra(Translate& t, Insn i) {
  right(t, i, false, true);
}
void VRoundShr(Translate& t, Insn i) {
  right(t, i, true, false);
}
void VRoundSra(Translate& t, Insn i) {
  right(t, i, true, true);
}
void VShl(Translate& t, Insn i) {
  left(t, i, Op::v_shl);
}
void VSatShl(Translate& t, Insn i) {
  left(t, i, Op::v_shl_sat);
}
void VSqshlu(Translate& t, Insn i) {
  left(t, i, Op::v_shl_sat_su);
}

void VSli(Translate& t, Insn i) {
  if (!begin(t, allocated(i))) return;
  const Shift s = shift_of(i);
  const u64 ones = s.lane == Lane::d ? ~u64{0} : (u64{1} << lane_bits(s.lane)) - 1;
  insert(t, i, Op::v_shl, s.left, s.lane, (ones << s.left) & ones);
}
void VSri(Translate& t, Insn i) {
  if (!begin(t, allocated(i))) return;
  const Shift s = shift_of(i);
  const u64 ones = s.lane == Lane::d ? ~u64{0} : (u64{1} << lane_bits(s.lane)) - 1;
  insert(t, i, Op::v_shr, s.right, s.lane, s.right == lane_bits(s.lane) ? 0 : ones >> s.right);
}

void VShrn(Translate& t, Insn i) {
  right_narrow(t, i, false, Op::v_narrow, false);
}
void VRoundShrn(Translate& t, Insn i) {
  right_narrow(t, i, true, Op::v_narrow, false);
}
void VSatShrn(Translate& t, Insn i) {
  right_narrow(t, i, false, Op::v_narrow_sat, !is_unsigned(i));
}
void VSatRoundShrn(Translate& t, Insn i) {
  right_narrow(t, i, true, Op::v_narrow_sat, !is_unsigned(i));
}
void VSqshrun(Translate& t, Insn i) {
  right_narrow(t, i, false, Op::v_narrow_sat_su, true);
}
void VSqrshrun(Translate& t, Insn i) {
  right_narrow(t, i, true, Op::v_narrow_sat_su, true);
}

void VShlLong(Translate& t, Insn i) {
  if (!begin(t, allocated(i, true))) return;
  const Shift s = shift_of(i);
  Value v = t.ir.v(Op::v_widen, {.lane = s.lane, .sign = !is_unsigned(i), .high = q(i)}, t.v(i.rn()));
  if (s.left != 0) v = t.ir.v(Op::v_shl, {.lane = wider(s.lane), .imm = static_cast<u8>(s.left)}, v);
  t.set_v(i.rd(), v);
}

// Fixed point: lanes of 32 and 64 bits, as many fraction bits as a right shift's amount.
namespace {
void fixed_point(Translate& t, Insn i, Op op, bool truncate) {
  if (!begin(t, allocated(i) && i.bits(22, 19) >= 4)) return;
  const Shift s = shift_of(i);
  FpAttr attr = t.fp(s.lane, width(i), is_unsigned(i) ? 1 : 0);
  if (truncate) attr.round = ir::Round::zero;
  t.set_v(i.rd(), t.ir.f_fixed(op, Type::v128, attr, t.v(i.rn()), static_cast<u8>(s.right)));
}
}  // namespace

void VfFromFixed(Translate& t, Insn i) {
  fixed_point(t, i, Op::f_from_int, false);
}
void VfToFixed(Translate& t, Insn i) {
  fixed_point(t, i, Op::f_to_int, true);
}

}  // namespace solder::arm64::sem
