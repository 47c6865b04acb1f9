/// A piece of guest memory.
#pragma once

#include "base/types.h"

namespace solder::boot {

/// Bytes [address, address+size) of guest memory.
struct Extent {
  Gpa address = 0;
  u64 size = 0;
  [[nodiscard]] Gpa end() const { return address + size; }
};

}  // namespace solder::boot
