/// Writes that KVM keeps in a ring instead of leaving the guest for each (coalesced MMIO and PIO): those that devices
/// declare deferrable (memory/write_hints.h).
#pragma once

#include <array>
#include <atomic>
#include <mutex>
#include <vector>

#include "accel/kvm/kvm_abi.h"
#include "accel/kvm/vm.h"
#include "accel/kvm/window_cache.h"
#include "accel/kvm/window_place.h"
#include "memory/address_space.h"

namespace solder::accel::kvm {

/// The ring of one VM, which all its vCPUs share, and the zones of the guest's memory and ports that feed it.
///
/// The order of a CPU's accesses stays as it was: whoever comes out of KVM_RUN, or serves a doorbell, makes the writes
/// of the ring before anything else, and an entry leaves the ring only when its write has been made. So a ring that
/// looks empty means that nothing is under way on another thread either.
class DeferredWrites {
 public:
  /// `vm` outlives this object, as do the spaces.
  DeferredWrites(const Vm& vm, const memory::AddressSpace& memory, const memory::AddressSpace& ports);
  ~DeferredWrites();
  DeferredWrites(const DeferredWrites&) = delete;
  DeferredWrites& operator=(const DeferredWrites&) = delete;

  /// Maps the ring through the first vCPU. A host that has none is no error.
  void map_ring(int vcpu_fd);
  /// From now on writes are deferred: not before the machine is whole, since memory slots wait for the host to be
  /// through with a zone.
  void start();

  /// The windows of a space are those of `map` from now on.
  void update(WindowSpace space, const memory::FlatMap& map);
  /// Whether somebody watches the accesses of a space: then they come one by one.
  void observe(WindowSpace space, bool observed);

  /// Whether `drain` has anything to do or to wait for.
  [[nodiscard]] bool pending() const {
    return ring_ != nullptr && std::atomic_ref<u32>(ring_->first).load(std::memory_order_acquire) !=
                                   std::atomic_ref<u32>(ring_->last).load(std::memory_order_acquire);
  }
  /// Makes all writes that are in the ring now. Any thread that holds no model's lock.
  void drain();

  struct Zone {
    WindowSpace space = WindowSpace::memory;
    Gpa address = 0;
    u64 size = 0;
    bool operator==(const Zone&) const = default;
  };
  /// The zones of [start, start + size) that there are now.
  [[nodiscard]] std::vector<Zone> zones(WindowSpace space, Gpa start, u64 size) const;
  /// How many there are in all: for tests and `--accel kvm=stats`.
  [[nodiscard]] usize zones() const;
  /// How many writes came through the ring.
  [[nodiscard]] u64 count() const { return count_.load(std::memory_order_relaxed); }

 private:
  void apply();
  [[nodiscard]] bool set(const Zone& zone, bool on) const;

  const Vm& vm_;
  kvm_coalesced_mmio_ring* ring_ = nullptr;  // before CPUs run
  mutable std::mutex mutex_;                 // of the zones
  bool started_ = false;
  std::array<std::vector<Zone>, 2> wanted_;  // by space
  std::array<bool, 2> observed_{};
  std::vector<Zone> zones_;
  std::mutex drain_mutex_;  // before models' locks
  WindowCache memory_;
  WindowCache ports_;
  std::atomic<u64> count_{0};
};

}  // namespace solder::accel::kvm
