#include "accel/kvm/x86/msr.h"

#include <fmt/core.h>

#include "accel/kvm/kvm_abi.h"
#include "accel/kvm/vm.h"

namespace solder::accel::kvm::x86 {

namespace {

// kvm_msrs with one entry.
struct OneMsr {
  u32 count = 1;
  u32 padding = 0;
  kvm_msr_entry entry{};
};
static_assert(sizeof(OneMsr) == sizeof(kvm_msrs) + sizeof(kvm_msr_entry));

}  // namespace

Result<u64> read_msr(int fd, u32 msr) {
  OneMsr one;
  one.entry.index = msr;
  if (SOLDER_TRY(control(fd, SOLDER_KVM(KVM_GET_MSRS), &one)) != 1)
    return fail("KVM", fmt::format("KVM_GET_MSRS does not read MSR {:#x}", msr));
  return one.entry.data;
}

Status write_msr(int fd, u32 msr, u64 value) {
  OneMsr one;
  one.entry.index = msr;
  one.entry.data = value;
  if (SOLDER_TRY(control(fd, SOLDER_KVM(KVM_SET_MSRS), &one)) != 1)
    return fail("KVM", fmt::format("KVM_SET_MSRS does not set MSR {:#x} to {:#x}", msr, value));
  return {};
}

}  // namespace solder::accel::kvm::x86
