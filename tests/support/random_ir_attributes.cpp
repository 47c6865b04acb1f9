/// RandomIr: the `sub` fields of value operations, within what the operations allow and A64 has instructions for.
#include "support/random_ir.h"

namespace solder::test {

using ir::Inst;
using ir::Lane;
using ir::Op;
using ir::Type;
using ir::Width;

// Lists of operations stay lists.
// clang-format off
void RandomIr::integer_attributes(Inst& inst) {
  const unsigned size = inst.type == Type::i32 ? 32 : 64;
  switch (inst.op) {
    case Op::extract_u:
    case Op::extract_s:
    case Op::insert: {
      const u64 lsb = below(size);
      inst.sub = static_cast<u16>(lsb | ((1 + below(size - lsb)) << 8));
      break;
    }
    case Op::extract_pair:
      inst.sub = static_cast<u16>(below(size));
      break;
    case Op::select:
    case Op::flags_select:
      inst.sub = static_cast<u16>(below(16));
      break;
    default:
      break;
  }
}

/// Lanes and widths that A64 has instructions for, by operation.
bool RandomIr::vector_attributes(Inst& inst) {
  const auto lane_among = [&](unsigned first, unsigned last) {
    return static_cast<Lane>(first + below(last - first + 1));
  };
  ir::VecAttr attr;
  attr.sign = chance(50);
  attr.round = chance(50);
  attr.high = chance(50);
  attr.width = chance(50) ? Width::v128 : Width::v64;
  const auto whole_lanes = [&] {  // 8 to 64 bits; a lone 64-bit lane is a scalar
    attr.lane = lane_among(0, 3);
    if (attr.lane == Lane::d && attr.width == Width::v64) attr.width = Width::scalar;
  };
  switch (inst.op) {
    case Op::v_and: case Op::v_or: case Op::v_xor: case Op::v_and_not: case Op::v_or_not: case Op::v_not:
    case Op::v_select: break;
    case Op::v_zero_upper:
      attr.lane = lane_among(0, 3);
      attr.width = static_cast<Width>(below(3));
      break;
    case Op::v_dup: case Op::v_dup_lane: whole_lanes(); break;
    case Op::v_extract: attr.lane = lane_among(0, inst.type == Type::i32 ? 2 : 3); break;
    case Op::v_insert: case Op::v_insert_lane: attr.lane = lane_among(0, 3); break;
    case Op::v_mul: case Op::v_max: case Op::v_min: case Op::v_abs_diff: case Op::v_half_add: case Op::v_half_sub:
    case Op::v_clz: case Op::v_cls: case Op::v_pair_max: case Op::v_pair_min: case Op::v_pair_add_long: case Op::v_sum:
    case Op::v_sum_long: case Op::v_max_across: case Op::v_min_across:
      attr.lane = lane_among(0, 2);
      break;
    case Op::v_popcount: case Op::v_bit_reverse: case Op::v_poly_mul: case Op::v_ext: case Op::v_table: break;
    case Op::v_recip_est_u: case Op::v_rsqrt_est_u: attr.lane = Lane::s; break;
    case Op::v_add_sat: case Op::v_sub_sat: case Op::v_add_sat_mixed: case Op::v_abs_sat: case Op::v_neg_sat:
    case Op::v_shl_var_sat: case Op::v_shl_sat: case Op::v_shl_sat_su:
      whole_lanes();
      if (chance(25)) attr.width = Width::scalar;
      break;
    case Op::v_mul_double_high: case Op::v_mul_double_high_acc:
      attr.lane = lane_among(1, 2);
      if (chance(25)) attr.width = Width::scalar;
      break;
    case Op::v_mul_double_long:
      attr.lane = lane_among(1, 2);
      attr.width = chance(25) ? Width::scalar : Width::v128;
      if (attr.width == Width::scalar) attr.high = false;
      break;
    case Op::v_widen: case Op::v_mul_long:
      attr.lane = lane_among(0, 2);
      attr.width = Width::v128;
      break;
    case Op::v_poly_mul_long:
      attr.lane = chance(50) ? Lane::b : Lane::d;
      attr.width = Width::v128;
      break;
    case Op::v_narrow: case Op::v_narrow_sat: case Op::v_narrow_sat_su:
      attr.lane = lane_among(0, 2);
      attr.width = attr.high ? Width::v128 : Width::v64;
      if (inst.op != Op::v_narrow && !attr.high && chance(25)) attr.width = Width::scalar;
      break;
    case Op::v_reverse: {
      const unsigned lane = static_cast<unsigned>(below(3));
      attr.lane = static_cast<Lane>(lane);
      attr.imm = static_cast<u8>(2U << (lane + below(3 - lane)));
      break;
    }
    case Op::v_uzp1: case Op::v_uzp2: case Op::v_zip1: case Op::v_zip2: case Op::v_trn1: case Op::v_trn2:
      attr.lane = lane_among(0, 3);
      if (attr.lane == Lane::d) attr.width = Width::v128;
      break;
    default: whole_lanes(); break;
  }
  const unsigned bits = 8U << static_cast<unsigned>(attr.lane);
  switch (inst.op) {
    case Op::v_shl: case Op::v_shl_sat: case Op::v_shl_sat_su: attr.imm = static_cast<u8>(below(bits)); break;
    case Op::v_shr: attr.imm = static_cast<u8>(1 + below(bits)); break;
    case Op::v_dup_lane: case Op::v_extract: case Op::v_insert: attr.imm = static_cast<u8>(below(128 / bits)); break;
    case Op::v_insert_lane: attr.imm = static_cast<u8>(below(128 / bits) | (below(128 / bits) << 4)); break;
    case Op::v_ext: attr.imm = static_cast<u8>(below(attr.width == Width::v128 ? 16 : 8)); break;
    case Op::v_mul_double_high_acc: attr.imm = static_cast<u8>(below(2)); break;
    default: break;
  }
  if (!attr.high && (inst.op == Op::v_narrow || inst.op == Op::v_narrow_sat || inst.op == Op::v_narrow_sat_su)) {
    inst.b = ~u32{0};
  }
  inst.sub = attr.pack();
  return true;
}

ir::FpAttr RandomIr::random_mode() {
  ir::FpAttr mode;
  if (options_.fp_modes && chance(50)) {
    mode.round = static_cast<ir::Round>(below(4));
    mode.flush = chance(50);
    mode.default_nan = chance(50);
  }
  return mode;
}

bool RandomIr::float_attributes(ir::Builder& builder, Inst& inst) {
  ir::FpAttr attr = fp_mode_;
  const unsigned first = options_.half_precision ? 1 : 2;
  attr.lane = static_cast<Lane>(first + below(4 - first));
  attr.width = static_cast<Width>(below(3));
  if (attr.width == Width::v64 && attr.lane == Lane::d) attr.width = Width::scalar;
  switch (inst.op) {
    case Op::f_mul_add:
      attr.extra = static_cast<u8>(below(4));
      break;
    case Op::f_cmp_ge:
    case Op::f_cmp_gt:
      attr.extra = static_cast<u8>(below(2));
      break;
    case Op::f_compare:
      attr.width = Width::scalar;
      attr.extra = static_cast<u8>(below(2));
      break;
    case Op::f_recip_exp:
      attr.width = Width::scalar;
      break;
    case Op::f_round:
      attr.extra = static_cast<u8>(below(2));
      if (chance(50)) attr.round = static_cast<ir::Round>(below(5));
      break;
    case Op::f_to_int:
    case Op::f_to_gpr:
      attr.extra = static_cast<u8>(below(2));
      attr.round = static_cast<ir::Round>(below(5));
      break;
    case Op::f_from_int:
    case Op::f_from_gpr:
      attr.extra = static_cast<u8>(below(2));
      break;
    case Op::f_convert: {
      if (attr.width == Width::v64) attr.width = Width::v128;
      unsigned to = first + static_cast<unsigned>(below(4 - first));
      if (attr.width != Width::scalar) {  // neighbours only
        attr.lane = static_cast<Lane>(first + below(3 - first));
        to = static_cast<unsigned>(attr.lane) + 1;
        if (chance(50)) {
          const auto from = static_cast<unsigned>(attr.lane);
          attr.lane = static_cast<Lane>(to);
          to = from;
        }
      }
      if (to == static_cast<unsigned>(attr.lane)) return false;
      const bool upper = attr.width != Width::scalar && chance(50);
      attr.extra = static_cast<u8>(to | (upper ? 16 : 0));
      const bool halves = attr.lane == Lane::h || to == static_cast<unsigned>(Lane::h);
      if (halves && options_.fp_modes && chance(25)) attr.extra |= 8;  // FPCR.AHP
      if (attr.lane == Lane::d && to == static_cast<unsigned>(Lane::s) && chance(20)) attr.round = ir::Round::odd;
      if (!(upper && to < static_cast<unsigned>(attr.lane))) inst.b = ~u32{0};
      break;
    }
    default:
      break;
  }
  const unsigned bits = 8U << static_cast<unsigned>(attr.lane);
  if (inst.op == Op::f_to_int || inst.op == Op::f_from_int) inst.b = chance(50) ? 0 : static_cast<u32>(1 + below(bits));
  if (inst.op == Op::f_to_gpr) inst.b = chance(50) ? 0 : static_cast<u32>(1 + below(inst.type == Type::i32 ? 32 : 64));
  if (inst.op == Op::f_from_gpr) {
    const Type from = builder.type({inst.a});
    inst.b = chance(50) ? 0 : static_cast<u32>(1 + below(from == Type::i32 ? 32 : 64));
    inst.c = static_cast<u32>(from);
  }
  inst.sub = attr.pack();
  return true;
}

// clang-format on

}  // namespace solder::test
