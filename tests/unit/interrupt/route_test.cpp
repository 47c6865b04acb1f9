#include "interrupt/route.h"

#include <gtest/gtest.h>

#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <map>
#include <thread>

#include "base/unique_fd.h"
#include "interrupt/event_sources.h"

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
    return accepts;
  }
  bool accepts = true;
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
  table.set(virq, {PinTarget{&pins, 0, 2, false, {}}, Message{0x8080040, 5, 9}});
  table.raise(virq);
  EXPECT_EQ(pins.rises[2], 1U);
  EXPECT_EQ(inbox.last.data, 5U);
  EXPECT_EQ(table.count(virq), 1U);
  EXPECT_EQ(table.routes().size(), 2U);
}

TEST(RoutingTable, RaiseTellsWhetherSomebodyTookTheEvent) {
  Pins pins;
  Inbox inbox;
  RoutingTable table;
  EXPECT_FALSE(table.raise(3)) << "no such interrupt";
  const Virq virq = table.allocate();
  EXPECT_FALSE(table.raise(virq)) << "no targets";
  table.set(virq, {Message{0xfee00000, 0x41, 0}});
  EXPECT_FALSE(table.raise(virq)) << "nobody takes messages";
  table.set_message_target(&inbox);
  EXPECT_TRUE(table.raise(virq));
  inbox.accepts = false;
  EXPECT_FALSE(table.raise(virq));
  table.set(virq, {Message{0xfee00000, 0x41, 0}, PinTarget{&pins, 0, 2, false, {}}});
  EXPECT_TRUE(table.raise(virq)) << "the pin did";
  EXPECT_EQ(inbox.count, 3U);
}

TEST(RoutingTable, AHighLevelMovesWithItsRoute) {
  Pins pins;
  RoutingTable table;
  const Virq virq = table.allocate();
  table.set(virq, {PinTarget{&pins, 0, 1, false, {}}});
  table.set_level(virq, true);
  table.set(virq, {PinTarget{&pins, 0, 4, false, {}}});
  EXPECT_FALSE(pins.levels[1]);
  EXPECT_TRUE(pins.levels[4]);
}

TEST(RoutingTable, ALevelAndAMoveOfItsRouteThatMeetLeaveOnlyTheNewPinHigh) {
  Pins pins;
  RoutingTable table;
  const Virq virq = table.allocate();
  table.set(virq, {PinTarget{&pins, 0, 0, false, {}}});
  constexpr u32 kRounds = 20000;
  std::atomic<u32> begun = 0;
  std::atomic<u32> moved = 0;
  std::thread mover([&] {
    for (u32 round = 1; round <= kRounds; ++round) {
      while (begun.load() < round) std::this_thread::yield();
      table.set(virq, {PinTarget{&pins, 0, round % 2, false, {}}});
      moved.store(round);
    }
  });
  u32 wrong = 0;
  for (u32 round = 1; round <= kRounds; ++round) {
    const bool level = round % 4 < 2;
    begun.store(round);
    for (u32 wait = 0; wait < round % 64; ++wait) std::atomic_signal_fence(std::memory_order_seq_cst);
    table.set_level(virq, level);
    while (moved.load() < round) std::this_thread::yield();
    wrong += u32{pins.levels[round % 2] != level || pins.levels[1 - round % 2]};
  }
  mover.join();
  EXPECT_EQ(wrong, 0U);
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
  table.set(virq, {PinTarget{&pins, 0, 0, false, {}}});
  constexpr u64 kEvents = 20000;
  std::thread raiser([&] {
    for (u64 i = 0; i < kEvents; ++i) table.raise(virq);
  });
  for (u32 i = 0; i < 300; ++i) table.set(virq, {PinTarget{&pins, 0, i % 2, false, {}}});
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
  table.set(virq, {PinTarget{&pins, 0, 0, false, {}}});
  EXPECT_EQ(seen, 1U);
}

// The host kernel, as a table of what it was told.
class FakeKernel final : public KernelRoutes {
 public:
  [[nodiscard]] bool takes_messages() const override { return true; }
  void publish(std::span<const Route> routes) override {
    if (pulsing) ++changed_in_a_pulse;
    table.assign(routes.begin(), routes.end());
    if (routes.empty() && attached[1] >= 0) ++routeless;
    if (attached[1] >= 0) ++changed_under_it;
  }
  void set_level(Virq virq, bool level) override {
    if (level) ++rises[virq];
    // As KVM: by the routes of this moment, and a pin keeps its level.
    for (const Route& route : table) {
      const auto* pin = std::get_if<PinTarget>(&route.target);
      if (route.virq == virq && pin != nullptr) levels[pin->pin] = level;
    }
    pulsing = level;
    if (level) std::this_thread::yield();
  }
  [[nodiscard]] Status attach(Virq virq, int fd, int resample_fd) override {
    attached = {static_cast<int>(virq), fd, resample_fd};
    return {};
  }
  void detach(Virq virq, int fd) override {
    EXPECT_EQ(attached[0], static_cast<int>(virq));
    EXPECT_EQ(attached[1], fd);
    attached = {-1, -1, -1};
  }
  std::vector<Route> table;
  std::map<Virq, u64> rises;
  std::map<u32, bool> levels;
  std::atomic<bool> pulsing{false};
  u32 changed_in_a_pulse = 0;
  std::array<int, 3> attached{-1, -1, -1};
  u32 routeless = 0;         // it had the eventfd and no route: an event then is lost
  u32 changed_under_it = 0;  // the table, while it had the eventfd
};

TEST(RoutingTable, ReservedNumbersAreOnlyClaimed) {
  RoutingTable table;
  table.reserve(24);
  EXPECT_EQ(table.allocate(), 24U);
  table.take({{4, "/ioapic pin 4", {}}});
  ASSERT_EQ(table.report().size(), 2U);
  EXPECT_EQ(table.report()[0].label, "/ioapic pin 4");
}

TEST(RoutingTable, SeveralRoutesAreTakenInOnePublication) {
  Pins pins;
  RoutingTable table;
  table.reserve(24);
  table.take({{5, "/ioapic pin 5", {}}});
  table.set_level(5, true);
  u32 publications = 0;
  table.listen([&](const std::vector<Route>&) { ++publications; });
  const auto taken = table.take({{std::nullopt, "a", {PinTarget{&pins, 0, 1, false, {}}}},
                                 {4, "b", {PinTarget{&pins, 0, 2, false, {}}}},
                                 {std::nullopt, "c", {}}});
  EXPECT_EQ(taken, (std::vector<Virq>{24, 4, 25}));
  EXPECT_EQ(publications, 1U);
  table.set_level(4, true);
  EXPECT_TRUE(pins.levels[2]);
  // One that is there already keeps its name and its level, which the new targets have at once.
  EXPECT_EQ(table.take({{5, "other", {PinTarget{&pins, 0, 3, false, {}}}}}), std::vector<Virq>{5});
  EXPECT_EQ(table.report()[1].label, "/ioapic pin 5");
  EXPECT_TRUE(pins.levels[3]);
}

TEST(RoutingTable, TheKernelSeesOnlyItsPartAndIsDrivenOnceForAllItsPins) {
  Pins pins;
  FakeKernel kernel;
  Inbox inbox;
  RoutingTable table(&inbox);
  table.set_kernel(&kernel);
  const Virq virq = table.allocate();
  table.set(virq, {PinTarget{nullptr, 0, 4, true, {}}, PinTarget{nullptr, 2, 4, true, {}},
                   PinTarget{&pins, 0, 3, false, {}}, Message{0xfee00000, 0x41, 0}});
  EXPECT_EQ(kernel.table.size(), 3U);
  table.set_level(virq, true);
  EXPECT_EQ(kernel.rises[virq], 1U);
  EXPECT_TRUE(pins.levels[3]);
  // The kernel sends the messages of a virq that it drives: none is sent a second time from here.
  table.raise(virq);
  EXPECT_EQ(inbox.count, 0U);
}

TEST(RoutingTable, AnEventfdMovesWithTheTargets) {
  Pins pins;
  FakeKernel kernel;
  RoutingTable table;
  table.set_kernel(&kernel);
  const Virq virq = table.allocate();
  table.set(virq, {PinTarget{nullptr, 2, 4, true, {}}});
  const UniqueFd event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  ASSERT_TRUE(table.attach_eventfd(virq, event.get()).has_value());
  EXPECT_EQ(kernel.attached[1], event.get());
  table.set(virq, {PinTarget{&pins, 0, 5, false, {}}});
  EXPECT_EQ(kernel.attached[1], -1);
  const u64 one = 1;
  ASSERT_EQ(::write(event.get(), &one, sizeof one), static_cast<ssize_t>(sizeof one));
  while (pins.rises[5] == 0) std::this_thread::yield();
  EXPECT_FALSE(table.report()[0].events_in_kernel);
  table.detach_eventfd(virq, event.get());
}

// KVM's irqfd answers EBUSY. Two that wait for one descriptor would divide its events between them.
TEST(RoutingTable, AnEventfdIsTheSourceOfOneInterrupt) {
  Pins pins;
  FakeKernel kernel;
  RoutingTable table;
  table.set_kernel(&kernel);
  const Virq first = table.allocate("first");
  const Virq second = table.allocate("second");
  const Virq there = table.allocate("there");
  table.set(first, {PinTarget{&pins, 0, 1, false, {}}});
  table.set(second, {PinTarget{&pins, 0, 2, false, {}}});
  table.set(there, {PinTarget{nullptr, 2, 4, true, {}}});
  const UniqueFd event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  ASSERT_TRUE(table.attach_eventfd(first, event.get()).has_value());
  for (const Virq other : {first, second, there}) {
    const Status again = table.attach_eventfd(other, event.get());
    ASSERT_FALSE(again.has_value());
    EXPECT_NE(again.error().what.find("(first)"), std::string::npos) << again.error().text();
    EXPECT_FALSE(again.error().fix.empty());
  }
  EXPECT_EQ(kernel.attached[1], -1);
  const u64 one = 1;
  ASSERT_EQ(::write(event.get(), &one, sizeof one), static_cast<ssize_t>(sizeof one));
  while (pins.rises[1] == 0) std::this_thread::yield();
  EXPECT_EQ(pins.rises[2], 0U);
  // Nothing of the refused ones is left.
  table.release(second);
  ASSERT_EQ(::write(event.get(), &one, sizeof one), static_cast<ssize_t>(sizeof one));
  while (pins.rises[1] == 1) std::this_thread::yield();
  table.detach_eventfd(first, event.get());
  ASSERT_TRUE(table.attach_eventfd(there, event.get()).has_value());
  EXPECT_FALSE(table.attach_eventfd(first, event.get()).has_value()) << "the kernel has it";
  table.detach_eventfd(there, event.get());
  EXPECT_TRUE(table.attach_eventfd(first, event.get()).has_value());
  table.detach_eventfd(first, event.get());
}

TEST(RoutingTable, ADescriptorThatCannotBeWaitedForIsNoSource) {
  Pins pins;
  RoutingTable table;
  const Virq virq = table.allocate();
  table.set(virq, {PinTarget{&pins, 0, 1, false, {}}});
  // Memory is always ready: epoll knows no events of it.
  const UniqueFd memory(::memfd_create("no event", MFD_CLOEXEC));
  for (const int fd : {memory.get(), -1}) {
    const Status attached = table.attach_eventfd(virq, fd);
    ASSERT_FALSE(attached.has_value());
    EXPECT_NE(attached.error().what.find("cannot be waited for"), std::string::npos) << attached.error().text();
  }
  EXPECT_EQ(table.report()[0].event_fds, 0U);
}

TEST(EventSources, TheFirstHandlerStays) {
  const UniqueFd event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  std::atomic<u64> heard = 0;
  std::atomic<u64> other = 0;
  EventSources sources;
  ASSERT_TRUE(sources.add(event.get(), [&](u64 events) { heard += events; }).has_value());
  EXPECT_FALSE(sources.add(event.get(), [&](u64 events) { other += events; }).has_value());
  const u64 one = 1;
  ASSERT_EQ(::write(event.get(), &one, sizeof one), static_cast<ssize_t>(sizeof one));
  while (heard == 0) std::this_thread::yield();
  EXPECT_EQ(other, 0U);
  sources.remove(event.get());
  EXPECT_TRUE(sources.add(event.get(), [&](u64 events) { other += events; }).has_value());
  ASSERT_EQ(::write(event.get(), &one, sizeof one), static_cast<ssize_t>(sizeof one));
  while (other == 0) std::this_thread::yield();
  EXPECT_EQ(heard, 1U);
}

// A controller that tells when the guest ends an interrupt.
class LevelPin final : public Sink {
 public:
  void set_level(u32, bool level) override { high = level; }
  void watch_eoi(u32, std::function<void()> watcher) override { ended = std::move(watcher); }
  std::atomic<bool> high{false};
  std::function<void()> ended;
};

TEST(RoutingTable, ALevelEventfdFallsAndResamplesWhenTheGuestEndsTheInterrupt) {
  LevelPin pin;
  RoutingTable table;
  const Virq virq = table.allocate();
  table.set(virq, {PinTarget{&pin, 0, 0, false, {}}});
  const UniqueFd event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  const UniqueFd resample(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  ASSERT_TRUE(table.attach_eventfd(virq, event.get(), resample.get()).has_value());
  u64 count = 1;
  ASSERT_EQ(::write(event.get(), &count, sizeof count), static_cast<ssize_t>(sizeof count));
  while (!pin.high) std::this_thread::yield();
  pin.ended();
  EXPECT_FALSE(pin.high);
  ASSERT_EQ(::read(resample.get(), &count, sizeof count), static_cast<ssize_t>(sizeof count));
  EXPECT_EQ(count, 1U);
  pin.ended();  // the level is low: nothing to ask again
  EXPECT_LT(::read(resample.get(), &count, sizeof count), 0);
}

// Between the rise and the fall of an edge on a pin, a change of its route would leave the pin high.
TEST(RoutingTable, AnEventfdLeavesItsKernelPinBeforeThePinChanges) {
  FakeKernel kernel;
  Inbox inbox;
  RoutingTable table(&inbox);
  table.set_kernel(&kernel);
  const Virq virq = table.allocate();
  table.set(virq, {PinTarget{nullptr, 2, 4, true, {}}});
  const UniqueFd event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  ASSERT_TRUE(table.attach_eventfd(virq, event.get()));
  table.set(virq, {PinTarget{nullptr, 2, 5, true, {}}});
  EXPECT_EQ(kernel.changed_under_it, 0U);
  EXPECT_EQ(kernel.attached[1], event.get()) << "it is back";
  table.set(virq, {Message{0xfee00000, 0x41, 0}});
  EXPECT_EQ(kernel.changed_under_it, 0U);
  table.set(virq, {Message{0xfee01000, 0x41, 0}});
  EXPECT_EQ(kernel.changed_under_it, 1U) << "a message is one step";
  table.detach_eventfd(virq, event.get());
}

TEST(RoutingTable, APulseOnAKernelPinIsNotCutByAChangeOfItsRoute) {
  FakeKernel kernel;
  RoutingTable table;
  table.set_kernel(&kernel);
  const Virq virq = table.allocate();
  table.set(virq, {PinTarget{nullptr, 2, 4, true, {}}});
  std::thread raiser([&] {
    for (int i = 0; i < 5000; ++i) table.raise(virq);
  });
  for (u32 i = 0; i < 300; ++i) table.set(virq, {PinTarget{nullptr, 2, 4 + i % 2, true, {}}});
  raiser.join();
  EXPECT_EQ(kernel.changed_in_a_pulse, 0U);
  EXPECT_FALSE(kernel.levels[4] || kernel.levels[5]);
}

TEST(RoutingTable, AHighLevelLeavesItsKernelPinLow) {
  Pins pins;
  FakeKernel kernel;
  RoutingTable table;
  table.set_kernel(&kernel);
  const Virq virq = table.allocate();
  table.set(virq, {PinTarget{nullptr, 2, 4, true, {}}});
  table.set_level(virq, true);
  table.set(virq, {PinTarget{nullptr, 2, 5, true, {}}});
  EXPECT_FALSE(kernel.levels[4]);
  EXPECT_TRUE(kernel.levels[5]);
  table.set(virq, {PinTarget{&pins, 0, 6, false, {}}});
  EXPECT_FALSE(kernel.levels[5]);
  EXPECT_TRUE(pins.levels[6]);
  table.release(virq);
  EXPECT_FALSE(pins.levels[6]);
}

TEST(RoutingTable, TheKernelHasNoEventfdWithoutARoute) {
  Pins pins;
  FakeKernel kernel;
  RoutingTable table;
  table.set_kernel(&kernel);
  const Virq virq = table.allocate();
  const Target there = PinTarget{nullptr, 2, 4, true, {}};
  table.set(virq, {there});
  const UniqueFd event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  ASSERT_TRUE(table.attach_eventfd(virq, event.get()).has_value());
  for (int i = 0; i < 3; ++i) {
    table.set(virq, {PinTarget{&pins, 0, 5, false, {}}});
    table.set(virq, {there});
  }
  EXPECT_EQ(kernel.routeless, 0U);
  table.detach_eventfd(virq, event.get());
}

TEST(RoutingTable, ALevelEventfdIsWatchedWhereItIsAndAskedAgainWhenItMoves) {
  LevelPin first;
  LevelPin second;
  RoutingTable table;
  const Virq virq = table.allocate();
  table.set(virq, {PinTarget{&first, 0, 0, false, {}}});
  const UniqueFd event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  const UniqueFd resample(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  ASSERT_TRUE(table.attach_eventfd(virq, event.get(), resample.get()).has_value());
  u64 count = 1;
  ASSERT_EQ(::write(event.get(), &count, sizeof count), static_cast<ssize_t>(sizeof count));
  while (!first.high) std::this_thread::yield();
  table.set(virq, {PinTarget{&second, 0, 0, false, {}}});
  EXPECT_FALSE(first.high);
  EXPECT_FALSE(first.ended) << "nobody watches the old pin";
  ASSERT_EQ(::read(resample.get(), &count, sizeof count), static_cast<ssize_t>(sizeof count));
  count = 1;
  ASSERT_EQ(::write(event.get(), &count, sizeof count), static_cast<ssize_t>(sizeof count));
  while (!second.high) std::this_thread::yield();
  second.ended();
  EXPECT_FALSE(second.high);
  ASSERT_EQ(::read(resample.get(), &count, sizeof count), static_cast<ssize_t>(sizeof count));
  table.detach_eventfd(virq, event.get());
}

}  // namespace
}  // namespace solder::interrupt
