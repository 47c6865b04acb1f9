// Conversions between formats and between floating point and integers.
#include "translator/fp/number.h"
#include "translator/fp/softfloat.h"

namespace solder::fp {
namespace {

using ir::FpRules;
using ir::Lane;

struct Integer {
  u128 magnitude = 0;
  bool inexact = false;
};

/// Magnitude of n * 2^scale as an integer. Beyond 2^127 it is pinned there, which every integer size takes for too big.
Integer round_to_integer(const Number& n, int scale, ir::Round round) {
  if (n.is_zero()) return {};
  const int exponent = n.exponent + scale;  // of the significand's top bit
  if (exponent >= 127) return {u128{1} << 127, false};
  if (exponent >= 63) return {u128{n.significand} << (exponent - 63), false};
  // 64 bits of integer and 64 of fraction, the last one sticky.
  const u128 value = shift_right_sticky(u128{n.significand} << 64, static_cast<unsigned>(63 - exponent));
  const u64 rest = static_cast<u64>(value);
  const u64 half = u64{1} << 63;
  u128 integer = value >> 64;
  if (rounds_away(round, n.sign, (integer & 1) != 0, rest != 0, rest >= half, rest > half)) ++integer;
  return {integer, rest != 0};
}

/// What an integer too big, or a NaN, becomes.
u64 saturated(bool negative, bool nan, unsigned bits, bool is_unsigned, const Env& env) {
  const u64 mask = bits == 64 ? ~u64{0} : (u64{1} << bits) - 1;
  const u64 top = u64{1} << (bits - 1);
  if (env.rules == FpRules::x86) return is_unsigned ? mask : top;
  if (nan) {
    if (env.rules == FpRules::arm) return 0;
    negative = false;
  }
  if (is_unsigned) return negative ? 0 : mask;
  return negative ? top : top - 1;
}

}  // namespace

u64 round_to_integral(Lane lane, u64 a, bool exact, Env& env) {
  const Format& f = format_of(lane);
  const Number x = unpack(f, a, env);
  if (x.is_nan()) return propagate(f, a, x, env);
  if (x.is_infinity()) return f.infinity(x.sign);
  if (x.is_zero()) return f.zero(x.sign);
  if (x.exponent >= static_cast<int>(f.fraction_bits)) return a & f.mask();
  const Integer r = round_to_integer(x, 0, env.round);
  if (r.inexact && exact) env.flags |= ir::kFpInexact;
  if (r.magnitude == 0) return f.zero(x.sign);
  Env exact_env = env;
  return round_pack(f, x.sign, 127, r.magnitude, exact_env);
}

u64 convert(Lane from, Lane to, u64 a, Env& env) {
  const Format& f = from == Lane::h && env.alternative_half ? kAlternativeHalf : format_of(from);
  const Format& g = to == Lane::h && env.alternative_half ? kAlternativeHalf : format_of(to);
  const Number x = unpack(f, a, env);
  if (!g.has_special && (x.is_nan() || x.is_infinity())) {
    env.flags |= ir::kFpInvalid;
    return g.zero(x.sign) | (x.is_nan() ? 0 : g.sign_bit() - 1);
  }
  if (x.is_nan()) {
    if (x.kind == Kind::signalling) env.flags |= ir::kFpInvalid;
    if (env.default_nan || env.rules == FpRules::riscv) return default_nan(g, env);
    // The fraction's top bits survive (FPConvertNaN).
    const u64 fraction = (a & f.fraction_mask()) << (63 - f.fraction_bits) >> (63 - g.fraction_bits);
    return g.infinity(x.sign) | g.quiet_bit() | fraction;
  }
  if (x.is_infinity()) return g.infinity(x.sign);
  if (x.is_zero()) return g.zero(x.sign);
  return round_pack(g, x.sign, x.exponent, u128{x.significand} << 64, env);
}

u64 to_integer(Lane lane, u64 a, unsigned fraction_bits, unsigned bits, bool is_unsigned, Env& env) {
  const Number x = unpack(format_of(lane), a, env);
  if (x.is_nan() || x.is_infinity()) {
    env.flags |= ir::kFpInvalid;
    return saturated(x.sign, x.is_nan(), bits, is_unsigned, env);
  }
  const Integer r = round_to_integer(x, static_cast<int>(fraction_bits), env.round);
  const u128 one = 1;
  const u128 limit = is_unsigned ? (x.sign ? 0 : (one << bits) - 1) : (one << (bits - 1)) - (x.sign ? 0 : 1);
  if (r.magnitude > limit) {
    env.flags |= ir::kFpInvalid;
    return saturated(x.sign, false, bits, is_unsigned, env);
  }
  if (r.inexact) env.flags |= ir::kFpInexact;
  const u64 magnitude = static_cast<u64>(r.magnitude);
  const u64 mask = bits == 64 ? ~u64{0} : (u64{1} << bits) - 1;
  return (x.sign ? ~magnitude + 1 : magnitude) & mask;
}

u64 from_integer(Lane lane, u64 value, unsigned fraction_bits, unsigned bits, bool is_unsigned, Env& env) {
  const Format& f = format_of(lane);
  const u64 mask = bits == 64 ? ~u64{0} : (u64{1} << bits) - 1;
  value &= mask;
  const bool sign = !is_unsigned && (value >> (bits - 1)) != 0;
  const u64 magnitude = sign ? (~value + 1) & mask : value;
  if (magnitude == 0) return f.zero(false);
  return round_pack(f, sign, 127 - static_cast<int>(fraction_bits), magnitude, env);
}

}  // namespace solder::fp
