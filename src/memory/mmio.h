/// What stands behind a window of an address space that is not RAM.
#pragma once

#include <string>

#include "base/types.h"
#include "memory/write_hints.h"

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
  /// What the data sheet calls the register that holds byte `offset`, for traces: "GICD_ISENABLER[3]", with "+2" for a
  /// byte inside it; empty: no register is known there. Any thread, also while the window is used and without the
  /// model's lock, so it depends on nothing that changes.
  [[nodiscard]] virtual std::string register_name(u64 offset) const {
    (void)offset;
    return {};
  }
  /// Which writes need not stop a CPU; null: all do. The same from the moment on in which the window is placed.
  [[nodiscard]] virtual const WriteHints* write_hints() const { return nullptr; }
};

}  // namespace solder::memory
