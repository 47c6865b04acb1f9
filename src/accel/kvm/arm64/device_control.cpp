#include "accel/kvm/arm64/device_control.h"

#include <sys/ioctl.h>

namespace solder::accel::kvm::arm64 {

namespace {

kvm_device_attr describe(u32 group, u64 attribute, const void* value) {
  kvm_device_attr request{};
  request.group = group;
  request.attr = attribute;
  request.addr = reinterpret_cast<u64>(value);
  return request;
}

}  // namespace

Status set_attribute(int fd, u32 group, u64 attribute, const void* value) {
  kvm_device_attr request = describe(group, attribute, value);
  SOLDER_TRY(control(fd, SOLDER_KVM(KVM_SET_DEVICE_ATTR), &request));
  return {};
}

Status get_attribute(int fd, u32 group, u64 attribute, void* value) {
  kvm_device_attr request = describe(group, attribute, value);
  SOLDER_TRY(control(fd, SOLDER_KVM(KVM_GET_DEVICE_ATTR), &request));
  return {};
}

bool has_attribute(int fd, u32 group, u64 attribute) {
  kvm_device_attr request = describe(group, attribute, nullptr);
  return ::ioctl(fd, KVM_HAS_DEVICE_ATTR, &request) == 0;
}

bool KernelDevice::offered(const Vm& vm, u32 type) {
  kvm_create_device request{};
  request.type = type;
  request.flags = KVM_CREATE_DEVICE_TEST;
  return ::ioctl(vm.fd(), KVM_CREATE_DEVICE, &request) == 0;
}

Result<KernelDevice> KernelDevice::create(const Vm& vm, u32 type) {
  kvm_create_device request{};
  request.type = type;
  SOLDER_TRY_STATUS(vm.call(SOLDER_KVM(KVM_CREATE_DEVICE), &request));
  return KernelDevice(UniqueFd(static_cast<int>(request.fd)));
}

}  // namespace solder::accel::kvm::arm64
