// Registers by name, reset, entry states, CPUID.
#include <algorithm>
#include <set>

#include "guest.h"

namespace solder::accel::kvm {
namespace {

using cpu::ExitReason;
using cpu::RegisterValue;

constexpr u8 kHlt = 0xf4;

/// What runs on while nobody looks: the time-stamp counter, and what KVM counts with it. A component of XSAVE whose
/// values are the initial ones may be in use or not: the host's affair (SDM volume 1, 13.6).
bool moves(const std::string& name) {
  static const std::set<std::string> moving{"msr_10", "msr_e7", "msr_e8", "xstate_bv"};
  return moving.contains(name);
}

void expect_same(const std::vector<RegisterValue>& a, const std::vector<RegisterValue>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (usize i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].name, b[i].name);
    if (!moves(a[i].name)) {
      EXPECT_EQ(a[i].value, b[i].value) << a[i].name << std::hex << " was " << a[i].value[0] << " is " << b[i].value[0];
    }
  }
}

TEST(KvmState, WritingBackWhatWasReadIsAnIdentity) {
  SOLDER_NEEDS_KVM();
  for (int mode = 0; mode < 3; ++mode) {
    Guest g;
    const Code code{0xb0, 0x12, 0xe6, 0x80, kHlt};
    if (mode == 0) g.start(code);
    if (mode == 1) g.start_protected(code);
    if (mode == 2) g.start_long(code);
    ASSERT_EQ(g.cpu().run(), ExitReason::halted);
    const auto before = g.cpu().registers();
    ASSERT_GT(before.size(), 100U);
    std::set<std::string> names;
    for (const auto& value : before) {
      EXPECT_TRUE(names.insert(value.name).second) << value.name << " twice";
      ASSERT_TRUE(g.cpu().set_register(value)) << value.name;
    }
    g.cpu().kick();
    EXPECT_EQ(g.cpu().run(), ExitReason::halted) << g.cpu().fault_text();
    expect_same(before, g.cpu().registers());
  }
}

TEST(KvmState, MovesToAnotherMachineInWhichItGoesOn) {
  SOLDER_NEEDS_KVM();
  Guest from;
  // Counts to 3 with a stop after each.
  const Code code{0x48, 0xff, 0xc3, kHlt, 0x48, 0xff, 0xc3, kHlt, 0x48, 0xff, 0xc3, 0xf4};  // inc rbx; hlt; …
  from.start_long(code);
  ASSERT_EQ(from.cpu().run(), ExitReason::halted);
  ASSERT_TRUE(from.cpu().set_register({"xmm3", {0x1111222233334444, 0x5555666677778888}}));
  ASSERT_TRUE(from.cpu().set_register({"st2", {0x8000000000000000, 0x3fff}}));
  ASSERT_TRUE(from.cpu().set_register({"dr1", {0x1234, 0}}));
  from.set("msr_c0000102", 0x123456789a);  // KernelGSbase
  EXPECT_EQ(from.cpu().run(), ExitReason::halted);
  Guest to;
  std::memcpy(to.ram->host(), from.ram->host(), Guest::kRamSize);
  to.start({kHlt});
  to.load(code);
  auto record = from.cpu().registers();
  // In any order: long mode's control registers are refused one by one.
  std::reverse(record.begin(), record.end());
  for (const auto& value : record) ASSERT_TRUE(to.cpu().set_register(value)) << value.name;
  expect_same(from.cpu().registers(), to.cpu().registers());
  ASSERT_EQ(to.cpu().run(), ExitReason::halted) << to.cpu().fault_text();
  expect_same(from.cpu().registers(), to.cpu().registers());
  to.cpu().raise_nmi();  // no IDT: proves that HLT was left in the right place
  EXPECT_EQ(to.cpu().run(), ExitReason::reset);
}

TEST(KvmState, WhatIsSetTakesEffect) {
  SOLDER_NEEDS_KVM();
  Guest g;
  g.start({0x90, kHlt, 0x01, 0xd8, kHlt});  // nop; hlt; add ax, bx; hlt
  ASSERT_EQ(g.cpu().run(), ExitReason::halted);
  g.set("rip", 2);
  g.set("rax", 40);
  g.set("rbx", 2);
  g.set("mp_state", 0);  // no longer in HLT
  EXPECT_EQ(g.reg("rip"), 2U) << "what was set is read before it takes effect";
  ASSERT_EQ(g.cpu().run(), ExitReason::halted);
  EXPECT_EQ(g.reg("rax"), 42U);
}

TEST(KvmState, PendingEventsAreInTheRecord) {
  SOLDER_NEEDS_KVM();
  Guest g;
  g.start({kHlt});
  ASSERT_EQ(g.cpu().run(), ExitReason::halted);
  EXPECT_EQ(g.reg("mp_state"), u64{KVM_MP_STATE_HALTED});
  EXPECT_EQ(g.reg("event_nmi_pending"), 0U);
  g.cpu().raise_nmi();
  EXPECT_EQ(g.reg("event_nmi_pending"), 1U);
}

TEST(KvmState, UnknownNamesAndImpossibleValuesAreErrors) {
  SOLDER_NEEDS_KVM();
  Guest g;
  g.start({kHlt});
  EXPECT_FALSE(g.cpu().set_register({"x0", {0, 0}}));
  EXPECT_FALSE(g.cpu().set_register({"msr_12345678", {0, 0}}));
  // Long mode active without paging: SDM volume 3, 4.1.2.
  g.set("efer", 0x500);
  EXPECT_EQ(g.cpu().run(), ExitReason::fault);
  EXPECT_NE(g.cpu().fault_text().find("KVM_SET_SREGS"), std::string::npos) << g.cpu().fault_text();
}

TEST(KvmReset, ComesBackToThePowerOnState) {
  SOLDER_NEEDS_KVM();
  Guest g;
  g.cpu().reset({.pc = 0xfffffff0});
  const auto fresh = g.cpu().registers();
  EXPECT_EQ(g.reg("cs.base"), 0xffff0000U);
  EXPECT_EQ(g.reg("rip"), 0xfff0U);
  EXPECT_EQ(g.reg("cr0") & 0x80000001, 0U);
  g.start_long({0xb8, 0x34, 0x12, 0x00, 0x00,  // mov eax, 0x1234
                0xe7, 0x80,                    // out 0x80, eax
                kHlt});
  ASSERT_TRUE(g.cpu().set_register({"xmm5", {1, 2}}));
  g.set("msr_c0000081", 0x1000);  // STAR
  ASSERT_EQ(g.cpu().run(), ExitReason::halted) << g.cpu().fault_text();
  g.cpu().reset({.pc = 0xfffffff0});
  expect_same(fresh, g.cpu().registers());
}

TEST(KvmEntry, AStartUpIpiSetsTheCodeSegment) {
  SOLDER_NEEDS_KVM();
  Guest g;
  g.load({0x8c, 0xc8, kHlt}, 0x9000);  // mov ax, cs
  g.cpu().reset({.pc = 0x9000});
  EXPECT_EQ(g.reg("cs.base"), 0x9000U);
  ASSERT_EQ(g.cpu().run(), ExitReason::halted);
  EXPECT_EQ(g.reg("rax"), 0x900U);
}

TEST(KvmEntry, ProtectedAndLongModeHaveTheirArguments) {
  SOLDER_NEEDS_KVM();
  Guest g;
  g.load({kHlt});
  g.cpu().reset({.pc = Guest::kCode,
                 .arguments = {0x111, 0x222, 0x333, 0x444},
                 .mode = cpu::EntryMode::protected_,
                 .descriptor_table = 0x7000});
  ASSERT_EQ(g.cpu().run(), ExitReason::halted);
  EXPECT_EQ(g.reg("rbx"), 0x111U);
  EXPECT_EQ(g.reg("rsi"), 0x222U);
  EXPECT_EQ(g.reg("rax"), 0x333U);
  EXPECT_EQ(g.reg("rsp"), 0x444U);
  EXPECT_EQ(g.reg("cr0") & 0x80000001, 1U);
  EXPECT_EQ(g.reg("gdt.base"), 0x7000U);
  EXPECT_EQ(g.reg("cs.attributes") & 0xf0ff, 0xc09bU);
  EXPECT_EQ(g.reg("ds.attributes") & 0xf0ff, 0xc093U);
  g.start_long({kHlt});
  ASSERT_EQ(g.cpu().run(), ExitReason::halted);
  EXPECT_EQ(g.reg("efer") & 0x500, 0x500U);
  EXPECT_EQ(g.reg("cs.attributes") & 0xf0ff, 0xa09bU);
}

TEST(KvmCpuid, HasTheTopologyAndTheHypervisor) {
  SOLDER_NEEDS_KVM();
  Guest g(3);
  // CPUID of the leaf in EAX and subleaf in ECX, for the CPU with APIC ID 2.
  g.load({0x0f, 0xa2, kHlt});
  struct Leaf {
    u64 a, b, c, d;
  };
  const auto cpuid = [&g](u64 leaf, u64 subleaf) {
    g.cpu(2).reset({.pc = Guest::kCode, .mode = cpu::EntryMode::protected_});
    EXPECT_TRUE(g.cpu(2).set_register({"rax", {leaf, 0}}));
    EXPECT_TRUE(g.cpu(2).set_register({"rcx", {subleaf, 0}}));
    EXPECT_EQ(g.cpu(2).run(), ExitReason::halted);
    return Leaf{g.reg("rax", 2), g.reg("rbx", 2), g.reg("rcx", 2), g.reg("rdx", 2)};
  };
  const Leaf one = cpuid(1, 0);
  EXPECT_EQ(one.b >> 24, 2U) << "initial APIC ID";
  EXPECT_EQ(one.b >> 16 & 0xff, 4U) << "IDs of the package";
  EXPECT_NE(one.c & 1U << 31, 0U) << "hypervisor";
  EXPECT_NE(one.c & 1U << 21, 0U) << "x2APIC";
  EXPECT_NE(one.d & 1U << 9, 0U) << "APIC";
  EXPECT_NE(one.d & 1U << 28, 0U) << "HTT";
  const Leaf cores = cpuid(0xb, 1);
  EXPECT_EQ(cores.a, 2U) << "bits of the ID within the package";
  EXPECT_EQ(cores.b & 0xffff, 3U);
  EXPECT_EQ(cores.c, 0x201U);
  EXPECT_EQ(cores.d, 2U);
  EXPECT_EQ(cpuid(0xb, 0).a, 0U) << "one thread each";
  const Leaf hypervisor = cpuid(0x40000000, 0);
  EXPECT_EQ(hypervisor.b, 0x4b4d564bU) << "KVMK";
  // Nothing that KVM gives with its own local APIC alone: no paravirtual EOIs and IPIs.
  EXPECT_EQ(cpuid(0x40000001, 0).a & (1U << 6 | 1U << 11), 0U);
}

TEST(KvmCpu, TellsItsTimeStampCounter) {
  SOLDER_NEEDS_KVM();
  Guest g;
  g.start({kHlt});
  const auto first = g.cpu().read_tsc();
  const auto second = g.cpu().read_tsc();
  if (!first) GTEST_SKIP() << "this KVM does not know its TSC's rate";
  ASSERT_TRUE(second);
  EXPECT_GT(first->hz, 1'000'000U);
  EXPECT_EQ(first->hz, second->hz);
  EXPECT_GT(second->value, first->value);
}

}  // namespace
}  // namespace solder::accel::kvm
