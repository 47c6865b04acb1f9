// Writes that wait in KVM's ring: their order with what comes after them.
#include <thread>

#include "accel/kvm/deferred_writes.h"
#include "cpu/cpu_set.h"
#include "guest.h"

namespace solder::accel::kvm {
namespace {

using cpu::ExitReason;

constexpr u8 kHlt = 0xf4;

/// An index register and a data register: the data read is the index written last.
class Indexed final : public memory::MmioHandler {
 public:
  Indexed() { hints_.deferrable.push_back({0, 4}); }
  u64 read(u64 offset, unsigned size) override {
    log.push_back({false, offset, size, index.load()});
    return index;
  }
  void write(u64 offset, unsigned size, u64 value) override {
    log.push_back({true, offset, size, value});
    if (offset < 4) index = static_cast<u32>(value);
  }
  const memory::WriteHints* write_hints() const override { return &hints_; }
  std::atomic<u32> index{0};
  std::vector<Access> log;

 private:
  memory::WriteHints hints_;
};

struct Device {
  explicit Device(Guest& g) {
    g.kvm->deferred_writes()->start();
    EXPECT_TRUE(g.memory.add({.name = "indexed", .start = 0xe0000, .size = 0x1000, .handler = &memory, .priority = 1}));
    EXPECT_TRUE(g.ports.add({.name = "indexed", .start = 0x200, .size = 8, .handler = &port}));
  }
  Indexed memory;
  Indexed port;
};

u64 exits(Guest& g, u32 reason) {
  return g.cpu().run_control().exits(reason);
}

bool has_ring(Guest& g) {
  return g.kvm->vm().check(KVM_CAP_COALESCED_MMIO) > 0 && g.kvm->vm().check(KVM_CAP_COALESCED_PIO) > 0;
}
#define SOLDER_NEEDS_RING(g) \
  if (!has_ring(g)) GTEST_SKIP() << "this KVM has no ring of coalesced writes"

const Code kMemory{0xb8, 0x11, 0x00, 0x00, 0x00,  // mov eax, 0x11
                   0xa3, 0x00, 0x00, 0x0e, 0x00,  // mov [0xe0000], eax
                   0xb0, 0x12,                    // mov al, 0x12
                   0xa2, 0x00, 0x00, 0x0e, 0x00,  // mov [0xe0000], al
                   0xa1, 0x10, 0x00, 0x0e, 0x00,  // mov eax, [0xe0010]: leaves the guest
                   0x89, 0xc3,                    // mov ebx, eax
                   0xb0, 0x13,                    // mov al, 0x13
                   0xa3, 0x00, 0x00, 0x0e, 0x00,  // mov [0xe0000], eax
                   0xa3, 0x10, 0x00, 0x0e, 0x00,  // mov [0xe0010], eax: leaves it too
                   kHlt};
const std::vector<Access> kMemoryLog{
    {true, 0, 4, 0x11}, {true, 0, 1, 0x12}, {false, 0x10, 4, 0x12}, {true, 0, 4, 0x13}, {true, 0x10, 4, 0x13}};

TEST(KvmDeferredWrites, ComeBeforeTheNextAccessThatLeavesTheGuest) {
  SOLDER_NEEDS_KVM();
  Guest g;
  SOLDER_NEEDS_RING(g);
  const Device device(g);
  EXPECT_EQ(g.kvm->deferred_writes()->zones(), 2U);
  g.start_protected(kMemory);
  ASSERT_EQ(g.cpu().run(), ExitReason::halted);
  EXPECT_EQ(device.memory.log, kMemoryLog);
  EXPECT_EQ(g.reg("rbx"), 0x12U);
  EXPECT_EQ(exits(g, KVM_EXIT_MMIO), 2U);
  EXPECT_EQ(g.kvm->deferred_writes()->count(), 3U);
}

TEST(KvmDeferredWrites, PortsAndTheLastBeforeTheCpuStops) {
  SOLDER_NEEDS_KVM();
  Guest g;
  SOLDER_NEEDS_RING(g);
  const Device device(g);
  g.start({0xba, 0x00, 0x02,        // mov dx, 0x200
           0xb8, 0x34, 0x12,        // mov ax, 0x1234
           0xee, 0xef,              // out dx, al; out dx, ax
           0xba, 0x03, 0x02,        // mov dx, 0x203
           0xef,                    // out dx, ax: half of it is another register
           0xba, 0x04, 0x02, 0xed,  // mov dx, 0x204; in ax, dx
           0xba, 0x01, 0x02, 0xee,  // mov dx, 0x201; out dx, al
           kHlt});
  ASSERT_EQ(g.cpu().run(), ExitReason::halted);
  const std::vector<Access> want{
      {true, 0, 1, 0x34}, {true, 0, 2, 0x1234}, {true, 3, 2, 0x1234}, {false, 4, 2, 0x1234}, {true, 1, 1, 0x34}};
  EXPECT_EQ(device.port.log, want);
  EXPECT_EQ(exits(g, KVM_EXIT_IO), 2U);
}

TEST(KvmDeferredWrites, MoreThanTheRingHolds) {
  SOLDER_NEEDS_KVM();
  Guest g;
  SOLDER_NEEDS_RING(g);
  const Device device(g);
  constexpr u32 kWrites = 1000;
  g.start_protected({0x31, 0xc0,                    // xor eax, eax
                     0xa3, 0x00, 0x00, 0x0e, 0x00,  // mov [0xe0000], eax
                     0x40,                          // inc eax
                     0x3d, 0xe8, 0x03, 0x00, 0x00,  // cmp eax, 1000
                     0x72, 0xf3, kHlt});            // jb to the mov
  ASSERT_EQ(g.cpu().run(), ExitReason::halted);
  ASSERT_EQ(device.memory.log.size(), kWrites);
  for (u32 i = 0; i < kWrites; ++i) ASSERT_EQ(device.memory.log[i], (Access{true, 0, 4, i}));
  EXPECT_LT(exits(g, KVM_EXIT_MMIO), kWrites / 50);
}

TEST(KvmDeferredWrites, AreSeenByAnotherCpu) {
  SOLDER_NEEDS_KVM();
  Guest g(2);
  SOLDER_NEEDS_RING(g);
  const Device device(g);
  // CPU 0 writes the index and spins: it does not leave the guest.
  g.start_protected({0xb8, 0x77, 0x00, 0x00, 0x00,       // mov eax, 0x77
                     0xa3, 0x00, 0x00, 0x0e, 0x00,       // mov [0xe0000], eax
                     0xa3, 0x00, 0x20, 0x00, 0x00,       // mov [0x2000], eax
                     0xeb, 0xfe});                       // jmp self
  g.load({0xa1, 0x10, 0x00, 0x0e, 0x00, kHlt}, 0x4000);  // mov eax, [0xe0010]
  g.cpu(1).reset({.pc = 0x4000, .arguments = {0, 0, 0, 0x8000}, .mode = cpu::EntryMode::protected_});
  std::thread first([&] { EXPECT_EQ(g.cpu(0).run(), ExitReason::kicked) << g.cpu(0).fault_text(); });
  const std::atomic_ref<u32> flag(*reinterpret_cast<u32*>(g.ram->host() + 0x2000));
  while (flag.load() != 0x77) std::this_thread::yield();
  EXPECT_EQ(g.cpu(1).run(), ExitReason::halted);
  EXPECT_EQ(g.reg("rax", 1), 0x77U);
  g.cpu(0).kick();
  first.join();
}

class Observer final : public memory::IoObserver {
 public:
  void accessed(const memory::IoAccess& access) noexcept override {
    log.push_back({access.write, access.offset, access.size, access.value});
  }
  std::vector<Access> log;
};

TEST(KvmDeferredWrites, AWatchedSpaceHasNone) {
  SOLDER_NEEDS_KVM();
  Guest g;
  SOLDER_NEEDS_RING(g);
  const Device device(g);
  Observer observer;
  g.memory.observe(&observer);
  EXPECT_EQ(g.kvm->deferred_writes()->zones(), 1U) << "the ports' is still there";
  g.start_protected(kMemory);
  ASSERT_EQ(g.cpu().run(), ExitReason::halted);
  EXPECT_EQ(observer.log, kMemoryLog);
  EXPECT_EQ(exits(g, KVM_EXIT_MMIO), kMemoryLog.size());
  g.memory.observe(nullptr);
  EXPECT_EQ(g.kvm->deferred_writes()->zones(), 2U);
}

TEST(KvmDeferredWrites, BeginWhenTheMachineStarts) {
  SOLDER_NEEDS_KVM();
  Guest g;
  SOLDER_NEEDS_RING(g);
  Indexed device;
  ASSERT_TRUE(g.memory.add({.name = "indexed", .start = 0xe0000, .size = 0x1000, .handler = &device, .priority = 1}));
  EXPECT_EQ(g.kvm->deferred_writes()->zones(), 0U) << "memory slots that are still to come would wait for it";
  NoControl control;
  cpu::CpuSet cpus{control};
  g.kvm->machine_starts(cpus);
  EXPECT_EQ(g.kvm->deferred_writes()->zones(), 1U);
  g.kvm->machine_stops();
}

TEST(KvmDeferredWrites, FollowTheWindow) {
  SOLDER_NEEDS_KVM();
  Guest g;
  SOLDER_NEEDS_RING(g);
  g.kvm->deferred_writes()->start();
  Indexed device;
  const auto id = g.memory.add({.name = "indexed", .start = 0x200000, .size = 0x1000, .handler = &device});
  ASSERT_TRUE(g.memory.move(*id, 0xe0000 + 16_MiB));
  g.start_protected({0xa3, 0x00, 0x00, 0x0e, 0x01,          // mov [0x10e0000], eax
                     0xa3, 0x00, 0x00, 0x20, 0x00, kHlt});  // mov [0x200000], eax
  ASSERT_EQ(g.cpu().run(), ExitReason::halted);
  EXPECT_EQ(device.log.size(), 1U);
  EXPECT_EQ(exits(g, KVM_EXIT_MMIO), 1U) << "where it was is a hole";
  g.memory.remove(*id);
  EXPECT_EQ(g.kvm->deferred_writes()->zones(), 0U);
}

}  // namespace
}  // namespace solder::accel::kvm
