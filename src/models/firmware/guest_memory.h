/// The guest's memory as the tree has it, for devices of a PC that tell the firmware about it.
#pragma once

#include <vector>

#include "base/types.h"
#include "tree/node.h"

namespace solder::models::firmware {

struct MemoryRange {
  u64 address = 0;  ///< bytes
  u64 size = 0;
};

/// The entries of the memory nodes at the root of the tree that `node` belongs to, those without size left out, in the
/// tree's order. What is not well formed is not there: the machine complains about it.
[[nodiscard]] std::vector<MemoryRange> guest_memory(const tree::Node& node);

}  // namespace solder::models::firmware
