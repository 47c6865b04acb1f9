/// What is said when KVM cannot run an arm64 CPU: the exit, in people's words, and the CPU's registers.
#pragma once

#include <string>

#include "accel/kvm/kvm_abi.h"
#include "base/types.h"
#include "memory/address_space.h"

namespace solder::accel::kvm::arm64 {

/// The text for the exit in `page`. Reads guest RAM only, never a window. `memory` may be null.
[[nodiscard]] std::string describe_exit(u32 cpu, int vcpu_fd, const kvm_run& page, const memory::AddressSpace* memory);
/// The text for KVM_RUN itself failing with errno `error`.
[[nodiscard]] std::string describe_failure(u32 cpu, int vcpu_fd, const memory::AddressSpace* memory, int error);

}  // namespace solder::accel::kvm::arm64
