// Kicks, HLT and its end, interrupts from this process, NMI, MSRs of this process.
#include <atomic>
#include <map>
#include <thread>

#include "cpu/cpu_set.h"
#include "guest.h"

namespace solder::accel::kvm {
namespace {

using cpu::ExitReason;
using cpu::Line;

constexpr u8 kHlt = 0xf4;
const Code kSpin{0xeb, 0xfe};  // jmp $

TEST(KvmKick, BeforeRunReturnsAtOnceAndOnlyOnce) {
  SOLDER_NEEDS_KVM();
  Guest g;
  g.start({0xb0, 0x05, kHlt});
  g.cpu().kick();
  EXPECT_EQ(g.cpu().run(), ExitReason::kicked);
  EXPECT_EQ(g.reg("rip"), 0U) << "nothing ran";
  EXPECT_EQ(g.cpu().run(), ExitReason::halted);
}

TEST(KvmKick, WhileRunningIsNeverLost) {
  SOLDER_NEEDS_KVM();
  Guest g;
  g.start(kSpin);
  constexpr int kRounds = 400;
  std::atomic<int> round{0};
  // Each kick comes at another moment of the loop around KVM_RUN. A lost one hangs the test.
  std::thread kicker([&] {
    for (int i = 0; i < kRounds; ++i) {
      while (round.load() != i) std::this_thread::yield();
      std::atomic<int> delay{i % 700};
      while (delay.fetch_sub(1) > 0) {
      }
      g.cpu().kick();
    }
  });
  for (int i = 0; i < kRounds; ++i) {
    round = i;
    ASSERT_EQ(g.cpu().run(), ExitReason::kicked);
  }
  kicker.join();
}

TEST(KvmKick, LeavesTheRegistersAfterAWholeInstruction) {
  SOLDER_NEEDS_KVM();
  Guest g;
  g.port.value = 0x77;
  // in al, dx kicks itself from the window: the value must have arrived when run returns.
  class Kicker final : public memory::MmioHandler {
   public:
    u64 read(u64, unsigned) override {
      target->kick();
      return 0x77;
    }
    void write(u64, unsigned, u64) override {}
    cpu::Vcpu* target = nullptr;
  } kicker;
  kicker.target = &g.cpu();
  ASSERT_TRUE(g.ports.add({.name = "kicker", .start = 0x200, .size = 4, .handler = &kicker}));
  g.start({0xba, 0x00, 0x02,  // mov dx, 0x200
           0xec,              // in al, dx
           0xfe, 0xc0,        // inc al
           kHlt});
  ASSERT_EQ(g.cpu().run(), ExitReason::kicked);
  EXPECT_EQ(g.reg("rax") & 0xff, 0x77U);
  EXPECT_EQ(g.reg("rip"), 4U);
  ASSERT_EQ(g.cpu().run(), ExitReason::halted);
  EXPECT_EQ(g.reg("rax") & 0xff, 0x78U);
}

TEST(KvmHalt, StaysHaltedUntilThereIsAReason) {
  SOLDER_NEEDS_KVM();
  Guest g;
  FakeController controller(g.cpu());
  int wakes = 0;
  g.cpu().set_wake([&wakes] { ++wakes; });
  set_vector(g, 0x40, kCountingHandler);
  g.start({0xfb, kHlt, 0xb0, 0x01, 0xfa, kHlt});  // sti; hlt; mov al, 1; cli; hlt
  ASSERT_EQ(g.cpu().run(), ExitReason::halted);
  EXPECT_FALSE(g.cpu().has_wake_reason());
  ASSERT_EQ(g.cpu().run(), ExitReason::halted) << "a wake without a reason";
  EXPECT_EQ(g.reg("rax") & 0xff, 0U);
  controller.request(0x40);
  EXPECT_EQ(wakes, 1);
  EXPECT_TRUE(g.cpu().has_wake_reason());
  ASSERT_EQ(g.cpu().run(), ExitReason::halted);
  EXPECT_EQ(g.at<u16>(0x2000), 1) << "the handler ran";
  EXPECT_EQ(g.reg("rax") & 0xff, 1U) << "and the code after HLT";
  // Interrupts are off now: the line is no reason.
  controller.request(0x40);
  EXPECT_FALSE(g.cpu().has_wake_reason());
  ASSERT_EQ(g.cpu().run(), ExitReason::halted);
  EXPECT_EQ(g.at<u16>(0x2000), 1);
}

TEST(KvmHalt, AnInterruptThatIsWithdrawnDoesNotEndIt) {
  SOLDER_NEEDS_KVM();
  Guest g;
  FakeController controller(g.cpu());
  g.start({0xfb, kHlt, 0xb0, 0x01, kHlt});
  ASSERT_EQ(g.cpu().run(), ExitReason::halted);
  g.cpu().set_line(Line::irq, true);  // and the controller has no vector
  ASSERT_EQ(g.cpu().run(), ExitReason::halted);
  EXPECT_EQ(g.reg("rax") & 0xff, 0U);
}

// A port that is nobody's but counts. A KVM that emulates kernel-mode code looks for interrupts, and for windows that
// have opened, when the guest leaves it: a guest that spins without an exit waits for the host's next tick, however
// long that is on a busy host.
class Exits final : public memory::MmioHandler {
 public:
  u64 read(u64, unsigned) override { return 0; }
  void write(u64, unsigned, u64) override { count.fetch_add(1); }
  std::atomic<u64> count{0};
};

TEST(KvmInterrupt, WaitsForTheWindow) {
  SOLDER_NEEDS_KVM();
  Guest g;
  Exits exits;
  ASSERT_TRUE(g.ports.add({.name = "exits", .start = 0x10, .size = 1, .handler = &exits}));
  FakeController controller(g.cpu());
  set_vector(g, 0x51,
             {0xa0, 0x04, 0x20,           // mov al, [0x2004]
              0xa2, 0x00, 0x20,           // mov [0x2000], al
              0xcf});                     // iret
  g.start({0xba, 0x00, 0x01,              // mov dx, 0x100
           0xee,                          // out dx, al: the interrupt comes while interrupts are off
           0xb9, 0x40, 0x00,              // mov cx, 64
           0xe2, 0xfe,                    // loop $
           0xc6, 0x06, 0x04, 0x20, 0x05,  // mov byte [0x2004], 5
           0xfb,                          // sti
           0xe6, 0x10,                    // out 0x10, al
           0x80, 0x3e, 0x00, 0x20, 0x00,  // cmp byte [0x2000], 0
           0x74, 0xf7,                    // je back to out
           0xfa,                          // cli
           kHlt});
  g.port.on_write = [&](u64) { controller.request(0x51); };
  ASSERT_EQ(g.cpu().run(), ExitReason::halted);
  EXPECT_EQ(g.at<u8>(0x2000), 5) << "served after STI";
  EXPECT_EQ(controller.acknowledges, 1);
}

TEST(KvmInterrupt, ThoseFromAnotherThreadAreAllTaken) {
  SOLDER_NEEDS_KVM();
  Guest g;
  Exits exits;
  ASSERT_TRUE(g.ports.add({.name = "exits", .start = 0x10, .size = 1, .handler = &exits}));
  FakeController controller(g.cpu());
  set_vector(g, 0x60, kCountingHandler);
  g.start({0xfb, 0xe6, 0x10, 0xeb, 0xfc});  // sti; out 0x10, al; jmp back to out
  constexpr u16 kCount = 100;
  // So many exits after it was requested at the latest it has been served: a lost one is a failure and no hang.
  constexpr u64 kEnough = 2000;
  auto& served = *reinterpret_cast<std::atomic<u16>*>(g.ram->host() + 0x2000);
  std::thread driver([&] {
    for (u16 i = 0; i < kCount; ++i) {
      controller.request(0x60);
      const u64 from = exits.count;
      while (served.load() == i && exits.count - from < kEnough) std::this_thread::yield();
      if (served.load() == i) break;
    }
    g.cpu().kick();
  });
  EXPECT_EQ(g.cpu().run(), ExitReason::kicked);
  driver.join();
  EXPECT_EQ(g.at<u16>(0x2000), kCount);
  EXPECT_EQ(controller.acknowledges, kCount);
}

// Between KVM_INTERRUPT and the guest's handler KVM_RUN may end early, any number of times: KVM must still have the
// vector, and say that it takes no other.
TEST(KvmInterrupt, AVectorInKvmSurvivesKicks) {
  SOLDER_NEEDS_KVM();
  Guest g;
  FakeController controller(g.cpu());
  set_vector(g, 0x60, kCountingHandler);
  int outs = 0;
  g.port.on_write = [&](u64) {
    if (++outs % 3 != 0) controller.request(0x60);
    g.cpu().kick();
  };
  g.start({0xfb, 0xba, 0x00, 0x01, 0xee, 0xeb, 0xfd});  // sti; mov dx, 0x100; out dx, al; jmp back to out
  constexpr int kRounds = 600;
  while (outs < kRounds) {
    ASSERT_EQ(g.cpu().run(), ExitReason::kicked);
    for (int i = 0; i < outs % 3; ++i) {
      g.cpu().kick();
      ASSERT_EQ(g.cpu().run(), ExitReason::kicked);
    }
  }
  while (outs % 3 != 0 || g.at<u16>(0x2000) != controller.acknowledges) {
    ASSERT_LT(outs, 2 * kRounds);
    ASSERT_EQ(g.cpu().run(), ExitReason::kicked);
  }
  EXPECT_EQ(g.at<u16>(0x2000), outs / 3 * 2) << "each request was one interrupt";
}

TEST(KvmInterrupt, Cr8IsTheControllersTaskPriority) {
  SOLDER_NEEDS_KVM();
  Guest g;
  FakeController controller(g.cpu());
  controller.priority = 7;
  g.start_long({0x44, 0x0f, 0x20, 0xc3,        // mov rbx, cr8
                0xb8, 0x0a, 0x00, 0x00, 0x00,  // mov eax, 10
                0x44, 0x0f, 0x22, 0xc0,        // mov cr8, rax
                0xe6, 0x10,                    // out 0x10, al
                0xb8, 0x03, 0x00, 0x00, 0x00,  // mov eax, 3
                0x44, 0x0f, 0x22, 0xc0,        // mov cr8, rax: lower
                kHlt});
  u8 seen = 0;
  Recorder probe;
  probe.on_write = [&](u64) { seen = controller.priority; };
  ASSERT_TRUE(g.ports.add({.name = "probe", .start = 0x10, .size = 1, .handler = &probe}));
  ASSERT_EQ(g.cpu().run(), ExitReason::halted) << g.cpu().fault_text();
  EXPECT_EQ(g.reg("rbx"), 7U);
  EXPECT_EQ(seen, 10);
  EXPECT_EQ(controller.priority, 3);
}

TEST(KvmNmi, EndsHaltAndRunsItsHandler) {
  SOLDER_NEEDS_KVM();
  Guest g;
  set_vector(g, 2, kCountingHandler);
  g.start({0xfa, kHlt, 0xb0, 0x09, kHlt});  // cli; hlt; mov al, 9; hlt
  ASSERT_EQ(g.cpu().run(), ExitReason::halted);
  g.cpu().raise_nmi();
  EXPECT_TRUE(g.cpu().has_wake_reason());
  ASSERT_EQ(g.cpu().run(), ExitReason::halted);
  EXPECT_EQ(g.at<u16>(0x2000), 1);
  EXPECT_EQ(g.reg("rax") & 0xff, 9U);
}

TEST(KvmNmi, ReachesASpinningCpuFromAnotherThread) {
  SOLDER_NEEDS_KVM();
  Guest g;
  set_vector(g, 2, {0xc6, 0x06, 0x02, 0x20, 0x01, 0xcf});  // mov byte [0x2002], 1; iret
  g.start({0xc6, 0x06, 0x00, 0x20, 0x01,                   // mov byte [0x2000], 1
           0x80, 0x3e, 0x02, 0x20, 0x00,                   // cmp byte [0x2002], 0
           0x74, 0xf9,                                     // je back
           kHlt});
  std::thread driver([&] {
    while (reinterpret_cast<std::atomic<u8>*>(g.ram->host() + 0x2000)->load() == 0) std::this_thread::yield();
    g.cpu().raise_nmi();
  });
  EXPECT_EQ(g.cpu().run(), ExitReason::halted);
  driver.join();
}

/// MSRs as a local APIC in this process has them.
class FakeMsrs final : public cpu::SystemRegisters {
 public:
  bool has(u32 msr) const override { return msr == 0x1b || msr == 0x6e0 || (msr >= 0x800 && msr < 0x900); }
  u64 read(u32 cpu, u32 msr) override { return u64{0xabcd0000} << 32 | cpu << 16 | (values[msr] & 0xffff); }
  void write(u32, u32 msr, u64 value) override { values[msr] = value; }
  bool allows(u32, u32 msr, bool write, u64 value) override { return msr != 0x8ff && (!write || value != 0x666); }
  std::map<u32, u64> values;
};

TEST(KvmMsrs, ThoseOfThisProcessComeHere) {
  SOLDER_NEEDS_KVM();
  Guest g;
  if (g.kvm->vm().check(KVM_CAP_X86_USER_SPACE_MSR) == 0) GTEST_SKIP() << "this KVM has no user-space MSRs";
  FakeMsrs msrs;
  g.cpu().add_system_registers(msrs);
  Code code;
  const auto access = [&code](u32 msr, bool write, u32 value) {
    code.insert(code.end(), {0xb9, static_cast<u8>(msr), static_cast<u8>(msr >> 8), 0, 0});      // mov ecx, msr
    code.insert(code.end(), {0xb8, static_cast<u8>(value), static_cast<u8>(value >> 8), 0, 0});  // mov eax, value
    code.insert(code.end(), {0x31, 0xd2});                                                       // xor edx, edx
    code.insert(code.end(), {0x0f, static_cast<u8>(write ? 0x30 : 0x32)});
  };
  access(0x1b, true, 0x1234);
  access(0x6e0, true, 0x5678);
  access(0x80b, true, 0);
  access(0x830, true, 0x4321);
  access(0x830, false, 0);
  code.push_back(kHlt);
  g.start_protected(code);
  ASSERT_EQ(g.cpu().run(), ExitReason::halted) << g.cpu().fault_text();
  EXPECT_EQ(msrs.values[0x1b], 0x1234U);
  EXPECT_EQ(msrs.values[0x6e0], 0x5678U);
  EXPECT_EQ(msrs.values.count(0x80b), 1U);
  EXPECT_EQ(msrs.values[0x830], 0x4321U);
  EXPECT_EQ(g.reg("rax"), 0x4321U);
  EXPECT_EQ(g.reg("rdx"), 0xabcd0000U);
}

TEST(KvmMsrs, WhatIsNotAllowedIsAProtectionFault) {
  SOLDER_NEEDS_KVM();
  Guest g;
  if (g.kvm->vm().check(KVM_CAP_X86_USER_SPACE_MSR) == 0) GTEST_SKIP() << "this KVM has no user-space MSRs";
  FakeMsrs msrs;
  g.cpu().add_system_registers(msrs);
  // Real mode: #GP is vector 13, and counts and skips the two bytes of RDMSR or WRMSR.
  set_vector(g, 13,
             {0xff, 0x06, 0x00, 0x20,           // inc word [0x2000]
              0x89, 0xe5,                       // mov bp, sp
              0x83, 0x46, 0x00, 0x02,           // add word [bp], 2
              0xcf});                           // iret
  g.start({0x66, 0xb9, 0xff, 0x08, 0x00, 0x00,  // mov ecx, 0x8ff
           0x0f, 0x32,                          // rdmsr: not allowed
           0x66, 0xb9, 0x30, 0x08, 0x00, 0x00,  // mov ecx, 0x830
           0x66, 0x31, 0xd2,                    // xor edx, edx
           0x66, 0xb8, 0x66, 0x06, 0x00, 0x00,  // mov eax, 0x666
           0x0f, 0x30,                          // wrmsr: not this value
           0x66, 0xb9, 0x00, 0x00, 0xab, 0x0a,  // mov ecx, 0xaab0000: nobody's
           0x0f, 0x32,                          // rdmsr
           kHlt});
  ASSERT_EQ(g.cpu().run(), ExitReason::halted) << g.cpu().fault_text();
  EXPECT_EQ(g.at<u16>(0x2000), 3);
  EXPECT_EQ(msrs.values.count(0x830), 0U);
}

/// What a machine would hear.
class Control final : public cpu::MachineControl {
 public:
  void request_shutdown() override { ++shutdowns; }
  void request_reset() override { ++resets; }
  void report_fault(std::string text) override {
    ADD_FAILURE() << text;
    ++faults;
  }
  std::atomic<int> shutdowns{0};
  std::atomic<int> resets{0};
  std::atomic<int> faults{0};
};

TEST(KvmThreads, PowerOnWorkPauseAndStop) {
  SOLDER_NEEDS_KVM();
  Guest g(2);
  Control control;
  cpu::CpuSet set(control);
  for (auto& vcpu : g.vcpus) set.add(std::move(vcpu));
  // Each CPU counts at [0x2000 + 4 * BX].
  g.load({0x66, 0xff, 0x87, 0x00, 0x20,  // inc dword [bx + 0x2000]
          0xeb, 0xf9});                  // jmp back
  auto counter = [&g](int i) { return reinterpret_cast<std::atomic<u32>*>(g.ram->host() + 0x2000 + 4 * i)->load(); };
  set.start();
  EXPECT_TRUE(set[0].power_on({.pc = Guest::kCode, .arguments = {0}}));
  EXPECT_TRUE(set[1].power_on({.pc = Guest::kCode, .arguments = {4}}));
  while (counter(0) < 100 || counter(1) < 100) std::this_thread::yield();
  for (int i = 0; i < 50; ++i) {
    bool ran = false;
    set[static_cast<usize>(i % 2)].run_on([&ran] { ran = true; });
    EXPECT_TRUE(ran);
    set.exclusive([&] {
      const u32 before = counter(0) + counter(1);
      for (int look = 0; look < 100; ++look) EXPECT_EQ(counter(0) + counter(1), before);
    });
  }
  set.pause();
  EXPECT_NE(set[1].vcpu().registers().size(), 0U);
  set.resume();
  const u32 before = counter(1);
  while (counter(1) == before) std::this_thread::yield();
  set.stop();
}

TEST(KvmThreads, AHaltedCpuWakesAndATripleFaultAsksForReset) {
  SOLDER_NEEDS_KVM();
  Guest g;
  Control control;
  cpu::CpuSet set(control);
  cpu::Vcpu& vcpu = *g.vcpus[0];
  set.add(std::move(g.vcpus[0]));
  FakeController controller(vcpu);
  // Protected mode, without an IDT: the interrupt that ends HLT is a triple fault.
  g.load({0xc6, 0x05, 0x00, 0x20, 0x00, 0x00, 0x01, 0xfb, kHlt});  // mov byte [0x2000], 1; sti; hlt
  set.start();
  set[0].power_on({.pc = Guest::kCode, .arguments = {0, 0, 0, 0x8000}, .mode = cpu::EntryMode::protected_});
  while (reinterpret_cast<std::atomic<u8>*>(g.ram->host() + 0x2000)->load() == 0) std::this_thread::yield();
  controller.request(0x70);
  while (control.resets == 0) std::this_thread::yield();
  set.stop();
}

}  // namespace
}  // namespace solder::accel::kvm
