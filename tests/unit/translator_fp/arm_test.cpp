// A64's own rules, as the pseudocode of DDI 0487 J1.3 gives them.
#include <gtest/gtest.h>

#include "translator/fp/estimate.h"
#include "translator/fp/softfloat.h"

namespace solder::fp {
namespace {

using ir::Lane;
using ir::Round;

constexpr Lane S = Lane::s;
constexpr Lane D = Lane::d;
constexpr Lane H = Lane::h;
constexpr u64 kOne = 0x3f800000;
constexpr u64 kTwo = 0x40000000;
constexpr u64 kInf = 0x7f800000;
constexpr u64 kNegInf = 0xff800000;
constexpr u64 kNegZero = 0x80000000;
constexpr u64 kQuiet1 = 0x7fc00001;
constexpr u64 kQuiet2 = 0xffc00002;
constexpr u64 kSignal1 = 0x7f800011;
constexpr u64 kSignal2 = 0xff800022;
constexpr u64 kDefault = 0x7fc00000;

struct Outcome {
  u64 value;
  u32 flags;
  friend bool operator==(const Outcome&, const Outcome&) = default;
  friend void PrintTo(const Outcome& o, std::ostream* out) { *out << std::hex << o.value << " flags " << o.flags; }
};
template <typename F>
Outcome with(F&& f, Env env = {}) {
  const u64 value = f(env);
  return {value, env.flags};
}

TEST(Arm, SignallingNanGoesFirstThenTheFirstQuietOne) {
  auto sum = [](u64 a, u64 b, Env env = {}) { return with([&](Env& e) { return add(S, a, b, e); }, env); };
  EXPECT_EQ(sum(kQuiet1, kQuiet2), (Outcome{kQuiet1, 0}));
  EXPECT_EQ(sum(kQuiet1, kSignal2), (Outcome{kSignal2 | 0x400000, ir::kFpInvalid}));
  EXPECT_EQ(sum(kSignal1, kSignal2), (Outcome{kSignal1 | 0x400000, ir::kFpInvalid}));
  EXPECT_EQ(sum(kOne, kQuiet2), (Outcome{kQuiet2, 0}));
  EXPECT_EQ(sum(kOne, kQuiet2, {.default_nan = true}), (Outcome{kDefault, 0}));
  EXPECT_EQ(sum(kInf, kNegInf), (Outcome{kDefault, ir::kFpInvalid}));
}

TEST(Arm, FusedMultiplyAddPrefersTheAddend) {
  auto fma = [](u64 a, u64 b, u64 c) { return with([&](Env& e) { return mul_add(S, a, b, c, e); }); };
  EXPECT_EQ(fma(kQuiet1, kOne, kQuiet2), (Outcome{kQuiet2, 0}));
  EXPECT_EQ(fma(kSignal1, kOne, kQuiet2), (Outcome{kSignal1 | 0x400000, ir::kFpInvalid}));
  EXPECT_EQ(fma(kInf, 0, kQuiet2), (Outcome{kDefault, ir::kFpInvalid}));
  EXPECT_EQ(fma(kInf, 0, kSignal2), (Outcome{kSignal2 | 0x400000, ir::kFpInvalid}));
  EXPECT_EQ(fma(kInf, kOne, kNegInf), (Outcome{kDefault, ir::kFpInvalid}));
}

TEST(Arm, FlushSetsIdcForInputsAndOnlyUfcForOutputs) {
  const Env flush{.flush = true};
  EXPECT_EQ(with([](Env& e) { return add(S, 1, kOne, e); }, flush), (Outcome{kOne, ir::kFpInputDenormal}));
  EXPECT_EQ(with([](Env& e) { return mul(S, 0x80800000, 0x3f000000, e); }, flush),
            (Outcome{kNegZero, ir::kFpUnderflow}));
  EXPECT_EQ(with([](Env& e) { return convert(H, S, 0x0001, e); }, flush), (Outcome{0x33800000, 0}));
  EXPECT_EQ(with([](Env& e) { return convert(S, H, 0x33800000, e); }, flush), (Outcome{0x0001, 0}));
}

TEST(Arm, TininessIsFoundBeforeRounding) {
  // The largest value that rounds up to the smallest normal: tiny on ARM, not on x86.
  const u64 a = 0x00ffffff;  // times 0.5 rounds to 2^-126
  const u64 half = 0x3f000000;
  EXPECT_EQ(with([&](Env& e) { return mul(S, a, half, e); }), (Outcome{0x00800000, ir::kFpUnderflow | ir::kFpInexact}));
  EXPECT_EQ(with([&](Env& e) { return mul(S, a, half, e); }, {.flush = true}), (Outcome{0, ir::kFpUnderflow}));
  Env x86{.rules = ir::FpRules::x86};
  EXPECT_EQ(mul(S, 0x00ffffff, half, x86), 0x00800000U);
}

TEST(Arm, MaxAndMinOrderZerosAndKnowNumbers) {
  Env e;
  EXPECT_EQ(max(S, kNegZero, 0, e), 0U);
  EXPECT_EQ(max(S, 0, kNegZero, e), 0U);
  EXPECT_EQ(min(S, 0, kNegZero, e), kNegZero);
  EXPECT_EQ(max(S, kOne, kQuiet1, e), kQuiet1);
  EXPECT_EQ(max_num(S, kOne, kQuiet1, e), kOne);
  EXPECT_EQ(min_num(S, kQuiet1, kOne, e), kOne);
  EXPECT_EQ(e.flags, 0U);
  EXPECT_EQ(max_num(S, kOne, kSignal1, e), kSignal1 | 0x400000);
  EXPECT_EQ(e.flags, ir::kFpInvalid);
}

TEST(Arm, MulxOfInfinityAndZeroIsTwo) {
  EXPECT_EQ(with([](Env& e) { return mulx(S, kNegInf, 0, e); }), (Outcome{0xc0000000, 0}));
  EXPECT_EQ(with([](Env& e) { return mul(S, kNegInf, 0, e); }), (Outcome{kDefault, ir::kFpInvalid}));
}

TEST(Arm, ConversionsToIntegersSaturate) {
  auto to = [](u64 a, unsigned bits, bool is_unsigned, unsigned fraction = 0, Round round = Round::zero) {
    return with([&](Env& e) { return to_integer(D, a, fraction, bits, is_unsigned, e); }, {.round = round});
  };
  const u64 d_one_and_half = 0x3ff8000000000000;
  const u64 d_minus_half = 0xbfe0000000000000;
  const u64 d_2_64 = 0x43f0000000000000;
  EXPECT_EQ(to(d_one_and_half, 32, false), (Outcome{1, ir::kFpInexact}));
  EXPECT_EQ(to(d_one_and_half, 32, false, 1), (Outcome{3, 0}));
  EXPECT_EQ(to(d_minus_half, 64, true), (Outcome{0, ir::kFpInexact}));
  EXPECT_EQ(to(d_minus_half, 64, true, 0, Round::down), (Outcome{0, ir::kFpInvalid}));
  EXPECT_EQ(to(d_2_64, 64, true), (Outcome{~u64{0}, ir::kFpInvalid}));
  EXPECT_EQ(to(d_2_64, 64, false), (Outcome{~u64{0} >> 1, ir::kFpInvalid}));
  EXPECT_EQ(to(d_2_64 | (u64{1} << 63), 32, false), (Outcome{0x80000000, ir::kFpInvalid}));
  EXPECT_EQ(to(0x7ff8000000000000, 32, false), (Outcome{0, ir::kFpInvalid}));
  EXPECT_EQ(to(0xc3e0000000000000, 64, false), (Outcome{u64{1} << 63, 0}));
  EXPECT_EQ(to(0x4004000000000000, 64, false, 0, Round::nearest_even), (Outcome{2, ir::kFpInexact}));
  EXPECT_EQ(to(0x4004000000000000, 64, false, 0, Round::nearest_away), (Outcome{3, ir::kFpInexact}));
  EXPECT_EQ(to(0xc004000000000000, 64, false, 0, Round::nearest_away), (Outcome{static_cast<u64>(-3), ir::kFpInexact}));
}

TEST(Arm, ConversionsFromIntegers) {
  EXPECT_EQ(with([](Env& e) { return from_integer(S, ~u64{0}, 0, 64, true, e); }),
            (Outcome{0x5f800000, ir::kFpInexact}));
  EXPECT_EQ(with([](Env& e) { return from_integer(S, ~u64{0}, 0, 64, false, e); }), (Outcome{0xbf800000, 0}));
  EXPECT_EQ(with([](Env& e) { return from_integer(D, 1, 64, 64, true, e); }), (Outcome{0x3bf0000000000000, 0}));
  EXPECT_EQ(with([](Env& e) { return from_integer(D, 0x80000000, 0, 32, false, e); }),
            (Outcome{0xc1e0000000000000, 0}));
}

TEST(Arm, RoundsToOddForDoubleNarrowing) {
  const Env odd{.round = Round::odd};
  EXPECT_EQ(with([](Env& e) { return convert(D, S, 0x3ff0000000000001, e); }, odd),
            (Outcome{0x3f800001, ir::kFpInexact}));
  EXPECT_EQ(with([](Env& e) { return convert(D, S, 0x7fe0000000000000, e); }, odd),
            (Outcome{0x7f7fffff, ir::kFpOverflow | ir::kFpInexact}));
  EXPECT_EQ(with([](Env& e) { return convert(D, S, 0x0000000000000001, e); }, odd),
            (Outcome{1, ir::kFpUnderflow | ir::kFpInexact}));
}

TEST(Arm, NarrowingKeepsTheNansTopBits) {
  EXPECT_EQ(with([](Env& e) { return convert(S, H, 0xff802001, e); }), (Outcome{0xfe01, ir::kFpInvalid}));
  EXPECT_EQ(with([](Env& e) { return convert(H, D, 0xfe01, e); }), (Outcome{0xfff8040000000000, 0}));
  EXPECT_EQ(with([](Env& e) { return convert(S, H, 0xff802001, e); }, {.default_nan = true}),
            (Outcome{0x7e00, ir::kFpInvalid}));
}

TEST(Arm, AlternativeHalfPrecisionHasOnlyNumbers) {
  const Env alternative{.alternative_half = true};
  EXPECT_EQ(with([](Env& e) { return convert(H, S, 0x7c00, e); }, alternative), (Outcome{0x47800000, 0}));
  EXPECT_EQ(with([](Env& e) { return convert(S, H, 0x47800000, e); }, alternative), (Outcome{0x7c00, 0}));
  EXPECT_EQ(with([](Env& e) { return convert(S, H, 0x48000000, e); }, alternative), (Outcome{0x7fff, ir::kFpInvalid}));
  EXPECT_EQ(with([](Env& e) { return convert(S, H, kNegInf, e); }, alternative), (Outcome{0xffff, ir::kFpInvalid}));
  EXPECT_EQ(with([](Env& e) { return convert(S, H, kQuiet2, e); }, alternative), (Outcome{0x8000, ir::kFpInvalid}));
}

TEST(Arm, EstimatesOfKnownValues) {
  Env e;
  EXPECT_EQ(recip_estimate(S, kOne, e), 0x3f7f8000U);
  EXPECT_EQ(recip_estimate(S, kTwo, e), 0x3eff8000U);
  EXPECT_EQ(recip_estimate(D, 0x3ff0000000000000, e), 0x3feff00000000000U);
  EXPECT_EQ(rsqrt_estimate(S, kOne, e), 0x3f7f8000U);
  EXPECT_EQ(rsqrt_estimate(S, 0x40800000, e), 0x3eff8000U);
  EXPECT_EQ(rsqrt_estimate(S, kTwo, e), 0x3f348000U);
  EXPECT_EQ(recip_estimate(S, kInf, e), 0U);
  EXPECT_EQ(rsqrt_estimate(S, kInf, e), 0U);
  EXPECT_EQ(e.flags, 0U);
  EXPECT_EQ(recip_estimate(S, kNegZero, e), kNegInf);
  EXPECT_EQ(e.flags, ir::kFpDivideByZero);
  e.flags = 0;
  EXPECT_EQ(rsqrt_estimate(S, 0xbf800000, e), kDefault);
  EXPECT_EQ(e.flags, ir::kFpInvalid);
  e.flags = 0;
  EXPECT_EQ(recip_estimate(S, 1, e), kInf);
  EXPECT_EQ(e.flags, ir::kFpOverflow | ir::kFpInexact);
  e = {.round = Round::zero};
  EXPECT_EQ(recip_estimate(S, 0x80000001, e), 0xff7fffffU);
  e = {};
  EXPECT_EQ(recip_estimate(S, 0x7f7fffff, e), 0x00200000U | 0x0);  // 2^-128: a denormal
  EXPECT_EQ(e.flags, 0U);
  e = {.flush = true};
  EXPECT_EQ(recip_estimate(S, 0x7f7fffff, e), 0U);
  EXPECT_EQ(e.flags, ir::kFpUnderflow);
  EXPECT_EQ(recip_estimate_u32(0x80000000), 0xff800000U);
  EXPECT_EQ(recip_estimate_u32(0x7fffffff), 0xffffffffU);
  EXPECT_EQ(rsqrt_estimate_u32(0x40000000), 0xff800000U);
}

TEST(Arm, ExponentReciprocal) {
  Env e;
  EXPECT_EQ(recip_exponent(S, 0x3fc00000, e), 0x40000000U);
  EXPECT_EQ(recip_exponent(S, 1, e), 0x7f000000U);
  EXPECT_EQ(recip_exponent(S, kNegInf, e), kNegZero);
  EXPECT_EQ(recip_exponent(S, kQuiet2, e), kQuiet2);
  EXPECT_EQ(e.flags, 0U);
}

TEST(Arm, NewtonSteps) {
  Env e;
  EXPECT_EQ(recip_step(S, kOne, kOne, e), kOne);
  EXPECT_EQ(recip_step(S, kInf, 0, e), kTwo);
  EXPECT_EQ(recip_step(S, kQuiet1, kOne, e), kQuiet1 | kNegZero);
  EXPECT_EQ(rsqrt_step(S, kOne, kOne, e), kOne);
  EXPECT_EQ(rsqrt_step(S, 0, kNegInf, e), 0x3fc00000U);
  EXPECT_EQ(rsqrt_step(S, kTwo, kOne, e), 0x3f000000U);
  EXPECT_EQ(e.flags, 0U);
}

TEST(Arm, CompareSignals) {
  Env e;
  EXPECT_EQ(compare(S, kOne, kQuiet1, false, e), Order::unordered);
  EXPECT_EQ(e.flags, 0U);
  EXPECT_EQ(compare(S, kOne, kQuiet1, true, e), Order::unordered);
  EXPECT_EQ(e.flags, ir::kFpInvalid);
  EXPECT_EQ(compare(S, kNegZero, 0, true, e), Order::equal);
  EXPECT_EQ(compare(S, kNegInf, 0xff7fffff, true, e), Order::less);
  EXPECT_EQ(compare(S, 1, 0x80000001, true, e), Order::greater);
}

TEST(Arm, RoundToIntegral) {
  auto round = [](u64 a, Round mode, bool exact = true) {
    return with([&](Env& e) { return round_to_integral(S, a, exact, e); }, {.round = mode});
  };
  EXPECT_EQ(round(0xbf000000, Round::nearest_even), (Outcome{kNegZero, ir::kFpInexact}));
  EXPECT_EQ(round(0xbf000000, Round::nearest_away), (Outcome{0xbf800000, ir::kFpInexact}));
  EXPECT_EQ(round(0x00000001, Round::up, false), (Outcome{kOne, 0}));
  EXPECT_EQ(round(0x4b7fffff, Round::up), (Outcome{0x4b7fffff, 0}));
}

TEST(RiscV, NansAreCanonicalAndMaxPrefersNumbers) {
  Env e{.rules = ir::FpRules::riscv};
  EXPECT_EQ(add(S, kQuiet2, kOne, e), kDefault);
  EXPECT_EQ(max(S, kQuiet2, kOne, e), kOne);
  EXPECT_EQ(min(S, kQuiet2, kQuiet1, e), kDefault);
  EXPECT_EQ(e.flags, 0U);
  EXPECT_EQ(max(S, kSignal1, kOne, e), kOne);
  EXPECT_EQ(e.flags, ir::kFpInvalid);
  EXPECT_EQ(to_integer(S, kQuiet2, 0, 32, false, e), 0x7fffffffU);
}

}  // namespace
}  // namespace solder::fp
