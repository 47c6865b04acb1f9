/// One model-specific register of a vCPU in KVM.
#pragma once

#include "base/result.h"
#include "base/types.h"

namespace solder::accel::kvm::x86 {

/// `fd`: the vCPU's. No allocation: timers read the time-stamp counter so. Errors: this KVM has no such register.
[[nodiscard]] Result<u64> read_msr(int fd, u32 msr);
/// Errors: this KVM has no such register, or refuses the value.
[[nodiscard]] Status write_msr(int fd, u32 msr, u64 value);

}  // namespace solder::accel::kvm::x86
