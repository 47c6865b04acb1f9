#include <fmt/core.h>

#include "tree/cells.h"
#include "tree/resolve.h"

namespace solder::tree {

Result<BusCells> bus_cells(const Node& bus) {
  BusCells out;
  for (const auto& [name, to] : {std::pair{"#address-cells", &out.address}, std::pair{"#size-cells", &out.size}}) {
    if (!bus.has(name)) continue;
    const auto value = bus.u32_value(name);
    if (!value || *value > kMaximumAddressCells)
      return fail(bus.place(name), "is not a cell from 0 to 4", "most buses have <1> or <2>, PCI has 3 and 2");
    *to = *value;
  }
  return out;
}

Result<std::vector<u32>> checked_cells(const Node& node, std::string_view property) {
  const Property* p = node.property(property);
  if (!p) return std::vector<u32>{};
  auto cells = p->cells();
  if (!cells) return fail(node.place(property), fmt::format("has {} bytes, which are no whole cells", p->value.size()));
  return std::move(*cells);
}

bool is_pci_bus(const Node& bus) {
  const auto type = bus.string("device_type");
  return (type == "pci" || type == "pciex") && bus.u32_value("#address-cells") == 3;
}

std::string hexadecimal(std::span<const u32> cells) {
  std::string out = "<";
  for (const u32 c : cells) out += fmt::format("{}{:#x}", out.size() > 1 ? " " : "", c);
  return out + ">";
}

Result<std::vector<RawReg>> raw_reg(const Node& node) {
  const auto cells = SOLDER_TRY(checked_cells(node, "reg"));
  std::vector<RawReg> out;
  if (cells.empty()) return out;
  if (!node.parent()) return fail(node.place("reg"), "the root node has no address", "remove it");
  const BusCells bus = SOLDER_TRY(bus_cells(*node.parent()));
  const usize entry = bus.address + bus.size;
  if (entry == 0 || cells.size() % entry != 0) {
    return fail(node.place("reg"),
                fmt::format("has {} cells, but {} has {} address and {} size cells: entries of {}", cells.size(),
                            node.parent()->path(), bus.address, bus.size, entry),
                "correct reg, or #address-cells and #size-cells of the bus");
  }
  for (usize i = 0; i < cells.size(); i += entry) {
    const auto from = cells.begin() + static_cast<std::ptrdiff_t>(i);
    out.push_back({{from, from + bus.address}, {from + bus.address, from + static_cast<std::ptrdiff_t>(entry)}});
  }
  return out;
}

namespace {

/// The ISA binding to IEEE 1275, section 2.2.1: bit 0 of an address's first cell says that it is an I/O port.
constexpr u32 kIsaPort = 1;

bool is_isa_bus(const Node& bus) {
  return (bus.is_compatible("isa") || bus.string("device_type") == "isa") && bus.u32_value("#address-cells") == 2;
}

/// Whether a `ranges` entry of the ISA bus `bus` puts ports into its parent's memory, as boards other than PCs do.
Result<bool> maps_ports(const Node& bus, const BusCells& child) {
  const auto cells = SOLDER_TRY(checked_cells(bus, "ranges"));
  const BusCells parent = SOLDER_TRY(bus_cells(*bus.parent()));
  const usize entry = child.address + parent.address + child.size;
  for (usize i = 0; entry != 0 && i + entry <= cells.size(); i += entry)
    if ((cells[i] & kIsaPort) != 0) return true;
  return false;
}

/// PCI's phys.hi: which space the address is in (bits 25 and 24).
constexpr u32 kPciSpaceMask = 0x0300'0000;

/// One step up: `address` on `bus` as an address on the bus's parent.
Result<u128> step(const Node& asker, const Node& bus, u128 address, const BusCells& child) {
  const Node& up = *bus.parent();
  if (!bus.has("ranges")) {
    return fail(
        asker.place("reg"),
        fmt::format("{} ({}) has no ranges, so its addresses mean nothing outside of it", bus.path(), bus.where.text()),
        fmt::format("add \"ranges;\" to {} if it is a memory-mapped bus", bus.path()));
  }
  const auto cells = SOLDER_TRY(checked_cells(bus, "ranges"));
  const bool pci = is_pci_bus(bus);
  const u32 space = pci ? static_cast<u32>(address >> 64) & kPciSpaceMask : 0;
  if (pci && space == 0)
    return fail(asker.place("reg"), "is a PCI configuration address, which lies in no memory", "ask for its BARs");
  if (cells.empty()) return address;  // one to one
  const BusCells parent = SOLDER_TRY(bus_cells(up));
  const usize entry = child.address + parent.address + child.size;
  if (entry == 0 || cells.size() % entry != 0) {
    return fail(bus.place("ranges"),
                fmt::format("has {} cells, no multiple of an entry's {}: {} child address, {} parent address, {} size",
                            cells.size(), entry, child.address, parent.address, child.size));
  }
  const std::span<const u32> all(cells);
  for (usize i = 0; i < cells.size(); i += entry) {
    u128 from = number_of(all.subspan(i, child.address));
    const u128 to = number_of(all.subspan(i + child.address, parent.address));
    const u128 size = number_of(all.subspan(i + child.address + parent.address, child.size));
    u128 wanted = address;
    if (pci) {
      if ((static_cast<u32>(from >> 64) & kPciSpaceMask) != space) continue;
      from = static_cast<u64>(from);
      wanted = static_cast<u64>(address);
    }
    if (wanted >= from && wanted - from < size) return to + (wanted - from);
  }
  return fail(asker.place("reg"),
              fmt::format("address {:#x} lies in no window of the ranges of {} ({})", static_cast<u64>(address),
                          bus.path(), bus.property("ranges")->where.text()),
              "move the device into a window, or widen the ranges");
}

}  // namespace

Result<std::vector<AddressRange>> translate_reg(const Tree& tree, const Node& node) {
  const auto regs = SOLDER_TRY(raw_reg(node));
  std::vector<AddressRange> out;
  for (const RawReg& reg : regs) {
    u128 address = number_of(reg.address);
    const u128 size = number_of(reg.size);
    Space space = Space::memory;
    for (const Node* bus = node.parent(); bus && bus != &tree.root() && bus->parent(); bus = bus->parent()) {
      const BusCells cells = SOLDER_TRY(bus_cells(*bus));
      if (is_isa_bus(*bus) && (static_cast<u32>(address >> 32) & kIsaPort) != 0 &&
          !SOLDER_TRY(maps_ports(*bus, cells))) {
        address = static_cast<u32>(address);
        space = Space::port;
        break;
      }
      address = SOLDER_TRY(step(node, *bus, address, cells));
    }
    if (address > ~u64{0} || size > ~u64{0})
      return fail(node.place("reg"), fmt::format("{} does not fit in 64 bits", hexadecimal(reg.address)));
    out.push_back({static_cast<u64>(address), static_cast<u64>(size), space});
  }
  return out;
}

}  // namespace solder::tree
