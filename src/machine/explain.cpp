#include "machine/explain.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <mutex>
#include <utility>

#include "machine/guest_tree.h"
#include "machine/interrupt_path.h"
#include "machine/reach.h"

namespace solder::machine {

namespace {

constexpr usize kLongestValue = 100;

bool looks_like_strings(const tree::Property& property) {
  if (property.form == tree::Form::strings) return true;
  if (property.form != tree::Form::unknown && property.form != tree::Form::mixed) return false;
  const auto strings = property.strings();
  if (!strings || strings->empty()) return false;
  return std::ranges::all_of(*strings, [](const std::string& text) {
    return !text.empty() && std::ranges::all_of(text, [](char c) { return c >= 0x20 && c < 0x7f; });
  });
}

std::string model_line(const NodePlan* entry, const tree::Node& node) {
  if (entry == nullptr) return is_host_side(node) ? "the host's side: the guest does not see it" : "data for others";
  switch (entry->role) {
    case Role::modelled:
    case Role::known:
      return fmt::format("{}: {}", entry->model->compatible, entry->model->summary);
    case Role::cpu:
      return "a CPU, run by the accelerator";
    case Role::memory:
      return "RAM";
    case Role::described:
      return "no device of its own: data for the guest or for other nodes";
    case Role::stubbed:
      return "none: it reads as zero and ignores writes (solder,unmatched = \"stub\")";
    case Role::left_out:
      return "none: left out of the machine and of the guest's tree (solder,unmatched = \"disable\")";
    case Role::inside:
      return "none: it lies below a node that is not in the machine";
    case Role::disabled:
      return fmt::format("none: status = \"{}\"", node.string("status").value_or("?"));
    case Role::unused:
      return "virtio,mmio: an empty slot; solder,virtio puts a device into it";
  }
  return "?";
}

void explain_addresses(std::string& out, const tree::Tree& tree, const tree::Node& node) {
  if (!node.has("reg") || node.string("device_type") == "cpu") return;
  const auto ranges = tree::translate_reg(tree, node);
  if (!ranges) {
    out += fmt::format("  addresses: {}\n", ranges.error().text());
    return;
  }
  const auto raw = tree::raw_reg(node);
  out += "  addresses:\n";
  for (usize i = 0; i < ranges->size(); ++i) {
    const auto& range = (*ranges)[i];
    out += fmt::format("    reg {}: {:#x}..{:#x}, {:#x} bytes", i, range.address,
                       range.address + range.size - (range.size != 0), range.size);
    u64 local = 0;
    if (raw && i < raw->size())
      for (const u32 cell : (*raw)[i].address) local = local << 32 | cell;
    if (raw && i < raw->size() && local != range.address) {
      out += fmt::format(" ({:#x} in {}", local, node.parent()->path());
      for (const tree::Node* bus = node.parent(); bus != nullptr && bus->parent() != nullptr; bus = bus->parent())
        if (bus->has("ranges")) out += fmt::format(", translated by {}", bus->place("ranges"));
      out += ")";
    }
    out += "\n";
  }
}

void explain_reach(std::string& out, Machine& machine, const tree::Node& node) {
  bool first = true;
  for (const Reach& one : reach(machine)) {
    if (one.node != node.path()) continue;
    if (std::exchange(first, false)) out += "  accesses:\n";
    out +=
        fmt::format("    {}{:#x}..{:#x}: {}\n", one.port ? "ports " : "", one.start, one.start + one.size - 1, one.how);
  }
}

std::string cells_text(std::span<const u32> cells) {
  return fmt::format("<{}>", fmt::join(cells, " "));
}

void explain_interrupts(std::string& out, const tree::Tree& tree, Machine* machine, const tree::Node& node) {
  if (!node.has("interrupts") && !node.has("interrupts-extended")) return;
  const auto specifiers = tree::interrupts(tree, node);
  if (!specifiers) {
    out += fmt::format("  interrupts: {}\n", specifiers.error().text());
    return;
  }
  out += "  interrupts:\n";
  NodePorts* ports = machine != nullptr ? machine->ports(node) : nullptr;
  for (u32 i = 0; i < specifiers->size(); ++i) {
    const auto& specifier = (*specifiers)[i];
    out += fmt::format("    {}: {}\n", i, node.place(interrupt_property(node)));
    for (const auto& hop : specifier.path)
      out += fmt::format("       {} {}{}{}\n", hop.node->path(), cells_text(hop.cells), hop.note.empty() ? "" : ": ",
                         hop.note);
    std::string pin;
    if (ports != nullptr) {
      const auto input = ports->interrupt_input(i, 0);
      pin = input ? fmt::format(", {} ({}){}", input->name, trigger_name(input->trigger),
                                input->virq ? fmt::format(", virq {}", *input->virq) : "")
                  : fmt::format(", {}", input.error().what);
    }
    out += fmt::format("       -> {} {}{}\n", specifier.controller->path(), cells_text(specifier.cells), pin);
    if (ports != nullptr) {
      if (const auto hops = interrupt_hops(*machine, node, i); hops && !hops->empty()) {
        for (const Hop& hop : *hops)
          out += fmt::format("       {:{}}-> {}: {}\n", "", 3 * (hop.depth + 1), hop.what, hop.by);
        continue;
      }
    }
    const auto chain = tree::cascade(tree, *specifier.controller);
    if (!chain) {
      out += fmt::format("       -> {}\n", chain.error().text());
      continue;
    }
    for (const auto& next : *chain)
      if (next.controller != specifier.controller)
        out += fmt::format("       -> cascaded into {} {}\n", next.controller->path(), cells_text(next.cells));
    out += "       -> CPUs\n";
  }
}

void explain_dma(std::string& out, const tree::Tree& tree, const tree::Node& node) {
  const auto path = tree::dma_path(tree, node);
  if (!path) {
    out += fmt::format("  dma: {}\n", path.error().text());
    return;
  }
  out += path->identity ? "  dma: bus addresses are physical addresses\n" : "  dma:\n";
  if (!path->identity)
    for (const auto& window : path->windows)
      out += fmt::format("    bus {:#x} -> {:#x}, {:#x} bytes\n", window.bus, window.cpu, window.size);
  for (const auto& iommu : path->iommus)
    out += fmt::format("    through {} {}\n", iommu.node->path(), cells_text(iommu.cells));
}

void explain_backends(std::string& out, const tree::Tree& tree, const tree::Node& node) {
  struct Kind {
    std::string_view property;
    Result<std::string> (*text)(const tree::Node&);
  };
  for (const Kind& kind : {Kind{"solder,chardev", Backends::chardev_text}, Kind{"solder,disk", Backends::disk_text},
                           Kind{"solder,netdev", Backends::network_text}}) {
    for (const u32 phandle : node.cell_list(kind.property)) {
      const tree::Node* backend = tree.by_phandle(phandle);
      if (backend == nullptr) {
        out += fmt::format("  {}: refers to phandle {:#x}, which no node has\n", kind.property, phandle);
        continue;
      }
      const auto text = kind.text(*backend);
      out += fmt::format("  backend: {} ({}), set at {}\n", text ? *text : text.error().text(), backend->path(),
                         node.place(kind.property));
    }
  }
}

void explain_properties(std::string& out, const tree::Node& node) {
  if (node.properties().empty()) return;
  out += "  properties:\n";
  for (const auto& property : node.properties()) {
    const std::string value = value_text(property);
    out += fmt::format("    {}{}{};  // {}\n", property.name, value.empty() ? "" : " = ", value, property.where.text());
  }
}

std::string explain_node(const tree::Tree& tree, const Plan& plan, Machine* machine, const tree::Node& node) {
  const std::string path = node.path();
  std::string out = fmt::format("{} ({})\n", path.empty() ? "/" : path, node.where.text());
  if (!node.labels.empty()) out += fmt::format("  labels: {}\n", fmt::join(node.labels, ", "));
  const NodePlan* entry = plan.find(node);
  out += fmt::format("  model: {}\n", model_line(entry, node));
  if (machine != nullptr)
    if (const auto* device = machine->device(node)) {
      const std::lock_guard guard(machine->ports(node)->lock());  // the machine may run
      if (const std::string text = device->describe(); !text.empty()) out += fmt::format("  state: {}\n", text);
    }
  if (machine != nullptr)
    if (const auto* placed = machine->placement(node))
      out += fmt::format("  lives: {} ({})\n", placed->in_kernel ? "in the kernel" : "here", placed->reason);
  explain_addresses(out, tree, node);
  if (machine != nullptr) explain_reach(out, *machine, node);
  explain_interrupts(out, tree, machine, node);
  if (entry != nullptr && entry->role == Role::modelled) explain_dma(out, tree, node);
  explain_backends(out, tree, node);
  explain_properties(out, node);
  return out;
}

}  // namespace

std::string value_text(const tree::Property& property) {
  if (property.value.empty()) return {};
  std::string out;
  if (looks_like_strings(property)) {
    const auto strings = property.strings();
    if (strings) out = fmt::format("\"{}\"", fmt::join(*strings, "\", \""));
  } else if (const auto cells = property.cells(); cells && property.form != tree::Form::bytes) {
    out.push_back('<');  // GCC 12 misjudges an assignment of the literal (PR 105651)
    for (const u32 cell : *cells) out += fmt::format("{}{:#x}", out.size() > 1 ? " " : "", cell);
    out += ">";
  }
  if (out.empty()) out = fmt::format("[{:02x}]", fmt::join(property.value, " "));
  if (out.size() > kLongestValue) out = out.substr(0, kLongestValue) + " ...";
  return out;
}

std::string explain(Machine& machine, const tree::Node& node) {
  return explain_node(machine.tree(), machine.plan(), &machine, node);
}

std::string explain(const tree::Tree& tree, const Plan& plan, const tree::Node& node) {
  return explain_node(tree, plan, nullptr, node);
}

std::string match_report(const tree::Tree& tree, const Plan& plan) {
  std::string out;
  std::array<usize, 3> counts{};
  for (const auto& entry : plan.nodes) {
    const auto compatibles = entry.node->compatible();
    std::string what;
    switch (entry.role) {
      case Role::modelled:
      case Role::known:
        what = fmt::format("modelled  {} ({})", entry.node->path(), entry.model->compatible);
        ++counts[0];
        break;
      case Role::unused:
        what = fmt::format("modelled  {} (virtio,mmio, an empty slot)", entry.node->path());
        ++counts[0];
        break;
      case Role::stubbed:
        what = fmt::format("stubbed   {} ({})", entry.node->path(), fmt::join(compatibles, ", "));
        ++counts[1];
        break;
      case Role::left_out:
        what = fmt::format("missing   {} ({})", entry.node->path(), fmt::join(compatibles, ", "));
        ++counts[2];
        break;
      default:
        continue;
    }
    out += what + "\n";
  }
  out += fmt::format("{} modelled, {} stubbed, {} missing\n", counts[0], counts[1], counts[2]);
  const tree::Node* console = console_node(tree, plan);
  if (console != nullptr) {
    std::string problem;
    if (const auto specifiers = tree::interrupts(tree, *console); !specifiers) {
      problem = specifiers.error().what;
    } else {
      for (const auto& specifier : *specifiers) {
        const auto* controller = plan.find(*specifier.controller);
        if (controller == nullptr || controller->role != Role::modelled)
          problem = fmt::format("its interrupt controller {} has no model", specifier.controller->path());
      }
    }
    out += problem.empty() ? fmt::format("console: {}\n", console->path())
                           : fmt::format("console: {} for early messages only: {}\n", console->path(), problem);
  } else {
    out += "console: none that is modelled\n";
  }
  return out;
}

}  // namespace solder::machine
