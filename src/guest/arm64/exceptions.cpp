// Taking exceptions to EL1 and returning from them (DDI 0487, D1.3).
#include "guest/arm64/cpu.h"
#include "guest/arm64/exception_bits.h"
#include "translator/ir/core_state.h"

namespace solder::arm64 {
namespace {

constexpr u32 kIrqLine = 1U << static_cast<unsigned>(cpu::Line::irq);
constexpr u32 kFiqLine = 1U << static_cast<unsigned>(cpu::Line::fiq);

constexpr u64 kVectorSync = 0x000;
constexpr u64 kVectorIrq = 0x080;
constexpr u64 kVectorFiq = 0x100;

constexpr u64 kSctlrSpan = 1U << 23;

}  // namespace

u64 Arm64Cpu::pstate() const {
  const Arm64State& s = state_;
  u64 value = nzcv_of(s.core.flags) | s.daif;
  if (s.uao != 0) value |= spsr::kUao;
  if (s.pan != 0) value |= spsr::kPan;
  if (s.illegal != 0) value |= spsr::kIllegal;
  if (s.ss != 0) value |= spsr::kSoftwareStep;
  if (s.el == 1) value |= 4 | s.sp_sel;
  return value;
}

namespace {

constexpr u64 kMdscrSs = 1;
constexpr u64 kMdscrKde = 1U << 13;

/// Whether debug exceptions are enabled at `el`, going by the debug registers and PSTATE.D.
bool debug_enabled(const Arm64State& s, u32 el) {
  if (s.os_lock != 0 || (s.osdlr_el1 & 1) != 0) return false;
  return el == 0 || ((s.mdscr_el1 & kMdscrKde) != 0 && (s.daif & kDaifD) == 0);
}

}  // namespace

bool Arm64Cpu::step_active() const {
  return (state_.mdscr_el1 & kMdscrSs) != 0 && debug_enabled(state_, state_.el);
}

void Arm64Cpu::set_level(u32 el, u32 sp_sel) {
  Arm64State& s = state_;
  const bool used_el1 = s.el == 1 && s.sp_sel == 1;
  const bool uses_el1 = el == 1 && sp_sel == 1;
  if (used_el1 != uses_el1) {
    (used_el1 ? s.sp_el1 : s.sp_el0) = s.sp;
    s.sp = uses_el1 ? s.sp_el1 : s.sp_el0;
  }
  s.el = el;
  s.sp_sel = sp_sel;
}

void Arm64Cpu::enter_exception(u64 vector, u64 return_address) {
  Arm64State& s = state_;
  s.spsr_el1 = pstate();
  s.elr_el1 = return_address;
  const u64 from = s.el == 0 ? 0x400 : s.sp_sel == 1 ? 0x200 : 0;
  set_level(1, 1);
  s.daif = kDaifD | kDaifA | kDaifI | kDaifF;
  s.illegal = 0;
  s.ss = 0;
  s.stepping = 0;
  s.uao = 0;
  if ((s.sctlr_el1 & kSctlrSpan) == 0) s.pan = 1;
  s.waiting = 0;
  s.core.pc = (s.vbar_el1 & ~u64{0x7ff}) + from + vector;
  mode_changed();
}

void Arm64Cpu::take_exception(u32 esr, u64 return_address, std::optional<u64> far) {
  state_.esr_el1 = esr;
  if (far) state_.far_el1 = *far;
  // An instruction that did not complete is stepped again after the return.
  if (state_.stepping != 0 && return_address == state_.core.pc) state_.ss = 1;
  enter_exception(kVectorSync, return_address);
}

void Arm64Cpu::raise_memory_fault(const ir::MemoryFault& fault) {
  const bool from_el0 = state_.el == 0;
  const u32 base = fault.kind == ir::AccessKind::execute ? 0x20 : 0x24;
  const u32 esr = ((base + (from_el0 ? 0 : 1)) << 26) | (1U << 25) | fault.code;
  take_exception(esr, state_.core.pc, fault.address);
}

u32 Arm64Cpu::unmasked_lines() const {
  u32 lines = state_.lines.load(std::memory_order_acquire);
  if ((state_.daif & kDaifI) != 0) lines &= ~kIrqLine;
  if ((state_.daif & kDaifF) != 0) lines &= ~kFiqLine;
  return lines & (kIrqLine | kFiqLine);
}

bool Arm64Cpu::take_interrupt() {
  const u32 lines = unmasked_lines();
  if (lines == 0) return false;
  enter_exception((lines & kFiqLine) != 0 ? kVectorFiq : kVectorIrq, state_.core.pc);
  return true;
}

void Arm64Cpu::interrupt_mask_changed() {
  if (unmasked_lines() != 0) state_.core.exit_request.fetch_or(ir::kExitInterrupt, std::memory_order_acq_rel);
}

void Arm64Cpu::exception_return() {
  Arm64State& s = state_;
  const u64 from = s.spsr_el1;
  const u64 mode = from & 0x1f;
  const bool debugged_here = debug_enabled(s, s.el);
  // AArch32, EL2 and EL3 are not there; returning to them is illegal (DDI 0487, D1.3.6).
  const bool legal = mode == 0 || mode == 4 || mode == 5;
  s.core.flags = flags_of(from);
  s.daif = static_cast<u32>(from) & (kDaifD | kDaifA | kDaifI | kDaifF);
  s.illegal = !legal || (from & spsr::kIllegal) != 0;
  if (legal) {
    s.pan = (from & spsr::kPan) != 0;
    s.uao = (from & spsr::kUao) != 0;
    set_level(mode == 0 ? 0 : 1, mode == 5 ? 1 : 0);
  }
  // Stepping begins with the return from where debug exceptions were off to where they are on.
  const bool steps = (s.mdscr_el1 & kMdscrSs) != 0 && !debugged_here && debug_enabled(s, s.el);
  s.ss = steps && (from & spsr::kSoftwareStep) != 0;
  s.stepping = 0;
  s.core.pc = s.elr_el1;
  s.core.monitor_address = ir::kNoMonitor;
  s.event.store(1, std::memory_order_relaxed);
  mode_changed();
  interrupt_mask_changed();
}

}  // namespace solder::arm64
