/// A CPU's accesses to windows and holes, remembering the piece of the flat map that the last one hit: a guest polls
/// one register many times.
#pragma once

#include <cstring>

#include "base/types.h"
#include "memory/address_space.h"

namespace solder::accel::kvm {

/// Used by one thread. An access may have any length from 1 to 8 bytes and cross pieces; it is split into accesses of
/// 1, 2, 4 and 8 bytes. A byte that nobody answers for reads as all-ones, which is what an unclaimed read returns on a
/// PC (PCI 3.0, section 3.2.2.3.4), and swallows writes.
class WindowCache {
 public:
  explicit WindowCache(const memory::AddressSpace& space) : space_(space) {}

  /// `exit_ns`: when the CPU left the guest, for traces; see exit_time.
  u64 load(Gpa address, unsigned size, u64 exit_ns = 0) {
    const memory::FlatRange* range = find(address);
    if (range != nullptr && range->handler != nullptr && plain(size) && size <= range->end() - address) [[likely]] {
      return space_.read_window(*range, address, size, exit_ns);
    }
    return load_pieces(address, size, exit_ns);
  }
  void store(Gpa address, unsigned size, u64 value, u64 exit_ns = 0) {
    const memory::FlatRange* range = find(address);
    if (range != nullptr && range->handler != nullptr && plain(size) && size <= range->end() - address) [[likely]] {
      space_.write_window(*range, address, size, value, exit_ns);
      return;
    }
    store_pieces(address, size, value, exit_ns);
  }
  /// Now (CLOCK_MONOTONIC) when someone traces the space, else 0: the clock costs as much as a short handler.
  [[nodiscard]] u64 exit_time() const { return space_.observed() ? monotonic_now() : 0; }

  /// Tells whoever traces the space of an access to a system register.
  void report(const memory::IoAccess& access) const { space_.report(access); }

 private:
  static bool plain(unsigned size) { return size <= 8 && (size & (size - 1)) == 0; }
  const memory::FlatRange* find(Gpa address) {
    const memory::FlatMap* map = &space_.map();  // maps live as long as the space, so the pointer identifies one
    if (map != map_ || !range_->contains(address)) [[unlikely]] {
      const memory::FlatRange* range = map->find(address);
      if (range == nullptr) return nullptr;
      map_ = map;
      range_ = range;
    }
    return range_;
  }
  static u64 monotonic_now();
  u64 load_pieces(Gpa address, unsigned size, u64 exit_ns);
  void store_pieces(Gpa address, unsigned size, u64 value, u64 exit_ns);

  const memory::AddressSpace& space_;
  const memory::FlatMap* map_ = nullptr;
  const memory::FlatRange* range_ = nullptr;  // of map_; not null when that is not
};

}  // namespace solder::accel::kvm
