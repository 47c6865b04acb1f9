// vCPUs whose local APIC is in KVM: they sleep there, start each other there, and take ExtINT from here.
#include <atomic>
#include <cstring>
#include <thread>

#include "cpu/cpu_set.h"
#include "guest.h"

namespace solder::accel::kvm {
namespace {

using cpu::ExitReason;

constexpr u8 kHlt = 0xf4;

class Control final : public cpu::MachineControl {
 public:
  void request_shutdown() override {}
  void request_reset() override {}
  void report_fault(std::string text) override { ADD_FAILURE() << text; }
};

/// out 0x100, al: the recorder then kicks the CPU.
void kick_on_output(Guest& g) {
  g.port.on_write = [&g](u64) { g.cpu().kick(); };
}

TEST(KvmKernelLapic, HltSleepsInKvmAndAKickGetsItOut) {
  SOLDER_NEEDS_KVM();
  Guest g(1, Guest::Irqchip::kernel);
  g.start({0xc6, 0x06, 0x00, 0x20, 0x01, 0xfa, kHlt});  // mov byte [0x2000], 1; cli; hlt
  for (int i = 0; i < 20; ++i) {
    std::thread kicker([&g] {
      while (reinterpret_cast<std::atomic<u8>*>(g.ram->host() + 0x2000)->load() == 0) std::this_thread::yield();
      g.cpu().kick();
    });
    ASSERT_EQ(g.cpu().run(), ExitReason::kicked);
    kicker.join();
  }
  EXPECT_FALSE(g.cpu().has_wake_reason());
}

TEST(KvmKernelLapic, AnNmiEndsHlt) {
  SOLDER_NEEDS_KVM();
  Guest g(1, Guest::Irqchip::kernel);
  set_vector(g, 2, kCountingHandler);
  kick_on_output(g);
  g.start({0xc6, 0x06, 0x04, 0x20, 0x01,  // mov byte [0x2004], 1
           0xfa, kHlt,                    // cli; hlt
           0xba, 0x00, 0x01, 0xee,        // mov dx, 0x100; out dx, al
           0xeb, 0xfe});
  std::thread driver([&g] {
    while (reinterpret_cast<std::atomic<u8>*>(g.ram->host() + 0x2004)->load() == 0) std::this_thread::yield();
    g.cpu().raise_nmi();
  });
  EXPECT_EQ(g.cpu().run(), ExitReason::kicked);
  driver.join();
  EXPECT_EQ(g.at<u16>(0x2000), 1);
}

TEST(KvmKernelLapic, AParkedCpuSleepsAndAnswersItsThread) {
  SOLDER_NEEDS_KVM();
  Guest g(1, Guest::Irqchip::kernel);
  g.load({0xc6, 0x06, 0x00, 0x20, 0x01, 0xeb, 0xfe});  // mov byte [0x2000], 1; jmp $
  Control control;
  cpu::CpuSet set(control);
  set.add(std::move(g.vcpus[0]));
  set.start();
  EXPECT_TRUE(set[0].power_on({.pc = Guest::kCode, .parked = true}));
  for (int i = 0; i < 20; ++i) {
    bool ran = false;
    set[0].run_on([&ran] { ran = true; });
    EXPECT_TRUE(ran);
    set.exclusive([] {});
  }
  set.stop();
  EXPECT_EQ(g.at<u8>(0x2000), 0);
}

TEST(KvmKernelLapic, AParkedCpuStartsWithInitAndStartUp) {
  SOLDER_NEEDS_KVM();
  Guest g(2, Guest::Irqchip::kernel);
  g.port.on_write = [&g](u64) {
    g.cpu(0).kick();
    g.cpu(1).kick();
  };
  g.load({0x8c, 0xc8, 0xa3, 0x00, 0x20,  // mov ax, cs; mov [0x2000], ax
          0xba, 0x00, 0x01, 0xee, 0xeb, 0xfe},
         0x9000);  // mov dx, 0x100; out dx, al
  g.cpu(1).reset({.parked = true});
  g.start_protected({0xba, 0x00, 0x01, 0x00, 0x00,                                // mov edx, 0x100
                     0xc7, 0x05, 0x10, 0x03, 0xe0, 0xfe, 0x00, 0x00, 0x00, 0x01,  // mov dword [ICR high], 1 << 24
                     0xc7, 0x05, 0x00, 0x03, 0xe0, 0xfe, 0x00, 0x45, 0x00, 0x00,  // mov dword [ICR], INIT
                     0xee,                                                        // out dx, al
                     0xc7, 0x05, 0x00, 0x03, 0xe0, 0xfe, 0x09, 0x46, 0x00, 0x00,  // mov dword [ICR], start-up at 0x9000
                     0xee, 0xeb, 0xfe});
  ASSERT_EQ(g.cpu(0).run(), ExitReason::kicked);
  // Reading the state makes KVM take what is pending, so this does not depend on time.
  if (g.reg("mp_state", 1) == u64{KVM_MP_STATE_UNINITIALIZED}) {
    GTEST_SKIP() << "this host's KVM does not deliver INIT to a CPU that waits for it";
  }
  EXPECT_EQ(g.reg("mp_state", 1), u64{KVM_MP_STATE_INIT_RECEIVED});
  ASSERT_EQ(g.cpu(0).run(), ExitReason::kicked);
  while (g.at<u16>(0x2000) == 0) ASSERT_EQ(g.cpu(1).run(), ExitReason::kicked);
  EXPECT_EQ(g.at<u16>(0x2000), 0x900);
}

TEST(KvmSplit, ExtIntComesFromTheCpuInterface) {
  SOLDER_NEEDS_KVM();
  Guest g(1, Guest::Irqchip::split);
  FakeController controller(g.cpu());
  set_vector(g, 0x48, kCountingHandler);
  g.start({0xfb, kHlt, 0xeb, 0xfd});  // sti; hlt, which sleeps in KVM; jmp back to hlt
  std::thread driver([&] {
    for (int i = 0; i < 20; ++i) {
      controller.request(0x48);
      while (reinterpret_cast<std::atomic<u16>*>(g.ram->host() + 0x2000)->load() == i) std::this_thread::yield();
    }
    g.cpu().kick();
  });
  EXPECT_EQ(g.cpu().run(), ExitReason::kicked);
  driver.join();
  EXPECT_EQ(g.at<u16>(0x2000), 20);
  EXPECT_EQ(controller.acknowledges, 20);
}

TEST(KvmKernelLapic, WritingBackWhatWasReadIsAnIdentity) {
  SOLDER_NEEDS_KVM();
  for (const auto irqchip : {Guest::Irqchip::split, Guest::Irqchip::kernel}) {
    Guest g(2, irqchip);
    kick_on_output(g);
    g.start({0xba, 0x00, 0x01, 0xee, 0xeb, 0xfe});
    ASSERT_EQ(g.cpu().run(), ExitReason::kicked);
    g.cpu(1).reset({.parked = true});
    for (const usize i : {0, 1}) {
      const auto before = g.cpu(i).registers();
      ASSERT_GT(before.size(), 100U);
      for (const auto& value : before) ASSERT_TRUE(g.cpu(i).set_register(value));
      g.cpu(i).kick();
      EXPECT_EQ(g.cpu(i).run(), ExitReason::kicked) << g.cpu(i).fault_text();
      const auto after = g.cpu(i).registers();
      ASSERT_EQ(after.size(), before.size());
      for (usize field = 0; field < after.size(); ++field) {
        if (before[field].name == "msr_10") continue;  // the time-stamp counter
        // A component whose values are the initial ones may be in use or not: the host's affair (SDM volume 1, 13.6).
        if (before[field].name == "xstate_bv") continue;
        EXPECT_EQ(after[field].value, before[field].value) << before[field].name;
      }
    }
    EXPECT_EQ(g.reg("mp_state", 1), u64{KVM_MP_STATE_UNINITIALIZED});
  }
}

// The local APIC's page, and its registers (SDM volume 3, table 11-1).
u32 apic_word(const kvm_lapic_state& page, u32 offset) {
  u32 out = 0;
  std::memcpy(&out, &page.regs[offset], sizeof out);
  return out;
}
void set_apic_word(kvm_lapic_state& page, u32 offset, u32 value) {
  std::memcpy(&page.regs[offset], &value, sizeof value);
}

TEST(KvmKernelLapic, ATimerThatRanOutWhileTheCpuStoodIsInItsStateOnceItHasCaughtUp) {
  SOLDER_NEEDS_KVM();
  constexpr u32 kSpurious = 0xf0, kRequests = 0x200, kLvtTimer = 0x320, kInitialCount = 0x380, kCurrentCount = 0x390,
                kDivide = 0x3e0;
  constexpr u32 kVector = 0x41, kCount = 1000;
  Guest g(1, Guest::Irqchip::kernel);
  kick_on_output(g);
  g.start({0xfa, 0xba, 0x00, 0x01, 0xee,                // cli; mov dx, 0x100; out dx, al
           0xc6, 0x06, 0x00, 0x20, 0x01, 0xeb, 0xfe});  // mov byte [0x2000], 1; jmp $
  ASSERT_EQ(g.cpu().run(), ExitReason::kicked);
  kvm_lapic_state page{};
  ASSERT_TRUE(control(g.cpu().fd(), SOLDER_KVM(KVM_GET_LAPIC), &page));
  set_apic_word(page, kSpurious, 0x1ff);
  set_apic_word(page, kDivide, 0xb);  // by 1
  set_apic_word(page, kLvtTimer, kVector);
  set_apic_word(page, kInitialCount, kCount);
  set_apic_word(page, kCurrentCount, kCount);
  ASSERT_TRUE(control(g.cpu().fd(), SOLDER_KVM(KVM_SET_LAPIC), &page));
  do {
    ASSERT_TRUE(control(g.cpu().fd(), SOLDER_KVM(KVM_GET_LAPIC), &page));
  } while (apic_word(page, kCurrentCount) != 0);

  const u64 pc = g.reg("rip");
  g.cpu().catch_up();

  ASSERT_TRUE(control(g.cpu().fd(), SOLDER_KVM(KVM_GET_LAPIC), &page));
  EXPECT_NE(apic_word(page, kRequests + 0x10 * (kVector / 32)) >> kVector % 32 & 1, 0U);
  EXPECT_EQ(g.reg("rip"), pc);
  EXPECT_EQ(g.at<u8>(0x2000), 0);  // and the guest has not run
}

}  // namespace
}  // namespace solder::accel::kvm
