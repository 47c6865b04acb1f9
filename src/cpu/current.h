/// Which vCPU is asking. GICv2 banks registers by the CPU that accesses them, and MMIO carries no such number.
#pragma once

#include "base/types.h"

namespace solder::cpu {

/// The index of the vCPU whose thread this is; 0 on threads that are no vCPU's (a debugger reads as CPU 0 does).
[[nodiscard]] u32 current_cpu();

/// Called once by each vCPU's thread as it starts.
void set_current_cpu(u32 index);

}  // namespace solder::cpu
