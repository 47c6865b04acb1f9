/// Who wants to know when the guest ends a shared interrupt (interrupt::Sink::watch_eoi).
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <mutex>

#include "models/gic/interrupt_state.h"

namespace solder::models::gic {

/// Has its own lock, and is used without the controller's: a watcher drives the controller's inputs.
class EndWatchers {
 public:
  /// An empty `watcher` ends the watch. `pin` is the controller's; private and special ones have no watchers.
  void watch(u32 pin, std::function<void()> watcher) {
    const u32 id = pin & 0xffff;
    if (id < kPrivateIds || id >= kSpecialIds) return;
    const std::lock_guard guard(lock_);
    if (watcher) {
      watchers_[id] = std::move(watcher);
    } else {
      watchers_.erase(id);
    }
    any_.store(!watchers_.empty(), std::memory_order_relaxed);
  }
  /// Cheap: for the path of each end of an interrupt.
  [[nodiscard]] bool any() const { return any_.load(std::memory_order_relaxed); }
  /// Before the interrupt is deactivated: first the source takes its level back, and raises it again if it still asks,
  /// then the interrupt is no longer active. So nobody takes one without a cause in between.
  void tell(u32 id) {
    std::function<void()> watcher;
    {
      const std::lock_guard guard(lock_);
      if (const auto it = watchers_.find(id); it != watchers_.end()) watcher = it->second;
    }
    if (watcher) watcher();
  }

 private:
  std::mutex lock_;
  std::map<u32, std::function<void()>> watchers_;  // by id
  std::atomic<bool> any_{false};
};

}  // namespace solder::models::gic
