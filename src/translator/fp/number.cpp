#include "translator/fp/number.h"

#include "base/check.h"

namespace solder::fp {
namespace {

struct Rounded {
  u64 kept = 0;
  bool inexact = false;
};

Rounded round_to(u128 significand, unsigned kept_bits, bool sign, ir::Round round) {
  const unsigned drop = 128 - kept_bits;
  const u128 rest = significand & ((u128{1} << drop) - 1);
  const u128 half = u128{1} << (drop - 1);
  u64 kept = static_cast<u64>(significand >> drop);
  if (rounds_away(round, sign, (kept & 1) != 0, rest != 0, rest >= half, rest > half)) ++kept;
  return {kept, rest != 0};
}

u64 overflow(const Format& f, bool sign, Env& env) {
  if (!f.has_special) {  // the largest number, and neither overflow nor inexact (FPRoundCV)
    env.flags |= ir::kFpInvalid;
    return f.zero(sign) | (f.sign_bit() - 1);
  }
  env.flags |= ir::kFpOverflow | ir::kFpInexact;
  const bool to_infinity = env.round == ir::Round::nearest_even || env.round == ir::Round::nearest_away ||
                           (env.round == ir::Round::up && !sign) || (env.round == ir::Round::down && sign);
  return to_infinity ? f.infinity(sign) : f.max_normal(sign);
}

}  // namespace

u64 round_pack(const Format& f, bool sign, int exponent, u128 significand, Env& env) {
  SOLDER_CHECK(significand != 0, "zero has no exponent to round by");
  const int lead = leading_zeros(significand);
  significand <<= lead;
  exponent -= lead;
  const unsigned precision = f.fraction_bits + 1;

  if (exponent >= f.min_exponent()) {
    const u64 biased = static_cast<u64>(i64{exponent} + f.bias);
    const u64 limit = f.max_exponent() + (f.has_special ? 0 : 1);
    if (biased >= limit) return overflow(f, sign, env);
    const Rounded r = round_to(significand, precision, sign, env.round);
    // The leading bit of `kept` adds one to the exponent field, and so does a carry out of it.
    const u64 bits = ((biased - 1) << f.fraction_bits) + r.kept;
    if ((bits >> f.fraction_bits) >= limit) return overflow(f, sign, env);
    if (r.inexact) env.flags |= ir::kFpInexact;
    return f.zero(sign) | bits;
  }

  // ARM looks at tininess before rounding (DDI 0487 A1.5.4), the others after: with an unbounded exponent, does the
  // rounded value reach the smallest normal number?
  bool tiny = true;
  if (env.rules != ir::FpRules::arm && exponent == f.min_exponent() - 1)
    tiny = (round_to(significand, precision, sign, env.round).kept >> precision) == 0;
  if (tiny && env.flush && f.flushes) {
    env.flags |= ir::kFpUnderflow | (env.rules == ir::FpRules::arm ? 0 : ir::kFpInexact);
    return f.zero(sign);
  }
  const unsigned shift = static_cast<unsigned>(f.min_exponent() - exponent);
  const Rounded r = round_to(shift_right_sticky(significand, shift), precision, sign, env.round);
  if (r.inexact) env.flags |= ir::kFpInexact | (tiny ? ir::kFpUnderflow : 0);
  return f.zero(sign) | r.kept;
}

}  // namespace solder::fp
