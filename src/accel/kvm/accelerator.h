/// KVM as an accelerator: vCPUs that the host's kernel runs, on hosts of the guest's architecture.
#pragma once

#include <memory>
#include <string>

#include "accel/kvm/vm.h"
#include "cpu/vcpu.h"

namespace solder::accel::kvm {

class MemorySlots;
class Platform;
class RunGate;

/// One machine under KVM. Lives longer than its vCPUs and kernel devices, shorter than the machine's RAM.
class Kvm final : public cpu::Accelerator {
 public:
  /// Opens /dev/kvm. Errors: why it cannot be had.
  [[nodiscard]] static Result<std::unique_ptr<Kvm>> create(const std::string& path = "/dev/kvm");
  ~Kvm() override;

  [[nodiscard]] std::string name() const override { return "kvm"; }
  /// The first call also attaches `request.memory`. Errors: another architecture than the host's; what KVM refuses.
  [[nodiscard]] Result<std::unique_ptr<cpu::Vcpu>> create_vcpu(const cpu::CpuRequest& request) override;
  [[nodiscard]] device::KernelDevices* kernel_devices() override;
  [[nodiscard]] bool parks_cpus() const override;
  /// How often each CPU left the guest, by reason; only when `show_statistics` was called.
  [[nodiscard]] std::string statistics() const override;
  void show_statistics() { statistics_ = true; }

  /// Makes the RAM of `memory` the guest's, now and whenever its map changes. Once; `memory` may outlive this object.
  [[nodiscard]] Status attach(memory::AddressSpace& memory);
  [[nodiscard]] Vm& vm() { return *vm_; }
  /// The slots of the attached memory; null before.
  [[nodiscard]] MemorySlots* slots() { return slots_.get(); }

 private:
  explicit Kvm(std::unique_ptr<Vm> vm);
  std::unique_ptr<Vm> vm_;
  std::unique_ptr<RunGate> gate_;
  std::shared_ptr<MemorySlots> slots_;  // the map's listener holds it weakly
  std::unique_ptr<Platform> platform_;
  bool statistics_ = false;
};

}  // namespace solder::accel::kvm
