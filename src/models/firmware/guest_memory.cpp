#include "models/firmware/guest_memory.h"

#include "tree/cells.h"
#include "tree/resolve.h"

namespace solder::models::firmware {

std::vector<MemoryRange> guest_memory(const tree::Node& node) {
  const tree::Node* root = &node;
  while (root->parent() != nullptr) root = root->parent();
  std::vector<MemoryRange> out;
  for (const auto& child : root->children()) {
    if (child->string("device_type") != "memory" || !child->enabled()) continue;
    const auto entries = tree::raw_reg(*child);
    if (!entries) continue;
    for (const tree::RawReg& entry : *entries) {
      const MemoryRange range{static_cast<u64>(tree::number_of(entry.address)),
                              static_cast<u64>(tree::number_of(entry.size))};
      if (range.size != 0 && range.address + (range.size - 1) >= range.address) out.push_back(range);
    }
  }
  return out;
}

}  // namespace solder::models::firmware
