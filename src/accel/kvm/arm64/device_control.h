/// KVM's device API: what is not a CPU is created by type and set up by attributes (Documentation/virt/kvm/devices).
#pragma once

#include "accel/kvm/kvm_abi.h"
#include "accel/kvm/vm.h"
#include "base/result.h"
#include "base/types.h"
#include "base/unique_fd.h"

namespace solder::accel::kvm::arm64 {

/// Attributes of a device's or a vCPU's descriptor. `value` is what the attribute's documentation says it points to.
/// Errors: the ioctl's name and errno's text.
[[nodiscard]] Status set_attribute(int fd, u32 group, u64 attribute, const void* value);
[[nodiscard]] Status get_attribute(int fd, u32 group, u64 attribute, void* value);
[[nodiscard]] bool has_attribute(int fd, u32 group, u64 attribute);

/// One device of a VM (KVM_CREATE_DEVICE).
class KernelDevice {
 public:
  /// Whether the host can run a device of this type (KVM_DEV_TYPE_*).
  [[nodiscard]] static bool offered(const Vm& vm, u32 type);
  /// Errors: what KVM refuses.
  [[nodiscard]] static Result<KernelDevice> create(const Vm& vm, u32 type);
  [[nodiscard]] Status set(u32 group, u64 attribute, const void* value) const {
    return set_attribute(fd_.get(), group, attribute, value);
  }
  [[nodiscard]] Status get(u32 group, u64 attribute, void* value) const {
    return get_attribute(fd_.get(), group, attribute, value);
  }
  [[nodiscard]] bool has(u32 group, u64 attribute) const { return has_attribute(fd_.get(), group, attribute); }

 private:
  explicit KernelDevice(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

}  // namespace solder::accel::kvm::arm64
