/// The state of KVM's GIC as the record that the models in this process save: from one to the other without loss of
/// what is pending (Documentation/virt/kvm/devices/arm-vgic.rst and arm-vgic-v3.rst).
#pragma once

#include <vector>

#include "accel/kvm/arm64/device_control.h"
#include "device/archive.h"
#include "device/device.h"

namespace solder::accel::kvm::arm64 {

/// The machine's CPUs as KVM's attributes name them: Aff3.Aff2.Aff1.Aff0.
[[nodiscard]] std::vector<u32> affinities(const device::Ports& ports);

struct VgicShape {
  u32 version = 3;
  u32 words = 1;                ///< of 32 interrupts, the private one included
  std::vector<u32> affinities;  ///< by CPU
  /// By word: the levels of the shared inputs, which KVM's GICv2 does not tell apart from what is pending.
  std::vector<u32> lines;
};

/// Saves or loads. No CPU may be in KVM_RUN. Errors: KVM's; a record that does not fit is the archive's to tell.
[[nodiscard]] Status archive_vgic(const KernelDevice& gic, const VgicShape& shape, device::Archive& archive);

}  // namespace solder::accel::kvm::arm64
