// Local APICs: priorities and nesting, destinations, messages, errors, INIT and start-up, x2APIC.
#include "apic_fixture.h"

namespace solder::models::apic {
namespace {

constexpr u64 kMsi = 0xfee0'0000;
constexpr u32 kLevelMessage = 3u << 14;

class ApicTest : public ApicMachine {};

TEST_F(ApicTest, ResetValues) {
  device->reset();
  EXPECT_EQ(get(kRegSvr), 0xffu);
  EXPECT_EQ(get(kRegDfr), 0xffff'ffffu);
  EXPECT_EQ(get(kRegVersion), 0x50014u);
  for (u32 i = 0; i < kLvtCount; ++i) EXPECT_EQ(get(kRegLvt + i), i == kLvtLint0 ? 0x700u : kLvtMasked) << i;
  EXPECT_EQ(rdmsr(0, kMsrApicBase), 0xfee0'0900u);
  EXPECT_EQ(rdmsr(3, kMsrApicBase), 0xfee0'0800u);
  on(3);
  EXPECT_EQ(get(kRegId), 3u << 24);
  EXPECT_EQ(get(kRegLvt + kLvtLint0), kLvtMasked);
}

TEST_F(ApicTest, MsrsHaveNamesInTraces) {
  for (const auto& [msr, name] : {std::pair{0x1bu, "IA32_APIC_BASE"}, std::pair{0x6e0u, "IA32_TSC_DEADLINE"},
                                  std::pair{0x80bu, "EOI"}, std::pair{0x830u, "ICR"}, std::pair{0x83fu, "SELF_IPI"}}) {
    const auto found = apics->trace_name(msr);
    ASSERT_TRUE(found);
    EXPECT_EQ(*found->node, ports.node().path());
    EXPECT_EQ(found->handler->register_name(found->offset), name);
  }
}

TEST_F(ApicTest, HigherClassesNestEqualOnesDoNot) {
  message(kMsi, 0x51);
  EXPECT_TRUE(irq());
  EXPECT_EQ(take(), 0x51);
  EXPECT_FALSE(irq());
  EXPECT_EQ(get(kRegPpr), 0x50u);
  message(kMsi, 0x5f);
  EXPECT_FALSE(irq()) << "the same class waits, though its number is higher";
  message(kMsi, 0x61);
  EXPECT_TRUE(irq());
  EXPECT_EQ(take(), 0x61);
  EXPECT_EQ(get(kRegPpr), 0x60u);
  EXPECT_TRUE(in_service(0x51));
  put(kRegEoi, 0);
  EXPECT_FALSE(in_service(0x61)) << "EOI ends the highest";
  EXPECT_FALSE(irq());
  put(kRegEoi, 0);
  EXPECT_TRUE(irq());
  EXPECT_EQ(take(), 0x5f);
  put(kRegEoi, 0);
  EXPECT_EQ(get(kRegPpr), 0u);
  EXPECT_EQ(take(), std::nullopt);
}

TEST_F(ApicTest, TaskPriorityHoldsBack) {
  put(kRegTpr, 0x52);
  EXPECT_EQ(get(kRegPpr), 0x52u);
  EXPECT_EQ(machine.vcpus[0]->cpu_interface->task_priority(), 5);
  message(kMsi, 0x5f);
  EXPECT_FALSE(irq());
  EXPECT_EQ(take(), std::nullopt);
  message(kMsi, 0x60);
  EXPECT_TRUE(irq());
  machine.vcpus[0]->cpu_interface->set_task_priority(6);
  EXPECT_FALSE(irq()) << "withdrawn before it was taken";
  EXPECT_EQ(take(), std::nullopt);
  EXPECT_EQ(get(kRegTpr), 0x60u);
  machine.vcpus[0]->cpu_interface->set_task_priority(4);
  EXPECT_EQ(take(), 0x60);
  put(kRegTpr, 0x90);
  EXPECT_EQ(get(kRegPpr), 0x90u) << "the higher of task and interrupt in service";
  put(kRegTpr, 0x10);
  EXPECT_EQ(get(kRegPpr), 0x60u);
}

TEST_F(ApicTest, TheSameVectorWaitsOnceWhileInService) {
  message(kMsi, 0x41);
  message(kMsi, 0x41);
  EXPECT_EQ(take(), 0x41);
  EXPECT_EQ(take(), std::nullopt);
  message(kMsi, 0x41);
  message(kMsi, 0x41);
  put(kRegEoi, 0);
  EXPECT_EQ(take(), 0x41);
  put(kRegEoi, 0);
  EXPECT_FALSE(irq());
}

TEST_F(ApicTest, OnlyLevelTriggeredEndsAreBroadcast) {
  HeardEois heard;
  apics->add_eoi_listener(heard);
  message(kMsi, 0x41 | kLevelMessage);
  message(kMsi, 0x52);
  EXPECT_EQ(get(kRegTmr + 2), 2u);
  EXPECT_EQ(take(), 0x52);
  EXPECT_EQ(take(), std::nullopt);
  put(kRegEoi, 0);
  EXPECT_TRUE(heard.vectors.empty());
  EXPECT_EQ(take(), 0x41);
  put(kRegEoi, 0);
  EXPECT_EQ(heard.vectors, std::vector<u8>{0x41});
  message(kMsi, 0x41);
  EXPECT_EQ(get(kRegTmr + 2), 0u) << "an edge this time";
  take();
  put(kRegEoi, 0);
  put(kRegEoi, 0);
  EXPECT_EQ(heard.vectors.size(), 1u);
}

TEST_F(ApicTest, PhysicalDestinations) {
  EXPECT_TRUE(message(kMsi | 2 << 12, 0x41));
  EXPECT_FALSE(irq(0));
  EXPECT_TRUE(irq(2));
  EXPECT_FALSE(message(kMsi | 9 << 12, 0x42)) << "there is none";
  EXPECT_FALSE(message(0xfec0'0000, 0x42)) << "not for local APICs";
  EXPECT_FALSE(message(0x1'0000'0000 | kMsi | 0x100'0000, 0x42));
  EXPECT_TRUE(message(kMsi | 0xff << 12, 0x51));
  for (u32 cpu = 0; cpu < 4; ++cpu) EXPECT_EQ(take(cpu), 0x51) << cpu;
}

TEST_F(ApicTest, LogicalFlatDestinations) {
  for (u32 cpu = 0; cpu < 4; ++cpu) {
    on(cpu);
    put(kRegLdr, 1u << (24 + cpu));
  }
  message(kMsi | 1 << 2 | 0b1010 << 12, 0x41);
  EXPECT_FALSE(irq(0));
  EXPECT_TRUE(irq(1));
  EXPECT_FALSE(irq(2));
  EXPECT_TRUE(irq(3));
}

TEST_F(ApicTest, LogicalClusterDestinations) {
  // CPUs 0 and 1 are cluster 0, 2 and 3 cluster 1.
  for (u32 cpu = 0; cpu < 4; ++cpu) {
    on(cpu);
    put(kRegDfr, 0x0fff'ffff);
    put(kRegLdr, (cpu / 2) << 28 | 1u << (24 + cpu % 2));
    EXPECT_EQ(get(kRegDfr), 0x0fff'ffffu);
  }
  message(kMsi | 1 << 2 | 0x13 << 12, 0x41);
  EXPECT_FALSE(irq(0));
  EXPECT_FALSE(irq(1));
  EXPECT_EQ(take(2), 0x41);
  EXPECT_EQ(take(3), 0x41);
  message(kMsi | 1 << 2 | 0x02 << 12, 0x42);
  EXPECT_FALSE(irq(0));
  EXPECT_EQ(take(1), 0x42);
  message(kMsi | 1 << 2 | 0x2f << 12, 0x43);
  for (u32 cpu = 0; cpu < 4; ++cpu) EXPECT_EQ(take(cpu), std::nullopt) << "nobody's cluster";
}

TEST_F(ApicTest, LowestPriorityPicksTheLeastBusy) {
  const u32 lowest = 1u << 8;
  for (u32 cpu = 0; cpu < 4; ++cpu) {
    on(cpu);
    put(kRegLdr, 1u << (24 + cpu));
    put(kRegTpr, cpu == 2 ? 0x10 : 0x40);
  }
  message(kMsi | 1 << 2 | 0xf << 12, 0x91 | lowest);
  on(2);
  EXPECT_TRUE(requested(0x91));
  EXPECT_EQ(get(kRegApr), 0x90u);
  // CPU 2 has work now.
  message(kMsi | 1 << 2 | 0x7 << 12, 0x92 | lowest);
  EXPECT_FALSE(requested(0x92));
  // Not one that is disabled by software, however idle.
  on(3);
  put(kRegTpr, 0);
  put(kRegSvr, 0xff);
  message(kMsi | 1 << 2 | 0xc << 12, 0x93 | lowest);
  on(2);
  EXPECT_TRUE(requested(0x93));
  on(3);
  EXPECT_FALSE(requested(0x93));
}

TEST_F(ApicTest, EqualsTakeTurnsAtLowestPriority) {
  std::array<u32, 4> taken{};
  for (u32 i = 0; i < 8; ++i) {
    message(kMsi | 0xff << 12, 0x41 | 1u << 8);
    for (u32 cpu = 0; cpu < 4; ++cpu) {
      if (!take(cpu)) continue;
      ++taken[cpu];
      on(cpu);
      put(kRegEoi, 0);
    }
  }
  EXPECT_EQ(taken, (std::array<u32, 4>{2, 2, 2, 2}));
}

TEST_F(ApicTest, InterProcessorInterruptsAndShorthands) {
  on(1);
  ipi(0x41, 3);
  EXPECT_EQ(get(kRegIcr), 0x41u) << "not busy";
  EXPECT_EQ(take(3), 0x41);
  ipi(0x42 | 1u << 18);
  EXPECT_EQ(take(1), 0x42);
  EXPECT_FALSE(irq(0));
  ipi(0x51 | 2u << 18);
  for (u32 cpu = 0; cpu < 4; ++cpu) EXPECT_EQ(take(cpu), 0x51) << cpu;
  ipi(0x61 | 3u << 18);
  for (u32 cpu = 0; cpu < 4; ++cpu) EXPECT_EQ(take(cpu).has_value(), cpu != 1) << cpu;
  ipi(0x71, 0xff);
  for (u32 cpu = 0; cpu < 4; ++cpu) EXPECT_EQ(take(cpu), 0x71) << cpu;
}

TEST_F(ApicTest, NonMaskableInterrupts) {
  machine.cpu_set.start();
  ipi(4u << 8, 0);
  EXPECT_EQ(machine.vcpus[0]->nmis, 1u);
  EXPECT_FALSE(irq(0)) << "no vector";
  ipi(4u << 8 | 3u << 18);
  EXPECT_EQ(machine.vcpus[1]->nmis, 0u) << "a CPU that was not started takes none";
  message(kMsi, 4u << 8);
  EXPECT_EQ(machine.vcpus[0]->nmis, 2u);
}

TEST_F(ApicTest, InitAndStartUp) {
  machine.cpu_set.start();
  auto settle = [this](u32 cpu) { machine.cpu_set[cpu].run_on([] {}); };
  ipi(6u << 8 | 0x12, 1);
  settle(1);
  ASSERT_TRUE(machine.vcpus[1]->entry.has_value()) << "a CPU waits for its start-up from power-on";
  EXPECT_EQ(machine.vcpus[1]->entry->pc, 0x12000u);
  EXPECT_EQ(machine.vcpus[1]->entry->mode, cpu::EntryMode::real);
  EXPECT_TRUE(machine.cpu_set[1].powered());
  ipi(6u << 8 | 0x34, 1);
  settle(1);
  EXPECT_EQ(machine.vcpus[1]->entry->pc, 0x12000u) << "the second start-up is ignored";

  on(1);
  put(kRegSvr, 0x1ff);
  put(kRegTpr, 0x20);
  on(0);
  ipi(5u << 8 | 1u << 15, 1);
  settle(1);
  EXPECT_TRUE(machine.cpu_set[1].powered()) << "INIT level de-assert is none";
  ipi(5u << 8 | 1u << 14, 1);
  settle(1);
  EXPECT_FALSE(machine.cpu_set[1].powered());
  on(1);
  EXPECT_EQ(get(kRegTpr), 0u);
  EXPECT_EQ(get(kRegSvr), 0xffu);
  EXPECT_EQ(get(kRegId), 1u << 24);
  on(0);
  ipi(5u << 8 | 1u << 14, 1);
  ipi(6u << 8 | 0x56, 1);
  settle(1);
  EXPECT_EQ(machine.vcpus[1]->entry->pc, 0x56000u);
  EXPECT_TRUE(machine.cpu_set[1].powered());
}

TEST_F(ApicTest, InitOfTheBootProcessorStartsItAtTheResetVector) {
  machine.cpu_set.start();
  machine.cpu_set[0].power_on({});
  on(1);
  ipi(5u << 8 | 1u << 14, 0);
  machine.cpu_set[0].run_on([] {});
  EXPECT_EQ(machine.vcpus[0]->entry->pc, 0xffff'fff0u);
  EXPECT_TRUE(machine.cpu_set[0].powered());
}

TEST_F(ApicTest, Errors) {
  put(kRegLvt + kLvtError, 0x33);
  ipi(0x0f, 1);
  EXPECT_EQ(get(kRegEsr), 0u) << "not before a write";
  put(kRegEsr, 0);
  EXPECT_EQ(get(kRegEsr), kErrorSendVector);
  EXPECT_EQ(take(), 0x33);
  put(kRegEoi, 0);
  put(kRegEsr, 0);
  EXPECT_EQ(get(kRegEsr), 0u);
  message(kMsi, 0x05);
  EXPECT_EQ(take(), 0x33);
  put(kRegEsr, 0);
  EXPECT_EQ(get(kRegEsr), kErrorReceiveVector);
  EXPECT_FALSE(message(kMsi, 0x05 | kLevelMessage));
  put(kRegEsr, 0);
  get(0x00);
  put(0x3d, 1);
  put(kRegEsr, 0);
  EXPECT_EQ(get(kRegEsr), kErrorRegister);
  // An illegal error vector: reported once, not for ever.
  put(kRegLvt + kLvtError, 0x03);
  message(kMsi, 0x05);
  put(kRegEsr, 0);
  EXPECT_EQ(get(kRegEsr), kErrorReceiveVector);
}

TEST_F(ApicTest, DisabledBySoftware) {
  put(kRegLvt + kLvtTimer, 0x41);
  message(kMsi, 0x55);
  put(kRegSvr, 0xff);
  EXPECT_EQ(get(kRegLvt + kLvtTimer), 0x41u | kLvtMasked);
  put(kRegLvt + kLvtTimer, 0x41);
  EXPECT_EQ(get(kRegLvt + kLvtTimer), 0x41u | kLvtMasked);
  EXPECT_FALSE(message(kMsi, 0x66)) << "nobody accepted it";
  EXPECT_FALSE(message(kMsi, 0x66 | 1u << 8));
  EXPECT_TRUE(message(kMsi, 4u << 8)) << "an NMI is no matter of SVR";
  EXPECT_TRUE(message(kMsi | 0xff << 12, 0x66)) << "others did";
  EXPECT_FALSE(requested(0x66));
  EXPECT_EQ(take(), 0x55) << "what was accepted is still delivered";
}

TEST_F(ApicTest, LocalPins) {
  const std::array<u32, 2> lint0{0, 1}, lint1{1, 3}, bad{2, 1};
  auto zero = ports.controller->input(lint0, 0);
  auto one = ports.controller->input(lint1, 0);
  ASSERT_TRUE(zero.has_value() && one.has_value());
  EXPECT_FALSE(ports.controller->input(bad, 0).has_value());
  put(kRegLvt + kLvtLint0, 0x41);
  put(kRegLvt + kLvtLint1, 4u << 8);
  zero->sink->set_level(zero->pin, true);
  zero->sink->set_level(zero->pin, true);
  EXPECT_EQ(take(), 0x41);
  EXPECT_EQ(take(), std::nullopt);
  put(kRegEoi, 0);
  EXPECT_FALSE(irq()) << "an edge";
  one->sink->pulse(one->pin);
  EXPECT_EQ(machine.vcpus[0]->nmis, 1u);
  // Level-triggered: again after EOI, while the pin is high.
  put(kRegLvt + kLvtLint0, 0x42 | kLvtLevel);
  EXPECT_EQ(take(), 0x42);
  EXPECT_NE(get(kRegLvt + kLvtLint0) & kLvtRemoteIrr, 0u);
  put(kRegEoi, 0);
  EXPECT_EQ(take(), 0x42);
  zero->sink->set_level(zero->pin, false);
  put(kRegEoi, 0);
  EXPECT_FALSE(irq());
  EXPECT_EQ(get(kRegLvt + kLvtLint0) & kLvtRemoteIrr, 0u);
}

struct FakePic final : interrupt::CpuInterface {
  std::optional<u8> acknowledge() override {
    ++cycles;
    return 0x08;
  }
  u32 cycles = 0;
};

class ApicExternalTest : public ApicMachine {
 protected:
  ApicExternalTest() : ApicMachine(2) {
    machine.legacy_controller = &pic;
    EXPECT_TRUE(device->start().has_value());
  }
  FakePic pic;
};

TEST_F(ApicExternalTest, ExternalInterruptsPassTaskPriority) {
  put(kRegLvt + kLvtLint0, 7u << 8);
  put(kRegTpr, 0xf0);
  apics->set_level(0, true);
  EXPECT_TRUE(irq());
  EXPECT_EQ(take(), 0x08);
  EXPECT_EQ(pic.cycles, 1u);
  EXPECT_TRUE(irq()) << "the pin is the i8259's";
  apics->set_level(0, false);
  EXPECT_FALSE(irq());
  EXPECT_EQ(take(), std::nullopt);
  EXPECT_EQ(pic.cycles, 1u);
  apics->set_level(0, true);
  put(kRegLvt + kLvtLint0, 7u << 8 | kLvtMasked);
  EXPECT_FALSE(irq());
  // Without an APIC the pins are INTR and NMI.
  wrmsr(0, kMsrApicBase, 0xfee0'0100);
  EXPECT_TRUE(irq());
  EXPECT_EQ(take(), 0x08);
  apics->set_level(1, true);
  EXPECT_EQ(machine.vcpus[0]->nmis, 1u);
}

TEST_F(ApicExternalTest, VirtualWireModeFromPowerOn) {
  device->reset();
  apics->set_level(0, true);
  EXPECT_TRUE(irq(0));
  EXPECT_EQ(take(0), 0x08);
}

TEST_F(ApicTest, BaseRegisterTransitions) {
  const u64 bsp = 0xfee0'0100;
  EXPECT_FALSE(allows(0, kMsrApicBase, true, bsp | 0x200));
  EXPECT_FALSE(allows(0, kMsrApicBase, true, bsp | u64{1} << 52));
  EXPECT_FALSE(allows(0, kMsrApicBase, true, bsp | kBaseExtended)) << "extended without enabled";
  EXPECT_TRUE(allows(0, kMsrApicBase, true, bsp | kBaseEnable | kBaseExtended));
  put(kRegTpr, 0x30);
  wrmsr(0, kMsrApicBase, bsp);
  EXPECT_EQ(get(kRegTpr), 0xffff'ffffu) << "nobody answers";
  EXPECT_FALSE(message(kMsi, 0x41));
  EXPECT_FALSE(allows(0, kMsrApicBase, true, bsp | kBaseEnable | kBaseExtended)) << "only from xAPIC mode";
  wrmsr(0, kMsrApicBase, bsp | kBaseEnable);
  EXPECT_EQ(get(kRegTpr), 0u);
  wrmsr(0, kMsrApicBase, bsp | kBaseEnable | kBaseExtended);
  EXPECT_FALSE(allows(0, kMsrApicBase, true, bsp | kBaseEnable)) << "not back";
  EXPECT_TRUE(allows(0, kMsrApicBase, true, bsp));
  EXPECT_EQ(get(kRegId), 0xffff'ffffu) << "the window is gone";
}

class X2apicTest : public ApicMachine {
 protected:
  X2apicTest() {
    for (u32 cpu = 0; cpu < 4; ++cpu) to_x2apic(cpu);
  }
};

TEST_F(X2apicTest, RegistersAreMsrs) {
  EXPECT_EQ(rdmsr(3, 0x802), 3u);
  EXPECT_EQ(rdmsr(3, 0x80d), 1u << 3);
  wrmsr(0, 0x808, 0x40);
  EXPECT_EQ(rdmsr(0, 0x80a), 0x40u);
  wrmsr(0, 0x808, 0);
  wrmsr(0, 0x83f, 0x77);
  EXPECT_EQ(rdmsr(0, 0x823), 1u << (0x77 - 0x60));
  EXPECT_EQ(take(0), 0x77);
  EXPECT_EQ(rdmsr(0, 0x813), 1u << (0x77 - 0x60));
  wrmsr(0, 0x80b, 0);
  EXPECT_EQ(rdmsr(0, 0x813), 0u);
}

TEST_F(X2apicTest, WhatRaisesGeneralProtection) {
  for (const u32 msr : {0x800u, 0x801u, 0x804u, 0x809u, 0x80eu, 0x831u, 0x83au, 0x840u, 0x8ffu})
    EXPECT_FALSE(allows(0, msr, false) || allows(0, msr, true)) << std::hex << msr;
  EXPECT_FALSE(allows(0, 0x80b, false)) << "EOI is write-only";
  EXPECT_FALSE(allows(0, 0x83f, false));
  for (const u32 msr : {0x802u, 0x803u, 0x80au, 0x80du, 0x810u, 0x818u, 0x827u, 0x839u})
    EXPECT_TRUE(allows(0, msr, false) && !allows(0, msr, true)) << std::hex << msr;
  EXPECT_FALSE(allows(0, 0x80b, true, 1));
  EXPECT_FALSE(allows(0, 0x828, true, 1));
  EXPECT_FALSE(allows(0, 0x808, true, 0x100));
  EXPECT_FALSE(allows(0, 0x80f, true, 0x200));
  EXPECT_FALSE(allows(0, 0x830, true, 1u << 20));
  EXPECT_FALSE(allows(0, 0x832, true, 1u << 13));
  EXPECT_FALSE(allows(0, 0x838, true, u64{1} << 32));
  EXPECT_TRUE(allows(0, 0x830, true, u64{0xffff'ffff} << 32 | 0x4041));
}

TEST_F(X2apicTest, NotInXapicMode) {
  wrmsr(1, kMsrApicBase, 0xfee0'0000);
  wrmsr(1, kMsrApicBase, 0xfee0'0000 | kBaseEnable);
  EXPECT_FALSE(allows(1, 0x802, false));
  EXPECT_TRUE(allows(0, 0x802, false));
}

TEST_F(X2apicTest, Destinations) {
  wrmsr(0, 0x830, u64{2} << 32 | 0x41);
  EXPECT_EQ(rdmsr(0, 0x830), u64{2} << 32 | 0x41);
  EXPECT_EQ(take(2), 0x41);
  wrmsr(0, 0x830, u64{0b1010} << 32 | 1u << 11 | 0x42);
  EXPECT_FALSE(irq(0));
  EXPECT_EQ(take(1), 0x42);
  EXPECT_FALSE(irq(2));
  EXPECT_EQ(take(3), 0x42);
  wrmsr(0, 0x830, u64{1} << 48 | u64{0b1010} << 32 | 1u << 11 | 0x52);
  for (u32 cpu = 0; cpu < 4; ++cpu) EXPECT_EQ(take(cpu), std::nullopt) << "another cluster";
  wrmsr(0, 0x830, u64{0xff} << 32 | 0x53);
  for (u32 cpu = 0; cpu < 4; ++cpu) EXPECT_EQ(take(cpu), std::nullopt) << "0xff is an ID like others";
  wrmsr(0, 0x830, u64{0xffff'ffff} << 32 | 0x61);
  for (u32 cpu = 0; cpu < 4; ++cpu) EXPECT_EQ(take(cpu), 0x61) << cpu;
  message(kMsi | 0xff << 12, 0x71);
  for (u32 cpu = 0; cpu < 4; ++cpu) EXPECT_EQ(take(cpu), 0x71) << cpu;
}

TEST(X2apicWideTest, MoreThanEightBitsOfId) {
  testing::FakeMachine machine(2);
  machine.hardware_ids = {0, 0x1'23};
  testing::FakePorts ports{machine, "lapic@0"};
  const auto device = testing::make_model(ports, "intel,ce4100-lapic");
  auto* apics = dynamic_cast<LocalApics*>(device.get());
  cpu::SystemRegisters& registers = *apics;
  registers.write(1, kMsrApicBase, kBaseEnable | kBaseExtended);
  registers.write(1, 0x80f, 0x1ff);
  EXPECT_EQ(registers.read(1, 0x802), 0x123u);
  EXPECT_EQ(registers.read(1, 0x80d), 0x12'0008u);
  EXPECT_TRUE(apics->deliver({.address = u64{0x100} << 32 | kMsi | 0x23 << 12, .data = 0x41}));
  EXPECT_TRUE(machine.vcpus[1]->irq());
  EXPECT_FALSE(machine.vcpus[0]->irq());
}

TEST_F(ApicTest, StateKeepsPendingAndNestedInterrupts) {
  HeardEois heard;
  apics->add_eoi_listener(heard);
  message(kMsi, 0x51 | kLevelMessage);
  take();
  message(kMsi, 0x62);
  message(kMsi | 2 << 12, 0x71);
  ipi(0x0f, 1);
  save_and_load();
  EXPECT_TRUE(irq(0));
  EXPECT_EQ(take(2), 0x71);
  EXPECT_EQ(take(0), 0x62);
  put(kRegEoi, 0);
  put(kRegEoi, 0);
  EXPECT_EQ(heard.vectors, std::vector<u8>{0x51});
  put(kRegEsr, 0);
  EXPECT_EQ(get(kRegEsr), kErrorSendVector);
}

TEST_F(ApicTest, OddAccesses) {
  put(kRegTpr, 0x35);
  EXPECT_EQ(ports.read(kRegTpr << 4, 1), 0x35u);
  EXPECT_EQ(ports.read((kRegVersion << 4) + 2, 1), 5u);
  ports.write(kRegTpr << 4, 0x11, 1);
  ports.write((kRegTpr << 4) + 4, 0x11, 4);
  EXPECT_EQ(get(kRegTpr), 0x35u) << "registers are written as 32 bits";
  on(9);
  EXPECT_EQ(get(kRegTpr), 0u) << "no such CPU";
}

}  // namespace
}  // namespace solder::models::apic
