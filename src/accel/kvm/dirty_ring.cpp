#include "accel/kvm/dirty_ring.h"

#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>

namespace solder::accel::kvm {

Result<std::unique_ptr<DirtyRing>> DirtyRing::map(int vcpu_fd, u32 entries) {
  const off_t offset = static_cast<off_t>(::sysconf(_SC_PAGESIZE)) * KVM_DIRTY_LOG_PAGE_OFFSET;
  void* ring = ::mmap(nullptr, entries * sizeof(kvm_dirty_gfn), PROT_READ | PROT_WRITE, MAP_SHARED, vcpu_fd, offset);
  if (ring == MAP_FAILED) {
    return fail("KVM", std::string("the vCPU's dirty ring cannot be mapped: ") + std::strerror(errno));
  }
  return std::unique_ptr<DirtyRing>(new DirtyRing(static_cast<kvm_dirty_gfn*>(ring), entries));
}

DirtyRing::~DirtyRing() {
  ::munmap(entries_, count_ * sizeof(kvm_dirty_gfn));
}

u32 DirtyRing::collect(const std::function<void(u32, u64)>& use) {
  u32 found = 0;
  // No more than a ring: a vCPU that runs on may fill it as fast as it is read.
  for (; found < count_; ++found, ++next_) {
    kvm_dirty_gfn& entry = entries_[next_ % count_];
    const std::atomic_ref<u32> flags(entry.flags);
    if ((flags.load(std::memory_order_acquire) & KVM_DIRTY_GFN_F_DIRTY) == 0) break;
    use(entry.slot, entry.offset);
    flags.store(KVM_DIRTY_GFN_F_RESET, std::memory_order_release);
  }
  return found;
}

}  // namespace solder::accel::kvm
