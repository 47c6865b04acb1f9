/// The state of one arm64 CPU: what translated code, helpers and the system-register table work on.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>

#include "base/bits.h"
#include "base/types.h"
#include "translator/ir/core_state.h"
#include "translator/ir/ir.h"

namespace solder::arm64 {

class Arm64Cpu;

/// Mode bits that translated code depends on; together they are the block key (GuestCpu::key).
/// Every change of what a bit stands for ends the block and goes through Arm64Cpu::mode_changed.
namespace key {
inline constexpr u64 kEl1 = 1U << 0;           ///< PSTATE.EL: 1 at EL1, 0 at EL0
inline constexpr u64 kFpTrapped = 1U << 1;     ///< FP and SIMD trap (CPACR_EL1.FPEN)
inline constexpr unsigned kRoundShift = 2;     ///< FPCR.RMode, two bits
inline constexpr u64 kFlushToZero = 1U << 4;   ///< FPCR.FZ
inline constexpr u64 kDefaultNan = 1U << 5;    ///< FPCR.DN
inline constexpr u64 kAltHalf = 1U << 6;       ///< FPCR.AHP
inline constexpr u64 kSpCheck = 1U << 7;       ///< SCTLR_EL1.SA or SA0: SP as base must be 16-byte aligned
inline constexpr u64 kAlignCheck = 1U << 8;    ///< SCTLR_EL1.A: all unaligned accesses fault
inline constexpr u64 kUao = 1U << 9;           ///< PSTATE.UAO: LDTR and STTR are as privileged as LDR and STR
inline constexpr u64 kIllegal = 1U << 10;      ///< PSTATE.IL: every instruction faults
inline constexpr u64 kSpEl0 = 1U << 11;        ///< at EL1 with PSTATE.SP = 0
inline constexpr u64 kStep = 1U << 12;         ///< software step is active (DDI 0487, D2.12)
inline constexpr u64 kStepPending = 1U << 13;  ///< and its exception comes before the next instruction
}  // namespace key

/// FPCR's bits that this CPU has (DDI 0487, FPCR): AHP, DN, FZ, RMode. Trapped exceptions and FZ16 are not there.
inline constexpr u32 kFpcrMask = 0x07c00000;

/// DAIF's bits as MRS DAIF shows them.
inline constexpr u32 kDaifF = 1U << 6;
inline constexpr u32 kDaifI = 1U << 7;
inline constexpr u32 kDaifA = 1U << 8;
inline constexpr u32 kDaifD = 1U << 9;

/// How many breakpoint and watchpoint register pairs there are.
inline constexpr unsigned kBreakpoints = 2;
inline constexpr unsigned kWatchpoints = 2;

/// State record. Standard layout, CoreState first: a CoreState pointer is a pointer to it.
struct Arm64State {
  ir::CoreState core;

  std::array<u64, 31> x{};
  u64 sp = 0;  ///< the current stack pointer; the others rest in sp_el0, sp_el1
  std::array<ir::V128, 32> v{};

  u32 fpcr = 0;  ///< core.fp_status holds FPSR's bits
  // PSTATE beside core.flags
  u32 daif = 0;    ///< as MRS DAIF: bits 9..6
  u32 el = 1;      ///< 0 or 1
  u32 sp_sel = 1;  ///< PSTATE.SP
  u32 pan = 0;
  u32 uao = 0;
  u32 ss = 0;       ///< PSTATE.SS
  u32 illegal = 0;  ///< PSTATE.IL

  /// Of software step: bit 0: the stepped instruction runs or has run; bit 1: it is a load-exclusive.
  u32 stepping = 0;

  /// Input lines that are high: bit 0 IRQ, bit 1 FIQ. Written by any thread.
  std::atomic<u32> lines{0};
  /// WFI or WFE waits.
  u32 waiting = 0;
  /// The event register of WFE.
  std::atomic<u32> event{0};

  // Banked stack pointers: the one in use is stale here.
  u64 sp_el0 = 0;
  u64 sp_el1 = 0;

  // System registers that are storage, all 64 bits wide.
  u64 tpidr_el0 = 0;
  u64 tpidrro_el0 = 0;
  u64 tpidr_el1 = 0;
  u64 scxtnum_el0 = 0;
  u64 scxtnum_el1 = 0;
  u64 elr_el1 = 0;
  u64 spsr_el1 = 0;
  u64 esr_el1 = 0;
  u64 far_el1 = 0;
  u64 afsr0_el1 = 0;
  u64 afsr1_el1 = 0;
  u64 par_el1 = 0;
  u64 vbar_el1 = 0;
  u64 sctlr_el1 = 0;
  u64 cpacr_el1 = 0;
  u64 ttbr0_el1 = 0;
  u64 ttbr1_el1 = 0;
  u64 tcr_el1 = 0;
  u64 mair_el1 = 0;
  u64 amair_el1 = 0;
  u64 contextidr_el1 = 0;
  u64 csselr_el1 = 0;
  u64 cntkctl_el1 = 0;
  u64 cntfrq_el0 = 0;
  u64 mdscr_el1 = 0;
  u64 mdccint_el1 = 0;
  u64 osdtrrx_el1 = 0;
  u64 osdtrtx_el1 = 0;
  u64 oseccr_el1 = 0;
  u64 osdlr_el1 = 0;
  u64 os_lock = 1;
  u64 pmuserenr_el0 = 0;
  u64 midr_el1 = 0;
  u64 mpidr_el1 = 0;
  u64 dbgbvr0 = 0;
  u64 dbgbcr0 = 0;
  u64 dbgwvr0 = 0;
  u64 dbgwcr0 = 0;
  u64 dbgbvr1 = 0;
  u64 dbgbcr1 = 0;
  u64 dbgwvr1 = 0;
  u64 dbgwcr1 = 0;

  /// The CPU this is the state of, for helpers.
  Arm64Cpu* cpu = nullptr;
};

[[nodiscard]] inline Arm64State& state_of(ir::CoreState* core) {
  return *reinterpret_cast<Arm64State*>(core);
}

/// Offset of a field, as `get` and `put` take it.
#define SOLDER_ARM64_OFFSET(field) static_cast<::solder::u32>(offsetof(::solder::arm64::Arm64State, field))

[[nodiscard]] constexpr u32 x_offset(unsigned n) {
  return static_cast<u32>(offsetof(Arm64State, x) + n * 8);
}
[[nodiscard]] constexpr u32 v_offset(unsigned n) {
  return static_cast<u32>(offsetof(Arm64State, v) + n * 16);
}
inline constexpr u32 kSpOffset = static_cast<u32>(offsetof(Arm64State, sp));
inline constexpr u32 kFlagsOffset = static_cast<u32>(offsetof(ir::CoreState, flags));
inline constexpr u32 kPcOffset = static_cast<u32>(offsetof(ir::CoreState, pc));
inline constexpr u32 kFpStatusOffset = static_cast<u32>(offsetof(ir::CoreState, fp_status));

}  // namespace solder::arm64
