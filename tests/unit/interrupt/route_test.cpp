#include "interrupt/route.h"

#include <gtest/gtest.h>

#include <array>
#include <thread>

namespace solder::interrupt {
namespace {

class Pins final : public Sink {
 public:
  void set_level(u32 pin, bool level) override {
    if (level && !levels[pin].exchange(true)) ++rises[pin];
    if (!level) levels[pin] = false;
  }
  std::array<std::atomic<bool>, 8> levels{};
  std::array<std::atomic<u64>, 8> rises{};
};

class Inbox final : public MessageTarget {
 public:
  bool deliver(const Message& message) override {
    last = message;
    ++count;
    return true;
  }
  Message last;
  u64 count = 0;
};

TEST(Wire, LevelRepeatsAreDropped) {
  Pins pins;
  LevelWire wire;
  wire.set(true);  // unconnected: remembered
  wire.connect(&pins, 3);
  EXPECT_TRUE(pins.levels[3]);
  wire.set(true);
  EXPECT_EQ(pins.rises[3], 1U);
  wire.set(false);
  EXPECT_FALSE(pins.levels[3]);
}

TEST(Wire, AnOrGateIsHighWhileAnyInputIs) {
  Pins pins;
  OrGate gate(pins, 1, 2);
  gate.set_level(0, true);
  gate.set_level(1, true);
  gate.set_level(0, false);
  EXPECT_TRUE(pins.levels[1]);
  gate.set_level(1, false);
  EXPECT_FALSE(pins.levels[1]);
  EXPECT_EQ(pins.rises[1], 1U);
}

TEST(RoutingTable, SeveralTargetsShareAVirq) {
  Pins pins;
  Inbox inbox;
  RoutingTable table(&inbox);
  const Virq virq = table.allocate();
  table.set(virq, {PinTarget{&pins, 0, 2}, Message{0x8080040, 5, 9}});
  table.raise(virq);
  EXPECT_EQ(pins.rises[2], 1U);
  EXPECT_EQ(inbox.last.data, 5U);
  EXPECT_EQ(table.count(virq), 1U);
  EXPECT_EQ(table.routes().size(), 2U);
}

TEST(RoutingTable, AHighLevelMovesWithItsRoute) {
  Pins pins;
  RoutingTable table;
  const Virq virq = table.allocate();
  table.set(virq, {PinTarget{&pins, 0, 1}});
  table.set_level(virq, true);
  table.set(virq, {PinTarget{&pins, 0, 4}});
  EXPECT_FALSE(pins.levels[1]);
  EXPECT_TRUE(pins.levels[4]);
}

TEST(RoutingTable, NumbersAreReused) {
  RoutingTable table;
  const Virq a = table.allocate();
  const Virq b = table.allocate();
  EXPECT_NE(a, b);
  table.release(a);
  EXPECT_EQ(table.allocate(), a);
}

TEST(RoutingTable, NoEventIsLostWhileRoutesChange) {
  Pins pins;
  RoutingTable table;
  const Virq virq = table.allocate();
  table.set(virq, {PinTarget{&pins, 0, 0}});
  constexpr u64 kEvents = 20000;
  std::thread raiser([&] {
    for (u64 i = 0; i < kEvents; ++i) table.raise(virq);
  });
  for (u32 i = 0; i < 300; ++i) table.set(virq, {PinTarget{&pins, 0, i % 2}});
  raiser.join();
  EXPECT_EQ(pins.rises[0] + pins.rises[1], kEvents);
  EXPECT_EQ(table.count(virq), kEvents);
}

TEST(RoutingTable, ListenersSeeEveryPublication) {
  Pins pins;
  RoutingTable table;
  usize seen = 99;
  table.listen([&](const std::vector<Route>& routes) { seen = routes.size(); });
  const Virq virq = table.allocate();
  EXPECT_EQ(seen, 0U);
  table.set(virq, {PinTarget{&pins, 0, 0}});
  EXPECT_EQ(seen, 1U);
}

}  // namespace
}  // namespace solder::interrupt
