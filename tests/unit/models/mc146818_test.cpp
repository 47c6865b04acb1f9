// The PC's clock and CMOS memory against the MC146818A's data sheet. The host's time is not looked at: the machine's
// clock stands still but for `step`.
#include <chrono>

#include "pc_fixture.h"

namespace solder::models::rtc {
namespace {

constexpr u8 kA = 0x0a, kB = 0x0b, kC = 0x0c, kD = 0x0d, kCentury = 0x32;
constexpr u8 kSet = 0x80, kPie = 0x40, kAie = 0x20, kUie = 0x10, kBinary = 4, k24 = 2;
constexpr u64 kSecond = 1'000'000'000;

class Mc146818Test : public testing::PcTest {
 protected:
  Mc146818Test() {
    ports.window_sizes = {2};
    // Whole seconds of machine time are the clock's.
    machine.clock.set(10 * kSecond);
  }
  void make() { rtc = testing::make_model(ports, "motorola,mc146818"); }
  u64 get(u8 index) {
    out(0, index);
    return in(1);
  }
  void put(u8 index, u8 value) {
    out(0, index);
    out(1, value);
  }
  struct Time {
    i64 year, month, day, weekday, hours, minutes, seconds;
    bool operator==(const Time&) const = default;
  };
  /// What the registers show, in 24 hours.
  Time shown() {
    const u64 b = get(kB);
    const auto value = [&](u8 index) {
      const u64 raw = get(index);
      return static_cast<i64>((b & kBinary) != 0 ? raw : (raw >> 4) * 10 + (raw & 0xf));
    };
    return {value(kCentury) * 100 + value(9), value(8), value(7), value(6), value(4), value(2), value(0)};
  }
  void set(const Time& t) {
    const u8 b = static_cast<u8>(get(kB));
    put(kB, b | kSet);
    const auto value = [&](i64 n) { return static_cast<u8>((b & kBinary) != 0 ? n : n / 10 << 4 | n % 10); };
    put(0, value(t.seconds));
    put(2, value(t.minutes));
    put(4, value(t.hours));
    put(6, value(t.weekday));
    put(7, value(t.day));
    put(8, value(t.month));
    put(9, value(t.year % 100));
    put(kCentury, value(t.year / 100));
    put(kB, b & static_cast<u8>(~kSet));
  }
  /// The standard library's view of a time.
  static Time expected(i64 since_1970) {
    using namespace std::chrono;
    const sys_seconds at{seconds{since_1970}};
    const sys_days midnight = floor<days>(at);
    const year_month_day date{midnight};
    const hh_mm_ss time{at - midnight};
    return {int{date.year()},     unsigned{date.month()}, unsigned{date.day()},  weekday{midnight}.c_encoding() + 1,
            time.hours().count(), time.minutes().count(), time.seconds().count()};
  }
  std::unique_ptr<device::Device> rtc;
};

TEST_F(Mc146818Test, ShowsTheWallClock) {
  make();
  EXPECT_EQ(shown(), expected(static_cast<i64>(machine.clock.wall_seconds())));
  step(100'000 * kSecond);
  EXPECT_EQ(shown(), expected(static_cast<i64>(machine.clock.wall_seconds())));
  EXPECT_EQ(get(kD), 0x80u) << "the battery is good";
  EXPECT_EQ(in(0), 0xffu);
}

TEST_F(Mc146818Test, DatesOfTenThousandYears) {
  make();
  put(kB, k24 | kBinary);
  // Steps of some 100 days, which meet leap days and ends of centuries in all positions.
  for (i64 at = -62'167'219'200 + 86'399; at < 253'402'300'799; at += 86'400 * 97 + 12'345) {
    const Time time = expected(at);
    set(time);
    ASSERT_EQ(shown(), time) << at;
  }
  for (const i64 year : {1900, 2000, 2024, 2100}) {
    set({year, 2, 28, 1, 23, 59, 59});
    step(kSecond);
    const bool leap = year == 2000 || year == 2024;
    EXPECT_EQ(shown(), (Time{year, leap ? 2 : 3, leap ? 29 : 1, 2, 0, 0, 0}));
  }
  set({1999, 12, 31, 7, 23, 59, 59});
  step(kSecond);
  EXPECT_EQ(shown(), (Time{2000, 1, 1, 1, 0, 0, 0})) << "weekdays go on from what was set";
}

TEST_F(Mc146818Test, FormatsOfTheHours) {
  make();
  set({2024, 5, 6, 2, 17, 45, 12});
  EXPECT_EQ(get(4), 0x17u);
  EXPECT_EQ(get(2), 0x45u);
  put(kB, 0);
  EXPECT_EQ(get(4), 0x85u) << "5 pm";
  put(kB, kBinary | k24);
  EXPECT_EQ(get(4), 17u);
  EXPECT_EQ(get(2), 45u);
  EXPECT_EQ(get(kCentury), 20u);
  put(kB, kBinary);
  for (int hour = 0; hour < 24; ++hour) {
    put(4, static_cast<u8>((hour % 12 == 0 ? 12 : hour % 12) | (hour >= 12 ? 0x80 : 0)));
    put(kB, kBinary | k24);
    EXPECT_EQ(get(4), static_cast<u64>(hour));
    put(kB, kBinary);
  }
}

TEST_F(Mc146818Test, SetHoldsTheRegisters) {
  make();
  set({2024, 5, 6, 2, 17, 45, 12});
  put(kB, kSet | k24);
  step(5 * kSecond);
  EXPECT_EQ(get(0), 0x12u);
  put(0, 0x30);
  step(5 * kSecond);
  EXPECT_EQ(get(0), 0x30u);
  put(kB, k24);
  EXPECT_EQ(get(0), 0x30u);
  step(kSecond);
  EXPECT_EQ(get(0), 0x31u);
}

TEST_F(Mc146818Test, UpdateInProgressBeforeEachSecond) {
  make();
  const u64 before = get(0);
  EXPECT_EQ(get(kA) & 0x80, 0u);
  step(kSecond - 2'229'000);
  EXPECT_EQ(get(kA) & 0x80, 0u);
  step(1'000'000);
  EXPECT_EQ(get(kA) & 0x80, 0x80u);
  EXPECT_EQ(get(0), before) << "new values come at its end";
  step(1'229'000);
  EXPECT_EQ(get(kA) & 0x80, 0u);
  EXPECT_NE(get(0), before);
  step(kSecond - 1'000'000);
  put(kB, kSet | k24);
  EXPECT_EQ(get(kA) & 0x80, 0u) << "no update while SET";
}

TEST_F(Mc146818Test, DividerResetStartsHalfASecondBeforeTheUpdate) {
  make();
  set({2024, 5, 6, 2, 17, 45, 12});
  step(123'456'789);
  put(kA, 0x76);
  step(10 * kSecond);
  EXPECT_EQ(get(0), 0x12u);
  put(kA, 0x26);
  step(kSecond / 2 - 1);
  EXPECT_EQ(get(0), 0x12u);
  step(1);
  EXPECT_EQ(get(0), 0x13u);
  step(kSecond - 1);
  EXPECT_EQ(get(0), 0x13u);
  step(1);
  EXPECT_EQ(get(0), 0x14u);
}

TEST_F(Mc146818Test, UpdateEndedInterrupt) {
  make();
  get(kC);
  put(kB, k24 | kUie);
  step(kSecond - 1);
  EXPECT_FALSE(ports.irq());
  step(1);
  EXPECT_TRUE(ports.irq());
  EXPECT_EQ(get(kC) & 0x90, 0x90u);
  EXPECT_FALSE(ports.irq());
  EXPECT_EQ(get(kC), 0u) << "a read clears";
  step(10 * kSecond);
  EXPECT_EQ(rises(), 2u) << "no further one until it is read";
}

TEST_F(Mc146818Test, FlagsWithoutInterrupts) {
  make();
  get(kC);
  put(1, 0xff);
  put(3, 0xff);
  put(5, 0xff);
  step(kSecond);
  EXPECT_EQ(get(kC), 0x70u) << "periodic, alarm and update, no request";
  EXPECT_EQ(get(kC), 0u);
  put(kA, 0x20);
  step(kSecond / 2);
  EXPECT_EQ(get(kC), 0u) << "rate 0 is off";
}

TEST_F(Mc146818Test, PeriodicInterrupt) {
  make();
  put(kB, k24 | kPie);
  u64 taken = 0;
  // 1024 Hz, as every kernel asks for; whoever answers in time gets all.
  for (int i = 0; i < 20'000; ++i) {
    step(50'000);
    if (ports.irq()) {
      ++taken;
      EXPECT_EQ(get(kC) & 0xc0, 0xc0u);
    }
  }
  EXPECT_EQ(taken, 1024u);
  for (const auto& [rate, hertz] : {std::pair<u8, u64>{1, 256}, {2, 128}, {3, 8192}, {15, 2}}) {
    put(kB, k24);
    put(kA, 0x20 | rate);
    get(kC);
    put(kB, k24 | kPie);
    for (int i = 0; i < 3; ++i) {
      // The divider chain runs with machine time.
      const u64 tick = machine.clock.now() * hertz / kSecond + 1;
      step((tick * kSecond + hertz - 1) / hertz - 1 - machine.clock.now());
      EXPECT_FALSE(ports.irq()) << hertz;
      step(1);
      EXPECT_TRUE(ports.irq()) << hertz;
      EXPECT_EQ(get(kC) & 0xc0, 0xc0u);
    }
  }
}

TEST_F(Mc146818Test, AlarmAtATime) {
  make();
  set({2024, 5, 6, 2, 23, 58, 30});
  put(1, 0x15);
  put(3, 0x02);
  put(5, 0x00);
  put(kB, k24 | kAie);
  get(kC);
  step(224 * kSecond);
  EXPECT_FALSE(ports.irq());
  step(kSecond);
  EXPECT_TRUE(ports.irq());
  EXPECT_EQ(shown(), (Time{2024, 5, 7, 3, 0, 2, 15}));
  EXPECT_EQ(get(kC) & 0xa0, 0xa0u);
  step(86'399 * kSecond);
  EXPECT_FALSE(ports.irq());
  step(kSecond);
  EXPECT_TRUE(ports.irq()) << "tomorrow again";
}

TEST_F(Mc146818Test, AlarmsThatRepeat) {
  make();
  set({2024, 5, 6, 2, 10, 20, 50});
  put(1, 0x00);
  put(3, 0xff);
  put(5, 0xc0);
  put(kB, k24 | kAie);
  get(kC);
  for (int i = 0; i < 3; ++i) {
    const u64 before = rises();
    step((i == 0 ? 10 : 60) * kSecond);
    EXPECT_EQ(rises() - before, 1u);
    get(kC);
  }
  put(1, 0x99);
  step(86'400 * 2 * kSecond);
  EXPECT_FALSE(ports.irq()) << "a time that does not exist";
}

TEST_F(Mc146818Test, SetClearsTheUpdateInterrupt) {
  make();
  put(kB, kSet | kUie | k24);
  EXPECT_EQ(get(kB), kSet | k24);
}

TEST_F(Mc146818Test, MemorySizesOfTheTree) {
  tree::Node& memory = machine.tree.root().add_child("memory@0");
  machine.tree.root().set_u32("#address-cells", 2);
  machine.tree.root().set_u32("#size-cells", 2);
  memory.set_string("device_type", "memory");
  memory.set_cells("reg", std::vector<u32>{0, 0, 0, 0xc000'0000, 1, 0, 0, 0x8000'0000});
  make();
  EXPECT_EQ(get(0x15) | get(0x16) << 8, 640u);
  EXPECT_EQ(get(0x17) | get(0x18) << 8, 0xffffu);
  EXPECT_EQ(get(0x30) | get(0x31) << 8, 0xffffu);
  EXPECT_EQ(get(0x34) | get(0x35) << 8, 0xbf00u);
  EXPECT_EQ(get(0x5b) | get(0x5c) << 8 | get(0x5d) << 16, 0x8000u);
}

TEST_F(Mc146818Test, SmallMemory) {
  tree::Node& memory = machine.tree.root().add_child("memory@0");
  machine.tree.root().set_u32("#address-cells", 1);
  machine.tree.root().set_u32("#size-cells", 1);
  memory.set_string("device_type", "memory");
  memory.set_cells("reg", std::vector<u32>{0, 0x80'0000});
  make();
  EXPECT_EQ(get(0x17) | get(0x18) << 8, 7u * 1024);
  EXPECT_EQ(get(0x34) | get(0x35) << 8, 0u);
}

TEST_F(Mc146818Test, MemoryOutlivesAReset) {
  make();
  put(0x0f, 0x0a);  // shutdown status
  put(0x40, 0x55);
  put(0x7f, 0x66);
  put(kB, k24 | kPie | kAie | kUie);
  step(2 * kSecond);
  EXPECT_TRUE(ports.irq());
  rtc->reset();
  EXPECT_FALSE(ports.irq());
  EXPECT_EQ(get(0x0f), 0x0au);
  EXPECT_EQ(get(0x40), 0x55u);
  EXPECT_EQ(get(0xff), 0x66u) << "bit 7 of the index is no part of it";
  EXPECT_EQ(get(kB), k24);
  put(kD, 0);
  EXPECT_EQ(get(kD), 0x80u);
}

TEST_F(Mc146818Test, StateSurvivesSaveAndLoad) {
  make();
  set({2024, 5, 6, 2, 17, 45, 12});
  put(0x40, 0x55);
  put(kB, k24 | kUie);
  step(kSecond);
  testing::FakePorts other_ports(machine, "other");
  other_ports.window_sizes = {2};
  const auto other = testing::make_model(other_ports, "motorola,mc146818");
  copy_state(*rtc, *other);
  EXPECT_TRUE(other_ports.irq());
  other_ports.write(0, 0, 1);
  EXPECT_EQ(other_ports.read(1, 1), 0x13u);
  other_ports.write(0, 0x40, 1);
  EXPECT_EQ(other_ports.read(1, 1), 0x55u);
}

}  // namespace
}  // namespace solder::models::rtc
