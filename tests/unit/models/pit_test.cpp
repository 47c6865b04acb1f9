// The i8254: what the data sheet says of modes, latches and gates, and the interrupts of counter 0.
#include "models/timer/pit_state.h"

#include "pc_fixture.h"

namespace solder::models::timer {
namespace {

constexpr u64 kControl = 3;

class PitTest : public testing::PcTest {
 protected:
  PitTest() {
    ports.window_sizes = {4, 1};
    pit = testing::make_model(ports, "intel,i8254");
  }
  /// Lets time pass until `n` ticks of the input clock after the last `mark`.
  void mark() { marked = machine.clock.now(); }
  void at_tick(u64 n) {
    const u64 time = marked + static_cast<u64>((static_cast<u128>(n) * 1'000'000'000 + kPitHz - 1) / kPitHz);
    ASSERT_GE(time, machine.clock.now());
    step(time - machine.clock.now());
  }
  void program(u32 counter, u8 mode, u16 count, bool bcd = false) {
    out(kControl, static_cast<u8>(counter << 6 | 3 << 4 | mode << 1 | (bcd ? 1 : 0)));
    out(counter, static_cast<u8>(count));
    out(counter, static_cast<u8>(count >> 8));
    mark();
  }
  u64 count(u32 counter) {
    out(kControl, static_cast<u8>(counter << 6));
    const u64 low = in(counter);
    return low | in(counter) << 8;
  }
  u64 status(u32 counter) {
    out(kControl, static_cast<u8>(0xe0 | 2u << counter));
    return in(counter);
  }
  void gate(bool level) { out(0, level ? 1 : 0, 1); }
  bool output() { return (in(0, 1) & 0x20) != 0; }

  std::unique_ptr<device::Device> pit;
  u64 marked = 0;
};

TEST_F(PitTest, Mode0InterruptOnTerminalCount) {
  gate(true);
  program(2, 0, 100);
  EXPECT_FALSE(output());
  EXPECT_EQ(count(2), 100u);
  at_tick(40);
  EXPECT_EQ(count(2), 60u);
  at_tick(99);
  EXPECT_FALSE(output());
  at_tick(100);
  EXPECT_TRUE(output());
  EXPECT_EQ(count(2), 0u);
  at_tick(101);
  EXPECT_EQ(count(2), 0xffffu) << "it goes on";
  EXPECT_TRUE(output());
  out(2, 10);
  EXPECT_FALSE(output()) << "the first byte of a new count lowers the output";
  out(2, 0);
  mark();
  at_tick(10);
  EXPECT_TRUE(output());
}

TEST_F(PitTest, Mode0GateStopsTheCount) {
  gate(true);
  program(2, 0, 100);
  at_tick(30);
  gate(false);
  at_tick(500);
  EXPECT_EQ(count(2), 70u);
  EXPECT_FALSE(output());
  gate(true);
  mark();
  at_tick(69);
  EXPECT_FALSE(output());
  at_tick(71);
  EXPECT_TRUE(output());
}

TEST_F(PitTest, Mode1IsTriggeredByTheGateAgainAndAgain) {
  gate(false);
  program(2, 1, 50);
  EXPECT_TRUE(output());
  at_tick(200);
  EXPECT_TRUE(output()) << "not without a trigger";
  EXPECT_NE(status(2) & 0x40, 0u) << "the count waits";
  gate(true);
  mark();
  EXPECT_FALSE(output());
  EXPECT_EQ(status(2) & 0x40, 0u);
  at_tick(30);
  gate(false);
  EXPECT_FALSE(output()) << "the gate's level does not matter";
  gate(true);
  mark();
  at_tick(49);
  EXPECT_FALSE(output()) << "retriggered";
  at_tick(50);
  EXPECT_TRUE(output());
}

TEST_F(PitTest, Mode2PulsesLowForOneTick) {
  gate(true);
  program(2, 2, 10);
  at_tick(8);
  EXPECT_EQ(count(2), 2u);
  EXPECT_TRUE(output());
  at_tick(9);
  EXPECT_EQ(count(2), 1u);
  EXPECT_FALSE(output());
  at_tick(10);
  EXPECT_EQ(count(2), 10u);
  EXPECT_TRUE(output());
  at_tick(29);
  EXPECT_FALSE(output());
  gate(false);
  EXPECT_TRUE(output()) << "the gate raises it at once";
  at_tick(75);
  EXPECT_TRUE(output());
  gate(true);
  mark();
  at_tick(9);
  EXPECT_FALSE(output()) << "begins anew";
}

TEST_F(PitTest, Mode2TakesANewCountAtTheEndOfThePeriod) {
  gate(true);
  program(2, 2, 1000);
  at_tick(400);
  out(2, 20);
  out(2, 0);
  EXPECT_NE(status(2) & 0x40, 0u);
  EXPECT_EQ(count(2), 600u);
  at_tick(1005);
  EXPECT_EQ(status(2) & 0x40, 0u);
  EXPECT_NEAR(static_cast<double>(count(2)), 15.0, 1.0) << "the load's time is a whole number of nanoseconds";
}

TEST_F(PitTest, Mode3IsASquareWave) {
  gate(true);
  program(2, 3, 7);
  for (u64 tick = 0; tick < 28; ++tick) {
    at_tick(tick);
    EXPECT_EQ(output(), tick % 7 < 4) << tick;
    EXPECT_EQ(count(2) % 2, 0u) << "odd counts are made even";
  }
  program(2, 3, 8);
  for (u64 tick = 0; tick < 16; ++tick) {
    at_tick(tick);
    EXPECT_EQ(output(), tick % 8 < 4) << tick;
    EXPECT_EQ(count(2), 8 - 2 * (tick % 4)) << tick;
  }
}

TEST_F(PitTest, Mode4StrobesOnce) {
  gate(true);
  program(2, 4, 10);
  at_tick(9);
  EXPECT_TRUE(output());
  at_tick(10);
  EXPECT_FALSE(output());
  at_tick(11);
  EXPECT_TRUE(output());
  at_tick(0x10000 + 11);
  EXPECT_TRUE(output());
}

TEST_F(PitTest, Mode5StrobesAfterATrigger) {
  gate(false);
  program(2, 5, 10);
  at_tick(10);
  EXPECT_TRUE(output());
  gate(true);
  mark();
  at_tick(10);
  EXPECT_FALSE(output());
  at_tick(11);
  EXPECT_TRUE(output());
}

TEST_F(PitTest, CountsOfZeroAndDecimalCounts) {
  gate(true);
  program(2, 0, 0);
  at_tick(1);
  EXPECT_EQ(count(2), 0xffffu);
  program(2, 0, 0x1234, true);
  at_tick(35);
  EXPECT_EQ(count(2), 0x1199u);
  program(2, 0, 0, true);
  at_tick(1);
  EXPECT_EQ(count(2), 0x9999u);
  at_tick(9999);
  EXPECT_FALSE(output());
  at_tick(10'000);
  EXPECT_TRUE(output());
}

TEST_F(PitTest, LatchesHoldUntilTheyAreRead) {
  gate(true);
  program(2, 0, 1000);
  at_tick(100);
  out(kControl, 0x80);
  at_tick(200);
  out(kControl, 0x80);
  EXPECT_EQ(in(2), 900 & 0xffu) << "the first latch stays";
  EXPECT_EQ(in(2), 900u >> 8);
  EXPECT_EQ(in(2), 800 & 0xffu) << "then the count itself";
  EXPECT_EQ(in(2), 800u >> 8);
}

TEST_F(PitTest, ReadBackLatchesStatusThenCountOfSeveral) {
  gate(true);
  program(2, 3, 1000);
  program(1, 2, 500);
  out(kControl, 0xc0 | 1 << 2 | 1 << 3);
  step(1'000'000);
  EXPECT_EQ(in(2), 0x80u | 0x30u | 3 << 1);
  EXPECT_EQ(in(2), 1000 & 0xffu);
  EXPECT_EQ(in(2), 1000u >> 8);
  EXPECT_EQ(in(1), 0x80u | 0x30u | 2 << 1);
  EXPECT_EQ(in(1), 500 & 0xffu);
  out(kControl, 0x70 | 5);
  EXPECT_EQ(status(1), 0x80u | 0x40u | 0x30u | 2 << 1 | 1) << "mode 2, decimal, without a count";
}

TEST_F(PitTest, OneByteCounts) {
  gate(true);
  out(kControl, 0x80 | 1 << 4);
  out(2, 0x40);
  mark();
  EXPECT_EQ(in(2), 0x40u);
  EXPECT_EQ(in(2), 0x40u) << "the low byte only";
  out(kControl, 0x80 | 2 << 4);
  out(2, 0x40);
  EXPECT_EQ(in(2), 0x40u) << "the high byte only";
  EXPECT_EQ(status(2) & 0x30, 0x20u);
  EXPECT_EQ(in(kControl), 0u);
}

TEST_F(PitTest, PortBHasGateSpeakerAndRefresh) {
  EXPECT_EQ(in(0, 1) & 3, 0u);
  out(0, 0xff, 1);
  EXPECT_EQ(in(0, 1) & 0xcf, 3u);
  u32 toggles = 0;
  u64 before = in(0, 1) & 0x10;
  for (int i = 0; i < 1000; ++i) {
    step(1000);
    toggles += (in(0, 1) & 0x10) != before ? 1 : 0;
    before = in(0, 1) & 0x10;
  }
  EXPECT_GE(toggles, 65u) << "about every 15 us";
  EXPECT_LE(toggles, 67u);
}

TEST_F(PitTest, PeriodicInterrupts) {
  program(0, 2, 11'932);  // 100 Hz
  EXPECT_LE(rises(), 1u) << "the output's rise by the control word";
  const u64 before = rises();
  at_tick(11'932 * 10 - 1);
  EXPECT_EQ(rises() - before, 9u);
  at_tick(11'932 * 10);
  EXPECT_EQ(rises() - before, 10u);
  program(0, 3, 0);
  const u64 square = rises();
  at_tick(0x10000 * 5);
  EXPECT_EQ(rises() - square, 5u);
  EXPECT_TRUE(ports.irq());
}

TEST_F(PitTest, OneShotInterrupts) {
  program(0, 0, 1000);
  EXPECT_FALSE(ports.irq());
  at_tick(999);
  EXPECT_FALSE(ports.irq());
  at_tick(1000);
  EXPECT_TRUE(ports.irq());
  at_tick(200'000);
  EXPECT_EQ(rises(), 1u);
  program(0, 4, 1000);
  const u64 before = rises();
  at_tick(200'000);
  EXPECT_EQ(rises() - before, 1u);
}

TEST_F(PitTest, AnInterruptThatIsDueIsNotLostByAWrite) {
  program(0, 2, 1000);
  const u64 before = rises();
  // The timer thread has not come to it yet: the clock jumps.
  machine.clock.set(machine.clock.now() + 10'000'000);
  program(0, 2, 60'000);
  EXPECT_EQ(rises() - before, 1u);
}

TEST_F(PitTest, FastPeriodsCostTheHostLittle) {
  program(0, 2, 2);
  const u64 before = rises();
  step(100'000'000);
  EXPECT_LE(rises() - before, 2'100u);
  EXPECT_GE(rises() - before, 1'900u);
}

TEST_F(PitTest, StateSurvivesSaveAndLoad) {
  gate(true);
  program(0, 2, 2000);
  program(2, 0, 1000);
  at_tick(100);
  out(kControl, 0x80);
  in(2);
  gate(false);
  testing::FakePorts other_ports(machine, "other");
  other_ports.window_sizes = {4, 1};
  const auto other = testing::make_model(other_ports, "intel,i8254");
  copy_state(*pit, *other);
  EXPECT_EQ(other_ports.read(2, 1), 900u >> 8) << "half of a latched count is read";
  EXPECT_EQ(other_ports.read(2, 1), 900 & 0xffu);
  const u64 before = other_ports.level_wire(0).count();
  step(10'000'000);
  EXPECT_GE(other_ports.level_wire(0).count() - before, 5u);
  EXPECT_EQ(other_ports.level_wire(0).count() - before, rises() - 1);
}

// A record as KVM gives it: no field of ours but `counting`.
TEST_F(PitTest, TakesARecordOfTheKernel) {
  PitState record;
  record.channels[0].mode = 2;
  record.channels[0].count = 1193;
  record.channels[0].counting = 1;
  record.channels[0].count_load_time = static_cast<i64>(machine.clock.now());
  record.channels[2].gate = 0;
  auto saver = device::Archive::saver();
  record.state(saver);
  auto loader = device::Archive::loader(saver.data());
  pit->state(loader);
  ASSERT_TRUE(loader.status().has_value());
  const u64 before = rises();
  step(10'000'000);
  EXPECT_EQ(rises() - before, 10u);
  EXPECT_EQ(status(0), 0x80u | 0x30u | 2 << 1);
}

TEST_F(PitTest, DamagedRecordsBreakNothing) {
  for (u8 fill = 0; fill < 255; ++fill) {
    PitState record;
    for (PitChannel& c : record.channels) {
      c.count = fill * 0x1010101u;
      c.mode = c.bcd = c.gate = c.rw_mode = c.read_state = c.write_state = c.count_latched = fill;
      c.counting = c.held = 1;
      c.count_load_time = static_cast<i64>(fill * 0x101010101010101u);
      c.next_time = c.count_load_time;
      c.next_count = c.count;
      c.held_ticks = ~u64{0};
    }
    record.edge_time = -1;
    auto saver = device::Archive::saver();
    record.state(saver);
    auto loader = device::Archive::loader(saver.data());
    pit->state(loader);
    for (u32 counter = 0; counter < 3; ++counter) {
      status(counter);
      count(counter);
      out(counter, fill);
    }
    step(100'000);
  }
  pit->reset();
  EXPECT_FALSE(ports.irq());
}

}  // namespace
}  // namespace solder::models::timer
