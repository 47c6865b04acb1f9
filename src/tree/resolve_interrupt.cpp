// The interrupt tree: Devicetree Specification v0.4, section 2.4.

#include <algorithm>
#include <unordered_set>

#include <fmt/core.h>

#include "tree/cells.h"
#include "tree/resolver_state.h"

namespace solder::tree {

namespace {

constexpr usize kMaximumHops = 64;
constexpr u32 kMaximumInterruptCells = 16;

Result<u32> interrupt_cells(const Node& parent, const std::string& asker) {
  const auto cells = parent.u32_value("#interrupt-cells");
  if (!cells) {
    return fail(asker,
                fmt::format("its interrupt parent {} ({}) has no #interrupt-cells", parent.path(), parent.where.text()),
                "name an interrupt controller as the interrupt parent");
  }
  if (*cells == 0 || *cells > kMaximumInterruptCells)
    return fail(parent.place("#interrupt-cells"), fmt::format("{} is no sensible number of cells", *cells));
  return *cells;
}

struct Parent {
  const Node* node = nullptr;
  std::string note;
};

/// The node's first address, for matching in an interrupt-map: `count` cells, zeros where it has none.
std::vector<u32> unit_address_of(const Node& node, u32 count) {
  std::vector<u32> out = node.cell_list("reg");
  out.resize(count);
  return out;
}

class InterruptWalk {
 public:
  explicit InterruptWalk(const Resolver::State& state) : state_(state) {}

  /// Section 2.4.1.1: the nearest interrupt-parent upwards, or failing that the nearest controller or nexus above.
  Result<Parent> parent_of(const Node& node) const {
    for (const Node* n = &node; n; n = n->parent()) {
      if (n->has("interrupt-parent")) {
        const auto phandle = n->u32_value("interrupt-parent");
        if (!phandle)
          return fail(n->place("interrupt-parent"), "is not one phandle", "write interrupt-parent = <&controller>;");
        const Node* target = SOLDER_TRY(state_.target(*n, "interrupt-parent", *phandle));
        std::string note = n == &node ? "interrupt-parent" : "interrupt-parent from " + n->path();
        return Parent{target, fmt::format("{} ({})", note, n->property("interrupt-parent")->where.text())};
      }
      if (n != &node && n->has("#interrupt-cells"))
        return Parent{n, fmt::format("no interrupt-parent; {} is the nearest above", n->path())};
    }
    return fail(node.place("interrupts"), "neither the node nor any above it has an interrupt-parent",
                "add interrupt-parent = <&controller>; to the node or to the root");
  }

  /// Follows one specifier through nexus nodes to a controller.
  Result<InterruptSpecifier> follow(const Node* domain, std::vector<u32> unit_address, std::vector<u32> cells,
                                    const std::string& asker, std::vector<InterruptSpecifier::Hop> path) const {
    for (usize hop = 0; hop < kMaximumHops; ++hop) {
      // A node that is both takes the interrupt itself: its map is for what lies behind it.
      if (domain->has("interrupt-controller")) return InterruptSpecifier{domain, std::move(cells), std::move(path)};
      if (!domain->has("interrupt-map")) {
        return fail(asker,
                    fmt::format("{} ({}) has #interrupt-cells, but is no interrupt-controller and has no interrupt-map",
                                domain->path(), domain->where.text()),
                    "add \"interrupt-controller;\" or an interrupt-map to it, or name another interrupt parent");
      }
      SOLDER_TRY_STATUS(map(domain, unit_address, cells, asker, path));
    }
    return fail(asker, fmt::format("the interrupt maps lead in a circle (at {})", domain->path()));
  }

 private:
  /// Section 2.4.3: finds the entry and replaces domain, address and cells by what it says.
  Status map(const Node*& domain, std::vector<u32>& unit_address, std::vector<u32>& cells, const std::string& asker,
             std::vector<InterruptSpecifier::Hop>& path) const {
    const Node& nexus = *domain;
    const auto map = SOLDER_TRY(checked_cells(nexus, "interrupt-map"));
    const u32 address_cells = SOLDER_TRY(nexus_address_cells(nexus));
    const u32 specifier_cells = SOLDER_TRY(interrupt_cells(nexus, asker));
    unit_address.resize(address_cells);
    std::vector<u32> wanted(unit_address);
    wanted.insert(wanted.end(), cells.begin(), cells.end());
    std::vector<u32> mask(wanted.size(), 0xffffffff);
    if (nexus.has("interrupt-map-mask")) {
      mask = SOLDER_TRY(checked_cells(nexus, "interrupt-map-mask"));
      if (mask.size() != wanted.size()) {
        return fail(nexus.place("interrupt-map-mask"),
                    fmt::format("has {} cells instead of {}: {} of the address and {} of the interrupt", mask.size(),
                                wanted.size(), address_cells, specifier_cells));
      }
    }
    const std::span<const u32> all(map);
    usize number = 0;
    for (usize i = 0; i < map.size(); ++number) {
      const auto short_entry = [&] {
        return fail(nexus.place("interrupt-map"), fmt::format("ends inside entry {}", number),
                    "count the cells: child address, child interrupt, parent, parent address, parent interrupt");
      };
      if (map.size() - i < wanted.size() + 1) return short_entry();
      bool match = true;
      for (usize k = 0; k < wanted.size(); ++k) match = match && (wanted[k] & mask[k]) == (map[i + k] & mask[k]);
      i += wanted.size();
      const Node* parent = SOLDER_TRY(state_.target(nexus, "interrupt-map", map[i++]));
      const u32 parent_cells = SOLDER_TRY(interrupt_cells(*parent, nexus.place("interrupt-map")));
      // A parent without #address-cells has no unit address here.
      const u32 parent_address = parent->u32_value("#address-cells").value_or(0);
      if (parent_address > kMaximumAddressCells || map.size() - i < usize{parent_address} + parent_cells)
        return short_entry();
      if (match) {
        const auto address = all.subspan(i, parent_address);
        const auto specifier = all.subspan(i + parent_address, parent_cells);
        unit_address.assign(address.begin(), address.end());
        cells.assign(specifier.begin(), specifier.end());
        path.push_back({parent, cells,
                        fmt::format("interrupt-map entry {} of {} ({})", number, nexus.path(),
                                    nexus.property("interrupt-map")->where.text())});
        domain = parent;
        return {};
      }
      i += parent_address + parent_cells;
    }
    return fail(asker,
                fmt::format("the interrupt-map of {} ({}) has no entry for {}", nexus.path(),
                            nexus.property("interrupt-map")->where.text(), hexadecimal(wanted)),
                "add an entry, or correct interrupt-map-mask");
  }

  static Result<u32> nexus_address_cells(const Node& nexus) {
    // A nexus that is no bus may leave it out; then the bus it lies on says it (section 2.4.3.1).
    for (const Node* n = &nexus; n; n = n->parent()) {
      if (!n->has("#address-cells")) continue;
      return SOLDER_TRY(bus_cells(*n)).address;
    }
    return 2;
  }

  const Resolver::State& state_;
};

}  // namespace

Result<const Node*> Resolver::State::target(const Node& node, std::string_view property, u32 phandle) const {
  if (const Node* found = find(phandle)) return found;
  return fail(node.place(property), fmt::format("phandle {:#x} belongs to no node", phandle),
              "the node it meant may have been deleted: delete this reference as well, or point it elsewhere");
}

Resolver::Resolver(const Tree& tree) : state_(std::make_unique<State>(tree)) {}
Resolver::~Resolver() = default;

const Node* Resolver::by_phandle(u32 phandle) const {
  return state_->find(phandle);
}

Result<InterruptSpecifier> Resolver::map_interrupt(const Node& parent, std::span<const u32> unit_address,
                                                   std::span<const u32> cells, const Node& asker) const {
  const u32 count = SOLDER_TRY(interrupt_cells(parent, asker.place()));
  if (cells.size() != count)
    return fail(asker.place(),
                fmt::format("an interrupt of {} has {} cells, not {}", parent.path(), count, cells.size()));
  return InterruptWalk(*state_).follow(&parent, {unit_address.begin(), unit_address.end()},
                                       {cells.begin(), cells.end()}, asker.place(),
                                       {{&parent, {cells.begin(), cells.end()}, "given"}});
}

Result<std::vector<InterruptSpecifier>> Resolver::interrupts(const Node& node) const {
  const InterruptWalk walk(*state_);
  std::vector<InterruptSpecifier> out;
  const auto add = [&](const Node* parent, std::vector<u32> cells, std::string note,
                       std::string_view property) -> Status {
    std::vector<InterruptSpecifier::Hop> path;
    path.push_back({parent, cells, std::move(note)});
    out.push_back(SOLDER_TRY(walk.follow(parent, unit_address_of(node, kMaximumAddressCells), std::move(cells),
                                         node.place(property), std::move(path))));
    return {};
  };
  if (node.has("interrupts-extended")) {
    for (auto& entry : SOLDER_TRY(phandle_list(node, "interrupts-extended", "#interrupt-cells"))) {
      if (!entry.target) {
        out.emplace_back();  // an empty place keeps the numbering of interrupt-names
        continue;
      }
      SOLDER_TRY_STATUS(add(entry.target, std::move(entry.cells), "interrupts-extended", "interrupts-extended"));
    }
    return out;
  }
  const auto cells = SOLDER_TRY(checked_cells(node, "interrupts"));
  if (cells.empty()) return out;
  const Parent parent = SOLDER_TRY(walk.parent_of(node));
  const u32 count = SOLDER_TRY(interrupt_cells(*parent.node, node.place("interrupts")));
  if (cells.size() % count != 0) {
    return fail(node.place("interrupts"),
                fmt::format("has {} cells, but an interrupt of {} has {}", cells.size(), parent.node->path(), count),
                fmt::format("give {} cells for each interrupt, or name another interrupt-parent", count));
  }
  for (usize i = 0; i < cells.size(); i += count) {
    const auto from = cells.begin() + static_cast<std::ptrdiff_t>(i);
    SOLDER_TRY_STATUS(add(parent.node, {from, from + count}, parent.note, "interrupts"));
  }
  return out;
}

Result<std::vector<InterruptSpecifier>> Resolver::cascade(const Node& controller) const {
  std::vector<InterruptSpecifier> out;
  std::unordered_set<const Node*> seen{&controller};
  for (const Node* at = &controller;;) {
    auto list = SOLDER_TRY(interrupts(*at));
    const auto first = std::find_if(list.begin(), list.end(), [](const auto& s) { return s.controller != nullptr; });
    // A root controller has none, or, such as a GIC's maintenance interrupt, its own.
    if (first == list.end() || first->controller == at) return out;
    if (!seen.insert(first->controller).second) {
      return fail(
          at->place(at->has("interrupts") ? "interrupts" : "interrupts-extended"),
          fmt::format("the interrupt controllers are cascaded in a circle through {}", first->controller->path()),
          "one of them must be the root: without interrupts");
    }
    at = first->controller;
    out.push_back(std::move(*first));
  }
}

Result<std::vector<InterruptSpecifier>> interrupts(const Tree& tree, const Node& node) {
  return Resolver(tree).interrupts(node);
}
Result<InterruptSpecifier> map_interrupt(const Tree& tree, const Node& parent, std::span<const u32> unit_address,
                                         std::span<const u32> cells, const Node& asker) {
  return Resolver(tree).map_interrupt(parent, unit_address, cells, asker);
}
Result<std::vector<InterruptSpecifier>> cascade(const Tree& tree, const Node& controller) {
  return Resolver(tree).cascade(controller);
}

}  // namespace solder::tree
