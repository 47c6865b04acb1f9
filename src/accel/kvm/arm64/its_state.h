/// The state of KVM's ITS and of the LPIs (Documentation/virt/kvm/devices/arm-vgic-its.rst, "ITS Restore Sequence").
#pragma once

#include <array>
#include <span>
#include <vector>

#include "accel/kvm/arm64/device_control.h"
#include "device/archive.h"

namespace solder::accel::kvm::arm64 {

/// Registers as IHI 0069 has them.
struct ItsRecord {
  struct Redistributor {
    u64 properties = 0;  ///< GICR_PROPBASER
    u64 pending = 0;     ///< GICR_PENDBASER
    bool enabled = false;
    void state(device::Archive& archive) { archive("properties", properties)("pending", pending)("enabled", enabled); }
  };
  u64 identity = 0;             ///< GITS_IIDR
  u64 control = 0;              ///< GITS_CTLR
  u64 commands = 0;             ///< GITS_CBASER
  u64 writer = 0;               ///< GITS_CWRITER
  u64 reader = 0;               ///< GITS_CREADR
  std::array<u64, 8> tables{};  ///< GITS_BASER
  std::vector<Redistributor> cpus;
  /// `cpus` has its size.
  void state(device::Archive& archive);
};

/// Saves or loads an ItsRecord. Which interrupt an event is, and which LPIs are pending, KVM writes to the tables in
/// the guest's RAM when it saves, and reads there when it loads: RAM is saved after this, and loaded before it.
/// `affinities`: of the CPUs, as vgic_state.h has them. No CPU may be in KVM_RUN; loading needs a GIC whose own state
/// is loaded. Errors: KVM's, also about tables that the guest has spoiled; a record that does not fit is the archive's
/// to tell.
[[nodiscard]] Status archive_its(const KernelDevice& its, const KernelDevice& gic, std::span<const u32> affinities,
                                 device::Archive& archive);

}  // namespace solder::accel::kvm::arm64
