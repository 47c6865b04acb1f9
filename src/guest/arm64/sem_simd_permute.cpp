// Advanced SIMD permute, extract, table lookup, copy and modified immediate (DDI 0487, C4.1.96).
#include <bit>

#include "guest/arm64/sem_simd.h"

namespace solder::arm64::sem {
namespace {

void permute(Translate& t, Insn i, Op op) {
  if (!begin(t, any_size(i))) return;
  t.set_v(i.rd(), t.ir.v(op, shape(i), t.v(i.rn()), t.v(i.rm())));
}

/// Bytes of up to four registers from Rn on, chosen by Rm; zero where out of range.
Value look_up(Translate& t, Insn i, unsigned registers) {
  const VecAttr attr = shape_of(Lane::b, width(i));
  const auto table = [&](unsigned first, Value index) {
    const Value second = first + 1 < registers ? t.v((i.rn() + first + 1) % 32) : Value{};
    return t.ir.v(Op::v_table, attr, t.v((i.rn() + first) % 32), second, index);
  };
  const Value index = t.v(i.rm());
  Value v = table(0, index);
  if (registers > 2) {
    // Indices below 32 wrap to values out of the second table's range.
    const Value rest = t.ir.v(Op::v_sub, attr, index, t.ir.v_const(0x2020202020202020));
    v = t.ir.v(Op::v_or, attr, v, table(2, rest));
  }
  return v;
}

/// imm5 of the copy instructions: the lowest set bit is the lane size, the bits above it the index.
struct Element {
  bool allocated = false;
  Lane lane = Lane::b;
  u8 index = 0;
};
Element element_of(Insn i) {
  const unsigned imm5 = i.bits(20, 16);
  const unsigned log2 = static_cast<unsigned>(std::countr_zero(imm5 | 0x10));
  if ((imm5 & 15) == 0) return {};
  return {true, lane(log2), static_cast<u8>(imm5 >> (log2 + 1))};
}

u64 replicate(u64 value, unsigned bits) {
  for (; bits < 64; bits *= 2) value |= value << bits;
  return value;
}

/// AdvSIMDExpandImm (DDI 0487).
u64 expand_immediate(Insn i) {
  const u64 imm8 = i.bits(18, 16) << 5 | i.bits(9, 5);
  const unsigned cmode = i.bits(15, 12);
  if (cmode < 8) return replicate(imm8 << (cmode / 2 * 8), 32);
  if (cmode < 12) return replicate(imm8 << ((cmode / 2 & 1) * 8), 16);
  if (cmode == 12) return replicate(imm8 << 8 | 0xff, 32);
  if (cmode == 13) return replicate(imm8 << 16 | 0xffff, 32);
  if (cmode == 15)
    return i.bit(29) ? expand_float_immediate(static_cast<unsigned>(imm8), Lane::d)
                     : replicate(expand_float_immediate(static_cast<unsigned>(imm8), Lane::s), 32);
  if (!i.bit(29)) return replicate(imm8, 8);
  u64 value = 0;
  for (unsigned n = 0; n < 8; ++n)
    if (((imm8 >> n) & 1) != 0) value |= u64{0xff} << (n * 8);
  return value;
}

}  // namespace

void VUzp1(Translate& t, Insn i) {
  permute(t, i, Op::v_uzp1);
}
void VUzp2(Translate& t, Insn i) {
  permute(t, i, Op::v_uzp2);
}
void VZip1(Translate& t, Insn i) {
  permute(t, i, Op::v_zip1);
}
void VZip2(Translate& t, Insn i) {
  permute(t, i, Op::v_zip2);
}
void VTrn1(Translate& t, Insn i) {
  permute(t, i, Op::v_trn1);
}
void VTrn2(Translate& t, Insn i) {
  permute(t, i, Op::v_trn2);
}

void VExt(Translate& t, Insn i) {
  if (!begin(t, q(i) || !i.bit(14))) return;
  const VecAttr attr{.lane = Lane::b, .width = width(i), .imm = static_cast<u8>(i.bits(14, 11))};
  t.set_v(i.rd(), t.ir.v(Op::v_ext, attr, t.v(i.rn()), t.v(i.rm())));
}

void VTbl(Translate& t, Insn i) {
  if (!begin(t)) return;
  t.set_v(i.rd(), look_up(t, i, i.bits(14, 13) + 1));
}
void VTbx(Translate& t, Insn i) {
  if (!begin(t)) return;
  const unsigned registers = i.bits(14, 13) + 1;
  const VecAttr attr = shape_of(Lane::b, width(i));
  const Value limit = t.ir.v_const(replicate(registers * 16, 8));
  const Value in_range = t.ir.v(Op::v_cmp_gt, attr, limit, t.v(i.rm()));
  t.set_v(i.rd(), t.ir.v(Op::v_select, attr, in_range, look_up(t, i, registers), t.v(i.rd())));
}

void VDupElement(Translate& t, Insn i) {
  const Element e = element_of(i);
  if (!begin(t, e.allocated && (is_scalar(i) || e.lane != Lane::d || q(i)))) return;
  const VecAttr attr{.lane = e.lane, .width = width(i), .imm = e.index};
  t.set_v(i.rd(), t.ir.v(Op::v_dup_lane, attr, t.v(i.rn())));
}
void VDupGeneral(Translate& t, Insn i) {
  const Element e = element_of(i);
  if (!begin(t, e.allocated && (e.lane != Lane::d || q(i)))) return;
  t.set_v(i.rd(), t.ir.v(Op::v_dup, shape_of(e.lane, width(i)), t.r(i.rn(), e.lane == Lane::d)));
}
void VSmov(Translate& t, Insn i) {
  const Element e = element_of(i);
  if (!begin(t, e.allocated && e.lane < (q(i) ? Lane::d : Lane::s))) return;
  t.set_r(i.rd(), t.ir.v_extract(q(i) ? Type::i64 : Type::i32, t.v(i.rn()), e.lane, e.index, true));
}
void VUmov(Translate& t, Insn i) {
  const Element e = element_of(i);
  if (!begin(t, e.allocated && (e.lane == Lane::d) == q(i))) return;
  t.set_r(i.rd(), t.ir.v_extract(q(i) ? Type::i64 : Type::i32, t.v(i.rn()), e.lane, e.index));
}
void VInsGeneral(Translate& t, Insn i) {
  const Element e = element_of(i);
  if (!begin(t, e.allocated)) return;
  t.set_v(i.rd(), t.ir.v_insert(t.v(i.rd()), e.lane, e.index, t.r(i.rn(), e.lane == Lane::d)));
}
void VInsElement(Translate& t, Insn i) {
  const Element e = element_of(i);
  if (!begin(t, e.allocated)) return;
  const u8 from = static_cast<u8>(i.bits(14, 11) >> static_cast<unsigned>(e.lane));
  t.set_v(i.rd(), t.ir.v_insert_lane(t.v(i.rd()), e.lane, e.index, t.v(i.rn()), from));
}

void VModifiedImmediate(Translate& t, Insn i) {
  if (!begin(t)) return;
  const u64 value = expand_immediate(i);
  const unsigned cmode = i.bits(15, 12);
  const bool negated = i.bit(29) && cmode < 14;
  if (cmode < 12 && (cmode & 1) != 0) {  // ORR, BIC
    const Op op = negated ? Op::v_and_not : Op::v_or;
    t.set_v(i.rd(), t.ir.v(op, shape_of(Lane::d, width(i)), t.v(i.rd()), t.ir.v_const(value)));
    return;
  }
  t.set_v(i.rd(), t.ir.v_const(negated ? ~value : value, width(i)));
}

}  // namespace solder::arm64::sem
