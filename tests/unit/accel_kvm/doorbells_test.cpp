// Doorbells: writes that reach a device without the CPU leaving the guest.
#include <thread>

#include "accel/kvm/doorbells.h"
#include "guest.h"

namespace solder::accel::kvm {
namespace {

using cpu::ExitReason;

constexpr u8 kHlt = 0xf4;
constexpr Gpa kWindow = 0xe0000;

/// Two doorbells of one register, of values 0 and 1, as a virtio device with two queues has.
class Rung final : public memory::MmioHandler {
 public:
  Rung() { hints_.doorbells = {{0x50, 4, 0}, {0x50, 4, 1}}; }
  u64 read(u64, unsigned) override { return 0; }
  void write(u64 offset, unsigned size, u64 value) override {
    const std::lock_guard guard(mutex_);
    log_.push_back({true, offset, size, value});
    if (std::this_thread::get_id() != cpu_thread) ++elsewhere_;
  }
  const memory::WriteHints* write_hints() const override { return &hints_; }
  [[nodiscard]] std::vector<Access> log() const {
    const std::lock_guard guard(mutex_);
    return log_;
  }
  [[nodiscard]] u32 elsewhere() const {
    const std::lock_guard guard(mutex_);
    return elsewhere_;
  }
  std::thread::id cpu_thread = std::this_thread::get_id();

 private:
  mutable std::mutex mutex_;
  memory::WriteHints hints_;
  std::vector<Access> log_;
  u32 elsewhere_ = 0;
};

template <class Condition>
void wait_for(Condition condition) {
  while (!condition()) std::this_thread::yield();
}
/// Long enough for a thread that may not do something to do it.
void let_others_run() {
  for (int i = 0; i < 2000; ++i) std::this_thread::yield();
}

// mov eax, value; mov [0xe0050], eax
Code ring(u8 value) {
  return {0xb8, value, 0x00, 0x00, 0x00, 0xa3, 0x50, 0x00, 0x0e, 0x00};
}
Code operator+(Code a, const Code& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

class KvmDoorbells : public ::testing::Test {
 protected:
  void SetUp() override {
    SOLDER_NEEDS_KVM();
    guest.emplace();
    const auto id =
        guest->memory.add({.name = "device", .start = kWindow, .size = 0x1000, .handler = &device, .priority = 1});
    ASSERT_TRUE(id);
    region = *id;
    guest->kvm->machine_starts(cpus);
  }
  void TearDown() override {
    if (guest) guest->kvm->machine_stops();
  }
  void run(const Code& code) {
    guest->start_protected(code + Code{kHlt});
    ASSERT_EQ(guest->cpu().run(), ExitReason::halted) << guest->cpu().fault_text();
  }
  [[nodiscard]] u64 exits() { return guest->cpu().run_control().exits(KVM_EXIT_MMIO); }
  [[nodiscard]] usize attached() { return guest->kvm->doorbells()->attached(); }

  NoControl control;
  cpu::CpuSet cpus{control};
  Rung device;
  memory::RegionId region = 0;
  std::optional<Guest> guest;
};

TEST_F(KvmDoorbells, AreAnsweredOnAnotherThreadWithoutAnExit) {
  EXPECT_EQ(attached(), 2U);
  run(ring(1));
  wait_for([&] { return !device.log().empty(); });
  run(ring(0));
  wait_for([&] { return device.log().size() == 2; });
  const std::vector<Access> want{{true, 0x50, 4, 1}, {true, 0x50, 4, 0}};
  EXPECT_EQ(device.log(), want);
  EXPECT_EQ(device.elsewhere(), 2U);
  EXPECT_EQ(exits(), 0U);
}

TEST_F(KvmDoorbells, OtherValuesAndWidthsAreOrdinaryWrites) {
  run({0xb8, 0x02, 0x00, 0x00, 0x00,        // mov eax, 2
       0xa3, 0x50, 0x00, 0x0e, 0x00,        // mov [0xe0050], eax: another value
       0x31, 0xc0,                          // xor eax, eax
       0xa2, 0x50, 0x00, 0x0e, 0x00,        // mov [0xe0050], al: other widths
       0x66, 0xa3, 0x50, 0x00, 0x0e, 0x00,  // mov [0xe0050], ax
       0xa3, 0x54, 0x00, 0x0e, 0x00});      // mov [0xe0054], eax: another register
  const std::vector<Access> want{{true, 0x50, 4, 2}, {true, 0x50, 1, 0}, {true, 0x50, 2, 0}, {true, 0x54, 4, 0}};
  EXPECT_EQ(device.log(), want);
  EXPECT_EQ(device.elsewhere(), 0U);
  EXPECT_EQ(exits(), 4U);
}

TEST_F(KvmDoorbells, APausedMachineAnswersNoneAndForgetsNone) {
  cpus.pause();
  run(ring(0) + ring(1) + ring(1));
  let_others_run();
  EXPECT_TRUE(device.log().empty());
  cpus.resume();
  wait_for([&] { return device.log().size() == 2; });
  let_others_run();
  EXPECT_EQ(device.log().size(), 2U) << "several of one kind are one";
}

TEST_F(KvmDoorbells, WhatRangBeforeThePauseIsAnsweredBeforeIt) {
  for (usize round = 1; round <= 100; ++round) {
    run(ring(0));
    cpus.pause();
    ASSERT_EQ(device.log().size(), round);
    cpus.resume();
  }
}

TEST_F(KvmDoorbells, FollowTheirWindow) {
  ASSERT_TRUE(guest->memory.move(region, 0x200000));
  run(ring(0));                                     // a hole now
  run({0x31, 0xc0, 0xa3, 0x50, 0x00, 0x20, 0x00});  // xor eax, eax; mov [0x200050], eax
  wait_for([&] { return device.log().size() == 1; });
  EXPECT_EQ(device.elsewhere(), 1U);
  ASSERT_TRUE(guest->memory.add_alias("alias", kWindow, 0x1000, 0x200000, 2));
  EXPECT_EQ(attached(), 4U) << "at both places";
  run(ring(1));
  wait_for([&] { return device.log().size() == 2; });
  EXPECT_EQ(exits(), 0U);
}

TEST_F(KvmDoorbells, AWindowThatGoesIsNotCalledAndFindsItsCallsWhenItComesBack) {
  cpus.pause();
  run(ring(1));
  guest->memory.remove(region);
  EXPECT_EQ(attached(), 0U);
  cpus.resume();
  let_others_run();
  EXPECT_TRUE(device.log().empty());
  ASSERT_TRUE(
      guest->memory.add({.name = "device", .start = kWindow, .size = 0x1000, .handler = &device, .priority = 1}));
  wait_for([&] { return device.log().size() == 1; });
  EXPECT_EQ(device.log()[0], (Access{true, 0x50, 4, 1}));
}

class Observer final : public memory::IoObserver {
 public:
  void accessed(const memory::IoAccess& access) noexcept override { offsets.push_back(access.offset); }
  std::vector<u64> offsets;
};

TEST_F(KvmDoorbells, AreOrdinaryWritesWhileSomebodyWatches) {
  Observer observer;
  guest->memory.observe(&observer);
  EXPECT_EQ(attached(), 0U);
  run(ring(1));
  EXPECT_EQ(observer.offsets, std::vector<u64>{0x50});
  EXPECT_EQ(device.log().size(), 1U);
  EXPECT_EQ(device.elsewhere(), 0U);
  guest->memory.observe(nullptr);
  EXPECT_EQ(attached(), 2U);
  run(ring(1));
  wait_for([&] { return device.log().size() == 2; });
  EXPECT_EQ(observer.offsets.size(), 1U);
}

TEST_F(KvmDoorbells, StopInAPausedMachine) {
  cpus.pause();
  run(ring(1));
  guest->kvm->machine_stops();
  cpus.resume();
  let_others_run();
  EXPECT_TRUE(device.log().empty());
  run(ring(1));
  EXPECT_EQ(device.log().size(), 1U) << "an ordinary write now";
  EXPECT_EQ(device.elsewhere(), 0U);
}

TEST_F(KvmDoorbells, WindowsComeAndGoWhileTheyRing) {
  std::atomic<bool> done{false};
  std::thread changer([&] {
    for (int i = 0; i < 50; ++i) EXPECT_TRUE(guest->memory.move(region, i % 2 == 0 ? 0x200000 : kWindow));
    done = true;
  });
  // Each write reaches the device or, while that is elsewhere, the RAM below.
  do {
    guest->start_protected(ring(1) + Code{kHlt});
    EXPECT_EQ(guest->cpu().run(), ExitReason::halted);
  } while (!done);
  changer.join();
  const usize before = device.log().size();
  run(ring(0));
  wait_for([&] { return device.log().size() > before && device.log().back().value == 0; });
}

}  // namespace
}  // namespace solder::accel::kvm
