/// What stands behind a window of an address space that is not RAM.
#pragma once

#include "base/types.h"

namespace solder::memory {

/// A window's behaviour. Called on vCPU threads, concurrently; the implementation serialises itself.
class MmioHandler {
 public:
  virtual ~MmioHandler() = default;
  /// Reads `size` (1, 2, 4, 8) bytes at `offset` from the window's start; the value in the low bits, little-endian
  /// lanes.
  virtual u64 read(u64 offset, unsigned size) = 0;
  /// Writes the low `size` bytes of `value`.
  virtual void write(u64 offset, unsigned size, u64 value) = 0;
};

}  // namespace solder::memory
