// Branches and exception-generating instructions (DDI 0487, C4.1.87).
#include "guest/arm64/decode.h"
#include "guest/arm64/translator.h"

namespace solder::arm64::sem {

using ir::Cond;
using ir::ExitHint;
using ir::ExitTest;
using ir::Value;

namespace {

u64 target(const Translate& t, i64 words) {
  return t.delta() + static_cast<u64>(words << 2);
}

}  // namespace

void BranchConditional(Translate& t, Insn i) {
  const u64 to = target(t, i.simm(23, 5));
  const u32 cond = i.bits(3, 0);
  if ((cond & 0xe) == 0xe) return t.jump(to);
  t.ir.exit_if(static_cast<Cond>(cond), t.flags(), to);
}

void Branch(Translate& t, Insn i) {
  t.jump(target(t, i.simm(25, 0)));
}

void BranchLink(Translate& t, Insn i) {
  t.set_x(30, t.ir.pc_rel(t.delta() + 4));
  t.ir.push_return(t.delta() + 4);
  t.ir.exit_direct(target(t, i.simm(25, 0)));
  t.ended_by_exit();
}

void CompareBranch(Translate& t, Insn i) {
  const u64 to = target(t, i.simm(23, 5));
  const bool nonzero = i.bit(24);
  if (i.rt() == 31) {
    if (!nonzero) t.jump(to);
    return;
  }
  if (i.sf()) {
    t.ir.exit_if(nonzero ? ExitTest::nonzero64 : ExitTest::zero64, t.x(i.rt()), to);
  } else {
    t.ir.exit_if(nonzero ? ExitTest::nonzero32 : ExitTest::zero32, t.w(i.rt()), to);
  }
}

void TestBranch(Translate& t, Insn i) {
  const u64 to = target(t, i.simm(18, 5));
  const unsigned number = (i.bits(31, 31) << 5) | i.bits(23, 19);
  const bool nonzero = i.bit(24);
  if (i.rt() == 31) {
    if (!nonzero) t.jump(to);
    return;
  }
  t.ir.exit_if(nonzero ? ExitTest::bit_set : ExitTest::bit_clear, t.x(i.rt()), to, static_cast<u8>(number));
}

void BranchRegister(Translate& t, Insn i) {
  const Value to = t.x(i.rn());
  const u32 opc = i.bits(22, 21);
  if (opc == 1) {
    t.set_x(30, t.ir.pc_rel(t.delta() + 4));
    t.ir.push_return(t.delta() + 4);
  }
  t.ir.exit_indirect(to, opc == 0 ? ExitHint::jump : opc == 1 ? ExitHint::call : ExitHint::ret);
  t.ended_by_exit();
}

void ExceptionReturn(Translate& t, Insn) {
  if (!t.el1()) return t.undefined();
  t.helper(ir::Type::i64, HelperId::eret);
  t.ir.exit_dispatch();
  t.ended_by_exit();
}

void SupervisorCall(Translate& t, Insn i) {
  t.raise(syndrome(0x15, i.bits(20, 5)), 4);
}

/// HVC and SMC go to the machine's firmware (PSCI) instead of an EL2 or EL3.
void HypervisorCall(Translate& t, Insn i) {
  if (!t.el1()) return t.undefined();
  t.helper(ir::Type::i64, HelperId::hypervisor_call, t.ir.c64(i.bit(0) ? 1 : 0));
  t.end_dispatch();
}

void Breakpoint(Translate& t, Insn i) {
  t.raise(syndrome(0x3c, i.bits(20, 5)));
}

}  // namespace solder::arm64::sem
