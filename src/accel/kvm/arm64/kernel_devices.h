/// What KVM runs of an arm64 machine: GICv2, GICv3 and ITS, and what belongs to its CPUs (timers, PMU, PSCI).
#pragma once

#include <memory>
#include <optional>

#include "accel/kvm/arm64/device_control.h"
#include "accel/kvm/arm64/kernel_routes.h"
#include "device/kernel_devices.h"

namespace solder::accel::kvm::arm64 {

/// What the host's KVM can do, asked once.
struct HostFeatures {
  bool gic_v2 = false;
  bool gic_v3 = false;
  bool its = false;
  bool pmu = false;
  bool user_irq = false;  ///< a GIC in this process: KVM tells the levels of the CPUs' timers and PMU

  [[nodiscard]] static HostFeatures of(const Vm& vm);
};

/// A kernel device that has something left to do when all CPUs, addresses and wires are known.
class Finisher {
 public:
  virtual ~Finisher() = default;
  [[nodiscard]] virtual Status finish() = 0;
};

class KernelDevices final : public device::KernelDevices {
 public:
  explicit KernelDevices(Vm& vm);
  ~KernelDevices() override;

  [[nodiscard]] bool knows(std::span<const std::string> compatibles) const override;
  [[nodiscard]] Status choose(const tree::Tree& tree, std::span<Candidate> candidates) override;
  [[nodiscard]] Result<std::unique_ptr<device::Device>> make(device::Ports& ports) override;
  [[nodiscard]] Status finish() override;
  void connect(interrupt::RoutingTable& routes) override { table_ = &routes; }
  /// The GIC's own interface to the CPUs, which KVM loads when one enters the guest.
  [[nodiscard]] std::string presents() const override { return "the hardware (the GIC's list registers)"; }

  /// 2 or 3: the GIC is in the kernel; 0: it is in this process. Valid after choose().
  [[nodiscard]] u32 gic_version() const { return gic_version_; }
  /// The tree asks for a PMU, and KVM has one.
  [[nodiscard]] bool wants_pmu() const { return pmu_; }
  /// The GIC in the kernel; there is one. Lives as long as this object.
  [[nodiscard]] const KernelDevice& gic() const { return *gic_; }
  /// The GIC's and the ITS's devices register themselves here while they are made.
  void add_finisher(Finisher& finisher) { finishers_.push_back(&finisher); }

  [[nodiscard]] Vm& vm() { return vm_; }
  [[nodiscard]] Arm64Routes& routes() { return routes_; }

 private:
  Status choose_gic(std::span<Candidate> candidates);
  Status choose_its(std::span<Candidate> candidates);
  Status choose_cpu_parts(std::span<Candidate> candidates);
  Status place_gic(Candidate& candidate, u32 version);

  Vm& vm_;
  const HostFeatures host_;
  Arm64Routes routes_;
  interrupt::RoutingTable* table_ = nullptr;
  u32 gic_version_ = 0;
  bool pmu_ = false;
  std::optional<KernelDevice> gic_;  // created before the CPUs, set up by its node's device
  std::vector<Finisher*> finishers_;
};

// The devices; one function a file.
/// vgic.cpp: `version` 2 or 3, of `kernel.gic()`.
[[nodiscard]] Result<std::unique_ptr<device::Device>> make_vgic(device::Ports& ports, KernelDevices& kernel,
                                                                u32 version);
/// its.cpp
[[nodiscard]] Result<std::unique_ptr<device::Device>> make_its(device::Ports& ports, KernelDevices& kernel);
/// cpu_nodes.cpp
[[nodiscard]] Result<std::unique_ptr<device::Device>> make_timer(device::Ports& ports, KernelDevices& kernel);
[[nodiscard]] Result<std::unique_ptr<device::Device>> make_pmu(device::Ports& ports, KernelDevices& kernel);
[[nodiscard]] Result<std::unique_ptr<device::Device>> make_psci(device::Ports& ports);

}  // namespace solder::accel::kvm::arm64
