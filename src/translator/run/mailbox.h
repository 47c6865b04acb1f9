/// Invalidations that other vCPUs ask one for, and how they learn that it has done them.
#pragma once

#include <atomic>
#include <mutex>
#include <vector>

#include "base/types.h"
#include "translator/ir/core_state.h"

namespace solder::run {

struct CodePage;

/// One request.
struct Shootdown {
  enum class Kind : u8 { all, asid, range, write_tags };
  Kind kind = Kind::all;
  u32 asid = 0;
  bool one_asid = false;  ///< range: only contexts of `asid`
  u64 address = 0;
  u64 length = 0;
  CodePage* page = nullptr;  ///< write_tags: the page that became a code page
};

/// A vCPU's queue of requests. A vCPU outside of guest code (halted, in a device, stopped) need not be waited for: it
/// empties its queue before it goes back.
class Mailbox {
 public:
  explicit Mailbox(ir::CoreState& state) : state_(state) {}

  /// Any thread. Returns what to wait for.
  u64 post(const Shootdown& request);
  /// Whether the owner has done everything up to `ticket`, or cannot have used what it told to drop since.
  [[nodiscard]] bool settled(u64 ticket) const {
    return !in_guest_.load(std::memory_order_seq_cst) || done_.load(std::memory_order_acquire) >= ticket;
  }

  // The owner's thread only.
  void leave_guest() { in_guest_.store(false, std::memory_order_seq_cst); }
  /// Does what is queued with `act`; call after `announce` and whenever kExitShootdown is set.
  template <class Act>
  void drain(Act act) {
    state_.exit_request.fetch_and(~u32{ir::kExitShootdown}, std::memory_order_seq_cst);
    u64 ticket = 0;
    {
      const std::scoped_lock lock(mutex_);
      batch_.swap(queue_);
      ticket = posted_;
    }
    for (const Shootdown& request : batch_) act(request);
    batch_.clear();
    done_.store(ticket, std::memory_order_release);
  }
  /// From now on others wait for this vCPU. Requests posted before are still in the queue: drain it next.
  void announce() { in_guest_.store(true, std::memory_order_seq_cst); }
  [[nodiscard]] bool empty() const {
    return (state_.exit_request.load(std::memory_order_seq_cst) & ir::kExitShootdown) == 0;
  }

 private:
  ir::CoreState& state_;
  std::mutex mutex_;
  std::vector<Shootdown> queue_;
  u64 posted_ = 0;
  std::atomic<u64> done_{0};
  std::atomic<bool> in_guest_{false};
  std::vector<Shootdown> batch_;  // the owner's
};

}  // namespace solder::run
