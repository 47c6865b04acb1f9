// The integer arithmetic against this host's own: results and flags, in every rounding mode, under x86's rules; and
// under ARM's wherever both architectures agree.
#include <gtest/gtest.h>
#include <immintrin.h>

#include <functional>

#include "translator/fp/softfloat.h"
#include "unit/translator_fp/values.h"

namespace solder::fp {
namespace {

using ir::FpRules;
using ir::Lane;
using ir::Round;

constexpr u32 kMxcsrModes[] = {0x0000, 0x4000, 0x2000, 0x6000};  // in the order of ir::Round
constexpr u32 kFlushBoth = 0x8040;

u32 flags_from_mxcsr(u32 mxcsr) {
  u32 flags = 0;
  if ((mxcsr & 1) != 0) flags |= ir::kFpInvalid;
  if ((mxcsr & 4) != 0) flags |= ir::kFpDivideByZero;
  if ((mxcsr & 8) != 0) flags |= ir::kFpOverflow;
  if ((mxcsr & 16) != 0) flags |= ir::kFpUnderflow;
  if ((mxcsr & 32) != 0) flags |= ir::kFpInexact;
  return flags;
}

struct Case {
  const char* name;
  Lane lane;
  std::function<u64(u64, u64, u64)> host;
  std::function<u64(u64, u64, u64, Env&)> soft;
  bool needs_fma = false;
};

double d(u64 bits) {
  return std::bit_cast<double>(bits);
}
float s(u64 bits) {
  return std::bit_cast<float>(static_cast<u32>(bits));
}
u64 bits(double v) {
  return std::bit_cast<u64>(v);
}
u64 bits(float v) {
  return std::bit_cast<u32>(v);
}

// The compiler must neither fold nor move these across MXCSR changes: volatile assembly.
#define SOLDER_HOST_BINARY(name, insn, type)                                                             \
  u64 name(u64 a, u64 b, u64) {                                                                          \
    type r = std::bit_cast<type>(static_cast<std::conditional_t<sizeof(type) == 8, u64, u32>>(a));       \
    const type y = std::bit_cast<type>(static_cast<std::conditional_t<sizeof(type) == 8, u64, u32>>(b)); \
    asm volatile(insn " %1, %0" : "+x"(r) : "x"(y));                                                     \
    return bits(r);                                                                                      \
  }
SOLDER_HOST_BINARY(add_d, "addsd", double)
SOLDER_HOST_BINARY(sub_d, "subsd", double)
SOLDER_HOST_BINARY(mul_d, "mulsd", double)
SOLDER_HOST_BINARY(div_d, "divsd", double)
SOLDER_HOST_BINARY(max_d, "maxsd", double)
SOLDER_HOST_BINARY(min_d, "minsd", double)
SOLDER_HOST_BINARY(sqrt_d, "sqrtsd", double)
SOLDER_HOST_BINARY(add_s, "addss", float)
SOLDER_HOST_BINARY(sub_s, "subss", float)
SOLDER_HOST_BINARY(mul_s, "mulss", float)
SOLDER_HOST_BINARY(div_s, "divss", float)
SOLDER_HOST_BINARY(max_s, "maxss", float)
SOLDER_HOST_BINARY(min_s, "minss", float)
SOLDER_HOST_BINARY(sqrt_s, "sqrtss", float)
#undef SOLDER_HOST_BINARY

u64 narrow(u64 a, u64, u64) {
  float r = 0;
  asm volatile("cvtsd2ss %1, %0" : "+x"(r) : "x"(d(a)));
  return bits(r);
}
u64 widen(u64 a, u64, u64) {
  double r = 0;
  asm volatile("cvtss2sd %1, %0" : "+x"(r) : "x"(s(a)));
  return bits(r);
}
u64 fma_d(u64 a, u64 b, u64 c) {
  double r = d(b);  // the form's second operand is the first factor
  asm volatile("vfmadd213sd %2, %1, %0" : "+x"(r) : "x"(d(a)), "x"(d(c)));
  return bits(r);
}
u64 fma_s(u64 a, u64 b, u64 c) {
  float r = s(b);  // the form's second operand is the first factor
  asm volatile("vfmadd213ss %2, %1, %0" : "+x"(r) : "x"(s(a)), "x"(s(c)));
  return bits(r);
}
u64 d_to_i32(u64 a, u64, u64) {
  u32 r = 0;
  asm volatile("cvtsd2si %1, %0" : "=r"(r) : "x"(d(a)));
  return r;
}
u64 d_to_i64(u64 a, u64, u64) {
  u64 r = 0;
  asm volatile("cvtsd2si %1, %0" : "=r"(r) : "x"(d(a)));
  return r;
}
u64 s_to_i32(u64 a, u64, u64) {
  u32 r = 0;
  asm volatile("cvtss2si %1, %0" : "=r"(r) : "x"(s(a)));
  return r;
}
u64 s_to_i64(u64 a, u64, u64) {
  u64 r = 0;
  asm volatile("cvtss2si %1, %0" : "=r"(r) : "x"(s(a)));
  return r;
}
u64 i32_to_s(u64 a, u64, u64) {
  float r = 0;
  asm volatile("cvtsi2ssl %1, %0" : "+x"(r) : "r"(static_cast<u32>(a)));
  return bits(r);
}
u64 i64_to_s(u64 a, u64, u64) {
  float r = 0;
  asm volatile("cvtsi2ssq %1, %0" : "+x"(r) : "r"(a));
  return bits(r);
}
u64 i64_to_d(u64 a, u64, u64) {
  double r = 0;
  asm volatile("cvtsi2sdq %1, %0" : "+x"(r) : "r"(a));
  return bits(r);
}
u64 round_d(u64 a, u64, u64) {
  double r = 0;
  asm volatile("roundsd $4, %1, %0" : "+x"(r) : "x"(d(a)));
  return bits(r);
}
u64 round_s(u64 a, u64, u64) {
  float r = 0;
  asm volatile("roundss $4, %1, %0" : "+x"(r) : "x"(s(a)));
  return bits(r);
}

std::vector<Case> cases() {
  auto two = [](u64 (*f)(Lane, u64, u64, Env&), Lane lane) {
    return [f, lane](u64 a, u64 b, u64, Env& e) { return f(lane, a, b, e); };
  };
  auto one = [](u64 (*f)(Lane, u64, Env&), Lane lane) {
    return [f, lane](u64, u64 b, u64, Env& e) { return f(lane, b, e); };
  };
  const Lane D = Lane::d;
  const Lane S = Lane::s;
  return {
      {"add_d", D, add_d, two(add, D)},
      {"sub_d", D, sub_d, two(sub, D)},
      {"mul_d", D, mul_d, two(mul, D)},
      {"div_d", D, div_d, two(div, D)},
      {"max_d", D, max_d, two(max, D)},
      {"min_d", D, min_d, two(min, D)},
      {"sqrt_d", D, sqrt_d, one(sqrt, D)},
      {"add_s", S, add_s, two(add, S)},
      {"sub_s", S, sub_s, two(sub, S)},
      {"mul_s", S, mul_s, two(mul, S)},
      {"div_s", S, div_s, two(div, S)},
      {"max_s", S, max_s, two(max, S)},
      {"min_s", S, min_s, two(min, S)},
      {"sqrt_s", S, sqrt_s, one(sqrt, S)},
      {"narrow", D, narrow, [](u64 a, u64, u64, Env& e) { return convert(Lane::d, Lane::s, a, e); }},
      {"widen", S, widen, [](u64 a, u64, u64, Env& e) { return convert(Lane::s, Lane::d, a, e); }},
      {"fma_d", D, fma_d, [](u64 a, u64 b, u64 c, Env& e) { return mul_add(Lane::d, a, b, c, e); }, true},
      {"fma_s", S, fma_s, [](u64 a, u64 b, u64 c, Env& e) { return mul_add(Lane::s, a, b, c, e); }, true},
      {"d_to_i32", D, d_to_i32, [](u64 a, u64, u64, Env& e) { return to_integer(Lane::d, a, 0, 32, false, e); }},
      {"d_to_i64", D, d_to_i64, [](u64 a, u64, u64, Env& e) { return to_integer(Lane::d, a, 0, 64, false, e); }},
      {"s_to_i32", S, s_to_i32, [](u64 a, u64, u64, Env& e) { return to_integer(Lane::s, a, 0, 32, false, e); }},
      {"s_to_i64", S, s_to_i64, [](u64 a, u64, u64, Env& e) { return to_integer(Lane::s, a, 0, 64, false, e); }},
      {"i32_to_s", D, i32_to_s, [](u64 a, u64, u64, Env& e) { return from_integer(Lane::s, a, 0, 32, false, e); }},
      {"i64_to_s", D, i64_to_s, [](u64 a, u64, u64, Env& e) { return from_integer(Lane::s, a, 0, 64, false, e); }},
      {"i64_to_d", D, i64_to_d, [](u64 a, u64, u64, Env& e) { return from_integer(Lane::d, a, 0, 64, false, e); }},
      {"round_d", D, round_d, [](u64 a, u64, u64, Env& e) { return round_to_integral(Lane::d, a, true, e); }},
      {"round_s", S, round_s, [](u64 a, u64, u64, Env& e) { return round_to_integral(Lane::s, a, true, e); }},
  };
}

struct HostResult {
  u64 value = 0;
  u32 flags = 0;
};
HostResult run_host(const Case& c, u64 x, u64 y, u64 z, Round round, bool flush) {
  const u32 saved = _mm_getcsr();
  _mm_setcsr(0x1f80 | kMxcsrModes[static_cast<unsigned>(round)] | (flush ? kFlushBoth : 0));
  const u64 value = c.host(x, y, z);
  const u32 after = _mm_getcsr();
  _mm_setcsr(saved);
  return {value, flags_from_mxcsr(after)};
}

bool is_nan(Lane lane, u64 v) {
  return lane == Lane::d ? (v << 1) > (u64{0x7ff} << 53) : ((v << 1) & 0xffffffff) > (u64{0xff} << 24);
}

TEST(HostArithmetic, IsMatchedBitForBitUnderX86Rules) {
  test::Values values(1);
  for (const Case& c : cases()) {
    if (c.needs_fma && !__builtin_cpu_supports("fma")) continue;
    int failures = 0;
    for (int i = 0; i < 40000 && failures < 5; ++i) {
      const u64 x = values.next(c.lane);
      u64 y = values.next(c.lane);
      u64 z = values.next(c.lane);
      if (values.below(8) == 0) y = x;
      if (values.below(4) == 0) {  // an addend near the product's negative
        Env e;
        z = mul(c.lane, x, y, e) ^ (c.lane == Lane::d ? u64{1} << 63 : u64{1} << 31);
      }
      const Round round = static_cast<Round>(values.below(4));
      const bool flush = values.below(4) == 0;
      const HostResult host = run_host(c, x, y, z, round, flush);
      Env env{.round = round, .flush = flush, .rules = FpRules::x86};
      const u64 soft = c.soft(x, y, z, env);
      if (soft == host.value && env.flags == host.flags) continue;
      ++failures;
      ADD_FAILURE() << std::hex << c.name << " " << x << " " << y << " " << z << " round " << static_cast<int>(round)
                    << " flush " << flush << ": host " << host.value << " flags " << host.flags << ", soft " << soft
                    << " flags " << env.flags;
    }
  }
}

TEST(HostArithmetic, AgreesWithArmWhereNoNanNorUnderflowIsInvolved) {
  test::Values values(2);
  for (const Case& c : cases()) {
    if (c.needs_fma && !__builtin_cpu_supports("fma")) continue;
    int compared = 0;
    for (int i = 0; i < 20000; ++i) {
      const u64 x = values.next(c.lane);
      const u64 y = values.next(c.lane);
      const u64 z = values.next(c.lane);
      const Round round = static_cast<Round>(values.below(4));
      const HostResult host = run_host(c, x, y, z, round, false);
      if (is_nan(c.lane, x) || is_nan(c.lane, y) || is_nan(c.lane, z) || (host.flags & ir::kFpInvalid) != 0) continue;
      Env env{.round = round};
      const u64 soft = c.soft(x, y, z, env);
      const u64 sign = c.lane == Lane::d ? u64{1} << 63 : u64{1} << 31;
      const bool both_zero = ((x | y) & ~sign) == 0;
      if (both_zero && (std::string_view(c.name).starts_with("max") || std::string_view(c.name).starts_with("min")))
        continue;  // x86 gives the second of two zeros
      ASSERT_EQ(soft, host.value) << c.name << std::hex << " " << x << " " << y << " " << z;
      // Tininess before rounding only ever adds UFC.
      ASSERT_EQ(env.flags & ~(host.flags ^ (host.flags | ir::kFpUnderflow)), host.flags) << c.name;
      ++compared;
    }
    EXPECT_GT(compared, 5000) << c.name;
  }
}

}  // namespace
}  // namespace solder::fp
