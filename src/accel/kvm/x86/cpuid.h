/// What CPUID tells a guest: the host's KVM's offer, with the machine's topology and interrupt controllers.
#pragma once

#include <vector>

#include "accel/kvm/kvm_abi.h"
#include "accel/kvm/vm.h"
#include "base/result.h"
#include "base/types.h"

namespace solder::accel::kvm::x86 {

struct CpuidOptions {
  u32 apic_id = 0;
  u32 highest_apic_id = 0;    ///< of all CPUs of the machine
  u32 cpus = 1;               ///< of the machine: cores of one package, one thread each
  bool tsc_deadline = false;  ///< the local APIC has a timer that compares with the time-stamp counter
};

/// KVM_GET_SUPPORTED_CPUID. Errors: what KVM refuses.
[[nodiscard]] Result<std::vector<kvm_cpuid_entry2>> supported_cpuid(const Vm& vm);
/// The leaves for one CPU made of `supported`.
[[nodiscard]] std::vector<kvm_cpuid_entry2> make_cpuid(std::vector<kvm_cpuid_entry2> supported,
                                                       const CpuidOptions& options);
/// KVM_SET_CPUID2 of a vCPU that has not run yet.
[[nodiscard]] Status set_cpuid(int vcpu_fd, const std::vector<kvm_cpuid_entry2>& entries);

}  // namespace solder::accel::kvm::x86
