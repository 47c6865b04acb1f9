#include "machine/plan.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace solder::machine {

namespace {

Result<Unmatched> policy_of(const tree::Node& node, Unmatched inherited) {
  if (!node.has("solder,unmatched")) return inherited;
  const auto text = node.string("solder,unmatched");
  if (text == "error") return Unmatched::error;
  if (text == "stub") return Unmatched::stub;
  if (text == "disable") return Unmatched::disable;
  return fail(
      node.place("solder,unmatched"),
      text ? fmt::format("\"{}\" is not a way to treat nodes without a model", *text) : "its value is not one string",
      "use \"error\", \"stub\" (reads as zero) or \"disable\" (left out of the guest's tree)");
}

class Planner {
 public:
  Planner(bool strict, const device::KernelDevices* kernel) : strict_(strict), kernel_(kernel) {}

  Status visit(const tree::Node& node, Unmatched inherited, bool passive, bool outside) {
    const Unmatched policy = SOLDER_TRY(policy_of(node, inherited));
    NodePlan entry{&node, Role::described, nullptr};
    bool children_passive = passive;
    bool children_outside = outside;
    if (outside) {
      entry.role = Role::inside;
    } else if (!node.enabled()) {
      entry.role = Role::disabled;
      children_outside = true;
    } else if (node.string("device_type") == "memory") {
      entry.role = Role::memory;
    } else if (node.string("device_type") == "cpu") {
      entry.role = Role::cpu;
    } else if (!passive && node.parent() != nullptr && node.has("compatible")) {
      SOLDER_TRY_STATUS(match(node, policy, entry));
      children_outside = !entry.kept();
    }
    // What describes CPUs, memory and their relations is for the guest to read.
    if (node.parent() != nullptr && node.parent()->parent() == nullptr &&
        (node.base_name() == "cpus" || node.base_name() == "reserved-memory"))
      children_passive = true;
    plan_.index[&node] = plan_.nodes.size();
    plan_.nodes.push_back(entry);
    for (const auto& child : node.children())
      if (!is_host_side(*child)) SOLDER_TRY_STATUS(visit(*child, policy, children_passive, children_outside));
    return {};
  }

  Plan take() { return std::move(plan_); }

 private:
  Status match(const tree::Node& node, Unmatched policy, NodePlan& entry) {
    const auto compatibles = node.compatible();
    entry.model = device::find_model(compatibles);
    if (entry.model != nullptr && entry.model->kernel_only) {
      if (kernel_ != nullptr && kernel_->knows(compatibles)) {
        entry.role = Role::modelled;
        return {};
      }
      entry.model = nullptr;
    }
    if (entry.model != nullptr) {
      entry.role = entry.model->factory != nullptr ? Role::modelled : Role::known;
      if (entry.model->compatible == "virtio,mmio" && !node.has("solder,virtio")) entry.role = Role::unused;
      return {};
    }
    switch (policy) {
      case Unmatched::disable:
        entry.role = Role::left_out;
        break;
      case Unmatched::stub:
        entry.role = Role::stubbed;
        break;
      case Unmatched::error:
        if (strict_)
          return fail(node.place("compatible"),
                      compatibles.empty()
                          ? "its value is not a list of strings, and the node is enabled"
                          : fmt::format("Solder has no model for \"{}\"", fmt::join(compatibles, "\", \"")),
                      "set solder,unmatched = \"disable\" or \"stub\" on the node or a bus above it, or its "
                      "status = \"disabled\"; `solder models` lists what there is");
        entry.role = Role::left_out;
        break;
    }
    return {};
  }

  bool strict_;
  const device::KernelDevices* kernel_;
  Plan plan_;
};

}  // namespace

std::string_view role_name(Role role) {
  switch (role) {
    case Role::modelled:
      return "modelled";
    case Role::known:
      return "known";
    case Role::cpu:
      return "cpu";
    case Role::memory:
      return "memory";
    case Role::described:
      return "described";
    case Role::stubbed:
      return "stubbed";
    case Role::left_out:
      return "missing";
    case Role::inside:
      return "inside";
    case Role::disabled:
      return "disabled";
    case Role::unused:
      return "unused";
  }
  return "?";
}

bool NodePlan::kept() const {
  return role != Role::left_out && role != Role::inside && role != Role::disabled && role != Role::unused;
}

const NodePlan* Plan::find(const tree::Node& node) const {
  const auto it = index.find(&node);
  return it == index.end() ? nullptr : &nodes[it->second];
}

std::vector<const tree::Node*> Plan::with_role(Role role) const {
  std::vector<const tree::Node*> out;
  for (const auto& entry : nodes)
    if (entry.role == role) out.push_back(entry.node);
  return out;
}

std::vector<const tree::Node*> Plan::left_out() const {
  return with_role(Role::left_out);
}

bool is_host_side(const tree::Node& node) {
  if (node.name().starts_with("solder,")) return true;
  if (node.parent() == nullptr || node.parent()->parent() != nullptr) return false;
  const std::string& name = node.name();
  return name == "solder" || name == "chosen" || name == "aliases" || name.starts_with("__");
}

Result<Plan> make_plan(const tree::Tree& tree, bool unmatched_is_error, const device::KernelDevices* kernel) {
  Planner planner(unmatched_is_error, kernel);
  SOLDER_TRY_STATUS(planner.visit(tree.root(), Unmatched::disable, false, false));
  return planner.take();
}

}  // namespace solder::machine
