/// The ring in which KVM tells which pages a vCPU has dirtied (KVM_CAP_DIRTY_LOG_RING; Documentation/virt/kvm/api.rst,
/// 8.29).
#pragma once

#include <functional>
#include <memory>

#include "accel/kvm/kvm_abi.h"
#include "base/result.h"
#include "base/types.h"

namespace solder::accel::kvm {

/// One vCPU's ring. Not thread-safe: whoever collects has a lock.
class DirtyRing {
 public:
  /// Errors: it cannot be mapped.
  [[nodiscard]] static Result<std::unique_ptr<DirtyRing>> map(int vcpu_fd, u32 entries);
  ~DirtyRing();
  DirtyRing(const DirtyRing&) = delete;
  DirtyRing& operator=(const DirtyRing&) = delete;

  /// Calls `use` with the slot and the page in it for each entry that is new, and gives the entries back; KVM takes
  /// them with KVM_RESET_DIRTY_RINGS, and then watches these pages again. Returns how many there were.
  u32 collect(const std::function<void(u32 slot, u64 page)>& use);

 private:
  DirtyRing(kvm_dirty_gfn* entries, u32 count) : entries_(entries), count_(count) {}
  kvm_dirty_gfn* entries_;
  const u32 count_;
  u32 next_ = 0;
};

}  // namespace solder::accel::kvm
