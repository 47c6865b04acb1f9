#include "guest/arm64/cpu.h"

#include <fmt/format.h>

#include <algorithm>

#include "guest/arm64/decode.h"
#include "guest/arm64/helpers.h"
#include "guest/arm64/id_registers.h"
#include "guest/arm64/system_registers.h"
#include "guest/arm64/translator.h"

namespace solder::arm64 {
namespace {

constexpr u64 kSctlrM = 1U << 0;
constexpr u64 kSctlrA = 1U << 1;
constexpr u64 kSctlrSa = 1U << 3;
constexpr u64 kSctlrSa0 = 1U << 4;
/// SCTLR_EL1 at reset: the bits that are one in a v8.0 core without the later controls, everything off.
constexpr u64 kSctlrReset = 0x30d0'0980;

/// Bits of ContextKey::regime.
constexpr u32 kRegimeEl1 = 1;
constexpr u32 kRegimePan = 2;
constexpr u32 kRegimeOn = 4;

/// Registers by how often compiled code uses them: arguments, callee-saved, stack and frame.
constexpr std::array<u16, 33> kHotRegisters = [] {
  constexpr u8 kOrder[] = {0, 1,  2,  3,  19, 20, 4,  21, 29, 30, 22, 5,  8,  6,  23, 9,
                           7, 24, 10, 11, 25, 12, 13, 26, 14, 27, 15, 16, 17, 28, 18};
  std::array<u16, 33> offsets{};
  usize n = 0;
  for (const u8 r : kOrder) {
    if (n == 4) offsets[n++] = static_cast<u16>(kSpOffset);
    offsets[n++] = static_cast<u16>(x_offset(r));
  }
  offsets[n] = static_cast<u16>(offsetof(Arm64State, sp_el0));
  return offsets;
}();

}  // namespace

Arm64Cpu::Arm64Cpu(const cpu::CpuRequest& request)
    : index_(request.index),
      memory_(request.memory),
      timer_(request.clock, request.timers, request.timer_hz),
      pmu_(request.clock, request.timers) {
  state_.cpu = this;
  state_.midr_el1 = id::kMidr;
  // Affinity in bits 39..32 and 23..0; bit 31 is one.
  state_.mpidr_el1 = (request.hardware_id & 0xff'00ff'ffff) | (u64{1} << 31);
  state_.cntfrq_el0 = request.timer_hz;
  reset({});
}

const ir::GuestLayout& Arm64Cpu::layout() const {
  static constexpr ir::GuestLayout kLayout{kHotRegisters, sizeof(Arm64State)};
  return kLayout;
}

std::span<const ir::Helper> Arm64Cpu::helpers() const {
  return helper_table();
}

u64 Arm64Cpu::key() const {
  const Arm64State& s = state_;
  u64 k = 0;
  const u64 fpen = (s.cpacr_el1 >> 20) & 3;  // 01 traps EL0, 11 nobody, the rest both
  if (s.el == 1) {
    k |= key::kEl1;
    if ((fpen & 1) == 0) k |= key::kFpTrapped;
    if ((s.sctlr_el1 & kSctlrSa) != 0) k |= key::kSpCheck;
    if (s.uao != 0) k |= key::kUao;
    if (s.sp_sel == 0) k |= key::kSpEl0;
  } else {
    if (fpen != 3) k |= key::kFpTrapped;
    if ((s.sctlr_el1 & kSctlrSa0) != 0) k |= key::kSpCheck;
  }
  if ((s.sctlr_el1 & kSctlrA) != 0) k |= key::kAlignCheck;
  if (s.illegal != 0) k |= key::kIllegal;
  if (step_active()) k |= s.ss != 0 ? key::kStep : key::kStep | key::kStepPending;
  k |= ((s.fpcr >> 22) & 3) << key::kRoundShift;
  if (bit(s.fpcr, 24)) k |= key::kFlushToZero;
  if (bit(s.fpcr, 25)) k |= key::kDefaultNan;
  if (bit(s.fpcr, 26)) k |= key::kAltHalf;
  return k;
}

void Arm64Cpu::mode_changed() {
  // FPCR.RMode RN, RP, RM, RZ as MXCSR.RC nearest, up, down, zero.
  static constexpr u32 kRounding[] = {0x0000, 0x4000, 0x2000, 0x6000};
  state_.core.host_mxcsr = 0x1f80 | kRounding[(state_.fpcr >> 22) & 3];
  state_.core.key = key();
  if (tlb_ != nullptr) tlb_->regime_changed();
}

u32 Arm64Cpu::asid() const {
  const u64 ttbr = bit(state_.tcr_el1, 22) ? state_.ttbr1_el1 : state_.ttbr0_el1;
  return static_cast<u32>(ttbr >> 48) & (bit(state_.tcr_el1, 36) ? 0xffff : 0xff);
}

ir::ContextKey Arm64Cpu::context_key() const {
  if (state_.el == 0) return unprivileged_context_key();
  const u32 on = (state_.sctlr_el1 & kSctlrM) != 0 ? kRegimeOn : 0;
  return {state_.ttbr1_el1 & mask64(48), kKernelAsid, kRegimeEl1 | (state_.pan != 0 ? kRegimePan : 0) | on};
}

ir::ContextKey Arm64Cpu::unprivileged_context_key() const {
  const u32 on = (state_.sctlr_el1 & kSctlrM) != 0 ? kRegimeOn : 0;
  return {state_.ttbr0_el1 & mask64(48), asid(), on};
}

void Arm64Cpu::drop_lower_half() {
  if (!lower_half_used_) return;
  lower_half_used_ = false;
  if (tlb_ != nullptr) tlb_->flush_range(0, u64{1} << 55, kKernelAsid, false);
}

void Arm64Cpu::translate(const ir::TranslateRequest& request, ir::Block& block) const {
  block.clear();
  const auto known_helpers = helper_table();
  ir::Builder builder(block, known_helpers.data(), known_helpers.size());
  Translate translation(builder, request);
  translation.run();
}

Privilege Arm64Cpu::privilege(ir::MmuIndex mmu) const {
  const bool el1 = state_.el == 1 && mmu == ir::MmuIndex::current;
  return {el1, el1 && state_.pan != 0};
}

std::expected<Walk, ir::MemoryFault> Arm64Cpu::walk_details(u64 va, ir::AccessKind kind, const Privilege& as) {
  return walk_stage1(state_, *memory_, va, kind, as);
}

std::expected<ir::Translation, ir::MemoryFault> Arm64Cpu::walk(u64 va, ir::AccessKind kind, ir::MmuIndex mmu) {
  const Privilege as = privilege(mmu);
  if (as.el1 && !bit(va, 55)) lower_half_used_ = true;
  auto found = walk_details(va, kind, as);
  if (!found) return std::unexpected(found.error());
  return found->translation;
}

u64 Arm64Cpu::canonical(u64 va) const {
  return strip_tag(state_, va);
}

ir::MemoryFault Arm64Cpu::alignment_fault(u64 va, ir::AccessKind kind) const {
  return {va, kind, fsc::kAlignment | (kind == ir::AccessKind::write ? kIssWnr : 0)};
}

ir::MemoryFault Arm64Cpu::bus_fault(u64 va, ir::AccessKind kind) const {
  return {va, kind, fsc::kExternal | (kind == ir::AccessKind::write ? kIssWnr : 0)};
}

bool Arm64Cpu::has_wake_reason() const {
  return state_.lines.load(std::memory_order_acquire) != 0;
}

bool Arm64Cpu::halted() const {
  return state_.waiting != 0 && !has_wake_reason();
}

void Arm64Cpu::wake_up() {
  state_.waiting = 0;
}

void Arm64Cpu::set_line(cpu::Line line, bool level) {
  if (line == cpu::Line::nmi) return;  // FEAT_NMI is not there
  const u32 bit_of = 1U << static_cast<unsigned>(line);
  if (level) {
    state_.lines.fetch_or(bit_of, std::memory_order_acq_rel);
    state_.core.exit_request.fetch_or(ir::kExitInterrupt, std::memory_order_acq_rel);
  } else {
    state_.lines.fetch_and(~bit_of, std::memory_order_acq_rel);
  }
}

void Arm64Cpu::reset(const cpu::EntryState& entry) {
  Arm64State& s = state_;
  s.x.fill(0);
  for (usize n = 0; n < entry.arguments.size(); ++n) s.x[n] = entry.arguments[n];
  s.core.pc = entry.pc;
  s.core.flags = 0;
  s.core.fp_status = 0;
  s.core.monitor_address = ir::kNoMonitor;
  s.sp = s.sp_el0 = s.sp_el1 = 0;
  s.fpcr = 0;
  s.el = 1;
  s.sp_sel = 1;
  s.daif = kDaifD | kDaifA | kDaifI | kDaifF;
  s.pan = s.uao = s.illegal = 0;
  s.ss = s.stepping = 0;
  s.waiting = 0;
  s.sctlr_el1 = kSctlrReset;
  s.cpacr_el1 = 0;
  s.tcr_el1 = s.ttbr0_el1 = s.ttbr1_el1 = s.mair_el1 = 0;
  s.cntkctl_el1 = 0;
  s.mdscr_el1 = 0;
  s.osdlr_el1 = 0;
  s.os_lock = 1;
  s.pmuserenr_el0 = 0;
  lower_half_used_ = false;
  pmu_.reset();
  timer_.reset();
  if (tlb_ != nullptr) tlb_->flush_all(false);
  mode_changed();
}

void Arm64Cpu::connect_output(u32 index, interrupt::LevelWire wire) {
  // arm,armv8-timer: secure physical, non-secure physical, virtual, hypervisor; then the PMU. The secure and the
  // hypervisor timer do not exist here.
  if (index == 1) timer_.connect(GenericTimer::kPhysical, wire);
  if (index == 2) timer_.connect(GenericTimer::kVirtual, wire);
  if (index == 4) pmu_.connect(wire);
}

void Arm64Cpu::add_system_registers(cpu::SystemRegisters& registers) {
  device_registers_.push_back(&registers);
}

cpu::SystemRegisters* Arm64Cpu::device_registers(u32 encoding) const {
  for (cpu::SystemRegisters* registers : device_registers_) {
    if (registers->has(encoding)) return registers;
  }
  return nullptr;
}

std::string Arm64Cpu::disassemble(std::span<const u8> code, u64 pc) const {
  if (code.size() < 4) return "?";
  const u32 word = u32{code[0]} | (u32{code[1]} << 8) | (u32{code[2]} << 16) | (u32{code[3]} << 24);
  const Encoding* encoding = decode(word);
  return fmt::format("{:016x}: {:08x}  {}", pc, word, encoding == nullptr ? "unallocated" : encoding->name);
}

}  // namespace solder::arm64
