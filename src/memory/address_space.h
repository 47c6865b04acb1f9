/// An address space: RAM and windows with priorities and aliases, resolved once into a flat map that readers use
/// without locks.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/types.h"
#include "memory/io_observer.h"
#include "memory/mmio.h"
#include "memory/ram.h"

namespace solder::memory {

/// One piece of the flat map. Pieces do not overlap; between them are holes.
struct FlatRange {
  Gpa start = 0;
  u64 size = 0;
  Ram* ram = nullptr;  ///< exactly one of ram and handler is set
  MmioHandler* handler = nullptr;
  u64 offset = 0;                     ///< of `start` within the RAM or the window
  bool read_only = false;             ///< RAM that guest stores do not change (ROM); a window is never read-only
  const std::string* name = nullptr;  ///< who is here: a node path, for traces and complaints
  [[nodiscard]] Gpa end() const { return start + size; }
  [[nodiscard]] bool contains(Gpa address) const { return address - start < size; }
};

/// An immutable snapshot of a whole space, sorted by start.
class FlatMap {
 public:
  explicit FlatMap(std::vector<FlatRange> ranges) : ranges_(std::move(ranges)) {}
  /// The piece that holds `address`, or null for a hole. O(log n).
  [[nodiscard]] const FlatRange* find(Gpa address) const;
  [[nodiscard]] const std::vector<FlatRange>& ranges() const { return ranges_; }

 private:
  std::vector<FlatRange> ranges_;
};

/// What a region of the space is made of.
struct Region {
  std::string name;  ///< a node path
  Gpa start = 0;
  u64 size = 0;
  Ram* ram = nullptr;
  MmioHandler* handler = nullptr;
  u64 offset = 0;
  bool read_only = false;
  int priority = 0;  ///< where regions overlap, the higher shows; among equals it is an error
};
using RegionId = u64;

/// Told after a new flat map was published: KVM's memory slots, the translator's TLBs.
using MapListener = std::function<void(const FlatMap& before, const FlatMap& after)>;
/// Told when someone begins or ceases to watch accesses.
using ObservationListener = std::function<void(bool observed)>;

/// A space: the guest's physical addresses, x86's ports, a card's own view.
/// Writers (`add`, `remove`) serialise on a mutex and publish a new map; readers take one atomic load.
/// Old maps are kept until the space goes: maps change rarely (hotplug, BAR moves), and a reader then needs no counter.
class AddressSpace {
 public:
  explicit AddressSpace(std::string name);

  /// Adds a region. Errors: empty, wraps around 2^64, or overlaps one of the same priority (named in the error).
  [[nodiscard]] Result<RegionId> add(Region region);
  /// Adds `size` bytes at `start` that show what lies at `target` of the same space now and later.
  [[nodiscard]] Result<RegionId> add_alias(std::string name, Gpa start, u64 size, Gpa target, int priority = 0);
  void remove(RegionId id);
  /// Moves a region (a BAR) in one publication.
  [[nodiscard]] Status move(RegionId id, Gpa start);
  void listen(MapListener listener);

  [[nodiscard]] const std::string& name() const { return name_; }
  /// The current map; valid as long as the space.
  [[nodiscard]] const FlatMap& map() const { return *map_.load(std::memory_order_acquire); }

  /// Reads through RAM and windows alike, splitting at piece borders; holes read as all-ones and count as false.
  bool read(Gpa address, void* data, u64 size) const;
  bool write(Gpa address, const void* data, u64 size) const;
  /// One access of 1, 2, 4, 8 bytes as a CPU makes it. A hole reads as zero; `ok` tells.
  struct Access {
    u64 value = 0;
    bool ok = false;
  };
  [[nodiscard]] Access load(Gpa address, unsigned size) const;
  bool store(Gpa address, unsigned size, u64 value) const;
  /// The access of a CPU to a device that it has found itself: `range` is a window and holds all `size` bytes at
  /// `address`. `exit_ns`: when the CPU left the guest (CLOCK_MONOTONIC), for a trace; 0 unknown.
  [[nodiscard]] u64 read_window(const FlatRange& range, Gpa address, unsigned size, u64 exit_ns = 0) const {
    const u64 offset = range.offset + (address - range.start);
    if (observer_.load(std::memory_order_acquire) == nullptr) [[likely]]
      return range.handler->read(offset, size);
    return observed(range, {.address = address, .size = static_cast<u8>(size), .offset = offset, .exit_ns = exit_ns});
  }
  void write_window(const FlatRange& range, Gpa address, unsigned size, u64 value, u64 exit_ns = 0) const {
    const u64 offset = range.offset + (address - range.start);
    if (observer_.load(std::memory_order_acquire) == nullptr) [[likely]] {
      range.handler->write(offset, size, value);
      return;
    }
    observed(range, {.address = address,
                     .size = static_cast<u8>(size),
                     .write = true,
                     .value = value,
                     .offset = offset,
                     .exit_ns = exit_ns});
  }
  /// Who is told of every access by load, store, read_window and write_window; null: nobody. An access that is under
  /// way may still report to the one before. `ports`: what `IoAccess::port` says.
  /// The listeners of `listen_observation` have been told when this returns.
  void observe(IoObserver* observer, bool ports = false);
  /// `listener` hears of every call of `observe`, in order.
  void listen_observation(ObservationListener listener);
  /// Whether anyone is told: an accelerator notes the time of exits only then.
  [[nodiscard]] bool observed() const { return observer_.load(std::memory_order_relaxed) != nullptr; }
  /// Tells of an access that came another way than through this space: to a system register.
  void report(const IoAccess& access) const {
    if (IoObserver* observer = observer_.load(std::memory_order_acquire); observer != nullptr)
      observer->accessed(access);
  }
  /// A host pointer to `size` contiguous bytes of RAM at `address`, or null. Writers call Ram::mark_written after.
  [[nodiscard]] u8* ram_pointer(Gpa address, u64 size) const;

 private:
  struct Alias {
    std::string name;
    Gpa start;
    u64 size;
    Gpa target;
    int priority;
  };
  Status publish();
  u64 observed(const FlatRange& range, IoAccess access) const;

  std::string name_;
  mutable std::mutex mutex_;
  RegionId next_id_ = 1;
  std::vector<std::pair<RegionId, std::unique_ptr<Region>>> regions_;
  std::vector<std::pair<RegionId, std::unique_ptr<Alias>>> aliases_;
  std::vector<std::unique_ptr<Region>> retired_;  // removed; published maps still name them
  std::vector<std::unique_ptr<const FlatMap>> published_;
  std::vector<MapListener> listeners_;
  std::vector<ObservationListener> observation_listeners_;
  std::atomic<const FlatMap*> map_;
  std::atomic<IoObserver*> observer_{nullptr};
  std::atomic<bool> ports_{false};
};

}  // namespace solder::memory
