#include "guest/arm64/system_registers.h"

#include <algorithm>
#include <array>
#include <vector>

#include "guest/arm64/cpu.h"
#include "guest/arm64/exception_bits.h"
#include "guest/arm64/id_registers.h"

namespace solder::arm64 {
namespace {

constexpr u64 kSctlrWxn = 1U << 19;
constexpr u64 kSctlrDze = 1U << 14;
/// Bits of SCTLR_EL1 that this CPU has: M, A, C, SA, SA0, UMA, I, DZE, UCT, nTWI, nTWE, WXN, TSCXT, SPAN, UCI.
constexpr u64 kSctlrBits = 0x049d'd21f;
/// RES1: LSMAOE, nTLSMD, EIS, EOS, SED, ITD: their features, AArch32 among them, are not there.
constexpr u64 kSctlrOnes = 0x3040'0980;

// -- identification

u64 read_pfr0(Arm64Cpu& cpu) {
  return id::kPfr0 | (cpu.has_gic_registers() ? id::kPfr0Gic : 0);
}

u64 read_ccsidr(Arm64Cpu& cpu) {
  // LineSize 64 bytes; 32 KiB 4-way at level 1, 1 MiB 16-way at level 2. Nobody can tell, but the arithmetic must work.
  const u64 level = bits(cpu.arch().csselr_el1, 3, 1);
  constexpr u64 kLine = 2;
  if (level == 0) return (u64{127} << 13) | (u64{3} << 3) | kLine;
  if (level == 1) return (u64{1023} << 13) | (u64{15} << 3) | kLine;
  return 0;
}

u64 read_dczid(Arm64Cpu& cpu) {
  const Arm64State& s = cpu.arch();
  const bool prohibited = s.el == 0 && (s.sctlr_el1 & kSctlrDze) == 0;
  return id::kDczid | (prohibited ? 1 << 4 : 0);
}

u64 read_zero(Arm64Cpu&) {
  return 0;
}
void write_ignored(Arm64Cpu&, u64) {}

// -- control and translation

u64 read_sctlr(Arm64Cpu& cpu) {
  return cpu.arch().sctlr_el1;
}
void write_sctlr(Arm64Cpu& cpu, u64 value) {
  Arm64State& s = cpu.arch();
  const u64 before = s.sctlr_el1;
  s.sctlr_el1 = (value & kSctlrBits) | kSctlrOnes;
  if (((before ^ s.sctlr_el1) & kSctlrWxn) != 0 && cpu.tlb() != nullptr) cpu.tlb()->flush_all(false);
  cpu.mode_changed();
}

u64 read_cpacr(Arm64Cpu& cpu) {
  return cpu.arch().cpacr_el1;
}
void write_cpacr(Arm64Cpu& cpu, u64 value) {
  cpu.arch().cpacr_el1 = value & (u64{3} << 20);
  cpu.mode_changed();
}

u64 read_ttbr0(Arm64Cpu& cpu) {
  return cpu.arch().ttbr0_el1;
}
void write_ttbr0(Arm64Cpu& cpu, u64 value) {
  Arm64State& s = cpu.arch();
  if (value == s.ttbr0_el1) return;
  cpu.drop_lower_half();
  s.ttbr0_el1 = value;
  cpu.mode_changed();
}

u64 read_ttbr1(Arm64Cpu& cpu) {
  return cpu.arch().ttbr1_el1;
}
void write_ttbr1(Arm64Cpu& cpu, u64 value) {
  Arm64State& s = cpu.arch();
  if (value == s.ttbr1_el1) return;
  cpu.drop_lower_half();  // the ASID may be here
  s.ttbr1_el1 = value;
  cpu.mode_changed();
}

u64 read_tcr(Arm64Cpu& cpu) {
  return cpu.arch().tcr_el1;
}
void write_tcr(Arm64Cpu& cpu, u64 value) {
  Arm64State& s = cpu.arch();
  if (value == s.tcr_el1) return;
  s.tcr_el1 = value;
  if (cpu.tlb() != nullptr) cpu.tlb()->flush_all(false);
  cpu.mode_changed();
}

u64 read_mair(Arm64Cpu& cpu) {
  return cpu.arch().mair_el1;
}
void write_mair(Arm64Cpu& cpu, u64 value) {
  Arm64State& s = cpu.arch();
  if (value == s.mair_el1) return;
  s.mair_el1 = value;
  if (cpu.tlb() != nullptr) cpu.tlb()->flush_all(false);
  cpu.mode_changed();
}

// -- exceptions and process state

u64 read_isr(Arm64Cpu& cpu) {
  const u32 lines = cpu.arch().lines.load(std::memory_order_acquire);
  return ((lines & 1) != 0 ? kDaifI : 0) | ((lines & 2) != 0 ? kDaifF : 0);
}

u64 read_sp_el0(Arm64Cpu& cpu) {
  return cpu.arch().sp_el0;
}
void write_sp_el0(Arm64Cpu& cpu, u64 value) {
  cpu.arch().sp_el0 = value;
}

u64 read_spsel(Arm64Cpu& cpu) {
  return cpu.arch().sp_sel;
}
void write_spsel(Arm64Cpu& cpu, u64 value) {
  cpu.set_level(1, static_cast<u32>(value & 1));
  cpu.mode_changed();
}

u64 read_current_el(Arm64Cpu& cpu) {
  return u64{cpu.arch().el} << 2;
}

u64 read_pan(Arm64Cpu& cpu) {
  return cpu.arch().pan != 0 ? spsr::kPan : 0;
}
void write_pan(Arm64Cpu& cpu, u64 value) {
  cpu.arch().pan = (value & spsr::kPan) != 0;
  cpu.mode_changed();
}

u64 read_uao(Arm64Cpu& cpu) {
  return cpu.arch().uao != 0 ? spsr::kUao : 0;
}
void write_uao(Arm64Cpu& cpu, u64 value) {
  cpu.arch().uao = (value & spsr::kUao) != 0;
  cpu.mode_changed();
}

u64 read_nzcv(Arm64Cpu& cpu) {
  return nzcv_of(cpu.arch().core.flags);
}
void write_nzcv(Arm64Cpu& cpu, u64 value) {
  cpu.arch().core.flags = flags_of(value);
}

u64 read_daif(Arm64Cpu& cpu) {
  return cpu.arch().daif;
}
void write_daif(Arm64Cpu& cpu, u64 value) {
  cpu.arch().daif = static_cast<u32>(value) & (kDaifD | kDaifA | kDaifI | kDaifF);
  cpu.interrupt_mask_changed();
}

u64 read_fpcr(Arm64Cpu& cpu) {
  return cpu.arch().fpcr;
}
void write_fpcr(Arm64Cpu& cpu, u64 value) {
  cpu.arch().fpcr = static_cast<u32>(value) & kFpcrMask;
  cpu.mode_changed();
}

constexpr u32 kFpsrMask = ir::kFpInvalid | ir::kFpDivideByZero | ir::kFpOverflow | ir::kFpUnderflow | ir::kFpInexact |
                          ir::kFpInputDenormal | ir::kFpSaturated;
u64 read_fpsr(Arm64Cpu& cpu) {
  return cpu.arch().core.fp_status & kFpsrMask;
}
void write_fpsr(Arm64Cpu& cpu, u64 value) {
  cpu.arch().core.fp_status = static_cast<u32>(value) & kFpsrMask;
}

// -- generic timer

u64 read_count(Arm64Cpu& cpu) {
  return cpu.timer().count();
}
#define SOLDER_TIMER_REGISTERS(prefix, channel)            \
  u64 read_##prefix##_tval(Arm64Cpu& cpu) {                \
    return cpu.timer().timer_value(GenericTimer::channel); \
  }                                                        \
  void write_##prefix##_tval(Arm64Cpu& cpu, u64 v) {       \
    cpu.timer().set_timer_value(GenericTimer::channel, v); \
  }                                                        \
  u64 read_##prefix##_ctl(Arm64Cpu& cpu) {                 \
    return cpu.timer().control(GenericTimer::channel);     \
  }                                                        \
  void write_##prefix##_ctl(Arm64Cpu& cpu, u64 v) {        \
    cpu.timer().set_control(GenericTimer::channel, v);     \
  }                                                        \
  u64 read_##prefix##_cval(Arm64Cpu& cpu) {                \
    return cpu.timer().compare(GenericTimer::channel);     \
  }                                                        \
  void write_##prefix##_cval(Arm64Cpu& cpu, u64 v) {       \
    cpu.timer().set_compare(GenericTimer::channel, v);     \
  }
SOLDER_TIMER_REGISTERS(cntp, kPhysical)
SOLDER_TIMER_REGISTERS(cntv, kVirtual)
#undef SOLDER_TIMER_REGISTERS

// -- performance monitors

u64 read_pmcr(Arm64Cpu& cpu) {
  return cpu.pmu().control();
}
void write_pmcr(Arm64Cpu& cpu, u64 v) {
  cpu.pmu().set_control(v);
}
u64 read_pmcnten(Arm64Cpu& cpu) {
  return cpu.pmu().enabled();
}
void write_pmcntenset(Arm64Cpu& cpu, u64 v) {
  cpu.pmu().enable(v);
}
void write_pmcntenclr(Arm64Cpu& cpu, u64 v) {
  cpu.pmu().disable(v);
}
u64 read_pmovs(Arm64Cpu& cpu) {
  return cpu.pmu().overflow();
}
void write_pmovsclr(Arm64Cpu& cpu, u64 v) {
  cpu.pmu().clear_overflow(v);
}
void write_pmovsset(Arm64Cpu& cpu, u64 v) {
  cpu.pmu().set_overflow(v);
}
u64 read_pmselr(Arm64Cpu& cpu) {
  return cpu.pmu().select();
}
void write_pmselr(Arm64Cpu& cpu, u64 v) {
  cpu.pmu().set_select(v);
}
u64 read_pmccntr(Arm64Cpu& cpu) {
  return cpu.pmu().cycles();
}
void write_pmccntr(Arm64Cpu& cpu, u64 v) {
  cpu.pmu().set_cycles(v);
}
u64 read_pmccfiltr(Arm64Cpu& cpu) {
  return cpu.pmu().filter();
}
void write_pmccfiltr(Arm64Cpu& cpu, u64 v) {
  cpu.pmu().set_filter(v);
}
u64 read_pmxevtyper(Arm64Cpu& cpu) {
  return cpu.pmu().select() == Pmu::kCycleSelect ? cpu.pmu().filter() : 0;
}
void write_pmxevtyper(Arm64Cpu& cpu, u64 v) {
  if (cpu.pmu().select() == Pmu::kCycleSelect) cpu.pmu().set_filter(v);
}
u64 read_pminten(Arm64Cpu& cpu) {
  return cpu.pmu().interrupts();
}
void write_pmintenset(Arm64Cpu& cpu, u64 v) {
  cpu.pmu().enable_interrupts(v);
}
void write_pmintenclr(Arm64Cpu& cpu, u64 v) {
  cpu.pmu().disable_interrupts(v);
}

// -- debug

u64 read_mdscr(Arm64Cpu& cpu) {
  return cpu.arch().mdscr_el1;
}
void write_mdscr(Arm64Cpu& cpu, u64 value) {
  cpu.arch().mdscr_el1 = value & 0x6ff8f001;
  cpu.mode_changed();
}
void write_oslar(Arm64Cpu& cpu, u64 value) {
  cpu.arch().os_lock = value & 1;
  cpu.mode_changed();
}
u64 read_osdlr(Arm64Cpu& cpu) {
  return cpu.arch().osdlr_el1;
}
void write_osdlr(Arm64Cpu& cpu, u64 value) {
  cpu.arch().osdlr_el1 = value & 1;
  cpu.mode_changed();
}
u64 read_oslsr(Arm64Cpu& cpu) {
  return 0x8 | (cpu.arch().os_lock << 1);
}  // OSLM: the lock is implemented
u64 read_claim_set(Arm64Cpu&) {
  return 0xff;
}

constexpr SystemRegister kTable[] = {
#define STORAGE(name, op0, op1, crn, crm, op2, el0, field, writable) \
  {#name,          sysreg_encoding(op0, op1, crn, crm, op2),         \
   El0Access::el0, SOLDER_ARM64_OFFSET(field),                       \
   writable,       nullptr,                                          \
   nullptr,        false},
#define CONSTANT(name, op0, op1, crn, crm, op2, el0, value)            \
  {#name, sysreg_encoding(op0, op1, crn, crm, op2), El0Access::el0, 0, \
   0,     [](Arm64Cpu&) -> u64 { return value; },   nullptr,        false},
#define COMPUTED(name, op0, op1, crn, crm, op2, el0, reader, writer, ends) \
  {#name, sysreg_encoding(op0, op1, crn, crm, op2), El0Access::el0, 0, 0, reader, writer, ends},
#include "guest/arm64/system_registers.inc"
#undef STORAGE
#undef CONSTANT
#undef COMPUTED
};

}  // namespace

std::span<const SystemRegister> system_registers() {
  return kTable;
}

const SystemRegister* find_system_register(u32 encoding) {
  static const std::vector<const SystemRegister*> sorted = [] {
    std::vector<const SystemRegister*> all;
    for (const SystemRegister& reg : kTable) all.push_back(&reg);
    std::ranges::sort(all, {}, &SystemRegister::encoding);
    return all;
  }();
  const auto at = std::ranges::lower_bound(sorted, encoding, {}, &SystemRegister::encoding);
  return at != sorted.end() && (*at)->encoding == encoding ? *at : nullptr;
}

}  // namespace solder::arm64
