// Dirty pages of a guest under KVM, told by the vCPUs' rings and by the log.
#include <thread>

#include "guest.h"

namespace solder::accel::kvm {
namespace {

using cpu::ExitReason;
using memory::DirtyClient;

constexpr u8 kHlt = 0xf4;
constexpr u32 kSmallRing = 1024;

/// By the number of the rings' entries; 0: the log.
class KvmDirty : public ::testing::TestWithParam<u32> {
 protected:
  void SetUp() override {
    SOLDER_NEEDS_KVM();
    guest.emplace(1, Guest::Irqchip::user, GetParam());
    if (GetParam() != 0 && guest->kvm->vm().dirty_ring_entries() == 0) GTEST_SKIP() << "this KVM has no dirty rings";
    ASSERT_EQ(guest->kvm->vm().dirty_ring_entries(), GetParam());
  }
  u64 collect(memory::Ram& ram) {
    const Status done = ram.collect_dirty();
    EXPECT_TRUE(done) << done.error().text();
    return ram.take_dirty(DirtyClient::migration, 0);
  }
  [[nodiscard]] bool logs(Gpa start) {
    for (const auto& slot : guest->kvm->slots()->slots())
      if (slot.start == start) return slot.logging;
    return false;
  }
  std::optional<Guest> guest;
};

TEST_P(KvmDirty, WhatTheGuestWroteIsToldOnce) {
  Guest& g = *guest;
  const Code writes{0xa2, 0x00, 0x50,  // mov [0x5000], al
                    0xa2, 0x00, 0x90,  // mov [0x9000], al
                    kHlt};
  constexpr u64 kWritten = (u64{1} << 5) | (u64{1} << 9);
  EXPECT_FALSE(logs(0));
  ASSERT_TRUE(g.ram->start_tracking(DirtyClient::migration));
  EXPECT_TRUE(logs(0));
  EXPECT_EQ(collect(*g.ram), 0U);
  g.start(writes);
  ASSERT_EQ(g.cpu().run(), ExitReason::halted);
  EXPECT_EQ(collect(*g.ram), kWritten);
  EXPECT_EQ(collect(*g.ram), 0U) << "told once";
  g.start(writes);
  ASSERT_EQ(g.cpu().run(), ExitReason::halted);
  EXPECT_EQ(collect(*g.ram), kWritten) << "and watched again";
  // Nothing is lost when the slot is cut in two.
  g.start(writes);
  ASSERT_EQ(g.cpu().run(), ExitReason::halted);
  Recorder hole;
  ASSERT_TRUE(g.memory.add({.name = "hole", .start = 0xa0000, .size = 0x1000, .handler = &hole, .priority = 2}));
  EXPECT_EQ(g.ram->take_dirty(DirtyClient::migration, 0), kWritten);
  EXPECT_TRUE(logs(0)) << "the new slot is tracked too";
  g.ram->stop_tracking(DirtyClient::migration);
  EXPECT_FALSE(logs(0));
}

TEST_P(KvmDirty, ClientsAreToldIndependently) {
  Guest& g = *guest;
  ASSERT_TRUE(g.ram->start_tracking(DirtyClient::migration));
  ASSERT_TRUE(g.ram->start_tracking(DirtyClient::watch));
  g.start({0xa2, 0x00, 0x50, kHlt});  // mov [0x5000], al
  ASSERT_EQ(g.cpu().run(), ExitReason::halted);
  EXPECT_EQ(collect(*g.ram), u64{1} << 5);
  EXPECT_EQ(g.ram->take_dirty(DirtyClient::watch, 0), u64{1} << 5);
  g.ram->stop_tracking(DirtyClient::watch);
  EXPECT_TRUE(logs(0)) << "the other one goes on";
}

TEST_P(KvmDirty, OnARunningCpu) {
  Guest& g = *guest;
  // It leaves the guest each time: a KVM that emulates kernel-mode code overruns rings while it stays in there.
  g.start({0xff, 0x06, 0x00, 0x50,  // inc word [0x5000]
           0xe6, 0x80,              // out 0x80, al
           0xeb, 0xf8});            // jmp to the inc
  std::atomic<bool> done{false};
  std::thread runner([&] {
    while (!done) EXPECT_EQ(g.cpu().run(), ExitReason::kicked) << g.cpu().fault_text();
  });
  const std::atomic_ref<u16> counter(*reinterpret_cast<u16*>(g.ram->host() + 0x5000));
  const auto let_it_write = [&] {
    for (const u16 before = counter.load(); counter.load() == before;) std::this_thread::yield();
  };
  let_it_write();
  ASSERT_TRUE(g.ram->start_tracking(DirtyClient::migration));
  for (int round = 0; round < 3; ++round) {
    let_it_write();
    EXPECT_EQ(collect(*g.ram), u64{1} << 5) << "round " << round;
  }
  done = true;
  g.cpu().kick();
  runner.join();
}

TEST_P(KvmDirty, ManyPages) {
  Guest& g = *guest;
  constexpr u64 kSize = 16_MiB;
  const auto more = memory::Ram::create("more", kSize).value();
  ASSERT_TRUE(more->start_tracking(DirtyClient::migration));
  const auto id = g.memory.add({.name = "more", .start = kSize, .size = kSize, .ram = more.get()});
  ASSERT_TRUE(id);
  EXPECT_TRUE(logs(kSize)) << "it was tracked before it was there";
  g.start_protected({0xbf, 0x00, 0x00, 0x00, 0x01,        // mov edi, 0x1000000
                     0x88, 0x07,                          // mov [edi], al
                     0xe6, 0x80,                          // out 0x80, al: as above
                     0x81, 0xc7, 0x00, 0x20, 0x00, 0x00,  // add edi, 0x2000: every other page
                     0x81, 0xff, 0x00, 0x00, 0x00, 0x02,  // cmp edi, 0x2000000
                     0x72, 0xee,                          // jb to the mov [edi]
                     kHlt});
  ASSERT_EQ(g.cpu().run(), ExitReason::halted) << g.cpu().fault_text();
  ASSERT_TRUE(more->collect_dirty());
  for (u64 page = 0; page < kSize / memory::kPageSize; page += 64)
    ASSERT_EQ(more->take_dirty(DirtyClient::migration, page), 0x5555'5555'5555'5555U) << "from page " << page;
  if (GetParam() == kSmallRing) {
    EXPECT_GT(g.cpu().run_control().exits(KVM_EXIT_DIRTY_RING_FULL), 0U);
  }
  g.memory.remove(*id);
}

INSTANTIATE_TEST_SUITE_P(, KvmDirty, ::testing::Values(0U, kSmallRing, Kvm::kDirtyRingEntries), [](const auto& made) {
  return made.param == 0 ? std::string("Log") : "Ring" + std::to_string(made.param);
});

}  // namespace
}  // namespace solder::accel::kvm
