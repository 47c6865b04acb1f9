#include "machine/wiring.h"

#include <fmt/format.h>

#include <map>

namespace solder::machine {

namespace {

using Trigger = interrupt::Controller::Trigger;

bool is_edge(Trigger trigger) {
  return trigger == Trigger::edge_rising || trigger == Trigger::edge_falling;
}

std::string range_text(const tree::AddressRange& range) {
  return fmt::format("[{:#x}, {:#x})", range.address, range.address + range.size);
}

// One wire's end, as the tree has it.
struct End {
  NodePorts* ports = nullptr;
  u32 index = 0;
  interrupt::Controller::Input input;
  interrupt::LevelWire* level = nullptr;
  interrupt::EdgeWire* edge = nullptr;
};

Status connect_input(const std::vector<End>& ends, std::vector<std::unique_ptr<interrupt::OrGate>>& gates) {
  const End& first = ends.front();
  const tree::Node& first_node = first.ports->node();
  for (const End& end : ends) {
    if (&end == &first) continue;
    const tree::Node& node = end.ports->node();
    const std::string where = node.place(interrupt_property(node));
    const std::string controller = end.ports->specifiers()[end.index].controller->path();
    if (is_edge(end.input.trigger) != is_edge(first.input.trigger))
      return fail(where,
                  fmt::format("asks for {} of {} as {}, and {} asks for it as {}", end.input.name, controller,
                              trigger_name(end.input.trigger), first_node.place(), trigger_name(first.input.trigger)),
                  "give both the same trigger, or one another interrupt");
    if (is_edge(end.input.trigger))
      return fail(where,
                  fmt::format("{} of {} belongs to {} already, and an edge-triggered input cannot be shared",
                              end.input.name, controller, first_node.place()),
                  "use another interrupt, or make both level-triggered");
  }
  if (ends.size() == 1) {
    if (first.level != nullptr) first.level->connect(first.input.sink, first.input.pin);
    if (first.edge != nullptr) first.edge->connect(first.input.sink, first.input.pin);
    return {};
  }
  gates.push_back(
      std::make_unique<interrupt::OrGate>(*first.input.sink, first.input.pin, static_cast<u32>(ends.size())));
  for (u32 i = 0; i < ends.size(); ++i) {
    if (ends[i].level != nullptr) ends[i].level->connect(gates.back().get(), i);
    if (ends[i].edge != nullptr) ends[i].edge->connect(gates.back().get(), i);
  }
  return {};
}

}  // namespace

std::string_view trigger_name(Trigger trigger) {
  switch (trigger) {
    case Trigger::level_high:
      return "level, high";
    case Trigger::level_low:
      return "level, low";
    case Trigger::edge_rising:
      return "edge, rising";
    case Trigger::edge_falling:
      return "edge, falling";
  }
  return "?";
}

std::string_view interrupt_property(const tree::Node& node) {
  return node.has("interrupts-extended") ? "interrupts-extended" : "interrupts";
}

Status Placer::place(const tree::Node& node, u32 index, tree::AddressRange range, memory::Ram* ram,
                     memory::MmioHandler* handler, bool read_only) {
  const std::string where = node.place("reg");
  if (range.size == 0) return fail(where, fmt::format("entry {} has no size", index), "give it one");
  if (range.address + range.size - 1 < range.address)
    return fail(where, fmt::format("entry {}: {:#x} bytes from {:#x} go past the end of the address space", index,
                                   range.size, range.address));
  for (const Taken& other : taken_) {
    if (other.range.space != range.space) continue;
    if (range.address > other.range.address + (other.range.size - 1) ||
        other.range.address > range.address + (range.size - 1))
      continue;
    return fail(where,
                fmt::format("entry {}, {}, overlaps entry {} of {}, {}", index, range_text(range), other.index,
                            other.node->place(), range_text(other.range)),
                "move one of the two, or disable it");
  }
  taken_.push_back({&node, index, range});
  memory::Region region;
  region.name = node.path();
  region.start = range.address;
  region.size = range.size;
  region.ram = ram;
  region.handler = handler;
  region.read_only = read_only;
  memory::AddressSpace& space = range.space == tree::Space::port ? fabric_.io_ports : fabric_.memory;
  if (auto added = space.add(std::move(region)); !added) return fail(where, added.error().what, added.error().fix);
  return {};
}

Status connect_wires(Fabric& fabric, std::span<NodePorts* const> nodes,
                     std::vector<std::unique_ptr<interrupt::OrGate>>& gates, std::vector<std::string>& loose) {
  for (const NodePorts* ports : nodes) {
    if (!fabric.controllers.contains(&ports->node())) continue;
    if (auto chain = tree::cascade(fabric.tree, ports->node()); !chain) return std::unexpected(chain.error());
  }

  std::map<std::pair<interrupt::Sink*, u32>, std::vector<End>> inputs;
  for (NodePorts* ports : nodes) {
    const tree::Node& node = ports->node();
    // Every specifier is checked, also those that no wire was asked for.
    std::vector<std::optional<interrupt::Controller::Input>> resolved(ports->interrupt_count());
    for (u32 i = 0; i < ports->interrupt_count(); ++i) {
      const tree::Node* controller = ports->specifiers()[i].controller;
      if (!fabric.controllers.contains(controller)) {
        loose.push_back(fmt::format("{} interrupt {} (to {})", node.path(), i, controller->path()));
        continue;
      }
      resolved[i] = SOLDER_TRY(ports->interrupt_input(i, 0));
    }
    for (const auto& use : ports->level_uses())
      if (const auto& input = resolved[use.index])
        inputs[{input->sink, input->pin}].push_back({ports, use.index, *input, use.wire, nullptr});
    for (const auto& use : ports->edge_uses())
      if (const auto& input = resolved[use.index])
        inputs[{input->sink, input->pin}].push_back({ports, use.index, *input, nullptr, use.wire});
  }
  for (const auto& [pin, ends] : inputs) SOLDER_TRY_STATUS(connect_input(ends, gates));
  return {};
}

}  // namespace solder::machine
