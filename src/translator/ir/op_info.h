/// What every consumer of the IR needs to know about an operation without knowing its meaning: which operand fields are
/// values of which types, what type the result has, and what else the operation does.
#pragma once

#include <array>

#include "base/types.h"
#include "translator/ir/ir.h"

namespace solder::ir {

/// What an operand field holds.
enum class Operand : u8 {
  none,       ///< unused
  immediate,  ///< a raw number
  same,       ///< a value of the result's type
  i32,
  i64,
  integer,  ///< a value, i32 or i64
  by_sub,   ///< a value of the Type in `sub`
  v128,
  flags,
  any,            ///< a value of any type
  optional,       ///< a value of any type, or none
  optional_v128,  ///< v128, or none
  test,           ///< what exit_if's ExitTest looks at
};

/// What types a result may have.
enum class Result : u8 { none, i32, i64, integer, v128, flags, any, any_or_none };

/// What an operation does besides making a value.
enum Trait : u8 {
  kPureOp = 1,     ///< nothing but perhaps kSticky: has a `pure_function` of the interpreter (all but pc_rel and get)
  kSticky = 2,     ///< may add to fp_status
  kMayLeave = 4,   ///< the block may be left here: state must be exact
  kEnds = 8,       ///< leaves for sure: ends the block
  kEffect = 16,    ///< must stay even if nobody uses the result
  kVecAttr = 32,   ///< `sub` is a VecAttr
  kFpAttr = 64,    ///< `sub` is an FpAttr
  kMemAttr = 128,  ///< `sub` is a MemAttr
};

struct OpInfo {
  Result result = Result::none;
  Operand a = Operand::none;
  Operand b = Operand::none;
  Operand c = Operand::none;
  u8 traits = 0;
};

[[nodiscard]] constexpr bool is_value(Operand operand) {
  return operand >= Operand::same;
}

namespace detail {

// clang-format off
consteval OpInfo make_info(Op op) {
  using enum Op;
  using O = Operand;
  using R = Result;
  constexpr u8 kVec = kPureOp | kVecAttr;
  constexpr u8 kVecSticky = kPureOp | kVecAttr | kSticky;
  constexpr u8 kFp = kPureOp | kFpAttr | kSticky;
  constexpr u8 kAccess = kMayLeave | kEffect | kMemAttr;
  switch (op) {
    case nop: return {};
    case insn_start: return {R::none, O::immediate, O::immediate, O::none, kEffect};
    case constant: return {R::integer, O::immediate, O::immediate, O::none, kPureOp};
    case pc_rel: return {R::i64, O::immediate, O::immediate, O::none, kPureOp};
    case get: return {R::any, O::immediate, O::none, O::none, kPureOp};
    case put: return {R::none, O::immediate, O::any, O::none, kEffect};

    case add: case sub: case and_: case or_: case xor_: case and_not: case or_not: case xor_not: case mul: case mul_hi_u:
    case mul_hi_s: case div_u: case div_s: case shl: case shr_u: case shr_s: case ror: case insert: case extract_pair:
      return {R::integer, O::same, O::same, O::none, kPureOp};
    case not_: case neg: case clz: case cls: case ctz: case popcount: case bit_reverse: case byte_swap: case byte_swap16:
    case byte_swap32: case extract_u: case extract_s:
      return {R::integer, O::same, O::none, O::none, kPureOp};
    case zext32: case sext32: return {R::i64, O::i32, O::none, O::none, kPureOp};
    case trunc: return {R::i32, O::i64, O::none, O::none, kPureOp};
    case crc32: return {R::i32, O::i32, O::integer, O::none, kPureOp};

    case adc: case sbc: return {R::integer, O::same, O::same, O::flags, kPureOp};
    case flags_add: case flags_sub: return {R::flags, O::by_sub, O::by_sub, O::none, kPureOp};
    case flags_adc: case flags_sbc: return {R::flags, O::by_sub, O::by_sub, O::flags, kPureOp};
    case flags_logic: return {R::flags, O::by_sub, O::none, O::none, kPureOp};
    case flags_pack: return {R::flags, O::i32, O::none, O::none, kPureOp};
    case flags_unpack: return {R::i32, O::flags, O::none, O::none, kPureOp};
    case flags_select: return {R::flags, O::flags, O::flags, O::flags, kPureOp};
    case select: return {R::any, O::flags, O::same, O::same, kPureOp};
    case select_nz: return {R::any, O::by_sub, O::same, O::same, kPureOp};

    case load: return {R::any, O::i64, O::immediate, O::none, kAccess};
    case store: return {R::none, O::i64, O::immediate, O::any, kAccess};
    case load_ex: return {R::any, O::i64, O::none, O::none, kAccess};
    case store_ex: return {R::i32, O::i64, O::none, O::any, kAccess};
    case cas: return {R::any, O::i64, O::same, O::same, kAccess};
    case atomic: return {R::integer, O::i64, O::same, O::immediate, kAccess};
    case fence: return {R::none, O::none, O::none, O::none, kEffect};

    case call: return {R::any_or_none, O::optional, O::optional, O::optional, kMayLeave | kEffect};

    case exit_if: return {R::none, O::test, O::immediate, O::immediate, kMayLeave | kEffect};
    case exit_direct: case exit_interpret:
      return {R::none, O::immediate, O::immediate, O::none, kMayLeave | kEnds | kEffect};
    case exit_indirect: return {R::none, O::i64, O::none, O::none, kMayLeave | kEnds | kEffect};
    case exit_dispatch: return {R::none, O::none, O::none, O::none, kMayLeave | kEnds | kEffect};
    case push_return: return {R::none, O::immediate, O::immediate, O::none, kEffect};

    case v_const: return {R::v128, O::immediate, O::immediate, O::none, kVec};
    case v_and: case v_or: case v_xor: case v_and_not: case v_or_not: case v_add: case v_sub: case v_mul: case v_half_add:
    case v_half_sub: case v_max: case v_min: case v_abs_diff: case v_cmp_eq: case v_cmp_gt: case v_cmp_ge: case v_test:
    case v_shl_var: case v_mul_long: case v_poly_mul: case v_poly_mul_long: case v_uzp1: case v_uzp2: case v_zip1:
    case v_zip2: case v_trn1: case v_trn2: case v_ext: case v_pair_add: case v_pair_max: case v_pair_min:
    case v_insert_lane:
      return {R::v128, O::v128, O::v128, O::none, kVec};
    case v_add_sat: case v_sub_sat: case v_add_sat_mixed: case v_shl_var_sat: case v_mul_double_high:
    case v_mul_double_long:
      return {R::v128, O::v128, O::v128, O::none, kVecSticky};
    case v_select: return {R::v128, O::v128, O::v128, O::v128, kVec};
    case v_mul_double_high_acc: return {R::v128, O::v128, O::v128, O::v128, kVecSticky};
    case v_not: case v_zero_upper: case v_dup_lane: case v_neg: case v_abs: case v_shl: case v_shr: case v_widen:
    case v_reverse: case v_popcount: case v_clz: case v_cls: case v_bit_reverse: case v_pair_add_long: case v_sum:
    case v_sum_long: case v_max_across: case v_min_across: case v_recip_est_u: case v_rsqrt_est_u:
      return {R::v128, O::v128, O::none, O::none, kVec};
    case v_abs_sat: case v_neg_sat: case v_shl_sat: case v_shl_sat_su:
      return {R::v128, O::v128, O::none, O::none, kVecSticky};
    case v_narrow: return {R::v128, O::v128, O::optional_v128, O::none, kVec};
    case v_narrow_sat: case v_narrow_sat_su: return {R::v128, O::v128, O::optional_v128, O::none, kVecSticky};
    case v_dup: return {R::v128, O::integer, O::none, O::none, kVec};
    case v_extract: return {R::integer, O::v128, O::none, O::none, kVec};
    case v_insert: return {R::v128, O::v128, O::integer, O::none, kVec};
    case v_from_pair: return {R::v128, O::i64, O::i64, O::none, kPureOp};
    case v_table: return {R::v128, O::v128, O::optional_v128, O::v128, kVec};

    case f_add: case f_sub: case f_mul: case f_mulx: case f_div: case f_max: case f_min: case f_max_num: case f_min_num:
    case f_cmp_eq: case f_cmp_ge: case f_cmp_gt: case f_recip_step: case f_rsqrt_step:
      return {R::v128, O::v128, O::v128, O::none, kFp};
    case f_mul_add: return {R::v128, O::v128, O::v128, O::v128, kFp};
    case f_neg: case f_abs: return {R::v128, O::v128, O::none, O::none, kPureOp | kFpAttr};
    case f_sqrt: case f_round: case f_recip_est: case f_rsqrt_est: case f_recip_exp:
      return {R::v128, O::v128, O::none, O::none, kFp};
    case f_compare: return {R::flags, O::v128, O::v128, O::none, kFp};
    case f_convert: return {R::v128, O::v128, O::optional_v128, O::none, kFp};
    case f_to_int: case f_from_int: return {R::v128, O::v128, O::immediate, O::none, kFp};
    case f_to_gpr: return {R::integer, O::v128, O::immediate, O::none, kFp};
    case f_from_gpr: return {R::v128, O::integer, O::immediate, O::immediate, kFp};

    case aes_mc: case aes_imc: case sha1_h: return {R::v128, O::v128, O::none, O::none, kPureOp};
    case aes_e: case aes_d: case sha1_su1: case sha256_su0: return {R::v128, O::v128, O::v128, O::none, kPureOp};
    case sha1_c: case sha1_p: case sha1_m: case sha1_su0: case sha256_h: case sha256_h2: case sha256_su1:
      return {R::v128, O::v128, O::v128, O::v128, kPureOp};
    case count: break;
  }
  return {};
}

// clang-format on

consteval auto make_infos() {
  std::array<OpInfo, static_cast<usize>(Op::count)> infos{};
  for (usize i = 0; i < infos.size(); ++i) infos[i] = make_info(static_cast<Op>(i));
  return infos;
}
inline constexpr auto kInfos = make_infos();

}  // namespace detail

[[nodiscard]] constexpr const OpInfo& info(Op op) {
  return detail::kInfos[static_cast<usize>(op)];
}

/// Bytes a value of the type has in the state record.
[[nodiscard]] constexpr u32 state_bytes(Type type) {
  switch (type) {
    case Type::none:
      return 0;
    case Type::i32:
    case Type::flags:
      return 4;
    case Type::i64:
      return 8;
    case Type::v128:
      return 16;
  }
  return 0;
}

/// Whether `cond` holds for a flags image (kFlag… of core_state.h). `nv` holds always, as on A64.
[[nodiscard]] constexpr bool holds(Cond cond, u32 flags) {
  const bool n = (flags & (1U << 15)) != 0;
  const bool z = (flags & (1U << 14)) != 0;
  const bool c = (flags & (1U << 8)) != 0;
  const bool v = (flags & 1U) != 0;
  switch (cond) {
    case Cond::eq:
      return z;
    case Cond::ne:
      return !z;
    case Cond::cs:
      return c;
    case Cond::cc:
      return !c;
    case Cond::mi:
      return n;
    case Cond::pl:
      return !n;
    case Cond::vs:
      return v;
    case Cond::vc:
      return !v;
    case Cond::hi:
      return c && !z;
    case Cond::ls:
      return !c || z;
    case Cond::ge:
      return n == v;
    case Cond::lt:
      return n != v;
    case Cond::gt:
      return !z && n == v;
    case Cond::le:
      return z || n != v;
    case Cond::al:
    case Cond::nv:
      return true;
  }
  return true;
}

}  // namespace solder::ir
