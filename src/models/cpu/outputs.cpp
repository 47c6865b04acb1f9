// Nodes that describe lines of the CPUs themselves: the generic timer and the performance monitors. The CPU models
// them; here their outputs meet the interrupts that the tree gives them.
#include <algorithm>
#include <string>
#include <vector>

#include "cpu/cpu_set.h"
#include "device/registry.h"

namespace solder::models::cpu_outputs {
namespace {

// The CPU's output for the performance monitors, after the four timers (cpu::Vcpu::connect_output).
constexpr u32 kPmuOutput = 4;

Status connect(device::Ports& ports, u32 interrupt, u32 cpu, u32 output) {
  const auto input = SOLDER_TRY(ports.interrupt_input(interrupt, cpu));
  interrupt::LevelWire wire;
  wire.connect(input.sink, input.pin);
  ports.cpus()[cpu].vcpu().connect_output(output, wire);
  return {};
}

/// "arm,armv8-timer", binding timer/arm,arch_timer: the interrupts in the CPU's order of outputs, or named.
class Timer final : public device::Device {
 public:
  explicit Timer(device::Ports& ports) : ports_(ports) {}

  Status start() override {
    static constexpr std::string_view kNames[4] = {"sec-phys", "phys", "virt", "hyp-phys"};
    const std::vector<std::string> names = ports_.node().string_list("interrupt-names");
    for (u32 i = 0; i < ports_.interrupt_count(); ++i) {
      u32 output = i;
      if (i < names.size()) output = static_cast<u32>(std::find(kNames, kNames + 4, names[i]) - kNames);
      if (output >= 4) continue;  // the EL2 virtual timer, which our CPUs do not have
      for (u32 cpu = 0; cpu < ports_.cpu_count(); ++cpu) SOLDER_TRY_STATUS(connect(ports_, i, cpu, output));
    }
    return {};
  }

 private:
  device::Ports& ports_;
};

/// "arm,armv8-pmuv3" and the cores' own names, binding arm/pmu: one interrupt for all CPUs (a PPI), or one for each in
/// the order of interrupt-affinity.
class Pmu final : public device::Device {
 public:
  explicit Pmu(device::Ports& ports) : ports_(ports) {}

  Status start() override {
    const u32 count = ports_.interrupt_count();
    if (count == 1 && !ports_.node().has("interrupt-affinity")) {
      for (u32 cpu = 0; cpu < ports_.cpu_count(); ++cpu) SOLDER_TRY_STATUS(connect(ports_, 0, cpu, kPmuOutput));
      return {};
    }
    const std::vector<u32> affinity = ports_.node().cell_list("interrupt-affinity");
    const std::vector<u32> cpus = cpu_phandles();
    for (u32 i = 0; i < count; ++i) {
      u32 cpu = i;
      if (i < affinity.size()) cpu = static_cast<u32>(std::find(cpus.begin(), cpus.end(), affinity[i]) - cpus.begin());
      // Fewer CPUs than the board has (--cpus) leave interrupts over.
      if (cpu < ports_.cpu_count()) SOLDER_TRY_STATUS(connect(ports_, i, cpu, kPmuOutput));
    }
    return {};
  }

 private:
  /// Of the CPUs in the order of the tree, which is the order of their indices.
  [[nodiscard]] std::vector<u32> cpu_phandles() const {
    const tree::Node* root = &ports_.node();
    while (root->parent() != nullptr) root = root->parent();
    std::vector<u32> out;
    const tree::Node* cpus = root->child("cpus");
    if (cpus == nullptr) return out;
    for (const auto& child : cpus->children()) {
      if (child->string("device_type") == "cpu" && child->enabled()) out.push_back(child->phandle());
    }
    return out;
  }

  device::Ports& ports_;
};

const device::Registration kTimer{"arm,armv8-timer", device::make<Timer>,
                                  "Arm generic timer of the CPUs (DDI 0487, D11)"};
// QEMU's tree says this unless it was dumped for a 64-bit CPU model; the timer is the same.
const device::Registration kTimerV7{"arm,armv7-timer", device::make<Timer>,
                                    "Arm generic timer of the CPUs (DDI 0406, B8)"};

constexpr std::string_view kPmuSummary = "Performance monitors of the CPUs (DDI 0487, D12)";
const device::Registration kPmu{"arm,armv8-pmuv3", device::make<Pmu>, kPmuSummary};
const device::Registration kA35{"arm,cortex-a35-pmu", device::make<Pmu>, kPmuSummary};
const device::Registration kA53{"arm,cortex-a53-pmu", device::make<Pmu>, kPmuSummary};
const device::Registration kA55{"arm,cortex-a55-pmu", device::make<Pmu>, kPmuSummary};
const device::Registration kA57{"arm,cortex-a57-pmu", device::make<Pmu>, kPmuSummary};
const device::Registration kA72{"arm,cortex-a72-pmu", device::make<Pmu>, kPmuSummary};
const device::Registration kA73{"arm,cortex-a73-pmu", device::make<Pmu>, kPmuSummary};
const device::Registration kA76{"arm,cortex-a76-pmu", device::make<Pmu>, kPmuSummary};

}  // namespace
}  // namespace solder::models::cpu_outputs
