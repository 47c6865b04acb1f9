// Lists of references, messages, and what a device's own accesses reach.

#include <algorithm>

#include <fmt/core.h>

#include "tree/cells.h"
#include "tree/resolver_state.h"

namespace solder::tree {

namespace {

constexpr u32 kMaximumArguments = 64;

/// The number of arguments that `target` wants; `absent` where it does not say, or an error without `absent`.
Result<u32> argument_cells(const Node& asker, std::string_view property, const Node& target,
                           std::string_view cells_property, std::optional<u32> absent) {
  if (!target.has(cells_property) && absent) return *absent;
  const auto count = target.u32_value(cells_property);
  if (!count) {
    return fail(asker.place(property),
                fmt::format("{} ({}) has no {}", target.path(), target.where.text(), cells_property),
                "refer to a node that provides this, or add the property there");
  }
  if (*count > kMaximumArguments)
    return fail(target.place(cells_property), fmt::format("{} is no sensible number", *count));
  return *count;
}

Result<std::vector<PhandleArgs>> list_of(const Resolver::State& state, const Node& node, std::string_view property,
                                         std::string_view cells_property, std::optional<u32> absent) {
  const auto cells = SOLDER_TRY(checked_cells(node, property));
  std::vector<PhandleArgs> out;
  for (usize i = 0; i < cells.size();) {
    const u32 phandle = cells[i++];
    if (phandle == 0) {
      out.emplace_back();
      continue;
    }
    const Node* target = SOLDER_TRY(state.target(node, property, phandle));
    const u32 count =
        cells_property.empty() ? 0 : SOLDER_TRY(argument_cells(node, property, *target, cells_property, absent));
    if (cells.size() - i < count) {
      return fail(node.place(property), fmt::format("entry {} has {} cells behind its phandle, but {} wants {}",
                                                    out.size(), cells.size() - i, target->path(), count));
    }
    const auto from = cells.begin() + static_cast<std::ptrdiff_t>(i);
    out.push_back({target, {from, from + count}});
    i += count;
  }
  return out;
}

struct RidMatch {
  const Node* target = nullptr;
  u32 id = 0;
};
/// msi-map and iommu-map: entries of <rid-base target id-base length>.
Result<std::optional<RidMatch>> match_rid(const Resolver::State& state, const Node& node, std::string_view property,
                                          std::string_view mask_property, std::string_view cells_property, u32 rid) {
  const auto cells = SOLDER_TRY(checked_cells(node, property));
  u32 masked = rid;
  if (node.has(mask_property)) {
    const auto mask = node.u32_value(mask_property);
    if (!mask) return fail(node.place(mask_property), "is not one cell");
    masked &= *mask;
  }
  for (usize i = 0; i < cells.size();) {
    if (cells.size() - i < 3) return fail(node.place(property), "ends inside an entry of <id target id-base length>");
    const u32 base = cells[i];
    const Node* target = SOLDER_TRY(state.target(node, property, cells[i + 1]));
    const u32 count = SOLDER_TRY(argument_cells(node, property, *target, cells_property, 1));
    if (cells.size() - i < usize{3} + count)
      return fail(node.place(property), "ends inside an entry of <id target id-base length>");
    const u32 out = count > 0 ? cells[i + 1 + count] : 0;
    const u32 length = cells[i + 2 + count];
    i += 3 + count;
    if (masked >= base && masked - base < length) return RidMatch{target, out + (masked - base)};
  }
  return std::nullopt;
}

/// The node, then the PCI bridges and the host above it.
template <class Visit>
auto upwards_through_pci(const Node& node, Visit visit) {
  const Node* at = &node;
  auto found = visit(*at);
  while ((!found || !*found) && found && at->parent() && is_pci_bus(*at->parent())) {
    at = at->parent();
    found = visit(*at);
  }
  return found;
}

using Windows = std::vector<DmaWindow>;

/// Sizes are at most 2^64-1 here: a window over everything loses its last byte rather than its arithmetic.
Windows step_up(const Windows& below, std::span<const DmaWindow> entries) {
  Windows out;
  for (const DmaWindow& w : below) {
    for (const DmaWindow& e : entries) {
      const u64 begin = std::max(w.cpu, e.bus);
      const u128 end = std::min(u128{w.cpu} + w.size, u128{e.bus} + e.size);
      if (u128{begin} >= end) continue;
      out.push_back({w.bus + (begin - w.cpu), e.cpu + (begin - e.bus), static_cast<u64>(end - begin)});
    }
  }
  return out;
}

Result<Windows> dma_entries(const Node& bus) {
  const auto cells = SOLDER_TRY(checked_cells(bus, "dma-ranges"));
  const BusCells child = SOLDER_TRY(bus_cells(bus));
  const BusCells parent = SOLDER_TRY(bus_cells(*bus.parent()));
  const usize entry = child.address + parent.address + child.size;
  if (entry == 0 || cells.size() % entry != 0) {
    return fail(bus.place("dma-ranges"),
                fmt::format("has {} cells, no multiple of an entry's {}", cells.size(), entry));
  }
  const bool pci = is_pci_bus(bus);
  const std::span<const u32> all(cells);
  Windows out;
  for (usize i = 0; i < cells.size(); i += entry) {
    u128 from = number_of(all.subspan(i, child.address));
    if (pci) from = static_cast<u64>(from);
    const u128 to = number_of(all.subspan(i + child.address, parent.address));
    const u128 size = number_of(all.subspan(i + child.address + parent.address, child.size));
    if (from > ~u64{0} || to > ~u64{0})
      return fail(bus.place("dma-ranges"), fmt::format("entry {} does not fit in 64 bits", i / entry));
    out.push_back({static_cast<u64>(from), static_cast<u64>(to), static_cast<u64>(std::min<u128>(size, ~u64{0}))});
  }
  return out;
}

}  // namespace

Result<std::vector<PhandleArgs>> Resolver::phandle_list(const Node& node, std::string_view property,
                                                        std::string_view cells_property) const {
  // Bindings with a default: without #msi-cells there are no arguments.
  const bool defaulted = cells_property == "#msi-cells" || cells_property == "#nvmem-cell-cells";
  return list_of(*state_, node, property, cells_property, defaulted ? std::optional<u32>(0) : std::nullopt);
}

Result<std::optional<MsiTarget>> Resolver::msi_target(const Node& node, u32 rid) const {
  return upwards_through_pci(node, [&](const Node& at) -> Result<std::optional<MsiTarget>> {
    if (at.has("msi-map")) {
      const auto match = SOLDER_TRY(match_rid(*state_, at, "msi-map", "msi-map-mask", "#msi-cells", rid));
      if (!match) return std::nullopt;
      return MsiTarget{match->target, match->id};
    }
    const auto list = SOLDER_TRY(phandle_list(at, "msi-parent", "#msi-cells"));
    if (list.empty() || !list.front().target) return std::nullopt;
    return MsiTarget{list.front().target, list.front().cells.empty() ? rid : list.front().cells.front()};
  });
}

Result<DmaPath> Resolver::dma_path(const Node& node) const {
  DmaPath out;
  Windows windows{{0, 0, ~u64{0}}};
  for (const Node* bus = node.parent(); bus && bus->parent(); bus = bus->parent()) {
    const Property* ranges = bus->property("dma-ranges");
    if (!ranges || ranges->value.empty()) continue;
    out.identity = false;
    windows = step_up(windows, SOLDER_TRY(dma_entries(*bus)));
  }
  if (!out.identity) out.windows = std::move(windows);
  for (auto& entry : SOLDER_TRY(phandle_list(node, "iommus", "#iommu-cells"))) {
    if (entry.target) out.iommus.push_back({entry.target, std::move(entry.cells)});
  }
  return out;
}

Result<std::optional<DmaPath::Iommu>> Resolver::iommu_map(const Node& node, u32 rid) const {
  return upwards_through_pci(node, [&](const Node& at) -> Result<std::optional<DmaPath::Iommu>> {
    const auto match = SOLDER_TRY(match_rid(*state_, at, "iommu-map", "iommu-map-mask", "#iommu-cells", rid));
    if (!match) return std::nullopt;
    return DmaPath::Iommu{match->target, {match->id}};
  });
}

Result<std::vector<PhandleArgs>> phandle_list(const Tree& tree, const Node& node, std::string_view property,
                                              std::string_view cells_property) {
  return Resolver(tree).phandle_list(node, property, cells_property);
}
Result<std::optional<MsiTarget>> msi_target(const Tree& tree, const Node& node, u32 rid) {
  return Resolver(tree).msi_target(node, rid);
}
Result<DmaPath> dma_path(const Tree& tree, const Node& node) {
  return Resolver(tree).dma_path(node);
}
Result<std::optional<DmaPath::Iommu>> iommu_map(const Tree& tree, const Node& node, u32 rid) {
  return Resolver(tree).iommu_map(node, rid);
}

}  // namespace solder::tree
