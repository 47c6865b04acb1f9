/// Floating point: lanes through the soft float.
#include "translator/fp/softfloat.h"
#include "translator/interpreter/pure.h"

namespace solder::interpreter::pure {
namespace {

fp::Env make_env(FpAttr attr, FpRules rules) {
  return {.round = attr.round, .flush = attr.flush, .default_nan = attr.default_nan, .rules = rules, .flags = 0};
}

constexpr unsigned bits_of(Lane lane) {
  return 8U << static_cast<unsigned>(lane);
}

unsigned lane_count(FpAttr attr) {
  if (attr.width == Width::scalar) return 1;
  return (attr.width == Width::v64 ? 64U : 128U) / bits_of(attr.lane);
}

u64 read(const V128& v, Lane lane, unsigned index) {
  switch (lane) {
    case Lane::h:
      return v.h[index];
    case Lane::s:
      return v.s[index];
    default:
      return v.d[index];
  }
}

void write(V128& v, Lane lane, unsigned index, u64 value) {
  switch (lane) {
    case Lane::h:
      v.h[index] = static_cast<u16>(value);
      break;
    case Lane::s:
      v.s[index] = static_cast<u32>(value);
      break;
    default:
      v.d[index] = value;
      break;
  }
}

/// result lane i = fn(i, env) for the lanes that take part.
template <class Fn>
void map_float(FpAttr attr, FpRules rules, u32& fp_status, V128& result, Fn&& fn) {
  fp::Env env = make_env(attr, rules);
  V128 out{};
  for (unsigned i = 0; i < lane_count(attr); ++i) write(out, attr.lane, i, fn(i, env));
  fp_status |= env.flags;
  result = out;
}

using Unary = u64 (*)(Lane, u64, fp::Env&);
using Binary = u64 (*)(Lane, u64, u64, fp::Env&);

void unary(const Inst& inst, FpRules rules, const V128& a, u32& fp_status, V128& result, Unary fn) {
  const FpAttr attr = FpAttr::unpack(inst.sub);
  map_float(attr, rules, fp_status, result,
            [&](unsigned i, fp::Env& env) { return fn(attr.lane, read(a, attr.lane, i), env); });
}

void binary(const Inst& inst, FpRules rules, const V128& a, const V128& b, u32& fp_status, V128& result, Binary fn) {
  const FpAttr attr = FpAttr::unpack(inst.sub);
  map_float(attr, rules, fp_status, result,
            [&](unsigned i, fp::Env& env) { return fn(attr.lane, read(a, attr.lane, i), read(b, attr.lane, i), env); });
}

u64 sign_bit(Lane lane) {
  return u64{1} << (bits_of(lane) - 1);
}

/// All ones where `holds` of the comparison; extra 1 compares magnitudes.
template <class Holds>
void compare_lanes(const Inst& inst, FpRules rules, const V128& a, const V128& b, bool signal_quiet, u32& fp_status,
                   V128& result, Holds&& holds) {
  const FpAttr attr = FpAttr::unpack(inst.sub);
  const u64 kept = (attr.extra & 1) != 0 ? ~sign_bit(attr.lane) : ~u64{0};
  map_float(attr, rules, fp_status, result, [&](unsigned i, fp::Env& env) {
    const u64 x = read(a, attr.lane, i) & kept;
    const u64 y = read(b, attr.lane, i) & kept;
    return holds(fp::compare(attr.lane, x, y, signal_quiet, env)) ? ~u64{0} : u64{0};
  });
}

}  // namespace

SOLDER_PURE(f_add) {
  binary(inst, rules, a, b, fp_status, result, fp::add);
}
SOLDER_PURE(f_sub) {
  binary(inst, rules, a, b, fp_status, result, fp::sub);
}
SOLDER_PURE(f_mul) {
  binary(inst, rules, a, b, fp_status, result, fp::mul);
}
SOLDER_PURE(f_mulx) {
  binary(inst, rules, a, b, fp_status, result, fp::mulx);
}
SOLDER_PURE(f_div) {
  binary(inst, rules, a, b, fp_status, result, fp::div);
}
SOLDER_PURE(f_sqrt) {
  unary(inst, rules, a, fp_status, result, fp::sqrt);
}
SOLDER_PURE(f_max) {
  binary(inst, rules, a, b, fp_status, result, fp::max);
}
SOLDER_PURE(f_min) {
  binary(inst, rules, a, b, fp_status, result, fp::min);
}
SOLDER_PURE(f_max_num) {
  binary(inst, rules, a, b, fp_status, result, fp::max_num);
}
SOLDER_PURE(f_min_num) {
  binary(inst, rules, a, b, fp_status, result, fp::min_num);
}
SOLDER_PURE(f_recip_est) {
  unary(inst, rules, a, fp_status, result, fp::recip_estimate);
}
SOLDER_PURE(f_rsqrt_est) {
  unary(inst, rules, a, fp_status, result, fp::rsqrt_estimate);
}
SOLDER_PURE(f_recip_exp) {
  unary(inst, rules, a, fp_status, result, fp::recip_exponent);
}
SOLDER_PURE(f_recip_step) {
  binary(inst, rules, a, b, fp_status, result, fp::recip_step);
}
SOLDER_PURE(f_rsqrt_step) {
  binary(inst, rules, a, b, fp_status, result, fp::rsqrt_step);
}

SOLDER_PURE(f_mul_add) {
  const FpAttr attr = FpAttr::unpack(inst.sub);
  // Negation comes before the operation, of NaNs too (FPNeg of operand 1 or the addend: FMSUB, FNMADD, FMLS).
  const u64 flip_product = (attr.extra & 1) != 0 ? sign_bit(attr.lane) : 0;
  const u64 flip_addend = (attr.extra & 2) != 0 ? sign_bit(attr.lane) : 0;
  map_float(attr, rules, fp_status, result, [&](unsigned i, fp::Env& env) {
    return fp::mul_add(attr.lane, read(a, attr.lane, i) ^ flip_product, read(b, attr.lane, i),
                       read(c, attr.lane, i) ^ flip_addend, env);
  });
}

SOLDER_PURE(f_neg) {
  const FpAttr attr = FpAttr::unpack(inst.sub);
  map_float(attr, rules, fp_status, result,
            [&](unsigned i, fp::Env&) { return read(a, attr.lane, i) ^ sign_bit(attr.lane); });
}
SOLDER_PURE(f_abs) {
  const FpAttr attr = FpAttr::unpack(inst.sub);
  map_float(attr, rules, fp_status, result,
            [&](unsigned i, fp::Env&) { return read(a, attr.lane, i) & ~sign_bit(attr.lane); });
}

// Only equality is quiet for quiet NaNs (FPCompareEQ against FPCompareGE and FPCompareGT).
SOLDER_PURE(f_cmp_eq) {
  compare_lanes(inst, rules, a, b, false, fp_status, result, [](fp::Order o) { return o == fp::Order::equal; });
}
SOLDER_PURE(f_cmp_ge) {
  compare_lanes(inst, rules, a, b, true, fp_status, result,
                [](fp::Order o) { return o == fp::Order::equal || o == fp::Order::greater; });
}
SOLDER_PURE(f_cmp_gt) {
  compare_lanes(inst, rules, a, b, true, fp_status, result, [](fp::Order o) { return o == fp::Order::greater; });
}

SOLDER_PURE(f_compare) {
  const FpAttr attr = FpAttr::unpack(inst.sub);
  fp::Env env = make_env(attr, rules);
  const fp::Order order =
      fp::compare(attr.lane, read(a, attr.lane, 0), read(b, attr.lane, 0), (attr.extra & 1) != 0, env);
  fp_status |= env.flags;
  switch (order) {
    case fp::Order::less:
      result.d[0] = ir::kFlagN;
      break;
    case fp::Order::equal:
      result.d[0] = ir::kFlagZ | ir::kFlagC;
      break;
    case fp::Order::greater:
      result.d[0] = ir::kFlagC;
      break;
    case fp::Order::unordered:
      result.d[0] = ir::kFlagC | ir::kFlagV;
      break;
  }
}

SOLDER_PURE(f_round) {
  const FpAttr attr = FpAttr::unpack(inst.sub);
  map_float(attr, rules, fp_status, result, [&](unsigned i, fp::Env& env) {
    return fp::round_to_integral(attr.lane, read(a, attr.lane, i), (attr.extra & 1) != 0, env);
  });
}

SOLDER_PURE(f_convert) {
  const FpAttr attr = FpAttr::unpack(inst.sub);
  const Lane to = static_cast<Lane>(attr.extra & 7);
  const bool upper = (attr.extra & 16) != 0;
  fp::Env env = make_env(attr, rules);
  env.alternative_half = (attr.extra & 8) != 0;
  V128 out{};
  if (attr.width == Width::scalar) {
    write(out, to, 0, fp::convert(attr.lane, to, read(a, attr.lane, 0), env));
  } else if (to > attr.lane) {
    const unsigned count = 128 / bits_of(to);
    const unsigned first = upper ? 64 / bits_of(attr.lane) : 0;
    for (unsigned i = 0; i < count; ++i)
      write(out, to, i, fp::convert(attr.lane, to, read(a, attr.lane, first + i), env));
  } else {
    const unsigned count = 128 / bits_of(attr.lane);
    const unsigned first = upper ? 64 / bits_of(to) : 0;
    if (upper && inst.b != ~u32{0}) out.d[0] = b.d[0];
    for (unsigned i = 0; i < count; ++i)
      write(out, to, first + i, fp::convert(attr.lane, to, read(a, attr.lane, i), env));
  }
  fp_status |= env.flags;
  result = out;
}

SOLDER_PURE(f_to_int) {
  const FpAttr attr = FpAttr::unpack(inst.sub);
  map_float(attr, rules, fp_status, result, [&](unsigned i, fp::Env& env) {
    return fp::to_integer(attr.lane, read(a, attr.lane, i), inst.b, bits_of(attr.lane), (attr.extra & 1) != 0, env);
  });
}
SOLDER_PURE(f_from_int) {
  const FpAttr attr = FpAttr::unpack(inst.sub);
  map_float(attr, rules, fp_status, result, [&](unsigned i, fp::Env& env) {
    return fp::from_integer(attr.lane, read(a, attr.lane, i), inst.b, bits_of(attr.lane), (attr.extra & 1) != 0, env);
  });
}
SOLDER_PURE(f_to_gpr) {
  const FpAttr attr = FpAttr::unpack(inst.sub);
  fp::Env env = make_env(attr, rules);
  const unsigned bits = inst.type == Type::i32 ? 32 : 64;
  const u64 value = fp::to_integer(attr.lane, read(a, attr.lane, 0), inst.b, bits, (attr.extra & 1) != 0, env);
  fp_status |= env.flags;
  result.d[0] = value & mask64(bits);
}
SOLDER_PURE(f_from_gpr) {
  const FpAttr attr = FpAttr::unpack(inst.sub);
  fp::Env env = make_env(attr, rules);
  const unsigned bits = inst.c == static_cast<u32>(Type::i32) ? 32 : 64;
  V128 out{};
  write(out, attr.lane, 0, fp::from_integer(attr.lane, a.d[0], inst.b, bits, (attr.extra & 1) != 0, env));
  fp_status |= env.flags;
  result = out;
}

}  // namespace solder::interpreter::pure
