/// A floating-point number taken apart and put together again: what every operation of softfloat.h starts and ends
/// with.
#pragma once

#include <bit>

#include "base/check.h"
#include "translator/fp/softfloat.h"

namespace solder::fp {

/// One IEEE 754 binary interchange format.
struct Format {
  unsigned bits = 64;
  unsigned fraction_bits = 52;
  int bias = 1023;
  bool flushes = true;      ///< FPCR.FZ does not govern half precision (DDI 0487 A1.5.1)
  bool has_special = true;  ///< the largest exponent means infinity and NaN

  [[nodiscard]] constexpr u64 sign_bit() const { return u64{1} << (bits - 1); }
  [[nodiscard]] constexpr u64 fraction_mask() const { return (u64{1} << fraction_bits) - 1; }
  [[nodiscard]] constexpr u64 quiet_bit() const { return u64{1} << (fraction_bits - 1); }
  [[nodiscard]] constexpr u64 max_exponent() const { return (u64{1} << (bits - 1 - fraction_bits)) - 1; }
  [[nodiscard]] constexpr u64 mask() const { return sign_bit() | (sign_bit() - 1); }
  [[nodiscard]] constexpr int min_exponent() const { return 1 - bias; }

  [[nodiscard]] constexpr u64 zero(bool sign) const { return sign ? sign_bit() : 0; }
  [[nodiscard]] constexpr u64 infinity(bool sign) const { return zero(sign) | (max_exponent() << fraction_bits); }
  [[nodiscard]] constexpr u64 max_normal(bool sign) const { return infinity(sign) - 1; }
  /// 2^power with a fraction's top bit or without: 1.0, 1.5, 2.0.
  [[nodiscard]] constexpr u64 simple(bool sign, int power, bool plus_half) const {
    return zero(sign) | (static_cast<u64>(power + bias) << fraction_bits) | (plus_half ? quiet_bit() : 0);
  }
};

inline constexpr Format kHalf{16, 10, 15, false, true};
inline constexpr Format kAlternativeHalf{16, 10, 15, false, false};
inline constexpr Format kSingle{32, 23, 127, true, true};
inline constexpr Format kDouble{64, 52, 1023, true, true};

[[nodiscard]] constexpr const Format& format_of(ir::Lane lane) {
  return lane == ir::Lane::d ? kDouble : lane == ir::Lane::s ? kSingle : kHalf;
}

enum class Kind : u8 { zero, finite, infinity, quiet, signalling };

/// A number: finite values are significand * 2^(exponent - 63), with bit 63 of the significand set.
struct Number {
  Kind kind = Kind::zero;
  bool sign = false;
  int exponent = 0;
  u64 significand = 0;

  [[nodiscard]] bool is_nan() const { return kind >= Kind::quiet; }
  [[nodiscard]] bool is_zero() const { return kind == Kind::zero; }
  [[nodiscard]] bool is_infinity() const { return kind == Kind::infinity; }
};

[[nodiscard]] inline Number unpack(const Format& f, u64 bits, Env& env) {
  Number n;
  n.sign = (bits & f.sign_bit()) != 0;
  const u64 exponent = (bits >> f.fraction_bits) & f.max_exponent();
  const u64 fraction = bits & f.fraction_mask();
  if (exponent == f.max_exponent() && f.has_special) {
    n.kind = fraction == 0 ? Kind::infinity : (fraction & f.quiet_bit()) != 0 ? Kind::quiet : Kind::signalling;
  } else if (exponent != 0) {
    n.kind = Kind::finite;
    n.exponent = static_cast<int>(exponent) - f.bias;
    n.significand = (u64{1} << 63) | (fraction << (63 - f.fraction_bits));
  } else if (fraction != 0) {
    if (env.flush && f.flushes) {
      // x86's DAZ is silent; ARM reports it.
      if (env.rules == ir::FpRules::arm) env.flags |= ir::kFpInputDenormal;
      return n;
    }
    n.kind = Kind::finite;
    const int lead = std::countl_zero(fraction);
    n.significand = fraction << lead;
    n.exponent = f.min_exponent() - (lead - (63 - static_cast<int>(f.fraction_bits)));
  }
  return n;
}

[[nodiscard]] constexpr u64 default_nan(const Format& f, const Env& env) {
  return f.infinity(env.rules == ir::FpRules::x86) | f.quiet_bit();
}

/// An operation without a meaningful result.
[[nodiscard]] inline u64 invalid(const Format& f, Env& env) {
  env.flags |= ir::kFpInvalid;
  return default_nan(f, env);
}

/// The result for one NaN operand (FPProcessNaN).
[[nodiscard]] inline u64 propagate(const Format& f, u64 bits, const Number& n, Env& env) {
  if (n.kind == Kind::signalling) env.flags |= ir::kFpInvalid;
  if (env.default_nan || env.rules == ir::FpRules::riscv) return default_nan(f, env);
  return bits | f.quiet_bit();
}

/// The result when at least one of two operands is a NaN (FPProcessNaNs). ARM lets signalling NaNs go first, x86 the
/// first operand.
[[nodiscard]] inline u64 propagate2(const Format& f, u64 a, u64 b, const Number& x, const Number& y, Env& env) {
  if (x.kind == Kind::signalling || y.kind == Kind::signalling) env.flags |= ir::kFpInvalid;
  const bool first = env.rules == ir::FpRules::arm ? x.kind >= y.kind : x.is_nan();
  return first ? propagate(f, a, x, env) : propagate(f, b, y, env);
}

[[nodiscard]] constexpr u128 shift_right_sticky(u128 value, unsigned amount) {
  if (amount == 0) return value;
  if (amount >= 128) return value != 0 ? 1 : 0;
  return (value >> amount) | ((value << (128 - amount)) != 0 ? 1 : 0);
}

[[nodiscard]] constexpr int leading_zeros(u128 value) {
  const u64 high = static_cast<u64>(value >> 64);
  return high != 0 ? std::countl_zero(high) : 64 + std::countl_zero(static_cast<u64>(value));
}

/// Whether rounding goes away from zero, of a magnitude whose dropped bits compare with one half as told.
[[nodiscard]] constexpr bool rounds_away(ir::Round round, bool sign, bool odd, bool inexact, bool half_or_more,
                                         bool more_than_half) {
  switch (round) {
    case ir::Round::nearest_even:
      return more_than_half || (half_or_more && odd);
    case ir::Round::nearest_away:
      return half_or_more;
    case ir::Round::up:
      return inexact && !sign;
    case ir::Round::down:
      return inexact && sign;
    case ir::Round::zero:
      return false;
    case ir::Round::odd:
      return inexact && !odd;
  }
  return false;
}

/// Rounds (-1)^sign * significand * 2^(exponent - 127) into the format (FPRound). significand != 0; its lowest bit may
/// stand for bits lost below it.
[[nodiscard]] u64 round_pack(const Format& f, bool sign, int exponent, u128 significand, Env& env);

}  // namespace solder::fp
