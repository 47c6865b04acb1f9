// Memory slots, events on writes.
#include <sys/eventfd.h>

#include <atomic>
#include <thread>

#include "accel/kvm/ioevent.h"
#include "guest.h"

namespace solder::accel::kvm {
namespace {

using cpu::ExitReason;

constexpr u8 kHlt = 0xf4;

const MemorySlots::Slot* slot_at(const std::vector<MemorySlots::Slot>& slots, Gpa start) {
  for (const auto& slot : slots)
    if (slot.start == start) return &slot;
  return nullptr;
}

TEST(KvmSlots, FollowTheMap) {
  SOLDER_NEEDS_KVM();
  Guest g;
  auto slots = g.kvm->slots()->slots();
  ASSERT_EQ(slots.size(), 2U) << "RAM on both sides of the window";
  EXPECT_EQ(slot_at(slots, 0)->size, 0xd0000U);
  EXPECT_EQ(slot_at(slots, 0xd1000)->offset, 0xd1000U);
  const u32 low_id = slot_at(slots, 0)->id;

  const auto more = memory::Ram::create("more", 64_KiB).value();
  const auto id = g.memory.add({.name = "more", .start = 16_MiB, .size = 64_KiB, .ram = more.get()});
  slots = g.kvm->slots()->slots();
  ASSERT_NE(slot_at(slots, 16_MiB), nullptr);
  const u32 more_id = slot_at(slots, 16_MiB)->id;

  ASSERT_TRUE(g.memory.move(*id, 32_MiB));
  slots = g.kvm->slots()->slots();
  EXPECT_EQ(slots.size(), 3U);
  ASSERT_NE(slot_at(slots, 32_MiB), nullptr);
  EXPECT_EQ(slot_at(slots, 32_MiB)->id, more_id) << "moved, not made again";
  EXPECT_EQ(slot_at(slots, 0)->id, low_id) << "not touched";

  g.memory.remove(*id);
  EXPECT_EQ(g.kvm->slots()->slots().size(), 2U);
}

TEST(KvmSlots, TheGuestSeesWhatIsAddedMovedAndRemoved) {
  SOLDER_NEEDS_KVM();
  Guest g;
  const auto more = memory::Ram::create("more", 64_KiB).value();
  more->host()[0x10] = 0x5a;
  // Reads bytes at 16 and 32 MiB, adds one to the first.
  const Code look{0xa0, 0x10, 0x00, 0x00, 0x01,        // mov al, [0x1000010]
                  0xfe, 0x05, 0x10, 0x00, 0x00, 0x01,  // inc byte [0x1000010]
                  0x8a, 0x1d, 0x10, 0x00, 0x00, 0x02,  // mov bl, [0x2000010]
                  kHlt};
  const auto look_now = [&] {
    g.start_protected(look);
    EXPECT_EQ(g.cpu().run(), ExitReason::halted) << g.cpu().fault_text();
    return std::pair(g.reg("rax") & 0xff, g.reg("rbx") & 0xff);
  };
  using Seen = std::pair<u64, u64>;
  EXPECT_EQ(look_now(), Seen(0xff, 0xff));
  const auto id = g.memory.add({.name = "more", .start = 16_MiB, .size = 64_KiB, .ram = more.get()});
  EXPECT_EQ(look_now(), Seen(0x5a, 0xff));
  EXPECT_EQ(more->host()[0x10], 0x5b);
  ASSERT_TRUE(g.memory.move(*id, 32_MiB));
  EXPECT_EQ(look_now(), Seen(0xff, 0x5b));
  g.memory.remove(*id);
  EXPECT_EQ(look_now(), Seen(0xff, 0xff));
}

TEST(KvmSlots, ReadOnlyMemoryKeepsItsBytesAndAliasesShareThem) {
  SOLDER_NEEDS_KVM();
  Guest g;
  const auto rom = memory::Ram::create("rom", 64_KiB).value();
  rom->host()[0] = 0x77;
  ASSERT_TRUE(g.memory.add({.name = "rom", .start = 16_MiB, .size = 64_KiB, .ram = rom.get(), .read_only = true}));
  const auto ram = memory::Ram::create("shared", 64_KiB).value();
  ASSERT_TRUE(g.memory.add({.name = "shared", .start = 32_MiB, .size = 64_KiB, .ram = ram.get()}));
  ASSERT_TRUE(g.memory.add_alias("mirror", 48_MiB, 64_KiB, 32_MiB));
  const auto slots = g.kvm->slots()->slots();
  ASSERT_NE(slot_at(slots, 16_MiB), nullptr);
  EXPECT_TRUE(slot_at(slots, 16_MiB)->read_only);
  ASSERT_NE(slot_at(slots, 48_MiB), nullptr);
  EXPECT_EQ(slot_at(slots, 48_MiB)->ram, ram.get());
  g.start_protected({0xc6, 0x05, 0x00, 0x00, 0x00, 0x01, 0x11,  // mov byte [0x1000000], 0x11
                     0xa0, 0x00, 0x00, 0x00, 0x01,              // mov al, [0x1000000]
                     0xc6, 0x05, 0x08, 0x00, 0x00, 0x03, 0x22,  // mov byte [0x3000008], 0x22
                     0x8a, 0x1d, 0x08, 0x00, 0x00, 0x02,        // mov bl, [0x2000008]
                     kHlt});
  ASSERT_EQ(g.cpu().run(), ExitReason::halted) << g.cpu().fault_text();
  EXPECT_EQ(g.reg("rax") & 0xff, 0x77U);
  EXPECT_EQ(rom->host()[0], 0x77);
  EXPECT_EQ(g.reg("rbx") & 0xff, 0x22U);
}

TEST(KvmSlots, WhatIsNoWholePageHasNoSlotButWorks) {
  SOLDER_NEEDS_KVM();
  Guest g;
  const auto ram = memory::Ram::create("odd", 64_KiB).value();
  ASSERT_TRUE(g.memory.add({.name = "odd", .start = 16_MiB + 0x800, .size = 0x2000, .ram = ram.get()}));
  ASSERT_TRUE(
      g.memory.add({.name = "even", .start = 32_MiB + 0x800, .size = 0x2000, .ram = ram.get(), .offset = 0x2800}));
  const auto slots = g.kvm->slots()->slots();
  EXPECT_EQ(slot_at(slots, 16_MiB + 0x1000), nullptr) << "its pages are cut otherwise than the host's";
  ASSERT_NE(slot_at(slots, 32_MiB + 0x1000), nullptr);
  EXPECT_EQ(slot_at(slots, 32_MiB + 0x1000)->size, 0x1000U);
  g.start_protected({0xc6, 0x05, 0x00, 0x10, 0x00, 0x01, 0x33,  // mov byte [0x1001000], 0x33
                     0xc6, 0x05, 0x00, 0x09, 0x00, 0x02, 0x44,  // mov byte [0x2000900], 0x44
                     0xc6, 0x05, 0x00, 0x10, 0x00, 0x02, 0x55,  // mov byte [0x2001000], 0x55
                     kHlt});
  ASSERT_EQ(g.cpu().run(), ExitReason::halted) << g.cpu().fault_text();
  EXPECT_EQ(ram->host()[0x800], 0x33);
  EXPECT_EQ(ram->host()[0x2900], 0x44);
  EXPECT_EQ(ram->host()[0x3000], 0x55);
}

TEST(KvmSlots, ChangeUnderARunningCpu) {
  SOLDER_NEEDS_KVM();
  Guest g;
  // The code's own slot is cut in two and joined again while it runs: an instruction fetch must never miss it.
  g.start({0xff, 0x06, 0x00, 0x20, 0xeb, 0xfa});  // inc word [0x2000]; jmp back
  Recorder hole;
  std::atomic<bool> done{false};
  std::thread changer([&] {
    for (int i = 0; i < 40; ++i) {
      const auto id = g.memory.add({.name = "hole", .start = 0xa0000, .size = 0x1000, .handler = &hole, .priority = 2});
      EXPECT_TRUE(id);
      g.memory.remove(*id);
    }
    done = true;
    g.cpu().kick();
  });
  ExitReason reason = ExitReason::kicked;
  while (!done && reason == ExitReason::kicked) reason = g.cpu().run();
  changer.join();
  EXPECT_EQ(reason, ExitReason::kicked) << g.cpu().fault_text();
  EXPECT_GT(g.at<u16>(0x2000), 0);
}

TEST(KvmSlots, AWindowThatMovesMemoryFromItsHandler) {
  SOLDER_NEEDS_KVM();
  Guest g;
  // What a write to a BAR does: the map changes on the CPU's own thread, in the middle of an exit.
  Recorder hole;
  g.port.on_write = [&](u64) {
    ASSERT_TRUE(g.memory.add({.name = "hole", .start = 0xa0000, .size = 0x1000, .handler = &hole, .priority = 2}));
  };
  g.start_protected({0xba, 0x00, 0x01, 0x00, 0x00,          // mov edx, 0x100
                     0xee,                                  // out dx, al
                     0xa3, 0x10, 0x00, 0x0a, 0x00, kHlt});  // mov [0xa0010], eax
  ASSERT_EQ(g.cpu().run(), ExitReason::halted);
  EXPECT_EQ(hole.log.size(), 1U);
}

TEST(KvmSlots, TooMuchIsAnErrorWithTheRangesName) {
  SOLDER_NEEDS_KVM();
  const auto vm = Vm::open().value();
  RunGate gate;
  MemorySlots slots(*vm, gate);
  const auto ram = memory::Ram::create("ram", 64_KiB).value();
  const std::string name = "/memory@far";
  // Beyond the physical addresses of any processor.
  const memory::FlatMap map({{.start = u64{1} << 62, .size = 64_KiB, .ram = ram.get(), .name = &name}});
  const Status done = slots.update(map);
  ASSERT_FALSE(done);
  EXPECT_NE(done.error().text().find("/memory@far"), std::string::npos) << done.error().text();
  EXPECT_NE(done.error().text().find("KVM_SET_USER_MEMORY_REGION"), std::string::npos) << done.error().text();
}

u64 count(int fd) {
  u64 value = 0;
  return ::read(fd, &value, sizeof value) == sizeof value ? value : 0;
}

TEST(KvmIoEvents, PortsWithDatamatch) {
  SOLDER_NEEDS_KVM();
  Guest g;
  const UniqueFd fd(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  const Code code{0xba, 0x10, 0x01,  // mov dx, 0x110
                  0xb0, 0x07, 0xee,  // mov al, 7; out dx, al
                  0xb0, 0x08, 0xee,  // mov al, 8; out dx, al
                  0xb0, 0x07, 0xee, kHlt};
  {
    const auto event = IoEvent::attach(
        g.kvm->vm(), {.space = IoEventKey::Space::ports, .address = 0x110, .length = 1, .data = 7}, fd.get());
    ASSERT_TRUE(event) << event.error().text();
    g.start(code);
    ASSERT_EQ(g.cpu().run(), ExitReason::halted);
    EXPECT_EQ(count(fd.get()), 2U);
    const std::vector<Access> want{{true, 0x10, 1, 8}};
    EXPECT_EQ(g.port.log, want) << "other values reach the model";
    const auto twice = IoEvent::attach(
        g.kvm->vm(), {.space = IoEventKey::Space::ports, .address = 0x110, .length = 1, .data = 7}, fd.get());
    ASSERT_FALSE(twice);
    EXPECT_NE(twice.error().text().find("0x110"), std::string::npos);
  }
  g.port.log.clear();
  g.start(code);
  ASSERT_EQ(g.cpu().run(), ExitReason::halted);
  EXPECT_EQ(g.port.log.size(), 3U) << "detached";
  EXPECT_EQ(count(fd.get()), 0U);
}

TEST(KvmIoEvents, MemoryWithAndWithoutDatamatch) {
  SOLDER_NEEDS_KVM();
  Guest g;
  const UniqueFd any(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  const UniqueFd one(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  auto first = IoEvent::attach(g.kvm->vm(), {.address = 0xd0050, .length = 4}, any.get());
  const auto second = IoEvent::attach(g.kvm->vm(), {.address = 0xd0060, .length = 4, .data = 1}, one.get());
  ASSERT_TRUE(first && second);
  const IoEvent moved = std::move(*first);
  g.start_protected({0xb8, 0x01, 0x00, 0x00, 0x00,  // mov eax, 1
                     0xa3, 0x50, 0x00, 0x0d, 0x00,  // mov [0xd0050], eax
                     0xa3, 0x60, 0x00, 0x0d, 0x00,  // mov [0xd0060], eax
                     0x40,                          // inc eax
                     0xa3, 0x50, 0x00, 0x0d, 0x00,  // mov [0xd0050], eax
                     0xa3, 0x60, 0x00, 0x0d, 0x00,  // mov [0xd0060], eax
                     kHlt});
  ASSERT_EQ(g.cpu().run(), ExitReason::halted);
  EXPECT_EQ(count(any.get()), 2U);
  EXPECT_EQ(count(one.get()), 1U);
  const std::vector<Access> want{{true, 0x60, 4, 2}};
  EXPECT_EQ(g.window.log, want);
}

}  // namespace
}  // namespace solder::accel::kvm
