// The storm's verdicts: what is lost, invented or misled is said, with the source's name and route.
#include <thread>

#include "pc_fixture.h"

namespace solder::models::test {
namespace {

constexpr u64 kBlockLow = 0, kCpus = 8, kSlots = 0xc, kAddressLow = 0x10, kData = 0x18, kMessageAt = 0x1c, kPin = 0x20,
              kPinAt = 0x24, kSource = 0x28, kState = 0x30, kCauses = 0x34, kAcknowledge = 0x38;
constexpr u32 kEventfd = 0, kMessage = 1, kLevel = 3;
constexpr u32 kRunning = 1, kDone = 2, kFailed = 3;

/// A guest whose handlers count a message's data as their slot, in no time; `behaviour` makes it a broken machine.
class Guest final : public interrupt::MessageTarget {
 public:
  explicit Guest(u8* block) : block_(reinterpret_cast<u32*>(block)) {}
  bool deliver(const interrupt::Message& message) override {
    behaviour(message.data);
    return true;
  }
  void count(u32 slot) { std::atomic_ref<u32>(block_[16 + slot]).fetch_add(1); }
  void beat() { std::atomic_ref<u32>(block_[0]).fetch_add(1); }
  [[nodiscard]] u32 counted(u32 slot) const { return block_[16 + slot]; }
  std::function<void(u32)> behaviour = [this](u32 slot) { count(slot); };

 private:
  u32* block_;
};

class StormTest : public testing::PcTest {
 protected:
  StormTest() : guest(machine.ram->host()) {
    machine.routes.set_message_target(&guest);
    ports.mutable_node().set_u32("solder,events", 300);
    ports.mutable_node().set_u32("solder,patience", 300);
    ports.mutable_node().set_cells("solder,level-wires", std::array<u32, 1>{0});
    ports.specifiers = {{0, 0}};
    ports.interrupt_parent = &controller;
    ports.level_wire(0).connect(&controller, 0);
    device = testing::make_model(ports, "solder,storm-test");
  }
  void source(u32 kind, std::vector<u32> slots) {
    for (const u32 slot : slots) {
      ports.write(kAddressLow, 0xfee0'0000);
      ports.write(kData, slot);
      ports.write(kMessageAt, slot);
    }
    ports.write(kSource, kind);
  }
  /// Starts, and waits for the verdict.
  u32 run() {
    ports.write(kBlockLow, testing::FakeMachine::kRamBase);
    ports.write(kCpus, 1);
    ports.write(kSlots, 32);
    ports.write(kState, 1);
    u64 state = 0;
    while ((state = ports.read(kState)) == kRunning) {
      guest.beat();
      if (ports.read(kCauses) != 0) {
        guest.count(20);
        ports.write(kAcknowledge, 1);
      }
      std::this_thread::yield();
    }
    device.reset();  // its threads have ended
    return static_cast<u32>(state);
  }

  /// A controller with one pin, whose guest polls.
  struct OnePin final : interrupt::Controller, interrupt::Sink {
    Result<Input> input(std::span<const u32>, u32) override {
      Input out;
      out.sink = this;
      out.name = "pin 0";
      return out;
    }
    void set_level(u32, bool level) override { rises += level; }
    u32 rises = 0;
  } controller;
  Guest guest;
  std::unique_ptr<device::Device> device;
};

TEST_F(StormTest, CountsEverySource) {
  source(kEventfd, {1, 2});
  source(kMessage, {3, 4, 5});
  ports.write(kPin, 0);
  ports.write(kPinAt, 20);
  ports.write(kSource, kLevel);
  EXPECT_EQ(run(), kDone);
  EXPECT_EQ(machine.control.fault, "");
  EXPECT_EQ(guest.counted(1) + guest.counted(2), 100u);
  EXPECT_EQ(guest.counted(3) + guest.counted(4) + guest.counted(5), 100u);
  EXPECT_EQ(guest.counted(20), 100u);
  EXPECT_EQ(controller.rises, 100u);
  EXPECT_TRUE(machine.routes.routes().empty()) << "virqs are given back";
}

TEST_F(StormTest, ALostOneIsNamedWithItsRoute) {
  source(kMessage, {1});
  source(kMessage, {7});
  guest.behaviour = [this, left = 50](u32 slot) mutable {
    if (slot != 7 || --left != 0) guest.count(slot);
  };
  EXPECT_EQ(run(), kFailed);
  EXPECT_NE(machine.control.fault.find("lost"), std::string::npos) << machine.control.fault;
  EXPECT_NE(machine.control.fault.find("virq 1 to message 0x7 to 0xfee00000, here: sent 50, counted 49"),
            std::string::npos)
      << machine.control.fault;
}

TEST_F(StormTest, OneThatComesTwiceIsInvented) {
  source(kMessage, {1});
  guest.behaviour = [this, left = 50](u32 slot) mutable {
    guest.count(slot);
    if (--left == 0) guest.count(slot);
  };
  EXPECT_EQ(run(), kFailed);
  EXPECT_NE(machine.control.fault.find("invented"), std::string::npos) << machine.control.fault;
}

TEST_F(StormTest, OneAtAnotherTargetIsMisled) {
  source(kMessage, {1});
  source(kMessage, {2, 3});
  // Each at the other: whichever its route names when it stands still.
  guest.behaviour = [this](u32 slot) { guest.count(slot == 1 ? 1 : slot ^ 1); };
  EXPECT_EQ(run(), kFailed);
  EXPECT_NE(machine.control.fault.find("misled"), std::string::npos) << machine.control.fault;
}

TEST_F(StormTest, WhatTheGuestAsksForIsBounded) {
  ports.write(kState, 1);
  EXPECT_EQ(ports.read(kState), 0u) << "no sources";
  source(kMessage, {31});
  ports.write(kBlockLow, testing::FakeMachine::kRamBase);
  ports.write(kCpus, 1);
  ports.write(kSlots, 16);
  ports.write(kState, 1);
  EXPECT_EQ(ports.read(kState), kFailed) << "a slot outside of the counters";
  device->reset();
  EXPECT_EQ(ports.read(kState), 0u);
  source(kMessage, {1});
  ports.write(kBlockLow, testing::FakeMachine::kRamBase + (1 << 20) - 64);
  ports.write(kCpus, 64);
  ports.write(kSlots, 4096);
  ports.write(kState, 1);
  EXPECT_EQ(ports.read(kState), kFailed) << "counters outside of memory";
  device->reset();
  for (u32 i = 0; i < 9; ++i) {
    ports.write(kMessageAt, 0);
  }
  EXPECT_EQ(ports.read(kState), kFailed) << "too many targets";
  device->reset();
  ports.write(kSource, kMessage);
  EXPECT_EQ(ports.read(kState), kFailed) << "no target";
  device->reset();
  ports.write(kMessageAt, 0);
  ports.write(kSource, 99);
  EXPECT_EQ(ports.read(kState), kFailed) << "no such kind";
  device->reset();
  for (u32 i = 0; i < 257; ++i) source(kMessage, {0});
  EXPECT_EQ(ports.read(kState), kFailed) << "too many";
}

}  // namespace
}  // namespace solder::models::test
