// Software step, as a debugger uses it: MDSCR_EL1.SS and SPSR_EL1.SS, then ERET.
#include <gtest/gtest.h>

#include "guest/arm64/exception_bits.h"
#include "unit/guest_arm64/machine.h"

namespace solder::arm64::test {
namespace {

class Step : public testing::Test {
 protected:
  Step() {
    m.s().os_lock = 0;
    m.s().mdscr_el1 = 1;
    m.cpu().mode_changed();
  }
  /// Returns to EL0 at `pc` with one step to do.
  void enter(u64 pc) {
    m.s().spsr_el1 = spsr::kSoftwareStep;
    m.s().elr_el1 = pc;
    m.put(kRam + 0x100, {0xd69f03e0});
    m.s().core.pc = kRam + 0x100;
    m.step();
    EXPECT_EQ(m.s().core.pc, pc);
    EXPECT_EQ(m.s().ss, 1U);
    m.s().core.exit_request = 0;
  }
  Machine m;
};

TEST_F(Step, OneInstructionThenTheException) {
  m.put(kCode, {0xd2800020, 0xd2800040});  // mov x0, #1; mov x0, #2
  enter(kCode);
  m.step();
  EXPECT_EQ(m.s().x[0], 1U);
  EXPECT_EQ(m.s().core.exit_request.load(), u32{ir::kExitKick});  // translated code does not run on
  EXPECT_EQ(m.s().core.key, m.cpu().key());
  m.step();
  EXPECT_EQ(m.s().x[0], 1U);
  EXPECT_EQ(m.s().esr_el1, 0xcb000022U);
  EXPECT_EQ(m.s().elr_el1, kCode + 4);
  EXPECT_EQ(m.s().core.pc, kVectors + 0x400);
  EXPECT_EQ(m.s().spsr_el1 & spsr::kSoftwareStep, 0U);
}

TEST_F(Step, TakenBranch) {
  m.put(kCode, {0x14000010});  // b +64
  enter(kCode);
  m.step();
  m.step();
  EXPECT_EQ(m.s().elr_el1, kCode + 64);
}

TEST_F(Step, FaultingInstructionIsSteppedAgain) {
  m.put(kCode, {0xf9400041});  // ldr x1, [x2]
  enter(kCode);
  m.s().x[2] = 0x100;
  m.step();
  EXPECT_EQ(m.exception_class(), 0x24U);
  EXPECT_NE(m.s().spsr_el1 & spsr::kSoftwareStep, 0U);
}

TEST_F(Step, SystemCallIsDone) {
  m.put(kCode, {0xd4000001});
  enter(kCode);
  m.step();
  EXPECT_EQ(m.exception_class(), 0x15U);
  EXPECT_EQ(m.s().spsr_el1 & spsr::kSoftwareStep, 0U);
}

TEST_F(Step, LoadExclusiveIsNamed) {
  m.put(kCode, {0xc85f7c41});
  enter(kCode);
  m.s().x[2] = kRam;
  m.step();
  m.step();
  EXPECT_EQ(m.s().esr_el1, 0xcb000062U);
}

TEST_F(Step, KernelIsNotSteppedWithoutKde) {
  m.s().ss = 0;
  m.run({0xd2800020});
  EXPECT_EQ(m.s().core.pc, kCode + 4);
  m.s().os_lock = 1;
  m.go_to_el0();
  m.run({0xd2800040});
  EXPECT_EQ(m.s().x[0], 2U);
}

}  // namespace
}  // namespace solder::arm64::test
