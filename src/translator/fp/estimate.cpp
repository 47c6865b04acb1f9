// The reciprocal estimates, which A64 defines bit by bit (DDI 0487 J1.3: FPRecipEstimate, FPRSqrtEstimate, FPRecpX).
#include "translator/fp/estimate.h"

#include "translator/fp/number.h"
#include "translator/fp/softfloat.h"

namespace solder::fp {

using ir::Lane;

namespace {

/// a: 256..511 for 0.5..1.0; result 256..511 for 1.0..2.0.
u32 recip_estimate_9bit(u32 a) {
  const u32 b = (1U << 19) / (a * 2 + 1);
  return (b + 1) / 2;
}

/// a: 128..511 for 0.25..1.0; result 256..511 for 1.0..2.0.
u32 rsqrt_estimate_9bit(u32 a) {
  a = a < 256 ? a * 2 + 1 : ((a & ~1U) + 1) * 2;
  u32 b = 512;
  while (a * (b + 1) * (b + 1) < (1U << 28)) ++b;
  return (b + 1) / 2;
}

}  // namespace

u32 recip_estimate_u32(u32 a) {
  if ((a >> 31) == 0) return ~u32{0};
  return recip_estimate_9bit(a >> 23) << 23;
}

u32 rsqrt_estimate_u32(u32 a) {
  if ((a >> 30) == 0) return ~u32{0};
  return rsqrt_estimate_9bit(a >> 23) << 23;
}

u64 recip_estimate(Lane lane, u64 a, Env& env) {
  const Format& f = format_of(lane);
  const Number x = unpack(f, a, env);
  if (x.is_nan()) return propagate(f, a, x, env);
  if (x.is_infinity()) return f.zero(x.sign);
  if (x.is_zero()) {
    env.flags |= ir::kFpDivideByZero;
    return f.infinity(x.sign);
  }
  if (x.exponent < -f.bias - 1) {  // the reciprocal is beyond the format
    env.flags |= ir::kFpOverflow | ir::kFpInexact;
    const bool to_infinity = env.round == ir::Round::nearest_even || env.round == ir::Round::nearest_away ||
                             (env.round == ir::Round::up && !x.sign) || (env.round == ir::Round::down && x.sign);
    return to_infinity ? f.infinity(x.sign) : f.max_normal(x.sign);
  }
  if (env.flush && f.flushes && x.exponent >= f.bias - 1) {
    env.flags |= ir::kFpUnderflow;
    return f.zero(x.sign);
  }
  // x = m * 2^e, 1 <= m < 2; 1/x = (1/m * 2) * 2^(-1-e), the estimate being 256..511 for 1..2.
  const u32 estimate = recip_estimate_9bit(static_cast<u32>(x.significand >> 55));
  const int result_exponent = -1 - x.exponent + f.bias;
  u64 fraction = u64{estimate & 0xff} << 44;  // in a field of 52 bits
  u64 exponent = 0;
  if (result_exponent > 0) {
    exponent = static_cast<u64>(result_exponent);
  } else {
    fraction = ((u64{1} << 52) | fraction) >> (1 - result_exponent);
  }
  return f.zero(x.sign) | (exponent << f.fraction_bits) | (fraction >> (52 - f.fraction_bits));
}

u64 rsqrt_estimate(Lane lane, u64 a, Env& env) {
  const Format& f = format_of(lane);
  const Number x = unpack(f, a, env);
  if (x.is_nan()) return propagate(f, a, x, env);
  if (x.is_zero()) {
    env.flags |= ir::kFpDivideByZero;
    return f.infinity(x.sign);
  }
  if (x.sign) return invalid(f, env);
  if (x.is_infinity()) return f.zero(false);
  // m * 2^e = q * 2^(2k), q in quarter to one: 9 bits of it, the top one clear for an even biased exponent of q.
  const int biased = x.exponent + f.bias;
  const bool even = (biased & 1) == 0;
  const u32 scaled = static_cast<u32>(x.significand >> (even ? 55 : 56));
  const u32 estimate = rsqrt_estimate_9bit(scaled);
  const int result_exponent = (3 * f.bias - 1 - biased) / 2;
  return (static_cast<u64>(result_exponent) << f.fraction_bits) |
         ((u64{estimate & 0xff} << 44) >> (52 - f.fraction_bits));
}

u64 recip_exponent(Lane lane, u64 a, Env& env) {
  const Format& f = format_of(lane);
  const Number x = unpack(f, a, env);
  if (x.is_nan()) return propagate(f, a, x, env);
  const u64 exponent = (a >> f.fraction_bits) & f.max_exponent();
  const u64 result = exponent == 0 ? f.max_exponent() - 1 : ~exponent & f.max_exponent();
  return f.zero((a & f.sign_bit()) != 0) | (result << f.fraction_bits);
}

}  // namespace solder::fp
