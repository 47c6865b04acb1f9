/// Devices that an accelerator can run in the host's kernel instead of in this process: interrupt controllers, timers.
/// A node's `solder,backend` lists where it may live, in order: "kernel", "user". The first that can be had wins.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "device/device.h"
#include "tree/document.h"

namespace solder::device {

/// What an accelerator offers. All calls on the thread that builds the machine.
class KernelDevices {
 public:
  /// One node that the accelerator might take, in the tree's order.
  struct Candidate {
    const tree::Node* node = nullptr;
    std::vector<std::string> backends;  ///< solder,backend; empty: the accelerator's own preference
    bool in_kernel = false;             ///< out: where it will live
    std::string reason;                 ///< out: why, for the user: "kernel: KVM_CREATE_IRQCHIP"
  };
  virtual ~KernelDevices() = default;
  /// Whether the accelerator knows a kernel device for one of these `compatible`s.
  [[nodiscard]] virtual bool knows(std::span<const std::string> compatibles) const = 0;
  /// Decides for all candidates together (KVM has no IOAPIC without a local APIC) and creates what must exist before
  /// the first CPU. Errors: a list that asks for what cannot be had, with the node's place.
  [[nodiscard]] virtual Status choose(const tree::Tree& tree, std::span<Candidate> candidates) = 0;
  /// The device of a node that was chosen to live in the kernel, made where its model in the process would be.
  [[nodiscard]] virtual Result<std::unique_ptr<Device>> make(Ports& ports) = 0;
  /// After every device has been made and windows and wires are connected, before any device's start(): what needs all
  /// CPUs and all addresses (KVM_DEV_ARM_VGIC_CTRL_INIT).
  [[nodiscard]] virtual Status finish() { return {}; }
  /// Called by the machine once: the routing table that the kernel mirrors.
  virtual void connect(interrupt::RoutingTable& routes) = 0;
  /// Who presents an interrupt that is pending in a kernel controller to its CPU, for people: "KVM", "the hardware
  /// (APICv)".
  [[nodiscard]] virtual std::string presents() const { return "the kernel"; }
  /// The machine's clock stands still from now on, and no CPU runs: so do the kernel's timers and what CPUs read the
  /// time from, as far as the kernel lets it. Ends with `resume_time`, before CPUs run.
  virtual void pause_time() {}
  /// `saving`: nothing interrupts this machine any more, and its state is about to be read instead.
  virtual void resume_time(bool saving) { (void)saving; }
  /// What of the kernel's state is no device's and no CPU's: its clocks. Time does not stand still (`pause_time`).
  virtual void state(Archive& archive) { (void)archive; }
};

}  // namespace solder::device
