/// What every node of a composed tree is to the machine, decided before anything is built.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "device/kernel_devices.h"
#include "device/registry.h"
#include "tree/node.h"

namespace solder::machine {

enum class Role : u8 {
  modelled,   ///< a device of ours
  known,      ///< means something, but needs no device: a bus, a fixed clock
  cpu,        ///< run by the accelerator
  memory,     ///< RAM
  described,  ///< no `compatible`, or read by others only: cpu maps, reserved memory, a key of gpio-keys
  stubbed,    ///< no model; reads as zero, ignores writes
  left_out,   ///< no model; not in the machine and not in the guest's tree
  inside,     ///< below a node that is left out or disabled
  disabled,   ///< its `status` says so
  unused,     ///< a virtio transport without solder,virtio: an empty slot
};
[[nodiscard]] std::string_view role_name(Role role);

struct NodePlan {
  const tree::Node* node = nullptr;
  Role role = Role::described;
  const device::ModelInfo* model = nullptr;  ///< of modelled and known nodes
  /// Whether the guest sees the node.
  [[nodiscard]] bool kept() const;
};

struct Plan {
  std::vector<NodePlan> nodes;  ///< in the tree's order; without /chosen, /aliases, /solder and other host-side nodes
  [[nodiscard]] const NodePlan* find(const tree::Node& node) const;
  /// Enabled nodes without a model that are not in the machine.
  [[nodiscard]] std::vector<const tree::Node*> left_out() const;
  [[nodiscard]] std::vector<const tree::Node*> with_role(Role role) const;

  std::unordered_map<const tree::Node*, usize> index;
};

/// How an enabled node without a model is treated: `solder,unmatched` of the node or of the nearest ancestor that has
/// it.
enum class Unmatched : u8 { error, stub, disable };

/// Decides. `unmatched_is_error = false` overrides the policy "error" by "disable", for reports about foreign trees.
/// `kernel` is what the accelerator can run in the host's kernel: a node that nothing else runs is modelled where it
/// knows it. Errors: an enabled node without a model where the tree says "error", a bad `solder,unmatched`.
[[nodiscard]] Result<Plan> make_plan(const tree::Tree& tree, bool unmatched_is_error = true,
                                     const device::KernelDevices* kernel = nullptr);

/// solder,* nodes and /solder: the host's side.
[[nodiscard]] bool is_host_side(const tree::Node& node);

}  // namespace solder::machine
