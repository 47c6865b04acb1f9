#include "unit/accel_kvm_arm64/guest.h"

namespace solder::accel::kvm {
namespace {

using Access = Recorder::Access;

// A64 instructions, by hand (DDI 0487, C6.2).
constexpr u32 kSystemOff[] = {0xd2800101,   // mov x1, #8
                              0xf2b08001,   // movk x1, #0x8400, lsl 16
                              0xaa0103e0,   // mov x0, x1
                              0xd4000002};  // hvc #0: PSCI SYSTEM_OFF

std::vector<u32> then_off(std::vector<u32> code) {
  code.insert(code.end(), std::begin(kSystemOff), std::end(kSystemOff));
  return code;
}

TEST(KvmArm64, WindowsAreReachedWithEveryWidth) {
  SOLDER_NEEDS_KVM();
  Guest guest;
  guest.recorder.value = 0xffff'ffff'ffff'ff80;
  EXPECT_EQ(guest.run(then_off({0x3940000a,    // ldrb w10, [x0]
                                0x3980040b,    // ldrsb x11, [x0, #1]
                                0x79c00404,    // ldrsh w4, [x0, #2]
                                0xb9800405,    // ldrsw x5, [x0, #4]
                                0xf9400406,    // ldr x6, [x0, #8]
                                0x39004006,    // strb w6, [x0, #16]
                                0x79002406,    // strh w6, [x0, #18]
                                0xb9001406,    // str w6, [x0, #20]
                                0xf9000c06}))  // str x6, [x0, #24]
            ,
            cpu::ExitReason::shutdown);
  EXPECT_EQ(guest.recorder.log, (std::vector<Access>{{false, 0, 1, 0},
                                                     {false, 1, 1, 0},
                                                     {false, 2, 2, 0},
                                                     {false, 4, 4, 0},
                                                     {false, 8, 8, 0},
                                                     {true, 16, 1, 0x80},
                                                     {true, 18, 2, 0xff80},
                                                     {true, 20, 4, 0xffff'ff80},
                                                     {true, 24, 8, 0xffff'ffff'ffff'ff80}}));
  // The upper bits are KVM's to extend, by a bit of the syndrome that QEMU 7.2 as the host's processor leaves out.
  EXPECT_EQ(guest.get("x10"), 0x80U);
  EXPECT_EQ(guest.get("x11") & 0xff, 0x80U);
  EXPECT_EQ(guest.get("x4") & 0xffff, 0xff80U);
  EXPECT_EQ(guest.get("x5") & 0xffff'ffff, 0xffff'ff80U);
  EXPECT_EQ(guest.get("x6"), 0xffff'ffff'ffff'ff80U);
}

TEST(KvmArm64, HolesReadAsOnesAndSwallowWrites) {
  SOLDER_NEEDS_KVM();
  Guest guest;
  EXPECT_EQ(guest.run(then_off({0xd2a20007,    // mov x7, #0x10000000
                                0xb94000e8,    // ldr w8, [x7]
                                0xb90000e8}))  // str w8, [x7]
            ,
            cpu::ExitReason::shutdown);
  EXPECT_EQ(guest.get("x8"), 0xffff'ffffU);
  EXPECT_TRUE(guest.recorder.log.empty());
}

TEST(KvmArm64, ResetIsASystemEventToo) {
  SOLDER_NEEDS_KVM();
  Guest guest;
  EXPECT_EQ(guest.run({0xd2800120,    // mov x0, #9
                       0xf2b08000,    // movk x0, #0x8400, lsl 16
                       0xd4000002}),  // hvc #0: PSCI SYSTEM_RESET
            cpu::ExitReason::reset);
}

TEST(KvmArm64, AnAccessThatTheProcessorDoesNotDescribeIsToldInWords) {
  SOLDER_NEEDS_KVM();
  Guest guest;
  ASSERT_EQ(guest.run({0xa9400c02}), cpu::ExitReason::fault);  // ldp x2, x3, [x0]
  const std::string text = guest.cpus[0]->fault_text();
  EXPECT_NE(text.find("KVM_EXIT_ARM_NISV"), std::string::npos) << text;
  EXPECT_NE(text.find("0x9000000 (window)"), std::string::npos) << text;
  EXPECT_NE(text.find("ldp, stp"), std::string::npos) << text;
  EXPECT_NE(text.find("at pc 0000000040000000"), std::string::npos) << text;
  EXPECT_NE(text.find("instruction a9400c02"), std::string::npos) << text;
}

TEST(KvmArm64, AffinitiesAreTheTrees) {
  SOLDER_NEEDS_KVM();
  Guest guest({0x0, 0x100, 0x20301});
  EXPECT_EQ(guest.get("MPIDR_EL1", 0) & 0xff00ffffff, 0x0U);
  EXPECT_EQ(guest.get("MPIDR_EL1", 1) & 0xff00ffffff, 0x100U);
  EXPECT_EQ(guest.get("MPIDR_EL1", 2) & 0xff00ffffff, 0x20301U);
}

TEST(KvmArm64, OtherArchitecturesAreRefused) {
  SOLDER_NEEDS_KVM();
  Guest guest(std::vector<u64>{});
  cpu::CpuRequest request;
  request.compatible = "riscv";
  request.memory = &guest.memory;
  const auto cpu = guest.kvm->create_vcpu(request);
  ASSERT_FALSE(cpu.has_value());
  EXPECT_NE(cpu.error().text().find("riscv"), std::string::npos);
}

TEST(KvmArm64, EveryRegisterReadsBackAsItWasWritten) {
  SOLDER_NEEDS_KVM();
  Guest guest;
  cpu::Vcpu& cpu = *guest.cpus[0];
  const std::vector<cpu::RegisterValue> values = {{"x0", {0x1111, 0}},
                                                  {"x30", {0x2222, 0}},
                                                  {"pc", {0x40001000, 0}},
                                                  {"pstate", {0x600003c5, 0}},
                                                  {"SP_EL0", {0x3330, 0}},
                                                  {"v0", {0x4444, 0x5555}},
                                                  {"v31", {0x6666, 0x7777}},
                                                  {"FPCR", {0x1000000, 0}},
                                                  {"FPSR", {0x10, 0}},
                                                  {"ELR_EL1", {0x8888, 0}},
                                                  {"SPSR_EL1", {0x3c5, 0}},
                                                  {"VBAR_EL1", {0x9000, 0}},
                                                  {"TTBR0_EL1", {0x41000000, 0}},
                                                  {"TPIDR_EL1", {0xabcd, 0}},
                                                  {"CNTV_CVAL_EL0", {0x12345, 0}},
                                                  {"OSLAR_EL1", {1, 0}}};
  for (const auto& value : values) {
    const Status done = cpu.set_register(value);
    EXPECT_TRUE(done.has_value()) << value.name << ": " << done.error().text();
  }
  const auto all = cpu.registers();
  for (const auto& value : values) {
    const auto found =
        std::find_if(all.begin(), all.end(), [&](const cpu::RegisterValue& r) { return r.name == value.name; });
    ASSERT_NE(found, all.end()) << value.name;
    EXPECT_EQ(found->value, value.value) << value.name;
  }
  EXPECT_FALSE(cpu.set_register({"x31", {0, 0}}).has_value());
}

TEST(KvmArm64, SpIsTheStackPointerThatPstateSelects) {
  SOLDER_NEEDS_KVM();
  Guest guest;
  cpu::Vcpu& cpu = *guest.cpus[0];
  // In this order, as the translator's record has them: sp first, the banked values may be old.
  ASSERT_TRUE(cpu.set_register({"sp", {0xaaa0, 0}}).has_value());
  ASSERT_TRUE(cpu.set_register({"pstate", {0x3c4, 0}}).has_value());  // EL1t
  ASSERT_TRUE(cpu.set_register({"SP_EL0", {0xbbb0, 0}}).has_value());
  ASSERT_TRUE(cpu.set_register({"SP_EL1", {0xccc0, 0}}).has_value());
  EXPECT_EQ(guest.get("SP_EL0"), 0xaaa0U);
  EXPECT_EQ(guest.get("SP_EL1"), 0xccc0U);
  EXPECT_EQ(guest.get("sp"), 0xaaa0U);
}

TEST(KvmArm64, AParkedCpuWaitsUntilItIsKicked) {
  SOLDER_NEEDS_KVM();
  Guest guest({0, 1});
  guest.cpus[1]->reset({.parked = true});
  guest.cpus[1]->kick();
  EXPECT_EQ(guest.cpus[1]->run(), cpu::ExitReason::kicked);
}

}  // namespace
}  // namespace solder::accel::kvm
