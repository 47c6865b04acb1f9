#include "tree/typing.h"

#include "tree/names.h"

namespace solder::tree {

namespace {

enum class Match : u8 { exact, suffix, prefix };
enum class Layout : u8 {
  list,     ///< every cell is a phandle
  args,     ///< phandle, then as many cells as the target's `cells` says
  fixed,    ///< phandle, then `count` cells
  rid_map,  ///< request id, phandle, as many cells as the target's `cells` says, length
  interrupt_map,
};
struct Rule {
  std::string_view name;
  Match match;
  Layout layout;
  std::string_view cells = {};  ///< the target's property with the number of arguments
  u32 count = 0;                ///< `fixed`: arguments; `args`, `rid_map`: arguments where `cells` is absent
  bool cells_required = true;
};

// From the Devicetree Specification v0.4 and the public bindings. Names ending alike mean alike: *-gpios, *-supply.
constexpr Rule kRules[] = {
    {"interrupt-parent", Match::exact, Layout::list},
    {"interrupts-extended", Match::exact, Layout::args, "#interrupt-cells"},
    {"interrupt-map", Match::exact, Layout::interrupt_map},
    {"msi-parent", Match::exact, Layout::args, "#msi-cells", 0, false},
    {"msi-map", Match::exact, Layout::rid_map, "#msi-cells", 1, false},
    {"iommus", Match::exact, Layout::args, "#iommu-cells"},
    {"iommu-map", Match::exact, Layout::rid_map, "#iommu-cells", 1, false},
    {"clocks", Match::exact, Layout::args, "#clock-cells"},
    {"assigned-clocks", Match::exact, Layout::args, "#clock-cells"},
    {"assigned-clock-parents", Match::exact, Layout::args, "#clock-cells"},
    {"clock-ranges", Match::exact, Layout::args, "#clock-cells"},
    {"resets", Match::exact, Layout::args, "#reset-cells"},
    {"dmas", Match::exact, Layout::args, "#dma-cells"},
    {"mboxes", Match::exact, Layout::args, "#mbox-cells"},
    {"pwms", Match::exact, Layout::args, "#pwm-cells"},
    {"leds", Match::exact, Layout::list},
    {"phys", Match::exact, Layout::args, "#phy-cells"},
    {"power-domains", Match::exact, Layout::args, "#power-domain-cells"},
    {"interconnects", Match::exact, Layout::args, "#interconnect-cells"},
    {"hwlocks", Match::exact, Layout::args, "#hwlock-cells"},
    {"io-channels", Match::exact, Layout::args, "#io-channel-cells"},
    {"io-backends", Match::exact, Layout::args, "#io-backend-cells"},
    {"thermal-sensors", Match::exact, Layout::args, "#thermal-sensor-cells"},
    {"cooling-device", Match::exact, Layout::args, "#cooling-cells"},
    {"nvmem-cells", Match::exact, Layout::args, "#nvmem-cell-cells", 0, false},
    {"nvmem", Match::exact, Layout::list},
    {"sound-dai", Match::exact, Layout::args, "#sound-dai-cells"},
    {"mux-controls", Match::exact, Layout::args, "#mux-control-cells"},
    {"mux-states", Match::exact, Layout::args, "#mux-state-cells"},
    {"access-controllers", Match::exact, Layout::args, "#access-controller-cells"},
    {"gpio-ranges", Match::exact, Layout::fixed, {}, 3},
    {"gpios", Match::exact, Layout::args, "#gpio-cells"},
    {"gpio", Match::exact, Layout::args, "#gpio-cells"},
    {"-gpios", Match::suffix, Layout::args, "#gpio-cells"},
    {"-gpio", Match::suffix, Layout::args, "#gpio-cells"},
    {"-supply", Match::suffix, Layout::list},
    {"pinctrl-", Match::prefix, Layout::list},
    {"phy-handle", Match::exact, Layout::list},
    {"phy", Match::exact, Layout::list},
    {"pcs-handle", Match::exact, Layout::list},
    {"ethernet", Match::exact, Layout::list},
    {"sfp", Match::exact, Layout::list},
    {"link", Match::exact, Layout::list},
    {"mdio-parent-bus", Match::exact, Layout::list},
    {"next-level-cache", Match::exact, Layout::list},
    {"l2-cache", Match::exact, Layout::list},
    {"cpu", Match::exact, Layout::list},
    {"cpus", Match::exact, Layout::list},
    {"cpu-idle-states", Match::exact, Layout::list},
    {"domain-idle-states", Match::exact, Layout::list},
    {"operating-points-v2", Match::exact, Layout::list},
    {"required-opps", Match::exact, Layout::list},
    {"interrupt-affinity", Match::exact, Layout::list},
    {"affinity", Match::exact, Layout::list},
    {"remote-endpoint", Match::exact, Layout::list},
    {"memory-region", Match::exact, Layout::list},
    {"sram", Match::exact, Layout::list},
    {"trip", Match::exact, Layout::list},
    {"syscon", Match::exact, Layout::list},
    {"regmap", Match::exact, Layout::list},
    {"ports", Match::exact, Layout::list},
    {"dais", Match::exact, Layout::list},
    {"backlight", Match::exact, Layout::list},
    {"panel", Match::exact, Layout::list},
    {"ddc-i2c-bus", Match::exact, Layout::list},
    {"i2c-bus", Match::exact, Layout::list},
    {"i2c-parent", Match::exact, Layout::list},
    {"wakeup-parent", Match::exact, Layout::list},
    {"wakeup-source-parent", Match::exact, Layout::list},
    {"fsl,iommu-parent", Match::exact, Layout::list},
    {"rockchip,grf", Match::exact, Layout::list},
    {"rockchip,pmu", Match::exact, Layout::list},
    {"mmc-pwrseq", Match::exact, Layout::list},
    {"simple-audio-card,format-master", Match::exact, Layout::list},
    {"bitclock-master", Match::exact, Layout::list},
    {"frame-master", Match::exact, Layout::list},
    {"solder,memory-backend", Match::exact, Layout::list},
    {"solder,chardev", Match::exact, Layout::list},
    {"solder,netdev", Match::exact, Layout::list},
    {"solder,blockdev", Match::exact, Layout::list},
    {"solder,target", Match::exact, Layout::list},
    {"solder,sync", Match::exact, Layout::list},
};

bool matches(const Rule& rule, std::string_view name) {
  switch (rule.match) {
    case Match::exact:
      return name == rule.name;
    case Match::suffix:
      return name.ends_with(rule.name);
    case Match::prefix:
      // pinctrl-0, but not pinctrl-names
      return name.starts_with(rule.name) && name.size() > rule.name.size() &&
             name.find_first_not_of("0123456789", rule.name.size()) == std::string_view::npos;
  }
  return false;
}

const Rule* find_rule(const Node& node, std::string_view name) {
  // Counts of GPIOs, and the hogs' own numbers, only look like references.
  if (name.ends_with("nr-gpios") || name.ends_with("num-gpios")) return nullptr;
  if (name == "gpios" && node.has("gpio-hog")) return nullptr;
  for (const Rule& r : kRules) {
    if (matches(r, name)) return &r;
  }
  return nullptr;
}

void interrupt_map_offsets(const Node& node, const std::vector<u32>& cells, const PhandleLookup& lookup,
                           std::vector<u32>& out) {
  const u64 child = u64{node.u32_value("#address-cells").value_or(0)} + node.u32_value("#interrupt-cells").value_or(0);
  for (u64 i = 0; i + child < cells.size();) {
    i += child;
    const Node* target = lookup(cells[i]);
    if (!target) return;
    const auto interrupt_cells = target->u32_value("#interrupt-cells");
    if (!interrupt_cells) return;
    out.push_back(static_cast<u32>(i * 4));
    i += 1 + u64{target->u32_value("#address-cells").value_or(0)} + *interrupt_cells;
  }
}

}  // namespace

std::vector<u32> phandle_offsets(const Node& node, const Property& property, const PhandleLookup& lookup) {
  std::vector<u32> out;
  const Rule* rule = find_rule(node, property.name);
  if (!rule) return out;
  const auto maybe_cells = property.cells();
  if (!maybe_cells) return out;
  const std::vector<u32>& cells = *maybe_cells;
  if (rule->layout == Layout::interrupt_map) {
    interrupt_map_offsets(node, cells, lookup, out);
    return out;
  }
  const u64 before = rule->layout == Layout::rid_map ? 1 : 0;
  const u64 after = rule->layout == Layout::rid_map ? 1 : 0;
  for (u64 i = before; i < cells.size();) {
    const Node* target = lookup(cells[i]);
    if (!target) {
      if (cells[i] != 0 && rule->layout != Layout::list) return out;
      ++i;  // 0: an empty place in the list
      continue;
    }
    u64 count = 0;
    if (rule->layout == Layout::fixed) count = rule->count;
    if (!rule->cells.empty()) {
      const auto given = target->u32_value(rule->cells);
      if (!given && rule->cells_required) return out;
      count = given.value_or(rule->count);
    }
    out.push_back(static_cast<u32>(i * 4));
    i += 1 + count + after + before;
  }
  return out;
}

}  // namespace solder::tree
