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

class DeferredWrites;

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
  /// KVM_IRQFD: events of `fd` raise `gsi`; with `resample_fd` >= 0 they set its level, which falls, with an event on
  /// `resample_fd`, when the guest ends the interrupt.
  [[nodiscard]] Status attach_irqfd(u32 gsi, int fd, int resample_fd) const;
  [[nodiscard]] Status detach_irqfd(u32 gsi, int fd) const;
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

  /// Has each vCPU tell of the pages that it dirties in a ring of `entries` (a power of two) instead of KVM's log of
  /// each slot. Before the first vCPU. Errors: the host has no such rings, or not of that size; the log is there then.
  [[nodiscard]] Status enable_dirty_rings(u32 entries);
  /// 0: there are none.
  [[nodiscard]] u32 dirty_ring_entries() const { return dirty_ring_entries_; }
  /// Who empties the rings when one is full (KVM_EXIT_DIRTY_RING_FULL). Called on the vCPU's thread. Set before CPUs
  /// run.
  void set_dirty_ring_handler(std::function<Status()> handler) { dirty_ring_handler_ = std::move(handler); }
  [[nodiscard]] Status dirty_ring_full() const {
    return dirty_ring_handler_ ? dirty_ring_handler_() : fail("KVM", "a dirty ring is full, and nobody empties it");
  }

  /// The writes that wait in this VM's ring, which vCPUs make when they leave the guest; null: none ever do. Before the
  /// first vCPU; outlives the vCPUs.
  void set_deferred_writes(DeferredWrites* writes) { deferred_writes_ = writes; }
  [[nodiscard]] DeferredWrites* deferred_writes() const { return deferred_writes_; }

 private:
  Vm(UniqueFd system, UniqueFd vm, usize run_size)
      : system_(std::move(system)), vm_(std::move(vm)), run_size_(run_size) {}
  UniqueFd system_;
  UniqueFd vm_;
  usize run_size_;
  std::function<void(u8)> eoi_handler_;
  std::function<Status()> dirty_ring_handler_;
  u32 dirty_ring_entries_ = 0;
  DeferredWrites* deferred_writes_ = nullptr;
  mutable std::mutex mutex_;
  std::vector<int> vcpu_fds_;  // by index
};

}  // namespace solder::accel::kvm
