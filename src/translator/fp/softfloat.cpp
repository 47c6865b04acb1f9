#include "translator/fp/softfloat.h"

#include <utility>

#include "translator/fp/number.h"

namespace solder::fp {
namespace {

using ir::FpRules;
using ir::Lane;

/// An exact zero made by cancellation.
u64 cancelled(const Format& f, const Env& env) {
  return f.zero(env.round == ir::Round::down);
}

/// x + y, both scaled significands of value s * 2^(exponent - 127) with the top bit free for the carry.
u64 add_magnitudes(const Format& f, bool sign_x, int exp_x, u128 x, bool sign_y, int exp_y, u128 y, Env& env) {
  int exponent = exp_x;
  if (exp_x >= exp_y) {
    y = shift_right_sticky(y, static_cast<unsigned>(exp_x - exp_y));
  } else {
    x = shift_right_sticky(x, static_cast<unsigned>(exp_y - exp_x));
    exponent = exp_y;
  }
  if (sign_x == sign_y) return round_pack(f, sign_x, exponent, x + y, env);
  if (x == y) return cancelled(f, env);
  return x > y ? round_pack(f, sign_x, exponent, x - y, env) : round_pack(f, sign_y, exponent, y - x, env);
}

u64 add_signed(Lane lane, u64 a, u64 b, bool negate_b, Env& env) {
  const Format& f = format_of(lane);
  const Number x = unpack(f, a, env);
  Number y = unpack(f, b, env);
  if (x.is_nan() || y.is_nan()) return propagate2(f, a, b, x, y, env);
  y.sign ^= negate_b;
  if (x.is_infinity() || y.is_infinity()) {
    if (x.is_infinity() && y.is_infinity() && x.sign != y.sign) return invalid(f, env);
    return f.infinity(x.is_infinity() ? x.sign : y.sign);
  }
  if (x.is_zero() && y.is_zero()) return x.sign == y.sign ? f.zero(x.sign) : cancelled(f, env);
  if (x.is_zero()) return round_pack(f, y.sign, y.exponent, u128{y.significand} << 64, env);
  if (y.is_zero()) return round_pack(f, x.sign, x.exponent, u128{x.significand} << 64, env);
  return add_magnitudes(f, x.sign, x.exponent + 1, u128{x.significand} << 63, y.sign, y.exponent + 1,
                        u128{y.significand} << 63, env);
}

u64 multiply(Lane lane, u64 a, u64 b, bool extended, Env& env) {
  const Format& f = format_of(lane);
  const Number x = unpack(f, a, env);
  const Number y = unpack(f, b, env);
  if (x.is_nan() || y.is_nan()) return propagate2(f, a, b, x, y, env);
  const bool sign = x.sign != y.sign;
  if (x.is_infinity() || y.is_infinity()) {
    if (x.is_zero() || y.is_zero()) return extended ? f.simple(sign, 1, false) : invalid(f, env);
    return f.infinity(sign);
  }
  if (x.is_zero() || y.is_zero()) return f.zero(sign);
  return round_pack(f, sign, x.exponent + y.exponent + 1, u128{x.significand} * y.significand, env);
}

/// Of the NaNs among a, b and addend c, the one that the architecture prefers.
u64 propagate3(const Format& f, u64 a, u64 b, u64 c, const Number& x, const Number& y, const Number& z, Env& env) {
  for (const Number* n : {&x, &y, &z})
    if (n->kind == Kind::signalling) env.flags |= ir::kFpInvalid;
  if (env.rules == FpRules::arm) {
    for (const Kind kind : {Kind::signalling, Kind::quiet}) {
      if (z.kind == kind) return propagate(f, c, z, env);
      if (x.kind == kind) return propagate(f, a, x, env);
      if (y.kind == kind) return propagate(f, b, y, env);
    }
  }
  if (x.is_nan()) return propagate(f, a, x, env);
  return y.is_nan() ? propagate(f, b, y, env) : propagate(f, c, z, env);
}

/// (a*b + c) * 2^scale.
u64 fused(Lane lane, u64 a, u64 b, u64 c, int scale, Env& env) {
  const Format& f = format_of(lane);
  const Number z = unpack(f, c, env);
  const Number x = unpack(f, a, env);
  const Number y = unpack(f, b, env);
  const bool no_product = (x.is_infinity() && y.is_zero()) || (x.is_zero() && y.is_infinity());
  if (x.is_nan() || y.is_nan() || z.is_nan()) {
    if (no_product && z.kind == Kind::quiet && env.rules != FpRules::x86) return invalid(f, env);
    return propagate3(f, a, b, c, x, y, z, env);
  }
  const bool sign = x.sign != y.sign;
  const bool infinite = x.is_infinity() || y.is_infinity();
  if (no_product || (infinite && z.is_infinity() && sign != z.sign)) return invalid(f, env);
  if (infinite) return f.infinity(sign);
  if (z.is_infinity()) return f.infinity(z.sign);
  if (x.is_zero() || y.is_zero()) {
    if (z.is_zero()) return sign == z.sign ? f.zero(sign) : cancelled(f, env);
    return round_pack(f, z.sign, z.exponent + scale, u128{z.significand} << 64, env);
  }
  const u128 product = u128{x.significand} * y.significand;
  const int exponent = x.exponent + y.exponent;
  if (z.is_zero()) return round_pack(f, sign, exponent + 1 + scale, product, env);
  // Nothing is lost by halving: at least 22 of the product's low bits are zero.
  return add_magnitudes(f, sign, exponent + 2 + scale, product >> 1, z.sign, z.exponent + 2 + scale,
                        u128{z.significand} << 62, env);
}

/// a < b, of numbers that are not NaNs.
bool less(const Number& x, const Number& y) {
  if (x.is_zero() && y.is_zero()) return false;
  const bool negative_x = x.sign && !x.is_zero();
  const bool negative_y = y.sign && !y.is_zero();
  if (negative_x != negative_y) return negative_x;
  auto rank = [](const Number& n) {
    const int exponent = n.is_zero() ? -100000 : n.is_infinity() ? 100000 : n.exponent;
    return std::pair{exponent, n.kind == Kind::finite ? n.significand : 0};
  };
  return negative_x ? rank(y) < rank(x) : rank(x) < rank(y);
}

u64 max_min(Lane lane, u64 a, u64 b, bool want_max, Env& env) {
  const Format& f = format_of(lane);
  const Number x = unpack(f, a, env);
  const Number y = unpack(f, b, env);
  if (env.rules == FpRules::x86) {
    // MAXPS, MINPS: the second operand unless the first is strictly beyond it; any NaN is invalid.
    const bool nan = x.is_nan() || y.is_nan();
    if (nan) env.flags |= ir::kFpInvalid;
    const bool first = !nan && (want_max ? less(y, x) : less(x, y));
    const Number& n = first ? x : y;
    return n.is_zero() ? f.zero(n.sign) : (first ? a : b) & f.mask();
  }
  if (x.is_nan() || y.is_nan()) {
    if (env.rules == FpRules::arm) return propagate2(f, a, b, x, y, env);
    if (x.kind == Kind::signalling || y.kind == Kind::signalling) env.flags |= ir::kFpInvalid;
    if (x.is_nan() && y.is_nan()) return default_nan(f, env);
    return (x.is_nan() ? b : a) & f.mask();
  }
  if (x.is_zero() && y.is_zero()) return f.zero(want_max ? x.sign && y.sign : x.sign || y.sign);
  const bool first = want_max ? less(y, x) : less(x, y);
  const Number& n = first ? x : y;
  return n.is_zero() ? f.zero(n.sign) : (first ? a : b) & f.mask();
}

u64 max_min_number(Lane lane, u64 a, u64 b, bool want_max, Env& env) {
  const Format& f = format_of(lane);
  const bool quiet_a = unpack(f, a, env).kind == Kind::quiet;
  const bool quiet_b = unpack(f, b, env).kind == Kind::quiet;
  if (quiet_a && !quiet_b) a = f.infinity(want_max);
  if (quiet_b && !quiet_a) b = f.infinity(want_max);
  return max_min(lane, a, b, want_max, env);
}

}  // namespace

u64 add(Lane lane, u64 a, u64 b, Env& env) {
  return add_signed(lane, a, b, false, env);
}
u64 sub(Lane lane, u64 a, u64 b, Env& env) {
  return add_signed(lane, a, b, true, env);
}
u64 mul(Lane lane, u64 a, u64 b, Env& env) {
  return multiply(lane, a, b, false, env);
}
u64 mulx(Lane lane, u64 a, u64 b, Env& env) {
  return multiply(lane, a, b, true, env);
}

u64 div(Lane lane, u64 a, u64 b, Env& env) {
  const Format& f = format_of(lane);
  const Number x = unpack(f, a, env);
  const Number y = unpack(f, b, env);
  if (x.is_nan() || y.is_nan()) return propagate2(f, a, b, x, y, env);
  const bool sign = x.sign != y.sign;
  if ((x.is_infinity() && y.is_infinity()) || (x.is_zero() && y.is_zero())) return invalid(f, env);
  if (x.is_infinity()) return f.infinity(sign);
  if (y.is_zero()) {
    env.flags |= ir::kFpDivideByZero;
    return f.infinity(sign);
  }
  if (x.is_zero() || y.is_infinity()) return f.zero(sign);
  const u128 dividend = u128{x.significand} << 63;
  const u128 quotient = dividend / y.significand;
  const u128 sticky = dividend % y.significand != 0 ? 1 : 0;
  return round_pack(f, sign, x.exponent - y.exponent, (quotient << 64) | sticky, env);
}

u64 sqrt(Lane lane, u64 a, Env& env) {
  const Format& f = format_of(lane);
  const Number x = unpack(f, a, env);
  if (x.is_nan()) return propagate(f, a, x, env);
  if (x.is_zero()) return f.zero(x.sign);
  if (x.sign) return invalid(f, env);
  if (x.is_infinity()) return f.infinity(false);
  // Root of m * 2^(2k), 1 <= m < 4, with m in units of 2^-126: digit by digit, 64 bits.
  const bool odd = (x.exponent & 1) != 0;
  u128 rest = u128{x.significand} << (odd ? 64 : 63);
  u128 root = 0;
  for (u128 bit = u128{1} << 126; bit != 0; bit >>= 2) {
    if (rest >= root + bit) {
      rest -= root + bit;
      root = (root >> 1) + bit;
    } else {
      root >>= 1;
    }
  }
  return round_pack(f, false, (x.exponent - (odd ? 1 : 0)) / 2, (root << 64) | (rest != 0 ? 1 : 0), env);
}

u64 mul_add(Lane lane, u64 a, u64 b, u64 c, Env& env) {
  return fused(lane, a, b, c, 0, env);
}

u64 max(Lane lane, u64 a, u64 b, Env& env) {
  return max_min(lane, a, b, true, env);
}
u64 min(Lane lane, u64 a, u64 b, Env& env) {
  return max_min(lane, a, b, false, env);
}
u64 max_num(Lane lane, u64 a, u64 b, Env& env) {
  return max_min_number(lane, a, b, true, env);
}
u64 min_num(Lane lane, u64 a, u64 b, Env& env) {
  return max_min_number(lane, a, b, false, env);
}

Order compare(Lane lane, u64 a, u64 b, bool signal_quiet, Env& env) {
  const Format& f = format_of(lane);
  const Number x = unpack(f, a, env);
  const Number y = unpack(f, b, env);
  if (x.is_nan() || y.is_nan()) {
    if (signal_quiet || x.kind == Kind::signalling || y.kind == Kind::signalling) env.flags |= ir::kFpInvalid;
    return Order::unordered;
  }
  return less(x, y) ? Order::less : less(y, x) ? Order::greater : Order::equal;
}

u64 recip_step(Lane lane, u64 a, u64 b, Env& env) {
  const Format& f = format_of(lane);
  a ^= f.sign_bit();  // before the NaN rules: a NaN's sign flips too (FPRecipStepFused)
  const Number x = unpack(f, a, env);
  const Number y = unpack(f, b, env);
  const u64 two = f.simple(false, 1, false);
  if ((x.is_infinity() && y.is_zero()) || (x.is_zero() && y.is_infinity())) return two;
  return fused(lane, a, b, two, 0, env);
}

u64 rsqrt_step(Lane lane, u64 a, u64 b, Env& env) {
  const Format& f = format_of(lane);
  a ^= f.sign_bit();
  const Number x = unpack(f, a, env);
  const Number y = unpack(f, b, env);
  if ((x.is_infinity() && y.is_zero()) || (x.is_zero() && y.is_infinity())) return f.simple(false, 0, true);
  return fused(lane, a, b, f.simple(false, 1, true), -1, env);
}

}  // namespace solder::fp
