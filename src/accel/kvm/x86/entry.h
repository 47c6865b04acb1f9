/// The state in which a CPU starts.
#pragma once

#include "accel/kvm/x86/cpu_state.h"
#include "cpu/vcpu.h"

namespace solder::accel::kvm::x86 {

/// Changes `state`, which is that of a CPU after reset, to enter at `entry` (SDM volume 3, 9.1 and 8.4.3; the x86/HVM
/// direct boot ABI; Linux's 64-bit boot protocol).
void apply_entry(CpuState& state, const cpu::EntryState& entry);

}  // namespace solder::accel::kvm::x86
