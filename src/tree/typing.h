/// Which cells of well-known properties are phandles. A blob does not say; the bindings do.
#pragma once

#include <functional>
#include <vector>

#include "tree/node.h"

namespace solder::tree {

using PhandleLookup = std::function<const Node*(u32)>;

/// Byte offsets, ascending, of the cells in `property` of `node` that hold a phandle by the property's binding and
/// whose number `lookup` knows. Empty for properties that the table does not have. Where a list makes no sense (it ends
/// inside an entry, or an entry's node has no #…-cells), what stood before that is returned.
[[nodiscard]] std::vector<u32> phandle_offsets(const Node& node, const Property& property, const PhandleLookup& lookup);

}  // namespace solder::tree
