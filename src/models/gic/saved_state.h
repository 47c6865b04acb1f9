/// The saved state of a GIC, which is the same whoever runs it: the models of this folder, or the host's kernel.
#pragma once

#include <array>
#include <span>

#include "device/archive.h"
#include "models/gic/interrupt_state.h"

namespace solder::models::gic {

/// One CPU's part of a GICv3.
struct CpuRecordV3 {
  u8 flags = 0;  ///< bit 0: GICR_WAKER.ProcessorSleep; 1 and 2: ICC_IGRPEN0 and 1
  CpuInterface interface;
};
/// `control`: GICD_CTLR's group enables; `routers`: GICD_IROUTER by interrupt id, kSpecialIds of them.
void archive_v3(device::Archive& archive, InterruptState& interrupts, u32& control, std::span<u64> routers,
                std::span<CpuRecordV3> cpus);

/// One CPU's part of a GICv2.
struct CpuRecordV2 {
  u32 control = 0;  ///< GICC_CTLR
  CpuInterface interface;
  std::array<u8, 16> sgi_sources{};  ///< by SGI: which CPUs' requests are pending
};
/// `control`: GICD_CTLR; `targets`: GICD_ITARGETSR by interrupt id, kSpecialIds of them.
void archive_v2(device::Archive& archive, InterruptState& interrupts, u32& control, std::span<u8> targets,
                std::span<CpuRecordV2> cpus);

}  // namespace solder::models::gic
