/// One virtual machine of KVM: its descriptors, and ioctls whose failures are values that name the call and the reason.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "accel/kvm/kvm_abi.h"
#include "base/result.h"
#include "base/types.h"
#include "base/unique_fd.h"

namespace solder::accel::kvm {

/// An ioctl by number and name: SOLDER_KVM(KVM_CREATE_IRQCHIP).
struct Request {
  unsigned long number = 0;
  const char* name = "";
};
#define SOLDER_KVM(request) (::solder::accel::kvm::Request{(request), #request})

/// The error of an ioctl that failed with `error` (an errno).
[[nodiscard]] std::unexpected<Error> ioctl_error(Request request, int error);

/// ioctl(2), again after EINTR. The result, 0 or more. Errors: the ioctl's name and errno's text.
[[nodiscard]] Result<int> control(int fd, Request request, void* argument);
[[nodiscard]] Result<int> control(int fd, Request request, unsigned long argument = 0);

/// A VM. Lives as long as its vCPUs and whatever calls it; any thread.
class Vm {
 public:
  /// Opens `path` (/dev/kvm), checks the version of its API (12) and makes an empty VM.
  /// Errors: there is no KVM, no permission, another API, or the host's kernel refuses a VM.
  [[nodiscard]] static Result<std::unique_ptr<Vm>> open(const std::string& path = "/dev/kvm");

  /// KVM_CHECK_EXTENSION of this VM: 0 when `capability` is not there, else what the capability says.
  [[nodiscard]] int check(int capability) const;
  /// ioctls of the VM.
  [[nodiscard]] Status call(Request request, void* argument) const;
  [[nodiscard]] Status call(Request request, unsigned long argument = 0) const;
  [[nodiscard]] Result<int> call_value(Request request, void* argument) const;
  [[nodiscard]] Result<int> call_value(Request request, unsigned long argument = 0) const;
  /// KVM_ENABLE_CAP of the VM with up to four arguments.
  [[nodiscard]] Status enable(int capability, const char* name, u64 argument = 0, u64 argument1 = 0) const;
  /// KVM_CREATE_VCPU.
  [[nodiscard]] Result<UniqueFd> create_vcpu(u32 id) const;
  /// The descriptor of the vCPU with this index (not its id), for ioctls of devices that live in it (KVM_SET_LAPIC);
  /// -1: there is none. The vCPU announces itself with `set_vcpu_fd`.
  [[nodiscard]] int vcpu_fd(u32 index) const;
  void set_vcpu_fd(u32 index, int fd);

  /// The VM's descriptor, and that of /dev/kvm itself (KVM_GET_SUPPORTED_CPUID and the like).
  [[nodiscard]] int fd() const { return vm_.get(); }
  [[nodiscard]] int system_fd() const { return system_.get(); }
  /// Bytes of a vCPU's shared page(s), KVM_GET_VCPU_MMAP_SIZE.
  [[nodiscard]] usize run_size() const { return run_size_; }

  /// x86 with the local APICs in the kernel and the I/O APIC here: who hears that the guest ended the level-triggered
  /// interrupt `vector` (KVM_EXIT_IOAPIC_EOI). Called on the vCPU's thread. Set before CPUs run.
  void set_eoi_handler(std::function<void(u8 vector)> handler) { eoi_handler_ = std::move(handler); }
  void end_of_interrupt(u8 vector) const {
    if (eoi_handler_) eoi_handler_(vector);
  }

 private:
  Vm(UniqueFd system, UniqueFd vm, usize run_size)
      : system_(std::move(system)), vm_(std::move(vm)), run_size_(run_size) {}
  UniqueFd system_;
  UniqueFd vm_;
  usize run_size_;
  std::function<void(u8)> eoi_handler_;
  mutable std::mutex mutex_;
  std::vector<int> vcpu_fds_;  // by index
};

}  // namespace solder::accel::kvm
