#include "guest/arm64/helpers.h"

#include <array>
#include <thread>

#include "guest/arm64/cpu.h"
#include "guest/arm64/system_registers.h"
#include "guest/arm64/translator.h"

namespace solder::arm64 {
namespace {

using ir::AccessKind;
using ir::CoreState;

constexpr u64 kSctlrUma = 1U << 9;
constexpr u64 kSctlrDze = 1U << 14;
constexpr u64 kSctlrUct = 1U << 15;
constexpr u64 kSctlrNtwi = 1U << 16;
constexpr u64 kSctlrNtwe = 1U << 18;
constexpr u64 kSctlrTscxt = 1U << 20;
constexpr u64 kSctlrUci = 1U << 26;

constexpr u64 kLeave = 1;
constexpr u64 kStay = 0;

u64 take(Arm64State& s, u32 esr) {
  s.cpu->take_exception(esr, s.core.pc);
  return kLeave;
}

u64 raise(CoreState* core, u64 esr, u64 return_offset, u64) {
  Arm64State& s = state_of(core);
  s.cpu->take_exception(static_cast<u32>(esr), core->pc + return_offset);
  return kLeave;
}

/// Whether the word at `pc` is a load or store whose base is SP.
bool uses_sp_as_base(Arm64Cpu& cpu, u64 pc) {
  const auto found = cpu.walk(pc, AccessKind::execute, ir::MmuIndex::current);
  if (!found) return false;
  const u8* code = cpu.memory()->ram_pointer(found->physical, 4);
  if (code == nullptr) return false;
  const u32 word = u32{code[0]} | (u32{code[1]} << 8) | (u32{code[2]} << 16) | (u32{code[3]} << 24);
  const bool load_store = (word & 0x0a000000) == 0x08000000;
  const bool literal = (word & 0x3b000000) == 0x18000000;
  return load_store && !literal && bits(word, 9, 5) == 31;
}

u64 pc_misaligned(CoreState* core, u64, u64, u64) {
  Arm64State& s = state_of(core);
  Arm64Cpu& cpu = *s.cpu;
  // An SP alignment check left to its instruction's address + 1 (Translate::base).
  if ((core->pc & 3) == 1 && (s.sp & 15) != 0 && (cpu.key() & key::kSpCheck) != 0 &&
      uses_sp_as_base(cpu, core->pc - 1)) {
    cpu.take_exception(syndrome(0x26, 0), core->pc - 1);
  } else {
    cpu.take_exception(syndrome(0x22, 0), core->pc, core->pc);
  }
  return kLeave;
}

/// Syndrome of a trapped MSR, MRS or system instruction (ESR_EL1, "ISS encoding for … exception from MSR, MRS, or
/// System instruction execution").
u32 system_syndrome(u32 encoding, u32 rt, bool read) {
  const u32 op0 = encoding >> 14;
  const u32 op1 = (encoding >> 11) & 7;
  const u32 crn = (encoding >> 7) & 0xf;
  const u32 crm = (encoding >> 3) & 0xf;
  const u32 op2 = encoding & 7;
  return syndrome(0x18,
                  (op0 << 20) | (op2 << 17) | (op1 << 14) | (crn << 10) | (rt << 5) | (crm << 1) | (read ? 1 : 0));
}

enum class Verdict : u8 { allowed, undefined, trapped };

Verdict trap_unless(bool allowed) {
  return allowed ? Verdict::allowed : Verdict::trapped;
}

/// What EL0's access of a register comes to (DDI 0487, the pseudocode of each register).
Verdict el0_verdict(const Arm64State& s, const SystemRegister& reg, bool write) {
  const u64 pmu = s.pmuserenr_el0;
  const bool pmu_all = (pmu & 1) != 0;
  switch (reg.el0) {
    case El0Access::none:
      return Verdict::undefined;
    case El0Access::read:
      return write ? Verdict::undefined : Verdict::allowed;
    case El0Access::read_write:
      return Verdict::allowed;
    case El0Access::cache_type:
      return write ? Verdict::undefined : trap_unless((s.sctlr_el1 & kSctlrUct) != 0);
    case El0Access::context_number:
      return trap_unless((s.sctlr_el1 & kSctlrTscxt) == 0);
    case El0Access::interrupt_mask:
      return trap_unless((s.sctlr_el1 & kSctlrUma) != 0);
    case El0Access::physical_count:
      return write ? Verdict::undefined : trap_unless((s.cntkctl_el1 & 1) != 0);
    case El0Access::virtual_count:
      return write ? Verdict::undefined : trap_unless((s.cntkctl_el1 & 2) != 0);
    case El0Access::counter_frequency:
      return write ? Verdict::undefined : trap_unless((s.cntkctl_el1 & 3) != 0);
    case El0Access::physical_timer:
      return trap_unless((s.cntkctl_el1 & 0x200) != 0);
    case El0Access::virtual_timer:
      return trap_unless((s.cntkctl_el1 & 0x100) != 0);
    case El0Access::pmu:
      return trap_unless(pmu_all);
    case El0Access::pmu_cycles:
      return trap_unless(pmu_all || (!write && (pmu & 4) != 0));
    case El0Access::pmu_increment:
      return trap_unless(pmu_all || (pmu & 2) != 0);
    case El0Access::pmu_event:
      return trap_unless(pmu_all || (!write && (pmu & 8) != 0));
    case El0Access::pmu_select:
      return trap_unless(pmu_all || (pmu & 8) != 0);
    case El0Access::debug_comms:
      return write ? Verdict::undefined : trap_unless((s.mdscr_el1 & (1U << 12)) == 0);
  }
  return Verdict::undefined;
}

/// Raises what the verdict says; true when the access is allowed.
bool admit(Arm64State& s, const SystemRegister& reg, u32 rt, bool write) {
  if (s.el != 0) return true;
  switch (el0_verdict(s, reg, write)) {
    case Verdict::allowed:
      return true;
    case Verdict::undefined:
      take(s, syndrome(0, 0));
      return false;
    case Verdict::trapped:
      take(s, system_syndrome(reg.encoding, rt, !write));
      return false;
  }
  return false;
}

u64& storage(Arm64State& s, u32 offset) {
  return *reinterpret_cast<u64*>(reinterpret_cast<u8*>(&s) + offset);
}

u64 read_sysreg(CoreState* core, u64 encoding, u64 rt, u64) {
  Arm64State& s = state_of(core);
  Arm64Cpu& cpu = *s.cpu;
  const u32 code = static_cast<u32>(encoding);
  u64 value = 0;
  if (const SystemRegister* reg = find_system_register(code)) {
    if (!reg->readable_el1()) return take(s, syndrome(0, 0));
    if (!admit(s, *reg, static_cast<u32>(rt), false)) return kLeave;
    value = reg->offset != 0 ? storage(s, reg->offset) : reg->read(cpu);
  } else if (s.el == 1 && is_id_space(code)) {
    value = 0;
  } else if (cpu::SystemRegisters* device = s.el == 1 ? cpu.device_registers(code) : nullptr) {
    value = device->read(cpu.index(), code);
  } else {
    return take(s, syndrome(0, 0));
  }
  if (rt != 31) s.x[rt] = value;
  return kStay;
}

u64 write_sysreg(CoreState* core, u64 encoding_and_rt, u64 value, u64) {
  Arm64State& s = state_of(core);
  Arm64Cpu& cpu = *s.cpu;
  const u32 code = static_cast<u32>(encoding_and_rt) & 0xffff;
  const u32 rt = static_cast<u32>(encoding_and_rt >> 16);
  if (const SystemRegister* reg = find_system_register(code)) {
    if (!reg->writable_el1()) return take(s, syndrome(0, 0));
    if (!admit(s, *reg, rt, true)) return kLeave;
    if (reg->offset != 0) {
      storage(s, reg->offset) = value & reg->writable;
    } else {
      reg->write(cpu, value);
    }
    return kStay;
  }
  cpu::SystemRegisters* device = s.el == 1 ? cpu.device_registers(code) : nullptr;
  if (device == nullptr) return take(s, syndrome(0, 0));
  device->write(cpu.index(), code, value);
  return kStay;
}

u64 write_daif(CoreState* core, u64 value, u64, u64) {
  Arm64State& s = state_of(core);
  s.daif = static_cast<u32>(value) & (kDaifD | kDaifA | kDaifI | kDaifF);
  s.cpu->interrupt_mask_changed();
  if ((s.mdscr_el1 & 1) != 0) {  // PSTATE.D decides about stepping at EL1
    s.cpu->mode_changed();
    core->exit_request.fetch_or(ir::kExitKick, std::memory_order_acq_rel);
  }
  return kStay;
}

u64 write_sp_sel(CoreState* core, u64 value, u64, u64) {
  Arm64State& s = state_of(core);
  s.cpu->set_level(1, static_cast<u32>(value & 1));
  s.cpu->mode_changed();
  return kStay;
}

u64 write_pan(CoreState* core, u64 value, u64, u64) {
  Arm64State& s = state_of(core);
  s.pan = static_cast<u32>(value & 1);
  s.cpu->mode_changed();
  return kStay;
}

u64 write_uao(CoreState* core, u64 value, u64, u64) {
  Arm64State& s = state_of(core);
  s.uao = static_cast<u32>(value & 1);
  s.cpu->mode_changed();
  return kStay;
}

u64 eret(CoreState* core, u64, u64, u64) {
  state_of(core).cpu->exception_return();
  return kLeave;
}

u64 wait(CoreState* core, u64 for_event, u64, u64) {
  Arm64State& s = state_of(core);
  Arm64Cpu& cpu = *s.cpu;
  if (for_event != 0) {
    if (s.event.exchange(0, std::memory_order_relaxed) != 0) return kStay;
    if (s.el == 0 && (s.sctlr_el1 & kSctlrNtwe) == 0) return take(s, syndrome(0x01, 0x1e00001));
    // WFE may end for any reason. Waiting would need an event for every store that takes another CPU's exclusive
    // monitor away; giving the host's other threads a turn does as well.
    std::this_thread::yield();
    return kStay;
  }
  const bool ready = cpu.has_wake_reason();
  if (!ready && s.el == 0 && (s.sctlr_el1 & kSctlrNtwi) == 0) return take(s, syndrome(0x01, 0x1e00000));
  s.waiting = ready ? 0 : 1;
  core->pc += 4;
  return kLeave;
}

u64 send_event(CoreState* core, u64, u64, u64) {
  // Others need not be told: their WFE does not sleep.
  state_of(core).event.store(1, std::memory_order_relaxed);
  return kStay;
}

u64 hypervisor_call(CoreState* core, u64 secure, u64, u64) {
  Arm64State& s = state_of(core);
  Arm64Cpu& cpu = *s.cpu;
  std::array<u64, 4> registers = {s.x[0], s.x[1], s.x[2], s.x[3]};
  const bool known = cpu.firmware() != nullptr && cpu.firmware()->call(cpu.index(), secure != 0, registers);
  if (!known) registers[0] = ~u64{0};  // NOT_SUPPORTED (DEN0028, SMCCC 5.2)
  for (usize n = 0; n < registers.size(); ++n) s.x[n] = registers[n];
  // CPU_SUSPEND: as WFI, with the call's result in place.
  if (known && cpu.firmware()->take_wait(cpu.index()) && !cpu.has_wake_reason()) s.waiting = 1;
  // CPU_OFF and the like take effect when the run loop is left.
  core->exit_request.fetch_or(ir::kExitKick, std::memory_order_acq_rel);
  return kStay;
}

u64 cache_by_address(CoreState* core, u64 va, u64 operation, u64 trap_esr) {
  Arm64State& s = state_of(core);
  Arm64Cpu& cpu = *s.cpu;
  if (s.el == 0 && (s.sctlr_el1 & kSctlrUci) == 0) return take(s, static_cast<u32>(trap_esr));
  const bool invalidates = static_cast<CacheOp>(operation) == CacheOp::invalidate_data;
  // At EL1 cleaning needs a translation but no permission (DDI 0487, D7.5.9), so PAN does not matter either.
  const Privilege as{s.el == 1, false};
  auto found = cpu.walk_details(va, invalidates ? AccessKind::write : AccessKind::read, as);
  if (found) return kStay;
  ir::MemoryFault fault = found.error();
  fault.kind = AccessKind::write;  // maintenance reports WnR = 1
  fault.code |= kIssWnr | kIssCacheMaintenance;
  cpu.raise_memory_fault(fault);
  return kLeave;
}

u64 address_translate(CoreState* core, u64 va, u64 operation, u64) {
  Arm64State& s = state_of(core);
  // operation: CRm<0> for the PAN forms, then op2.
  const bool pan_form = (operation & 8) != 0;
  const bool el0 = !pan_form && (operation & 2) != 0;
  const bool write = (operation & 1) != 0;
  const Privilege as{!el0, !el0 && pan_form && s.pan != 0};
  const auto found = s.cpu->walk_details(va, write ? AccessKind::write : AccessKind::read, as);
  constexpr u64 kOnes = u64{1} << 11;
  if (found) {
    s.par_el1 = (found->translation.physical & mask64(48) & ~mask64(12)) | (u64{found->attributes} << 56) |
                (u64{found->shareability} << 7) | kOnes;
  } else {
    s.par_el1 = (u64{found.error().code & 0x3f} << 1) | kOnes | 1;
  }
  return kStay;
}

u64 tlb_invalidate(CoreState* core, u64 value, u64 operation, u64) {
  ir::TlbControl* tlb = state_of(core).cpu->tlb();
  if (tlb == nullptr) return kStay;
  const bool broadcast = (operation >> 3) == 3;
  const u32 asid = static_cast<u32>(value >> 48);
  const u64 address = static_cast<u64>(sign_extend(value << 12, 56));
  switch (operation & 7) {
    case 0:
      tlb->flush_all(broadcast);
      break;
    case 2:
      tlb->flush_asid(asid, broadcast);
      // What EL1 saw of that process is in contexts with EL1's own ASID.
      tlb->flush_range(0, u64{1} << 55, kKernelAsid, broadcast);
      break;
    // By address, of one ASID or of all: also global entries and EL1's contexts must go, so the ASID is not looked at.
    default:
      tlb->flush_range(address & ~u64{0xfff}, 4096, std::nullopt, broadcast);
      break;
  }
  return kStay;
}

u64 tlb_barrier(CoreState* core, u64, u64, u64) {
  if (ir::TlbControl* tlb = state_of(core).cpu->tlb()) tlb->barrier();
  return kStay;
}

u64 step_begin(CoreState* core, u64 kind, u64, u64) {
  Arm64State& s = state_of(core);
  s.ss = 0;
  s.stepping = static_cast<u32>(kind);
  // The exception is due when this instruction is done: its block's exit must not lead on.
  core->key = s.cpu->key();
  core->exit_request.fetch_or(ir::kExitKick, std::memory_order_acq_rel);
  return kStay;
}

u64 step_exception(CoreState* core, u64, u64, u64) {
  Arm64State& s = state_of(core);
  const u32 executed = s.stepping != 0 ? 1U << 24 : 0;  // ISV
  const u32 exclusive = (s.stepping & 2) != 0 ? 1U << 6 : 0;
  s.stepping = 0;
  return take(s, syndrome(s.el == 0 ? 0x32 : 0x33, executed | exclusive | 0x22));
}

u64 el0_trap_check(CoreState* core, u64 check, u64 esr, u64) {
  Arm64State& s = state_of(core);
  const u64 control = static_cast<El0Check>(check) == El0Check::dc_zva ? kSctlrDze : kSctlrUma;
  if ((s.sctlr_el1 & control) != 0) return kStay;
  return take(s, static_cast<u32>(esr));
}

constexpr u8 kAll = ir::kReadsState | ir::kWritesState | ir::kMayExit;
constexpr u8 kStateOnly = ir::kReadsState | ir::kWritesState;

constexpr std::array<ir::Helper, static_cast<usize>(HelperId::count)> kHelpers = [] {
  std::array<ir::Helper, static_cast<usize>(HelperId::count)> table{};
  const auto set = [&](HelperId id, ir::Helper helper) { table[static_cast<usize>(id)] = helper; };
  set(HelperId::raise, {"raise", raise, kAll});
  set(HelperId::pc_misaligned, {"pc_misaligned", pc_misaligned, kAll});
  set(HelperId::read_sysreg, {"read_sysreg", read_sysreg, kAll});
  set(HelperId::write_sysreg, {"write_sysreg", write_sysreg, kAll});
  set(HelperId::write_daif, {"write_daif", write_daif, kStateOnly});
  set(HelperId::write_sp_sel, {"write_sp_sel", write_sp_sel, kStateOnly});
  set(HelperId::write_pan, {"write_pan", write_pan, kStateOnly});
  set(HelperId::write_uao, {"write_uao", write_uao, kStateOnly});
  set(HelperId::eret, {"eret", eret, kAll});
  set(HelperId::wait, {"wait", wait, kAll});
  set(HelperId::send_event, {"send_event", send_event, kStateOnly});
  set(HelperId::hypervisor_call, {"hypervisor_call", hypervisor_call, kStateOnly});
  set(HelperId::cache_by_address, {"cache_by_address", cache_by_address, kAll});
  set(HelperId::address_translate, {"address_translate", address_translate, kStateOnly});
  set(HelperId::tlb_invalidate, {"tlb_invalidate", tlb_invalidate, kStateOnly});
  set(HelperId::tlb_barrier, {"tlb_barrier", tlb_barrier, kStateOnly});
  set(HelperId::step_begin, {"step_begin", step_begin, kStateOnly});
  set(HelperId::step_exception, {"step_exception", step_exception, kAll});
  set(HelperId::el0_trap_check, {"el0_trap_check", el0_trap_check, kAll});
  return table;
}();

}  // namespace

std::span<const ir::Helper> helper_table() {
  return kHelpers;
}

}  // namespace solder::arm64
