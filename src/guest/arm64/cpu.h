/// One arm64 CPU: GuestCpu for the translator. Its parts: system registers, MMU, exceptions, timer, PMU.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "guest/arm64/generic_timer.h"
#include "guest/arm64/mmu.h"
#include "guest/arm64/pmu.h"
#include "guest/arm64/state.h"
#include "translator/ir/guest.h"

namespace solder::arm64 {

/// The ASID in the keys of EL1's contexts. Kernel addresses are global, so EL1 keeps its context when a process switch
/// changes TTBR0_EL1 or the ASID, and drops only what it holds of the lower half.
inline constexpr u32 kKernelAsid = 0x10000;

class Arm64Cpu final : public ir::GuestCpu {
 public:
  explicit Arm64Cpu(const cpu::CpuRequest& request);

  // GuestCpu
  [[nodiscard]] ir::CoreState& state() override { return state_.core; }
  [[nodiscard]] const ir::GuestLayout& layout() const override;
  [[nodiscard]] std::span<const ir::Helper> helpers() const override;
  [[nodiscard]] u64 key() const override;
  [[nodiscard]] ir::ContextKey context_key() const override;
  [[nodiscard]] ir::ContextKey unprivileged_context_key() const override;
  void translate(const ir::TranslateRequest& request, ir::Block& block) const override;
  std::expected<ir::Translation, ir::MemoryFault> walk(u64 va, ir::AccessKind kind, ir::MmuIndex mmu) override;
  [[nodiscard]] u64 canonical(u64 va) const override;
  [[nodiscard]] ir::MemoryFault alignment_fault(u64 va, ir::AccessKind kind) const override;
  [[nodiscard]] ir::MemoryFault bus_fault(u64 va, ir::AccessKind kind) const override;
  void raise_memory_fault(const ir::MemoryFault& fault) override;
  bool take_interrupt() override;
  [[nodiscard]] bool halted() const override;
  [[nodiscard]] bool has_wake_reason() const override;
  void wake_up() override;
  void set_line(cpu::Line line, bool level) override;
  void reset(const cpu::EntryState& entry) override;
  void connect_output(u32 index, interrupt::LevelWire wire) override;
  void add_system_registers(cpu::SystemRegisters& registers) override;
  void set_firmware(cpu::FirmwareCalls* firmware) override { firmware_ = firmware; }
  [[nodiscard]] std::vector<cpu::RegisterValue> registers() const override;
  Status set_register(const cpu::RegisterValue& value) override;
  [[nodiscard]] std::string disassemble(std::span<const u8> code, u64 pc) const override;

  // For helpers and system registers, on the CPU's own thread.
  [[nodiscard]] Arm64State& arch() { return state_; }
  [[nodiscard]] const Arm64State& arch() const { return state_; }
  [[nodiscard]] GenericTimer& timer() { return timer_; }
  [[nodiscard]] Pmu& pmu() { return pmu_; }
  [[nodiscard]] ir::TlbControl* tlb() { return tlb_; }
  [[nodiscard]] cpu::FirmwareCalls* firmware() { return firmware_; }
  [[nodiscard]] u32 index() const { return index_; }
  [[nodiscard]] bool has_gic_registers() const { return !device_registers_.empty(); }
  [[nodiscard]] cpu::SystemRegisters* device_registers(u32 encoding) const;

  /// Takes a synchronous exception to EL1. `far`: what FAR_EL1 gets, if anything.
  void take_exception(u32 esr, u64 return_address, std::optional<u64> far = std::nullopt);
  /// ERET: state from SPSR_EL1 and ELR_EL1.
  void exception_return();
  /// Software step is active at this level (DDI 0487, D2.12.3).
  [[nodiscard]] bool step_active() const;
  /// PSTATE as SPSR has it.
  [[nodiscard]] u64 pstate() const;
  /// To be called after any change of what key() or context_key() look at.
  void mode_changed();
  /// After DAIF changed: makes the run time look at interrupts when one is pending and unmasked.
  void interrupt_mask_changed();
  /// Before TTBR0_EL1 or the ASID change: EL1's contexts forget the lower half, which is another process's from now on.
  void drop_lower_half();
  [[nodiscard]] u32 asid() const;
  /// Sets PSTATE.EL and SP, and exchanges the stack pointers.
  void set_level(u32 el, u32 sp_sel);
  /// A walk with its details, for AT and cache operations.
  std::expected<Walk, ir::MemoryFault> walk_details(u64 va, ir::AccessKind kind, const Privilege& privilege);
  [[nodiscard]] Privilege privilege(ir::MmuIndex mmu) const;
  [[nodiscard]] memory::AddressSpace* memory() { return memory_; }

 private:
  /// Common part of all exceptions: to `vector` of VBAR_EL1.
  void enter_exception(u64 vector, u64 return_address);
  [[nodiscard]] u32 unmasked_lines() const;

  Arm64State state_;
  u32 index_;
  memory::AddressSpace* memory_;
  GenericTimer timer_;
  Pmu pmu_;
  cpu::FirmwareCalls* firmware_ = nullptr;
  std::vector<cpu::SystemRegisters*> device_registers_;
  bool lower_half_used_ = false;  // EL1's contexts may hold translations of the lower half
};

}  // namespace solder::arm64
