/// The GIC of the CPUs, in KVM (Documentation/virt/kvm/devices/arm-vgic.rst and arm-vgic-v3.rst).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "accel/kvm/arm64/kernel_devices.h"
#include "accel/kvm/arm64/reserved_window.h"

namespace solder::accel::kvm::arm64 {

/// The node's addresses become the GIC's; as many SPIs as the tree wires, at least 256. A wire to an SPI is a virq of
/// the routing table, so that it counts and eventfds can drive it too; a wire to a PPI goes to the CPU's line.
class Vgic final : public device::Device, public interrupt::Controller, public interrupt::Sink, public Finisher {
 public:
  Vgic(device::Ports& ports, KernelDevices& kernel, u32 version);
  /// Errors: the tree's, and what KVM refuses.
  [[nodiscard]] Status place();

  // device::Device
  void state(device::Archive& archive) override;
  [[nodiscard]] std::string describe() const override;
  // interrupt::Controller
  [[nodiscard]] Result<Input> input(std::span<const u32> specifier, u32 cpu) override;
  // interrupt::Sink
  void set_level(u32 pin, bool level) override;
  void pulse(u32 pin) override;
  // Finisher
  [[nodiscard]] Status finish() override;

 private:
  Status place_v2();
  Status place_v3();
  Status place_redistributors();
  Status set_address(u32 type, u64 value, const std::string& what);
  Result<interrupt::Virq> virq_of(u32 spi);

  device::Ports& ports_;
  KernelDevices& kernel_;
  const KernelDevice& gic_;
  const u32 version_;
  ReservedWindow window_;
  bool finished_ = false;
  u32 spis_;
  // By SPI. Written while the machine is built, before a wire can be driven.
  std::vector<std::optional<interrupt::Virq>> virqs_;
};

}  // namespace solder::accel::kvm::arm64
