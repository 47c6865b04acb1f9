#include "machine/interrupt_path.h"

#include <fmt/format.h>

#include <algorithm>

#include "tree/resolve.h"

namespace solder::machine {

namespace {

using interrupt::PinTarget;

// Trees with circles have been refused when the machine was built; this is for a table that changes meanwhile.
constexpr u32 kDeepest = 8;

bool lives_in_kernel(const Machine& machine, const tree::Node& node) {
  const auto* placed = machine.placement(node);
  return placed != nullptr && placed->in_kernel;
}

struct Pin {
  const tree::Node* controller = nullptr;
  std::string name;
  bool in_kernel = false;
};

// What is connected to the input: itself, or for one that only fans out (it has a virq of pins elsewhere) those.
std::vector<Pin> pins(Machine& machine, const tree::Node& controller, const interrupt::Controller::Input& input) {
  std::vector<Pin> out;
  if (input.virq && !input.in_kernel) {
    for (const auto& route : machine.fabric().routes.routes()) {
      const auto* target = std::get_if<PinTarget>(&route.target);
      if (route.virq != *input.virq || target == nullptr) continue;
      out.push_back({machine.tree().find(target->node), target->name, target->in_kernel});
    }
  }
  if (out.empty()) out.push_back({&controller, input.name, input.in_kernel});
  return out;
}

class Walk {
 public:
  explicit Walk(Machine& machine) : machine_(machine) {}

  // `in_kernel`: the sender lives there.
  Status interrupt(const tree::Node& node, u32 index, bool in_kernel, u32 depth) {
    NodePorts* ports = machine_.ports(node);
    if (ports == nullptr || depth > kDeepest) return {};
    const auto input = SOLDER_TRY(ports->interrupt_input(index, 0));
    for (const Pin& pin : pins(machine_, *ports->specifiers()[index].controller, input)) {
      // KVM connects its own controllers to each other, whatever their inputs here do.
      const bool kernel =
          pin.in_kernel || (in_kernel && pin.controller != nullptr && lives_in_kernel(machine_, *pin.controller));
      add(depth, fmt::format("{} of {}", pin.name, pin.controller != nullptr ? pin.controller->path() : "?"), kernel);
      if (pin.controller != nullptr) SOLDER_TRY_STATUS(controller(*pin.controller, kernel, depth + 1));
    }
    return {};
  }

  std::vector<Hop> hops;

 private:
  // What a controller does with an interrupt: it has wires or messages to another one, or CPUs.
  Status controller(const tree::Node& node, bool kernel, u32 depth) {
    if (depth > kDeepest) return {};
    NodePorts* ports = machine_.ports(node);
    if (ports != nullptr && ports->interrupt_count() != 0 && &node != ports->specifiers()[0].controller)
      return interrupt(node, 0, kernel, depth);
    const auto messages = tree::msi_target(machine_.tree(), node, 0);
    if (messages && *messages && (*messages)->controller != &node) {
      const tree::Node& target = *(*messages)->controller;
      const bool next = lives_in_kernel(machine_, target);
      add(depth, fmt::format("messages to {}, as the guest programs its entry", target.path()), next);
      return controller(target, next, depth + 1);
    }
    auto* devices = kernel ? machine_.fabric().accelerator->kernel_devices() : nullptr;
    hops.push_back({depth, "CPUs", devices != nullptr ? devices->presents() : "here"});
    return {};
  }

  void add(u32 depth, std::string what, bool kernel) {
    hops.push_back({depth, std::move(what), kernel ? "KVM" : "here"});
  }

  Machine& machine_;
};

}  // namespace

Result<std::vector<Hop>> interrupt_hops(Machine& machine, const tree::Node& node, u32 index) {
  Walk walk(machine);
  SOLDER_TRY_STATUS(walk.interrupt(node, index, lives_in_kernel(machine, node), 0));
  return std::move(walk.hops);
}

Result<std::string> interrupt_receivers(Machine& machine, const tree::Node& node, u32 index) {
  std::string out;
  for (const Hop& hop : SOLDER_TRY(interrupt_hops(machine, node, index))) {
    if (hop.depth != 0 || out.find(hop.by) != std::string::npos) continue;
    out += (out.empty() ? "" : ", ") + hop.by;
  }
  return out;
}

}  // namespace solder::machine
