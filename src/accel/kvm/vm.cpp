#include "accel/kvm/vm.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/ioctl.h>

#include <cerrno>
#include <cstring>

#include "accel/kvm/kvm_abi.h"

namespace solder::accel::kvm {

std::unexpected<Error> ioctl_error(Request request, int error) {
  return fail("KVM", fmt::format("{} failed: {} (errno {})", request.name, std::strerror(error), error));
}

Result<int> control(int fd, Request request, void* argument) {
  int result = 0;
  do {
    result = ::ioctl(fd, request.number, argument);
  } while (result < 0 && errno == EINTR);
  if (result < 0) return ioctl_error(request, errno);
  return result;
}

Result<int> control(int fd, Request request, unsigned long argument) {
  return control(fd, request, reinterpret_cast<void*>(argument));  // NOLINT(performance-no-int-to-ptr): KVM's ABI
}

Result<std::unique_ptr<Vm>> Vm::open(const std::string& path) {
  UniqueFd system(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (!system) {
    const int error = errno;
    const char* fix = error == EACCES || error == EPERM ? "join the group that owns it (usually `kvm`), or run as root"
                      : error == ENOENT || error == ENXIO || error == ENODEV
                          ? "load the host's KVM module, or use --accel translator"
                          : "";
    return fail(path, fmt::format("cannot be opened: {}", std::strerror(error)), fix);
  }
  const auto version = control(system.get(), SOLDER_KVM(KVM_GET_API_VERSION));
  if (!version)
    return fail(path, "is not KVM: " + version.error().what, "give KVM's device, or use --accel translator");
  if (*version != KVM_API_VERSION) {
    return fail(path, fmt::format("offers version {} of KVM's API; Solder knows {}", *version, KVM_API_VERSION),
                "run on a host with Linux 2.6.22 or later, or use --accel translator");
  }
  UniqueFd vm(SOLDER_TRY(control(system.get(), SOLDER_KVM(KVM_CREATE_VM))));
  const int run_size = SOLDER_TRY(control(system.get(), SOLDER_KVM(KVM_GET_VCPU_MMAP_SIZE)));
  return std::unique_ptr<Vm>(new Vm(std::move(system), std::move(vm), static_cast<usize>(run_size)));
}

int Vm::check(int capability) const {
  const auto answer = control(vm_.get(), SOLDER_KVM(KVM_CHECK_EXTENSION), static_cast<unsigned long>(capability));
  return answer ? *answer : 0;
}

Status Vm::call(Request request, void* argument) const {
  SOLDER_TRY_STATUS(control(vm_.get(), request, argument));
  return {};
}

Status Vm::call(Request request, unsigned long argument) const {
  SOLDER_TRY_STATUS(control(vm_.get(), request, argument));
  return {};
}

Result<int> Vm::call_value(Request request, void* argument) const {
  return control(vm_.get(), request, argument);
}

Result<int> Vm::call_value(Request request, unsigned long argument) const {
  return control(vm_.get(), request, argument);
}

Status Vm::enable(int capability, const char* name, u64 argument, u64 argument1) const {
  kvm_enable_cap request{};
  request.cap = static_cast<u32>(capability);
  request.args[0] = argument;
  request.args[1] = argument1;
  if (::ioctl(vm_.get(), KVM_ENABLE_CAP, &request) < 0) {
    return fail("KVM", fmt::format("KVM_ENABLE_CAP({}) failed: {} (errno {})", name, std::strerror(errno), errno));
  }
  return {};
}

Status Vm::attach_irqfd(u32 gsi, int fd, int resample_fd) const {
  kvm_irqfd request{};
  request.fd = static_cast<u32>(fd);
  request.gsi = gsi;
  if (resample_fd >= 0) {
    request.flags = KVM_IRQFD_FLAG_RESAMPLE;
    request.resamplefd = static_cast<u32>(resample_fd);
  }
  return call(SOLDER_KVM(KVM_IRQFD), &request);
}

Status Vm::detach_irqfd(u32 gsi, int fd) const {
  kvm_irqfd request{};
  request.fd = static_cast<u32>(fd);
  request.gsi = gsi;
  request.flags = KVM_IRQFD_FLAG_DEASSIGN;
  return call(SOLDER_KVM(KVM_IRQFD), &request);
}

Status Vm::enable_dirty_rings(u32 entries) {
  // Where stores are not ordered as x86 orders them there is only KVM_CAP_DIRTY_LOG_RING_ACQ_REL, and with a VGIC some
  // pages are told by the log all the same: these hosts keep the log.
  const int most = check(KVM_CAP_DIRTY_LOG_RING);
  const u64 bytes = u64{entries} * sizeof(kvm_dirty_gfn);
  if (KVM_DIRTY_LOG_PAGE_OFFSET == 0 || most <= 0) return fail("KVM", "the host has no dirty rings");
  if (bytes > static_cast<u64>(most)) return fail("KVM", fmt::format("the host's dirty rings have {} bytes", most));
  SOLDER_TRY_STATUS(enable(KVM_CAP_DIRTY_LOG_RING, "KVM_CAP_DIRTY_LOG_RING", bytes));
  dirty_ring_entries_ = entries;
  return {};
}

Result<UniqueFd> Vm::create_vcpu(u32 id) const {
  return UniqueFd(SOLDER_TRY(control(vm_.get(), SOLDER_KVM(KVM_CREATE_VCPU), static_cast<unsigned long>(id))));
}

int Vm::vcpu_fd(u32 index) const {
  const std::lock_guard guard(mutex_);
  return index < vcpu_fds_.size() ? vcpu_fds_[index] : -1;
}

void Vm::set_vcpu_fd(u32 index, int fd) {
  const std::lock_guard guard(mutex_);
  if (index >= vcpu_fds_.size()) vcpu_fds_.resize(index + 1, -1);
  vcpu_fds_[index] = fd;
}

}  // namespace solder::accel::kvm
