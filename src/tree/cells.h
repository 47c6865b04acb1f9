/// Numbers made of cells, and the #…-cells that say how many.
#pragma once

#include <span>

#include "base/result.h"
#include "tree/node.h"

namespace solder::tree {

/// No binding has wider ones; more is a damaged tree.
inline constexpr u32 kMaximumAddressCells = 4;

/// #address-cells and #size-cells of a bus, with the specification's defaults 2 and 1 (section 2.3.5).
struct BusCells {
  u32 address = 2;
  u32 size = 1;
};
[[nodiscard]] Result<BusCells> bus_cells(const Node& bus);

/// A property's cells; an error when its length is no multiple of 4. Absent: empty.
[[nodiscard]] Result<std::vector<u32>> checked_cells(const Node& node, std::string_view property);

/// Big-endian cells as a number, at most four of them.
[[nodiscard]] inline u128 number_of(std::span<const u32> cells) {
  u128 out = 0;
  for (const u32 c : cells) out = (out << 32) | c;
  return out;
}

/// Whether a bus has PCI's three-cell addresses (IEEE 1275 PCI binding).
[[nodiscard]] bool is_pci_bus(const Node& bus);

[[nodiscard]] std::string hexadecimal(std::span<const u32> cells);

}  // namespace solder::tree
