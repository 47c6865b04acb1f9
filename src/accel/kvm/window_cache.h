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

  u64 load(Gpa address, unsigned size) {
    const memory::FlatRange* range = find(address);
    if (range != nullptr && range->handler != nullptr && plain(size) && size <= range->end() - address) [[likely]] {
      return range->handler->read(range->offset + (address - range->start), size);
    }
    return load_pieces(address, size);
  }
  void store(Gpa address, unsigned size, u64 value) {
    const memory::FlatRange* range = find(address);
    if (range != nullptr && range->handler != nullptr && plain(size) && size <= range->end() - address) [[likely]] {
      range->handler->write(range->offset + (address - range->start), size, value);
      return;
    }
    store_pieces(address, size, value);
  }

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
  u64 load_pieces(Gpa address, unsigned size);
  void store_pieces(Gpa address, unsigned size, u64 value);

  const memory::AddressSpace& space_;
  const memory::FlatMap* map_ = nullptr;
  const memory::FlatRange* range_ = nullptr;  // of map_; not null when that is not
};

}  // namespace solder::accel::kvm
