/// One machine: built from a composed tree, run once. A reset builds another from the same tree.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "device/kernel_devices.h"
#include "machine/backends.h"
#include "machine/fabric.h"
#include "machine/node_ports.h"
#include "machine/plan.h"
#include "machine/wiring.h"

namespace solder::machine {

class StubWindow;

/// Devices, RAM, CPUs and the wires between them, for one composed tree.
class Machine {
 public:
  /// Builds in phases: RAM, CPUs, every device, then windows and wires, then `start()` of every device.
  /// `tree`, `plan`, `backends` and `control` outlive the machine. `memory`: of a machine of the same memory nodes,
  /// which this one goes on with.
  [[nodiscard]] static Result<std::unique_ptr<Machine>> build(const tree::Tree& tree, const Plan& plan,
                                                              std::unique_ptr<cpu::Accelerator> accelerator,
                                                              Backends& backends, cpu::MachineControl& control,
                                                              std::vector<std::unique_ptr<memory::Ram>> memory = {});
  ~Machine();
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  /// Starts the CPUs' threads and powers on the first one at `entry`.
  void run(const cpu::EntryState& entry);
  /// Stops CPUs, then devices. Idempotent.
  void stop();
  /// What `build` takes for the next machine. After `stop`; this machine only goes away after it.
  [[nodiscard]] std::vector<std::unique_ptr<memory::Ram>> take_memory() { return std::move(fabric_->rams); }
  /// Presses the power button where there is one.
  bool press_power_button();

  [[nodiscard]] Fabric& fabric() { return *fabric_; }
  [[nodiscard]] const tree::Tree& tree() const { return fabric_->tree; }
  [[nodiscard]] const Plan& plan() const { return plan_; }
  /// RAM as the tree's memory nodes describe it.
  [[nodiscard]] const std::vector<tree::AddressRange>& ram() const { return ram_ranges_; }
  /// The ports of a node with a device; null for others.
  [[nodiscard]] NodePorts* ports(const tree::Node& node);
  [[nodiscard]] device::Device* device(const tree::Node& node);
  /// Where a node that could live in the host's kernel lives, and why; null for other nodes.
  [[nodiscard]] const device::KernelDevices::Candidate* placement(const tree::Node& node) const;
  [[nodiscard]] const std::vector<device::KernelDevices::Candidate>& placements() const { return placements_; }
  /// Interrupts that end at a controller without a model, one text each.
  [[nodiscard]] const std::vector<std::string>& loose_interrupts() const { return loose_; }

 private:
  Machine(const tree::Tree& tree, const Plan& plan, cpu::MachineControl& control);
  Status add_memory(std::vector<std::unique_ptr<memory::Ram>> memory);
  Status choose_backends();
  Status add_cpus();
  Status add_devices(Backends& backends);
  Status place_windows();
  Status start_devices();

  struct Part {
    const tree::Node* node = nullptr;
    std::unique_ptr<NodePorts> ports;
    std::unique_ptr<device::Device> device;
  };
  const Plan& plan_;
  std::unique_ptr<Fabric> fabric_;
  Placer placer_;
  std::vector<tree::AddressRange> ram_ranges_;
  std::vector<std::unique_ptr<StubWindow>> stubs_;
  std::vector<std::unique_ptr<interrupt::OrGate>> gates_;
  std::vector<Part> parts_;
  std::vector<device::KernelDevices::Candidate> placements_;
  std::vector<std::string> loose_;
  bool stopped_ = false;
};

}  // namespace solder::machine
