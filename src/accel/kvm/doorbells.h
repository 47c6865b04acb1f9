/// Doorbells (memory/write_hints.h) that KVM takes without leaving the guest, and the thread that answers them.
#pragma once

#include <array>
#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "accel/kvm/deferred_writes.h"
#include "accel/kvm/ioevent.h"
#include "accel/kvm/window_place.h"
#include "base/unique_fd.h"
#include "cpu/cpu_set.h"
#include "memory/address_space.h"

namespace solder::accel::kvm {

/// An ioeventfd for each doorbell at each place where the guest finds it. One thread for all of them calls the window's
/// handler, with what the guest wrote, between CpuSet's enter_work and leave_work, and what rang before the CPUs paused
/// is answered before they have: in a paused machine no doorbell is answered, and none waits.
///
/// A device may be unplugged while the CPUs are paused (CpuSet::exclusive): then its handler is not being called, and
/// is not called later, because its window has left the map.
class Doorbells {
 public:
  /// `vm` and `deferred` outlive this object.
  Doorbells(const Vm& vm, DeferredWrites& deferred) : vm_(vm), deferred_(deferred) {}
  ~Doorbells();
  Doorbells(const Doorbells&) = delete;
  Doorbells& operator=(const Doorbells&) = delete;

  /// The windows of a space are those of `map` from now on.
  void update(WindowSpace space, const memory::FlatMap& map);
  /// Whether somebody watches the accesses of a space: then doorbells are writes as others.
  void observe(WindowSpace space, bool observed);

  /// From now on, until `stop`. `cpus` lives until then. Once.
  void start(cpu::CpuSet& cpus);
  /// When this returns no handler is called any more, and doorbells are writes as others. Idempotent.
  void stop();

  /// How many doorbells of this window KVM answers now.
  [[nodiscard]] usize attached(const memory::MmioHandler& handler) const;
  /// How many ioeventfds there are in all, and how often a handler was called: for tests and `--accel kvm=stats`.
  [[nodiscard]] usize attached() const;
  [[nodiscard]] u64 count() const { return count_.load(std::memory_order_relaxed); }

 private:
  /// A doorbell at one place of the map.
  struct Place {
    memory::MmioHandler* handler = nullptr;
    memory::Doorbell bell;
    IoEventKey key;
  };
  struct Bell {
    memory::MmioHandler* handler = nullptr;
    memory::Doorbell bell;
    UniqueFd fd;
    std::vector<IoEvent> events;
    bool placed = false;  // its window is in the map, and the thread waits for it
  };
  Bell* bell_of(const Place& place);
  void apply();
  void withdraw(Bell& bell);
  void serve();
  void answer(u64 id);
  void settle();

  const Vm& vm_;
  DeferredWrites& deferred_;
  cpu::CpuSet* cpus_ = nullptr;
  mutable std::mutex mutex_;
  std::array<std::vector<Place>, 2> wanted_;  // by space
  std::array<bool, 2> observed_{};
  std::map<u64, Bell> bells_;  // by a number that is never used again
  u64 next_id_ = 1;            // 0 is the thread's own descriptor
  bool running_ = false;
  UniqueFd epoll_;
  UniqueFd wake_;
  std::atomic<bool> stopping_{false};
  std::atomic<u64> count_{0};
  std::thread thread_;
};

}  // namespace solder::accel::kvm
