/// The interrupt controllers and the timer that KVM can run on x86: local APICs, I/O APIC, i8259 pair, i8254.
#pragma once

#include <memory>

#include "accel/kvm/vm.h"
#include "accel/kvm/x86/paused_time.h"
#include "accel/kvm/x86/routes.h"
#include "device/kernel_devices.h"

namespace solder::accel::kvm::x86 {

/// Who lives where. KVM can do no other combination.
enum class IrqchipMode : u8 {
  user,    ///< all in this process
  split,   ///< the local APICs in KVM, the rest in this process
  kernel,  ///< all four in KVM
};

/// Chooses the mode from the nodes' solder,backend, creates what KVM wants before the first CPU, and makes the devices
/// that stand for what is in KVM. These have the same saved state as the models in this process.
class KernelControllers final : public device::KernelDevices {
 public:
  explicit KernelControllers(Vm& vm);

  /// Valid after choose(); `user` when the tree has none of these nodes.
  [[nodiscard]] IrqchipMode mode() const { return mode_; }

  [[nodiscard]] bool knows(std::span<const std::string> compatibles) const override;
  /// Without solder,backend a node goes to the kernel if it can.
  [[nodiscard]] Status choose(const tree::Tree& tree, std::span<Candidate> candidates) override;
  [[nodiscard]] Result<std::unique_ptr<device::Device>> make(device::Ports& ports) override;
  [[nodiscard]] Status finish() override { return routing_.activate(); }
  void connect(interrupt::RoutingTable& routes) override;
  [[nodiscard]] std::string presents() const override;
  void pause_time() override;
  void resume_time(bool saving) override;
  /// kvmclock.
  void state(device::Archive& archive) override;

 private:
  [[nodiscard]] Status create(bool with_timer);
  Vm& vm_;
  IrqchipMode mode_ = IrqchipMode::user;
  bool wide_ids_ = false;  // KVM_CAP_X2APIC_API: APIC IDs of 32 bits in messages and in x2APIC mode's saved state
  bool timer_ = false;     // the i8254 is KVM's
  KernelRouting routing_;
  std::unique_ptr<PausedTime> paused_;
  interrupt::RoutingTable* routes_ = nullptr;
};

}  // namespace solder::accel::kvm::x86
