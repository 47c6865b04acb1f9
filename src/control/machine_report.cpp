#include "control/machine_report.h"

#include <fmt/format.h>

#include <optional>

#include "machine/interrupt_path.h"
#include "machine/reach.h"

namespace solder::control {

namespace {

// What the model did on the wires of one specifier. None: it asked for no wire, the CPUs or the host's kernel drive it.
struct WireState {
  bool level = false;
  u64 count = 0;
};

std::optional<WireState> wire_state(machine::NodePorts& ports, u32 index) {
  std::optional<WireState> out;
  const std::lock_guard guard(ports.lock());  // which models hold when they drive their wires
  for (const auto& use : ports.level_uses()) {
    if (use.index != index) continue;
    if (!out) out.emplace();
    out->level |= use.wire->level();
    out->count += use.wire->count();
  }
  for (const auto& use : ports.edge_uses()) {
    if (use.index != index) continue;
    if (!out) out.emplace();
    out->count += use.wire->count();
  }
  return out;
}

std::string_view activity_name(cpu::Activity activity) {
  switch (activity) {
    case cpu::Activity::off:
      return "off";
    case cpu::Activity::halted:
      return "halted";
    case cpu::Activity::running:
      return "running";
  }
  return "?";
}

}  // namespace

Json interrupt_report(machine::Machine& machine) {
  Json routes = Json::array();
  for (const auto& route : machine.fabric().routes.report())
    routes.push_back({{"virq", route.virq},
                      {"label", route.label},
                      {"targets", route.targets},
                      {"event_fds", route.event_fds},
                      {"events_in_kernel", route.events_in_kernel},
                      {"level", route.level},
                      {"count", route.count}});
  Json wires = Json::array();
  for (const auto& entry : machine.plan().nodes) {
    machine::NodePorts* ports = machine.ports(*entry.node);
    if (ports == nullptr) continue;
    for (u32 i = 0; i < ports->interrupt_count(); ++i) {
      const auto& specifier = ports->specifiers()[i];
      Json wire = {{"node", entry.node->path()}, {"index", i}, {"controller", specifier.controller->path()}};
      if (const auto input = ports->interrupt_input(i, 0)) {
        wire["input"] = input->name;
        wire["trigger"] = std::string(machine::trigger_name(input->trigger));
        wire["handled"] = machine::interrupt_receivers(machine, *entry.node, i).value_or("nowhere");
      } else {
        wire["handled"] = "nowhere";
        wire["reason"] = input.error().what;
      }
      if (const auto state = wire_state(*ports, i)) {
        wire["level"] = state->level;
        wire["count"] = state->count;
      }
      wires.push_back(std::move(wire));
    }
  }
  return {{"routes", std::move(routes)}, {"wires", std::move(wires)}};
}

Json memory_report(machine::Machine& machine) {
  Json ranges = Json::array();
  for (const auto& one : machine::reach(machine))
    ranges.push_back({{"space", one.port ? "ports" : "memory"},
                      {"start", fmt::format("{:#x}", one.start)},
                      {"bytes", one.size},
                      {"node", one.node},
                      {"kind", std::string(one.kind)},
                      {"access", one.how}});
  return {{"ranges", std::move(ranges)}};
}

Json machine_report(machine::Machine& machine) {
  machine::Fabric& fabric = machine.fabric();
  Json cpus = Json::array();
  for (u32 i = 0; i < fabric.cpus.size(); ++i)
    cpus.push_back({{"index", i},
                    {"id", fmt::format("{:#x}", fabric.cpu_ids[i])},
                    {"powered", fabric.cpus[i].powered()},
                    {"state", std::string(activity_name(fabric.cpus[i].activity()))}});
  Json memory = Json::array();
  for (const auto& range : machine.ram())
    memory.push_back({{"start", fmt::format("{:#x}", range.address)}, {"bytes", range.size}});
  return {{"model", machine.tree().root().string("model").value_or("")},
          {"uptime_ns", fabric.clock.now()},
          {"cpus", std::move(cpus)},
          {"memory", std::move(memory)}};
}

Result<const tree::Node*> find_node(const tree::Tree& tree, const std::string& name) {
  const tree::Node* node = tree.find(name);
  if (node == nullptr) node = tree.by_label(name.starts_with("&") ? name.substr(1) : name);
  if (node == nullptr) return fail(name, "the machine's tree has no such node", "give a path, an alias or a label");
  return node;
}

}  // namespace solder::control
