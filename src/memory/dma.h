/// How a device reaches guest memory. There is no other way: translation, bounds, dirty marks and code invalidation
/// happen here.
#pragma once

#include <sys/uio.h>

#include <span>
#include <vector>

#include "base/types.h"
#include "memory/address_space.h"

namespace solder::memory {

/// The memory side of one node: its bus's `dma-ranges` and IOMMU, then the address space.
class DmaPort {
 public:
  /// Bus address to guest physical: windows from `dma-ranges`. Empty means identity.
  struct Window {
    u64 bus = 0;
    Gpa cpu = 0;
    u64 size = 0;
  };
  DmaPort(const AddressSpace& space, std::vector<Window> windows = {}) : space_(space), windows_(std::move(windows)) {}

  /// False (and `data` zeroed) when any byte is not RAM that the device may reach.
  bool read(u64 address, void* data, u64 size) const;
  bool write(u64 address, const void* data, u64 size) const;
  template <class T>
  bool load(u64 address, T& value) const {
    return read(address, &value, sizeof value);
  }
  template <class T>
  bool store(u64 address, const T& value) const {
    return write(address, &value, sizeof value);
  }

  /// Host pieces of [address, address+size), appended to `out`; false and nothing appended if a byte is out of reach.
  /// For zero-copy I/O. After a transfer into memory call `written` with the same range.
  bool map(u64 address, u64 size, std::vector<iovec>& out) const;
  /// A host pointer when the range is one contiguous piece of writable RAM, else null.
  [[nodiscard]] u8* pointer(u64 address, u64 size) const;
  /// Marks [address, address+size) dirty and invalidates code there.
  void written(u64 address, u64 size) const;

 private:
  const AddressSpace& space_;
  std::vector<Window> windows_;
};

}  // namespace solder::memory
