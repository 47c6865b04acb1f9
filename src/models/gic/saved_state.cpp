#include "models/gic/saved_state.h"

namespace solder::models::gic {

void archive_v3(device::Archive& archive, InterruptState& interrupts, u32& control, std::span<u64> routers,
                std::span<CpuRecordV3> cpus) {
  archive("interrupts", interrupts)("control", control);
  for (u32 id = kPrivateIds; id < kSpecialIds; ++id) archive("router", routers[id]);
  for (CpuRecordV3& cpu : cpus) archive("flags", cpu.flags)("interface", cpu.interface);
}

void archive_v2(device::Archive& archive, InterruptState& interrupts, u32& control, std::span<u8> targets,
                std::span<CpuRecordV2> cpus) {
  archive("interrupts", interrupts)("control", control);
  for (u32 id = kPrivateIds; id < kSpecialIds; ++id) archive("targets", targets[id]);
  for (CpuRecordV2& cpu : cpus) {
    archive("control", cpu.control)("interface", cpu.interface)("sgi_sources", cpu.sgi_sources);
  }
}

}  // namespace solder::models::gic
