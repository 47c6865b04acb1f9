/// What differs by the host's architecture: its vCPUs, and the devices its KVM can run. One folder implements it.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "accel/kvm/vm.h"
#include "cpu/vcpu.h"
#include "device/kernel_devices.h"

namespace solder::accel::kvm {

class RunGate;

/// The architecture's half of an accelerator; one object a machine.
class Platform {
 public:
  virtual ~Platform() = default;
  /// The platform of the host. `vm` and `gate` outlive it. Errors: what KVM refuses.
  [[nodiscard]] static Result<std::unique_ptr<Platform>> create(Vm& vm, RunGate& gate);
  /// Whether the host's KVM runs CPUs with this `compatible`.
  [[nodiscard]] static bool runs(std::string_view compatible);
  /// Errors: another architecture than the host's, or what KVM refuses.
  [[nodiscard]] virtual Result<std::unique_ptr<cpu::Vcpu>> create_vcpu(const cpu::CpuRequest& request) = 0;
  [[nodiscard]] virtual device::KernelDevices* kernel_devices() = 0;
  [[nodiscard]] virtual bool parks_cpus() const = 0;
};

}  // namespace solder::accel::kvm
