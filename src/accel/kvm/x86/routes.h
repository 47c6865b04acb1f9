/// KVM's half of the routing table on x86: KVM_SET_GSI_ROUTING, KVM_IRQ_LINE, KVM_IRQFD.
#pragma once

#include <string>
#include <vector>

#include "accel/kvm/kvm_abi.h"
#include "accel/kvm/vm.h"
#include "interrupt/route.h"

namespace solder::accel::kvm::x86 {

class KernelRouting final : public interrupt::KernelRoutes {
 public:
  explicit KernelRouting(Vm& vm) : vm_(vm) {}
  /// From now on there are local APICs in KVM, and routes go there.
  void enable();
  /// The machine is built, and no CPU has run: KVM gets the routes made so far in one step, and later ones at once.
  [[nodiscard]] Status activate();

  [[nodiscard]] bool takes_messages() const override { return enabled_; }
  /// One ioctl, and none when KVM's table is like this already: it waits for all CPUs to see the new one.
  void publish(std::span<const interrupt::Route> routes) override;
  void set_level(interrupt::Virq virq, bool level) override;
  [[nodiscard]] Status attach(interrupt::Virq virq, int fd, int resample_fd) override;
  void detach(interrupt::Virq virq, int fd) override;

 private:
  // Once: the guest can cause it as often as it likes.
  void complain(const std::string& text);
  Status apply();
  Vm& vm_;
  bool enabled_ = false;                // before CPUs run
  bool active_ = false;                 // before CPUs run
  std::vector<interrupt::Virq> early_;  // levels that are high before that
  u32 most_ = 0;                        // routes that KVM takes
  bool complained_ = false;
  // A kvm_irq_routing with its entries, as KVM has it now and as it is being made; kept, so that a guest that changes
  // routes all the time costs no allocations. Empty: KVM has its own defaults. Under the table's lock.
  std::vector<u64> current_;
  std::vector<u64> next_;
};

}  // namespace solder::accel::kvm::x86
