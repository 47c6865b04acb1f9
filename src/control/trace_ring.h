/// A bounded queue of trace records without locks. Several threads may put in (a CPU's own, and the control socket's),
/// one takes out. After D. Vyukov's bounded queue: a slot's sequence number says whose turn it is.
#pragma once

#include <atomic>
#include <bit>
#include <memory>

#include "base/types.h"
#include "memory/io_observer.h"

namespace solder::control {

struct TraceRecord {
  memory::IoAccess access;  ///< with its CPU
  u64 machine_ns = 0;       ///< machine time at which the handler was called
};

class TraceRing {
 public:
  /// `capacity` is rounded up to a power of two.
  explicit TraceRing(usize capacity) : mask_(std::bit_ceil(capacity) - 1), slots_(std::make_unique<Slot[]>(mask_ + 1)) {
    for (usize i = 0; i <= mask_; ++i) slots_[i].sequence.store(i, std::memory_order_relaxed);
  }
  /// False: full. Any thread.
  bool push(const TraceRecord& record) noexcept {
    u64 at = head_.load(std::memory_order_relaxed);
    while (true) {
      Slot& slot = slots_[at & mask_];
      const u64 sequence = slot.sequence.load(std::memory_order_acquire);
      if (sequence == at) {
        if (!head_.compare_exchange_weak(at, at + 1, std::memory_order_relaxed)) continue;
        slot.record = record;
        slot.sequence.store(at + 1, std::memory_order_release);
        return true;
      }
      if (sequence < at) return false;
      at = head_.load(std::memory_order_relaxed);
    }
  }
  /// False: empty. One thread at a time.
  bool pop(TraceRecord& record) noexcept {
    Slot& slot = slots_[tail_ & mask_];
    if (slot.sequence.load(std::memory_order_acquire) != tail_ + 1) return false;
    record = slot.record;
    slot.sequence.store(tail_ + mask_ + 1, std::memory_order_release);
    ++tail_;
    return true;
  }

 private:
  struct Slot {
    std::atomic<u64> sequence{0};
    TraceRecord record;
  };
  u64 mask_;
  std::unique_ptr<Slot[]> slots_;
  alignas(64) std::atomic<u64> head_{0};
  alignas(64) u64 tail_ = 0;
};

}  // namespace solder::control
