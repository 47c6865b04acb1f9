/// An arm64 CPU that KVM runs.
#pragma once

#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "accel/kvm/arm64/registers.h"
#include "accel/kvm/vcpu_run.h"
#include "accel/kvm/window_cache.h"
#include "cpu/vcpu.h"

namespace solder::accel::kvm::arm64 {

/// What a vCPU must know of its machine.
struct VcpuOptions {
  bool kernel_gic = false;  ///< interrupts do not pass through this process
  bool pmu = false;
};

/// The vCPU. WFI, PSCI calls and CPUs that are off are KVM's: run() returns only for what this process must do. With
/// the GIC in the kernel `set_line` and outputs are not used; with a GIC in this process `set_line` is KVM_IRQ_LINE,
/// and the levels of timers and PMU, which KVM tells at each exit, go to the outputs' wires.
class Arm64Vcpu final : public cpu::Vcpu {
 public:
  /// Errors: what KVM refuses; an affinity (`reg`) that it does not give a CPU.
  [[nodiscard]] static Result<std::unique_ptr<Arm64Vcpu>> create(Vm& vm, RunGate& gate, const VcpuOptions& options,
                                                                 const cpu::CpuRequest& request);
  ~Arm64Vcpu() override;

  [[nodiscard]] u32 index() const override { return index_; }
  cpu::ExitReason run() override;
  void kick() override;
  [[nodiscard]] bool has_wake_reason() const override { return true; }
  void set_line(cpu::Line line, bool level) override;
  void set_wake(std::function<void()> wake) override { (void)wake; }
  void reset(const cpu::EntryState& entry) override;
  void connect_output(u32 index, interrupt::LevelWire wire) override;
  void add_system_registers(cpu::SystemRegisters& registers) override { (void)registers; }
  void set_firmware(cpu::FirmwareCalls* firmware) override { (void)firmware; }

  [[nodiscard]] std::vector<cpu::RegisterValue> registers() const override;
  [[nodiscard]] Status set_register(const cpu::RegisterValue& value) override { return registers_.write(value); }
  [[nodiscard]] std::string fault_text() const override { return fault_; }

 private:
  Arm64Vcpu(Vm& vm, const VcpuOptions& options, const cpu::CpuRequest& request, std::unique_ptr<VcpuRun> run);
  Status initialize();
  Status set_affinity();
  Status enter_at(const cpu::EntryState& entry);
  Status prepare_first_run();
  void finish_instruction();
  cpu::ExitReason fail_with(std::string text);
  std::optional<cpu::ExitReason> handle_exit();
  void handle_mmio();
  void update_outputs();

  Vm& vm_;
  const VcpuOptions options_;
  const u32 index_;
  const u64 hardware_id_;
  std::unique_ptr<VcpuRun> run_;
  memory::AddressSpace no_space_{"nothing"};
  const memory::AddressSpace* const memory_space_;
  WindowCache memory_;
  mutable RegisterFile registers_;

  std::atomic<bool> kicked_{false};

  // Of the vCPU's thread.
  bool fresh_ = true;  // has not been reset since it was created
  bool ran_ = false;
  Status state_status_;  // of reset(), which has no way to tell
  static constexpr usize kOutputs = 5;
  std::array<interrupt::LevelWire, kOutputs> outputs_;
  u64 output_levels_ = 0;
  std::string fault_;
};

}  // namespace solder::accel::kvm::arm64
