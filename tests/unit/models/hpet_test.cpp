// The HPET against the IA-PC HPET specification 1.0a.
#include "pc_fixture.h"

namespace solder::models::timer {
namespace {

constexpr u64 kConfiguration = 0x10, kStatus = 0x20, kCounter = 0xf0;
constexpr u64 kLevel = 2, kEnable = 4, kPeriodic = 8, kSetValue = 0x40, k32Bit = 0x100, kFsb = 0x4000;

class HpetTest : public testing::PcTest {
 protected:
  HpetTest() {
    ports.window_sizes = {0x400};
    give_interrupts({20, 21, 22});
  }
  void give_interrupts(const std::vector<u32>& numbers) {
    std::vector<u32> cells;
    ports.specifiers.clear();
    for (const u32 number : numbers) {
      cells.insert(cells.end(), {number, 3});
      ports.specifiers.push_back({number, 3});
    }
    ports.mutable_node().set_cells("interrupts", cells);
  }
  void make() { hpet = testing::make_model(ports, "intel,ce4100-hpet"); }
  u64 get(u64 offset) { return ports.read(offset, 8); }
  void put(u64 offset, u64 value) { ports.write(offset, value, 8); }
  static u64 timer(u32 index, u64 offset) { return 0x100 + 0x20 * index + offset; }
  void configure(u32 index, u64 bits, u64 route = 0) { put(timer(index, 0), bits | route << 9); }
  void ticks(u64 n) { step(n * 10); }

  std::unique_ptr<device::Device> hpet;
};

TEST_F(HpetTest, Capabilities) {
  make();
  EXPECT_EQ(get(0), 0x0098'9680'8086'2201u) << "10 ns, no legacy replacement, three timers of 64 bits";
  EXPECT_EQ(ports.read(4, 4), 10'000'000u);
  for (u32 i = 0; i < 3; ++i) EXPECT_EQ(get(timer(i, 0)), 0x0070'0000'0000'8030u) << i;
  put(0, ~u64{0});
  EXPECT_EQ(get(0), 0x0098'9680'8086'2201u);
}

TEST_F(HpetTest, CounterRunsWhileEnabled) {
  make();
  put(kCounter, 0x1'0000'0000 - 5);
  ticks(100);
  EXPECT_EQ(get(kCounter), 0x1'0000'0000u - 5);
  put(kConfiguration, 1);
  ticks(7);
  EXPECT_EQ(get(kCounter), 0x1'0000'0002u);
  EXPECT_EQ(ports.read(kCounter, 4), 2u);
  EXPECT_EQ(ports.read(kCounter + 4, 4), 1u);
  put(kConfiguration, 0);
  ticks(50);
  EXPECT_EQ(get(kCounter), 0x1'0000'0002u);
  ports.write(kCounter, 9, 4);
  EXPECT_EQ(get(kCounter), 0x1'0000'0009u) << "halves are written alone";
}

TEST_F(HpetTest, OneShotEdge) {
  make();
  configure(0, kEnable, 21);
  put(timer(0, 8), 1000);
  put(kConfiguration, 1);
  ticks(999);
  EXPECT_EQ(rises(1), 0u);
  ticks(1);
  EXPECT_EQ(rises(1), 1u);
  EXPECT_FALSE(ports.irq(1));
  EXPECT_EQ(get(kStatus), 0u) << "edges leave no status";
  ticks(1'000'000);
  EXPECT_EQ(rises(1), 1u);
  EXPECT_EQ(rises(0) + rises(2), 0u);
}

TEST_F(HpetTest, OneShotOf32BitsComesOnceAroundTheCounter) {
  make();
  configure(0, kEnable | k32Bit, 20);
  put(timer(0, 8), 0x5'0000'0100);
  EXPECT_EQ(get(timer(0, 8)), 0x100u);
  put(kConfiguration, 1);
  ticks(0x100);
  EXPECT_EQ(rises(0), 1u);
  ticks(0xffff'ffff);
  EXPECT_EQ(rises(0), 1u);
  ticks(1);
  EXPECT_EQ(rises(0), 2u);
  put(timer(0, 8), 0xff);
  ticks(0xffff'ffff);
  EXPECT_EQ(rises(0), 3u) << "a comparator that has been passed waits for the next round";
}

TEST_F(HpetTest, LevelStaysUntilItsStatusIsCleared) {
  make();
  configure(2, kEnable | kLevel, 22);
  put(timer(2, 8), 500);
  put(kConfiguration, 1);
  ticks(500);
  EXPECT_TRUE(ports.irq(2));
  EXPECT_EQ(get(kStatus), 4u);
  put(kStatus, 3);
  EXPECT_TRUE(ports.irq(2));
  put(kStatus, 4);
  EXPECT_FALSE(ports.irq(2));
  EXPECT_EQ(get(kStatus), 0u);
}

TEST_F(HpetTest, StatusWithoutInterrupt) {
  make();
  configure(1, kLevel, 21);
  put(timer(1, 8), 10);
  put(kConfiguration, 1);
  ticks(10);
  EXPECT_EQ(get(kStatus), 2u);
  EXPECT_FALSE(ports.irq(1));
  configure(1, kLevel | kEnable, 21);
  EXPECT_TRUE(ports.irq(1)) << "enabled later";
  configure(1, kEnable, 21);
  EXPECT_FALSE(ports.irq(1)) << "no level any more";
}

TEST_F(HpetTest, PeriodicWithSetValue) {
  make();
  put(kConfiguration, 1);
  ticks(123'456);
  const u64 start = get(kCounter);
  configure(0, kEnable | kPeriodic | kSetValue, 20);
  put(timer(0, 8), start + 50'000);
  put(timer(0, 8), 100'000);
  EXPECT_EQ(get(timer(0, 0)) & kSetValue, 0u);
  EXPECT_EQ(get(timer(0, 8)), start + 50'000);
  ticks(49'999);
  EXPECT_EQ(rises(0), 0u);
  ticks(1);
  EXPECT_EQ(rises(0), 1u);
  EXPECT_EQ(get(timer(0, 8)), start + 150'000) << "the comparator moves on";
  ticks(1'000'000);
  EXPECT_EQ(rises(0), 11u);
}

TEST_F(HpetTest, FastPeriodsCostTheHostLittle) {
  make();
  configure(0, kEnable | kPeriodic | kSetValue, 20);
  put(timer(0, 8), 1);
  put(kConfiguration, 1);
  ticks(1'000'000);
  EXPECT_LE(rises(0), 201u);
  EXPECT_GE(rises(0), 199u);
  const u64 ahead = get(timer(0, 8)) - get(kCounter);
  EXPECT_LE(ahead, 5'000u);
}

TEST_F(HpetTest, RoutesThatDoNotExistAreNotTaken) {
  make();
  configure(0, 0, 22);
  EXPECT_EQ(get(timer(0, 0)) >> 9 & 0x1f, 22u);
  configure(0, 0, 2);
  EXPECT_EQ(get(timer(0, 0)) >> 9 & 0x1f, 22u);
}

TEST_F(HpetTest, SharedWire) {
  make();
  configure(0, kEnable | kLevel, 20);
  configure(1, kEnable | kLevel, 20);
  put(timer(0, 8), 10);
  put(timer(1, 8), 20);
  put(kConfiguration, 1);
  ticks(30);
  put(kStatus, 1);
  EXPECT_TRUE(ports.irq(0));
  put(kStatus, 2);
  EXPECT_FALSE(ports.irq(0));
}

struct Messages final : interrupt::MessageTarget {
  bool deliver(const interrupt::Message& message) override {
    seen.push_back(message);
    return true;
  }
  std::vector<interrupt::Message> seen;
};

TEST_F(HpetTest, MessagesInsteadOfWires) {
  Messages target;
  machine.routes.set_message_target(&target);
  make();
  configure(0, kEnable | kFsb, 20);
  put(timer(0, 0x10), 0xfee0'1000'0000'4041);
  put(timer(0, 8), 100);
  put(kConfiguration, 1);
  ticks(100);
  ASSERT_EQ(target.seen.size(), 1u);
  EXPECT_EQ(target.seen[0].address, 0xfee0'1000u);
  EXPECT_EQ(target.seen[0].data, 0x4041u);
  EXPECT_EQ(rises(0), 0u);
  hpet = nullptr;
  EXPECT_TRUE(machine.routes.report().empty()) << "its numbers are given back";
}

TEST_F(HpetTest, LegacyReplacementIsTheTrees) {
  make();
  put(kConfiguration, 3);
  EXPECT_EQ(get(kConfiguration), 1u);
  hpet = nullptr;
  give_interrupts({20, 21, 22, 0, 8});
  make();
  EXPECT_NE(get(0) & 0x8000, 0u);
  put(kConfiguration, 3);
  EXPECT_EQ(get(kConfiguration), 3u);
  configure(0, kEnable, 20);
  configure(1, kEnable, 21);
  configure(2, kEnable, 22);
  put(timer(0, 8), get(kCounter) + 10);
  put(timer(1, 8), get(kCounter) + 20);
  put(timer(2, 8), get(kCounter) + 30);
  ticks(15);
  EXPECT_EQ(rises(3), 1u);
  EXPECT_EQ(rises(4), 0u);
  ticks(15);
  EXPECT_EQ(rises(4), 1u);
  EXPECT_EQ(rises(2), 1u) << "the third is routed as ever";
  EXPECT_EQ(rises(0) + rises(1), 0u);
}

TEST_F(HpetTest, TreesThatCannotBeAreRefused) {
  give_interrupts({20, 21, 22, 23});
  EXPECT_FALSE(testing::try_make_model(ports, "intel,ce4100-hpet").has_value());
  give_interrupts({40});
  EXPECT_FALSE(testing::try_make_model(ports, "intel,ce4100-hpet").has_value());
  give_interrupts({});
  ports.window_sizes = {0x100};
  EXPECT_FALSE(testing::try_make_model(ports, "intel,ce4100-hpet").has_value());
}

TEST_F(HpetTest, InterruptsOfSeveralControllers) {
  ports.mutable_node().remove_property("interrupts");
  ports.mutable_node().set_cells("interrupts-extended", std::vector<u32>{7, 4, 3, 7, 9, 3});
  ports.specifiers = {{4, 3}, {9, 3}};
  make();
  EXPECT_EQ(get(timer(0, 0)) >> 32, 0x210u);
}

TEST_F(HpetTest, StateSurvivesSaveAndLoad) {
  make();
  put(kConfiguration, 1);
  configure(0, kEnable | kPeriodic | kSetValue, 20);
  put(timer(0, 8), 100'000);
  configure(1, kEnable | kLevel, 21);
  put(timer(1, 8), 10);
  ticks(20);
  save_and_load(*hpet);
  EXPECT_TRUE(ports.irq(1));
  EXPECT_EQ(get(kCounter), 20u);
  ticks(99'980);
  EXPECT_EQ(rises(0), 1u);
  hpet->reset();
  EXPECT_FALSE(ports.irq(1));
  EXPECT_EQ(get(timer(1, 8)), ~u64{0});
}

}  // namespace
}  // namespace solder::models::timer
