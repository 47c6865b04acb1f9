#include "machine/guest_tree.h"

#include <algorithm>
#include <string_view>
#include <unordered_set>

#include "tree/resolve.h"

namespace solder::machine {

namespace {

// Properties that are lists of phandles with arguments, and where the number of arguments stands (empty: none).
struct ReferenceList {
  std::string_view property;
  std::string_view cells;
  std::string_view names;
};
constexpr std::array<ReferenceList, 27> kLists = {{
    {"clocks", "#clock-cells", "clock-names"},
    {"assigned-clocks", "#clock-cells", "assigned-clock-rates"},
    {"assigned-clock-parents", "#clock-cells", ""},
    {"resets", "#reset-cells", "reset-names"},
    {"power-domains", "#power-domain-cells", "power-domain-names"},
    {"iommus", "#iommu-cells", ""},
    {"dmas", "#dma-cells", "dma-names"},
    {"phys", "#phy-cells", "phy-names"},
    {"mboxes", "#mbox-cells", "mbox-names"},
    {"hwlocks", "#hwlock-cells", ""},
    {"pwms", "#pwm-cells", "pwm-names"},
    {"interconnects", "#interconnect-cells", "interconnect-names"},
    {"thermal-sensors", "#thermal-sensor-cells", ""},
    {"io-channels", "#io-channel-cells", "io-channel-names"},
    {"gpios", "#gpio-cells", ""},
    {"interrupts-extended", "#interrupt-cells", "interrupt-names"},
    {"msi-parent", "#msi-cells", ""},
    {"pinctrl-0", "", "pinctrl-names"},
    {"pinctrl-1", "", ""},
    {"pinctrl-2", "", ""},
    {"memory-region", "", "memory-region-names"},
    {"nvmem-cells", "", "nvmem-cell-names"},
    {"interrupt-affinity", "", ""},
    {"next-level-cache", "", ""},
    {"cpu-idle-states", "", ""},
    {"operating-points-v2", "", ""},
    {"phy-handle", "", ""},
}};

class Pruner {
 public:
  Pruner(const tree::Tree& full, const Plan& plan, tree::Tree& guest) : full_(full), guest_(guest) {
    for (const auto& entry : plan.nodes) {
      if (entry.kept()) continue;
      if (entry.node->phandle() != 0) gone_.insert(entry.node->phandle());
      if (entry.role != Role::inside) paths_.push_back(entry.node->path());
    }
  }

  void run() {
    for (const auto& path : paths_) {
      tree::Node* node = guest_.find(path);
      if (node != nullptr && node->parent() != nullptr) node->parent()->release_child(*node);
    }
    guest_.walk([this](tree::Node& node) { prune_references(node); });
    prune_aliases();
  }

 private:
  // Whether a list names something that is gone; a list that makes no sense is left for the guest to judge.
  bool leads_nowhere(const tree::Node& node, const ReferenceList& list) const {
    const auto cells = node.cell_list(list.property);
    usize at = 0;
    while (at < cells.size()) {
      if (gone_.contains(cells[at])) return true;
      const tree::Node* target = full_.by_phandle(cells[at]);
      ++at;
      if (target == nullptr) continue;
      if (!list.cells.empty()) at += target->u32_value(list.cells).value_or(0);
    }
    return false;
  }

  // msi-map and iommu-map: (rid, phandle, base, length)*.
  bool map_leads_nowhere(const tree::Node& node, std::string_view property) const {
    const auto cells = node.cell_list(property);
    for (usize i = 1; i < cells.size(); i += 4)
      if (gone_.contains(cells[i])) return true;
    return false;
  }

  void prune_references(tree::Node& node) {
    for (const auto& list : kLists) {
      if (!node.has(list.property) || !leads_nowhere(node, list)) continue;
      node.remove_property(list.property);
      if (!list.names.empty()) node.remove_property(list.names);
    }
    for (const std::string_view map : {"msi-map", "iommu-map"}) {
      if (!node.has(map) || !map_leads_nowhere(node, map)) continue;
      node.remove_property(map);
      node.remove_property(std::string(map) + "-mask");
    }
    std::vector<std::string> supplies;
    for (const auto& property : node.properties())
      if (property.name.ends_with("-supply") && gone_.contains(node.u32_value(property.name).value_or(0)))
        supplies.push_back(property.name);
    for (const auto& name : supplies) node.remove_property(name);
    // The interrupt parent, inherited or own.
    if (node.has("interrupts")) {
      for (const tree::Node* up = &node; up != nullptr; up = up->parent()) {
        const auto parent = up->u32_value("interrupt-parent");
        if (!parent) continue;
        if (gone_.contains(*parent)) {
          node.remove_property("interrupts");
          node.remove_property("interrupt-names");
        }
        break;
      }
    }
  }

  void prune_aliases() {
    for (const std::string_view name : {"aliases", "__symbols__"}) {
      tree::Node* node = guest_.root().child(name);
      if (node == nullptr) continue;
      std::vector<std::string> dead;
      for (const auto& property : node->properties()) {
        const auto path = node->string(property.name);
        if (path && path->starts_with("/") && guest_.find(*path) == nullptr) dead.push_back(property.name);
      }
      for (const auto& property : dead) node->remove_property(property);
    }
  }

  const tree::Tree& full_;
  tree::Tree& guest_;
  std::unordered_set<u32> gone_;
  std::vector<std::string> paths_;
};

std::string stdout_target(const tree::Tree& tree) {
  const tree::Node* chosen = tree.find("/chosen");
  if (chosen == nullptr) return {};
  for (const std::string_view name : {"stdout-path", "linux,stdout-path"})
    if (const auto text = chosen->string(name)) return text->substr(0, text->find(':'));
  return {};
}

}  // namespace

const tree::Node* console_node(const tree::Tree& full, const Plan& plan) {
  if (const std::string target = stdout_target(full); !target.empty()) {
    if (const tree::Node* node = full.find(target)) {
      const auto* entry = plan.find(*node);
      if (entry != nullptr && entry->role == Role::modelled) return node;
    }
  }
  for (const auto& entry : plan.nodes)
    if (entry.role == Role::modelled && entry.model->compatible != "virtio,mmio" && entry.node->has("solder,chardev"))
      return entry.node;
  return nullptr;
}

std::unique_ptr<tree::Tree> make_guest_tree(const tree::Tree& full, const Plan& plan, const GuestTreeOptions& options) {
  auto guest = tree::strip_host_side(full);
  Pruner(full, plan, *guest).run();

  tree::Node* chosen = guest->find("/chosen");
  if (chosen == nullptr) chosen = &guest->root().add_child("chosen");
  const tree::Node* console = console_node(full, plan);
  const std::string stdout_path = stdout_target(*guest);
  if (stdout_path.empty() || guest->find(stdout_path) == nullptr) {
    chosen->remove_property("stdout-path");
    chosen->remove_property("linux,stdout-path");
    if (console != nullptr) chosen->set_string("stdout-path", console->path());
  }
  if (options.initrd) {
    chosen->set_u64("linux,initrd-start", options.initrd->start);
    chosen->set_u64("linux,initrd-end", options.initrd->end);
  }
  if (options.seed) {
    const auto& seed = *options.seed;
    if (!chosen->has("kaslr-seed")) chosen->set("kaslr-seed", std::vector<u8>(seed.begin(), seed.begin() + 8));
    if (!chosen->has("rng-seed")) chosen->set("rng-seed", std::vector<u8>(seed.begin() + 8, seed.end()));
  }
  return guest;
}

}  // namespace solder::machine
