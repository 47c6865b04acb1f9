/// What clients may know of a running machine, as JSON.
#pragma once

#include "control/request.h"
#include "machine/machine.h"

namespace solder::control {

/// {"routes": […], "wires": […]}: the routing table's numbers, and every interrupt that a node of the tree has: where
/// it ends, who handles it, its level, and how often it came.
[[nodiscard]] Json interrupt_report(machine::Machine& machine);

/// {"ranges": […]}: what lies where in the guest's memory and ports, and how a CPU's access gets there.
[[nodiscard]] Json memory_report(machine::Machine& machine);

/// {"uptime_ns", "cpus": […], "memory": […], "model"}
[[nodiscard]] Json machine_report(machine::Machine& machine);

/// A path, an alias or a label, "&label". Errors: there is no such node.
[[nodiscard]] Result<const tree::Node*> find_node(const tree::Tree& tree, const std::string& name);

}  // namespace solder::control
