// The local APIC's timer: one-shot, periodic, TSC-deadline, and what a guest may do to it meanwhile.
#include "apic_fixture.h"

namespace solder::models::apic {
namespace {

constexpr u32 kPeriodic = 1u << 17;
constexpr u32 kDeadlineMode = 2u << 17;
constexpr u32 kDivideBy1 = 0xb;

class ApicTimerTest : public ApicMachine {
 protected:
  ApicTimerTest() { put(kRegDivide, kDivideBy1); }
  /// How many interrupts came since the last call; each is ended.
  u32 taken() {
    u32 count = 0;
    while (take()) {
      ++count;
      put(kRegEoi, 0);
    }
    return count;
  }
};

TEST_F(ApicTimerTest, OneShot) {
  put(kRegLvt + kLvtTimer, 0x41);
  put(kRegInitialCount, 1'000'000);
  step(400'000);
  EXPECT_EQ(get(kRegCurrentCount), 600'000u);
  EXPECT_EQ(taken(), 0u);
  step(600'000);
  EXPECT_EQ(taken(), 1u);
  EXPECT_EQ(get(kRegCurrentCount), 0u);
  step(10'000'000);
  EXPECT_EQ(taken(), 0u) << "once";
  EXPECT_EQ(get(kRegInitialCount), 1'000'000u);
}

TEST_F(ApicTimerTest, Dividers) {
  const std::array<std::pair<u32, u32>, 8> dividers{
      {{0x0, 2}, {0x1, 4}, {0x2, 8}, {0x3, 16}, {0x8, 32}, {0x9, 64}, {0xa, 128}, {0xb, 1}}};
  put(kRegLvt + kLvtTimer, 0x41);
  for (const auto& [code, divider] : dividers) {
    put(kRegDivide, code);
    put(kRegInitialCount, 100'000);
    step(1'000 * divider);
    EXPECT_EQ(get(kRegCurrentCount), 99'000u) << divider;
    step(99'000 * divider);
    EXPECT_EQ(taken(), 1u) << divider;
  }
}

TEST_F(ApicTimerTest, ADividerThatChangesKeepsTheCount) {
  put(kRegLvt + kLvtTimer, 0x41);
  put(kRegInitialCount, 1'000'000);
  step(500'000);
  put(kRegDivide, 0x1);
  EXPECT_EQ(get(kRegCurrentCount), 500'000u);
  step(1'999'000);
  EXPECT_EQ(taken(), 0u);
  step(1'000);
  EXPECT_EQ(taken(), 1u);
}

TEST_F(ApicTimerTest, Periodic) {
  put(kRegLvt + kLvtTimer, 0x41 | kPeriodic);
  put(kRegInitialCount, 1'000'000);
  for (u32 i = 0; i < 5; ++i) {
    step(1'000'000);
    EXPECT_EQ(taken(), 1u) << i;
  }
  step(250'000);
  EXPECT_EQ(get(kRegCurrentCount), 750'000u);
  put(kRegInitialCount, 0);
  step(10'000'000);
  EXPECT_EQ(taken(), 0u);
  EXPECT_EQ(get(kRegCurrentCount), 0u);
}

TEST_F(ApicTimerTest, ShortestPeriodsDoNotStarveTheHost) {
  put(kRegLvt + kLvtTimer, 0x41 | kPeriodic);
  put(kRegInitialCount, 1);
  // 100 000 callbacks would be too many for the step; the limit makes them 2.
  step(100'000);
  EXPECT_EQ(taken(), 1u);
}

TEST_F(ApicTimerTest, FromPeriodicToOneShotTheCountGoesOn) {
  put(kRegLvt + kLvtTimer, 0x41 | kPeriodic);
  put(kRegInitialCount, 1'000'000);
  step(1'400'000);
  EXPECT_EQ(taken(), 1u);
  put(kRegLvt + kLvtTimer, 0x41);
  EXPECT_EQ(get(kRegCurrentCount), 600'000u);
  step(600'000);
  EXPECT_EQ(taken(), 1u);
  step(5'000'000);
  EXPECT_EQ(taken(), 0u);
}

TEST_F(ApicTimerTest, MaskedExpiryIsLost) {
  put(kRegLvt + kLvtTimer, 0x41 | kLvtMasked);
  put(kRegInitialCount, 1'000);
  step(2'000);
  put(kRegLvt + kLvtTimer, 0x41);
  EXPECT_EQ(taken(), 0u);
}

TEST_F(ApicTimerTest, RewritingTheCountStartsAgain) {
  put(kRegLvt + kLvtTimer, 0x41);
  put(kRegInitialCount, 1'000'000);
  step(900'000);
  put(kRegInitialCount, 1'000'000);
  step(900'000);
  EXPECT_EQ(taken(), 0u);
  step(100'000);
  EXPECT_EQ(taken(), 1u);
}

TEST_F(ApicTimerTest, NoDeadlineWithoutATsc) {
  EXPECT_FALSE(machine.vcpus[0]->system_registers->has(kMsrTscDeadline));
  put(kRegLvt + kLvtTimer, 0x41 | kDeadlineMode);
  EXPECT_EQ(get(kRegLvt + kLvtTimer), 0x41u) << "the mode's bit is not there";
}

class ApicDeadlineTest : public ApicTimerTest {
 protected:
  // 2 GHz: two ticks a nanosecond.
  ApicDeadlineTest() {
    for (auto* vcpu : machine.vcpus) vcpu->tsc = {.value = 1'000'000, .hz = 2'000'000'000};
    EXPECT_TRUE(device->start().has_value());
    put(kRegLvt + kLvtTimer, 0x41 | kDeadlineMode);
  }
};

TEST_F(ApicDeadlineTest, ComesOnceAtItsTime) {
  wrmsr(0, kMsrTscDeadline, 1'000'000 + 2'000'000);
  EXPECT_EQ(rdmsr(0, kMsrTscDeadline), 3'000'000u);
  step(999'999);
  EXPECT_EQ(taken(), 0u);
  step(10);
  EXPECT_EQ(taken(), 1u);
  EXPECT_EQ(rdmsr(0, kMsrTscDeadline), 0u) << "disarmed";
  step(10'000'000);
  EXPECT_EQ(taken(), 0u);
}

TEST_F(ApicDeadlineTest, ThePastIsNow) {
  wrmsr(0, kMsrTscDeadline, 5);
  step(1);
  EXPECT_EQ(taken(), 1u);
}

TEST_F(ApicDeadlineTest, ZeroDisarms) {
  wrmsr(0, kMsrTscDeadline, 2'000'000);
  wrmsr(0, kMsrTscDeadline, 0);
  step(10'000'000);
  EXPECT_EQ(taken(), 0u);
}

TEST_F(ApicDeadlineTest, TheFarFutureDoesNotOverflow) {
  wrmsr(0, kMsrTscDeadline, ~u64{0});
  step(1'000'000'000);
  EXPECT_EQ(taken(), 0u);
}

TEST_F(ApicDeadlineTest, OtherModesIgnoreTheDeadlineAndAChangeDisarms) {
  wrmsr(0, kMsrTscDeadline, 2'000'000);
  put(kRegInitialCount, 1'000);
  EXPECT_EQ(get(kRegInitialCount), 0u) << "ignored in this mode";
  put(kRegLvt + kLvtTimer, 0x41);
  EXPECT_EQ(rdmsr(0, kMsrTscDeadline), 0u);
  wrmsr(0, kMsrTscDeadline, 2'000'000);
  EXPECT_EQ(rdmsr(0, kMsrTscDeadline), 0u);
  step(10'000'000);
  EXPECT_EQ(taken(), 0u);
}

TEST_F(ApicTimerTest, StateKeepsARunningTimer) {
  put(kRegLvt + kLvtTimer, 0x41 | kPeriodic);
  put(kRegInitialCount, 1'000'000);
  step(300'000);
  save_and_load();
  EXPECT_EQ(get(kRegCurrentCount), 700'000u);
  step(699'000);
  EXPECT_EQ(taken(), 0u);
  step(1'000);
  EXPECT_EQ(taken(), 1u);
  step(1'000'000);
  EXPECT_EQ(taken(), 1u);
}

TEST_F(ApicDeadlineTest, StateKeepsADeadline) {
  wrmsr(0, kMsrTscDeadline, 1'000'000 + 2'000'000);
  save_and_load();
  step(999'000);
  EXPECT_EQ(taken(), 0u);
  step(2'000);
  EXPECT_EQ(taken(), 1u);
}

}  // namespace
}  // namespace solder::models::apic
