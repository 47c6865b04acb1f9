/// An x86 CPU that KVM runs.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "accel/kvm/vcpu_run.h"
#include "accel/kvm/window_cache.h"
#include "accel/kvm/x86/cpu_state.h"
#include "cpu/vcpu.h"

namespace solder::accel::kvm::x86 {

/// What a vCPU must know of its machine.
struct VcpuOptions {
  bool kernel_lapic = false;  ///< the local APICs are in KVM ("kernel" and "split")
  bool kernel_pic = false;    ///< so are i8259 and I/O APIC ("kernel"): no interrupt enters through `set_line`
};

/// The vCPU. Interrupts come in by one of three ways:
///  - "kernel": KVM delivers all; `set_line` and the CPU interface are not used.
///  - "split": KVM's local APIC delivers all but ExtINT, for which `set_line(irq)` is the i8259's output and the CPU
///    interface its INTA cycle.
///  - "user": `set_line(irq)` says that the local APIC of this process has something, the CPU interface gives the
///  vector;
///    CR8 and the interface's task priority are one.
/// With a local APIC in KVM a HLT sleeps in KVM_RUN and run() does not return for it.
class X86Vcpu final : public cpu::Vcpu {
 public:
  /// The CPU exists from now on, with CPUID not yet set. Errors: what KVM refuses.
  [[nodiscard]] static Result<std::unique_ptr<X86Vcpu>> create(Vm& vm, RunGate& gate, const VcpuOptions& options,
                                                               const cpu::CpuRequest& request,
                                                               std::function<Status(X86Vcpu&)> before_first_run);
  ~X86Vcpu() override;

  [[nodiscard]] u32 index() const override { return index_; }
  cpu::ExitReason run() override;
  void kick() override;
  void catch_up() override;
  [[nodiscard]] bool has_wake_reason() const override;
  void set_line(cpu::Line line, bool level) override;
  void set_wake(std::function<void()> wake) override { wake_ = std::move(wake); }
  void reset(const cpu::EntryState& entry) override;
  void connect_output(u32 index, interrupt::LevelWire wire) override;
  /// MSRs that KVM does not know itself, and IA32_APIC_BASE and IA32_TSC_DEADLINE, are asked of these.
  void add_system_registers(cpu::SystemRegisters& registers) override;
  void set_firmware(cpu::FirmwareCalls* firmware) override { (void)firmware; }
  void set_cpu_interface(interrupt::CpuInterface* interface) override { interface_ = interface; }
  void raise_nmi() override;
  [[nodiscard]] std::optional<TscReading> read_tsc() const override;

  [[nodiscard]] std::vector<cpu::RegisterValue> registers() const override;
  /// Takes effect, together with the others that are set, before the CPU runs again: KVM checks some only in their
  /// combination, and a combination that it refuses is then a fault. Errors: a name that this host's KVM does not have.
  [[nodiscard]] Status set_register(const cpu::RegisterValue& value) override;
  [[nodiscard]] std::string fault_text() const override { return fault_; }

  /// KVM_SET_GUEST_DEBUG: run() returns `debug` after each instruction, or at an INT3. Only while the CPU does not run.
  [[nodiscard]] Status set_debug(bool single_step, bool breakpoints);

  [[nodiscard]] u32 apic_id() const { return apic_id_; }
  [[nodiscard]] int fd() const { return run_->fd(); }
  [[nodiscard]] const VcpuRun& run_control() const { return *run_; }

 private:
  X86Vcpu(Vm& vm, const VcpuOptions& options, const cpu::CpuRequest& request, std::unique_ptr<VcpuRun> run);
  // The run loop's parts (vcpu.cpp).
  bool still_halted();
  /// Whether an NMI that KVM was given can be delivered and was not when the guest executed HLT.
  bool nmi_waits_in_kvm();
  void service_interrupts();
  cpu::ExitReason fail_with(std::string text);
  // Exits (exits.cpp): a reason to return, or none to go on.
  std::optional<cpu::ExitReason> handle_exit();
  bool handle_io();
  void handle_mmio();
  void follow_apic_base(u64 value);
  void handle_msr(bool write);
  // State (vcpu_state.cpp).
  Status flush_state();
  Status first_run();
  [[nodiscard]] Result<CpuState> read_state() const;

  Vm& vm_;
  const VcpuOptions options_;
  const u32 index_;
  const u32 apic_id_;
  std::unique_ptr<VcpuRun> run_;
  memory::AddressSpace no_space_{"nothing"};
  const memory::AddressSpace* const memory_space_;
  WindowCache memory_;
  WindowCache ports_;
  mutable StateAccess access_;

  // Written by any thread.
  std::atomic<bool> kicked_{false};
  std::atomic<bool> attention_{false};  // line_ or nmi_ have changed since the loop looked
  std::atomic<bool> line_{false};
  std::atomic<bool> nmi_{false};
  bool nmi_given_ = false;  // to KVM, and perhaps still there

  // Of the vCPU's thread.
  interrupt::CpuInterface* interface_ = nullptr;
  std::function<void()> wake_;
  std::optional<u8> vector_;  // acknowledged, not yet given to KVM
  bool may_inject_ = false;   // KVM said so at the last exit
  bool halted_ = false;       // in HLT, without a local APIC in KVM
  std::vector<cpu::SystemRegisters*> system_registers_;
  std::string fault_;
  bool catching_up_ = false;
  std::optional<cpu::ExitReason> owed_;  // what `run` had to return while it caught up

  std::function<Status(X86Vcpu&)> before_first_run_;  // null once done
  std::optional<CpuState> initial_;                   // after KVM_CREATE_VCPU: the state after reset
  std::optional<CpuState> staged_;                    // what set_register has made of the state
  Status state_status_;                               // of reset(), which has no way to tell
};

}  // namespace solder::accel::kvm::x86
