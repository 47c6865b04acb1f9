/// Where parts of windows lie in the guest's address spaces.
#pragma once

#include <optional>

#include "base/types.h"
#include "memory/address_space.h"

namespace solder::accel::kvm {

enum class WindowSpace : u8 { memory, ports };

/// Where the guest finds `size` bytes at `offset` of the window that `range` shows; none: not all of them are there.
[[nodiscard]] inline std::optional<Gpa> place_in(const memory::FlatRange& range, u64 offset, u64 size) {
  if (offset < range.offset || size > range.size || offset - range.offset > range.size - size) return std::nullopt;
  return range.start + (offset - range.offset);
}

}  // namespace solder::accel::kvm
