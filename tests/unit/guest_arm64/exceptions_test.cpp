// Exceptions: syndromes, return addresses, state on entry and return.
#include <gtest/gtest.h>

#include "guest/arm64/exception_bits.h"
#include "unit/guest_arm64/machine.h"

namespace solder::arm64::test {
namespace {

TEST(Exceptions, SvcFromEl0) {
  Machine m;
  m.go_to_el0();
  m.s().core.flags = ir::kFlagN | ir::kFlagC;
  m.s().daif = 0;
  m.s().sp = 0x1230;
  m.s().sp_el1 = 0x5670;
  m.run({0xd40000a1});  // svc #5
  EXPECT_EQ(m.s().core.pc, kVectors + 0x400);
  EXPECT_EQ(m.s().esr_el1, 0x56000005U);
  EXPECT_EQ(m.s().elr_el1, kCode + 4);
  EXPECT_EQ(m.s().spsr_el1, 0xa0000000U);
  EXPECT_EQ(m.s().daif, 0x3c0U);
  EXPECT_EQ(m.s().el, 1U);
  EXPECT_EQ(m.s().sp, 0x5670U);
  EXPECT_EQ(m.s().sp_el0, 0x1230U);
}

TEST(Exceptions, ReturnRestores) {
  Machine m;
  m.s().spsr_el1 = 0x60000000;  // Z, C; EL0t, nothing masked
  m.s().elr_el1 = kRam + 0x100;
  m.s().sp_el0 = 0x1230;
  m.s().sp = 0x5670;
  m.s().core.monitor_address = 0x1000;
  m.run({0xd69f03e0});  // eret
  EXPECT_EQ(m.s().core.pc, kRam + 0x100);
  EXPECT_EQ(m.s().el, 0U);
  EXPECT_EQ(m.s().sp, 0x1230U);
  EXPECT_EQ(m.s().sp_el1, 0x5670U);
  EXPECT_EQ(m.s().daif, 0U);
  EXPECT_EQ(m.s().core.flags, ir::kFlagZ | ir::kFlagC);
  EXPECT_EQ(m.s().core.monitor_address, ir::kNoMonitor);
}

TEST(Exceptions, IllegalReturnThenIllegalState) {
  Machine m;
  m.s().spsr_el1 = 0x9;  // EL2h
  m.s().elr_el1 = kCode;
  m.run({0xd69f03e0});
  EXPECT_EQ(m.s().el, 1U);
  EXPECT_EQ(m.s().core.pc, kCode);
  m.put(kCode, {0xd503201f});
  m.step();
  EXPECT_EQ(m.exception_class(), 0x0eU);
  EXPECT_EQ(m.s().core.pc, kVectors + 0x200);
  EXPECT_NE(m.s().spsr_el1 & spsr::kIllegal, 0U);
}

TEST(Exceptions, UndefinedBreakpointAndFloatingPoint) {
  Machine m;
  m.run({0x00000003});
  EXPECT_EQ(m.s().esr_el1, 0x02000000U);
  EXPECT_EQ(m.s().elr_el1, kCode);
  EXPECT_EQ(m.s().core.pc, kVectors + 0x200);
  m.run({0xd42000e0});  // brk #7
  EXPECT_EQ(m.s().esr_el1, 0xf2000007U);
  EXPECT_EQ(m.s().elr_el1, kCode);
  m.s().cpacr_el1 = u64{1} << 20;  // EL0 only traps
  m.cpu().mode_changed();
  m.s().esr_el1 = 0;
  m.run({0x1e604020});
  EXPECT_EQ(m.s().esr_el1, 0U);
  m.go_to_el0();
  m.run({0x1e604020});
  EXPECT_EQ(m.s().esr_el1, 0x1fe00000U);
}

TEST(Exceptions, FromEl1WithSpEl0) {
  Machine m;
  m.run({0xd50040bf, 0xd4000001});  // msr spsel, #0; svc #0
  EXPECT_EQ(m.s().core.pc, kVectors);
  EXPECT_EQ(m.s().spsr_el1 & 0xf, 4U);
}

TEST(Exceptions, MisalignedPcAndSp) {
  Machine m;
  m.s().core.pc = kCode + 2;
  m.step();
  EXPECT_EQ(m.s().esr_el1, 0x8a000000U);
  EXPECT_EQ(m.s().far_el1, kCode + 2);
  EXPECT_EQ(m.s().elr_el1, kCode + 2);

  m.s().sctlr_el1 |= 1U << 3;  // SA
  m.cpu().mode_changed();
  m.s().sp = kRam + 0x3008;
  m.put(kCode, {0xf94003e1});  // ldr x1, [sp]
  m.s().core.pc = kCode;
  m.step();
  EXPECT_EQ(m.s().core.pc, kCode + 1);  // the check's way out
  m.step();
  EXPECT_EQ(m.s().esr_el1, 0x9a000000U);
  EXPECT_EQ(m.s().elr_el1, kCode);
}

TEST(Exceptions, DataAbortKeepsStateExact) {
  Machine m;
  m.s().x[2] = 0x100;  // no RAM there
  m.s().x[1] = 7;
  m.run({0xf9400041});  // ldr x1, [x2]
  EXPECT_EQ(m.s().esr_el1, 0x96000010U);
  EXPECT_EQ(m.s().far_el1, 0x100U);
  EXPECT_EQ(m.s().elr_el1, kCode);
  EXPECT_EQ(m.s().x[1], 7U);
  m.run({0xf9000041});  // str
  EXPECT_EQ(m.s().esr_el1, 0x96000050U);
}

TEST(Exceptions, InterruptsObeyMasks) {
  Machine m;
  m.s().core.exit_request = 0;
  m.cpu().set_line(cpu::Line::irq, true);
  EXPECT_EQ(m.s().core.exit_request.load(), u32{ir::kExitInterrupt});
  m.s().core.exit_request = 0;
  EXPECT_FALSE(m.cpu().take_interrupt());
  m.run({0xd50342ff});  // msr daifclr, #2
  EXPECT_EQ(m.s().core.exit_request.load(), u32{ir::kExitInterrupt});
  EXPECT_TRUE(m.cpu().take_interrupt());
  EXPECT_EQ(m.s().core.pc, kVectors + 0x280);
  EXPECT_EQ(m.s().elr_el1, kCode + 4);
  EXPECT_EQ(m.s().spsr_el1, 0x345U);
  EXPECT_FALSE(m.cpu().take_interrupt());
  m.cpu().set_line(cpu::Line::irq, false);
  m.s().daif = 0;
  EXPECT_FALSE(m.cpu().take_interrupt());
}

TEST(Exceptions, WfiWaitsForAnInterruptMaskedOrNot) {
  Machine m;
  m.run({0xd503207f});
  EXPECT_EQ(m.s().core.pc, kCode + 4);
  EXPECT_TRUE(m.cpu().halted());
  m.cpu().set_line(cpu::Line::irq, true);
  EXPECT_TRUE(m.cpu().has_wake_reason());
  EXPECT_FALSE(m.cpu().halted());
  m.cpu().wake_up();
  m.run({0xd503207f});
  EXPECT_FALSE(m.cpu().halted());
}

TEST(Exceptions, WfiFromEl0TrapsUnlessAllowed) {
  Machine m;
  m.go_to_el0();
  m.run({0xd503207f});
  EXPECT_EQ(m.s().esr_el1, 0x07e00000U);
}

class Firmware final : public cpu::FirmwareCalls {
 public:
  bool call(u32, bool secure, std::span<u64, 4> registers) override {
    if (registers[0] != 0x84000000) return false;
    registers[0] = secure ? 2 : 1;
    return true;
  }
};

TEST(Exceptions, FirmwareCalls) {
  Machine m;
  Firmware firmware;
  m.cpu().set_firmware(&firmware);
  m.s().x[0] = 0x84000000;
  m.run({0xd4000002});
  EXPECT_EQ(m.s().x[0], 1U);
  m.s().x[0] = 0x84000000;
  m.run({0xd4000003});
  EXPECT_EQ(m.s().x[0], 2U);
  m.run({0xd4000002});
  EXPECT_EQ(m.s().x[0], ~u64{0});
  m.go_to_el0();
  m.run({0xd4000002});
  EXPECT_EQ(m.exception_class(), 0U);
}

}  // namespace
}  // namespace solder::arm64::test
