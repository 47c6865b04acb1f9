#include "machine/irqchip_shorthand.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace solder::machine {

namespace {

// What a host's kernel may have instead of us. `local`: the part next to the CPU, which "split" leaves in the kernel.
struct Kind {
  std::string_view compatible;
  bool local;
};
constexpr std::array<Kind, 8> kKinds = {{{"intel,ce4100-lapic", true},
                                         {"intel,ce4100-ioapic", false},
                                         {"intel,i8259", false},
                                         {"intel,i8254", false},
                                         {"arm,gic-v3", false},
                                         {"arm,gic-v3-its", false},
                                         {"arm,cortex-a15-gic", false},
                                         {"arm,gic-400", false}}};

}  // namespace

Result<std::string> irqchip_edit(const tree::Tree& tree, const std::string& mode) {
  if (mode != "kernel" && mode != "split" && mode != "user")
    return fail("--irqchip", fmt::format("there is no place \"{}\" for interrupt controllers", mode),
                "use kernel, split or user");
  std::string edits;
  bool local = false;
  tree.walk([&](const tree::Node& node) {
    const auto kind = std::ranges::find_if(kKinds, [&](const Kind& k) { return node.is_compatible(k.compatible); });
    if (kind == kKinds.end() || !node.enabled()) return;
    local = local || kind->local;
    const bool kernel = mode == "kernel" || (mode == "split" && kind->local);
    edits += fmt::format("&{{{}}} {{ solder,backend = \"{}\"; }};\n", node.path(), kernel ? "kernel" : "user");
  });
  if (edits.empty())
    return fail("--irqchip", "the machine's tree has no interrupt controller that a kernel could run",
                "leave the option out");
  if (mode == "split" && !local)
    return fail("--irqchip split", "the machine has no local APICs to leave in the kernel", "use kernel or user");
  return "/dts-v1/;\n" + edits;
}

}  // namespace solder::machine
