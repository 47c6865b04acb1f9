/// The part of the routing table that ends in KVM's GIC.
#pragma once

#include <map>
#include <mutex>
#include <vector>

#include "accel/kvm/vm.h"
#include "interrupt/route.h"

namespace solder::accel::kvm::arm64 {

/// How KVM_IRQ_LINE names a line (Documentation/virt/kvm/api.rst, 4.25): `type` is KVM_ARM_IRQ_TYPE_*, `cpu` a vCPU's
/// index, `number` an interrupt id or KVM_ARM_IRQ_CPU_*.
[[nodiscard]] constexpr u32 line_code(u32 type, u32 cpu, u32 number) {
  return (cpu >> 8) << 28 | type << 24 | (cpu & 0xff) << 16 | number;
}

/// KVM's GSIs are our virqs. An SPI that several virqs drive is high while any of them is.
class Arm64Routes final : public interrupt::KernelRoutes {
 public:
  explicit Arm64Routes(const Vm& vm) : vm_(vm) {}

  /// The ITS is in the kernel. Before anything is routed.
  void set_takes_messages() { messages_ = true; }
  /// The GIC is initialised, which made KVM's default table; ours replaces it now and whenever it changes.
  [[nodiscard]] Status activate();

  /// The levels that this process drives, as words of 32 interrupt ids of which SPIs begin in word 1.
  [[nodiscard]] std::vector<u32> levels(u32 words);

  [[nodiscard]] bool takes_messages() const override { return messages_; }
  void publish(std::span<const interrupt::Route> routes) override;
  void set_level(interrupt::Virq virq, bool level) override;
  [[nodiscard]] Status attach(interrupt::Virq virq, int fd, int resample_fd) override;
  void detach(interrupt::Virq virq, int fd) override;

 private:
  struct Line {
    std::vector<u32> spis;
    bool high = false;
  };
  void drive(u32 spi, bool level);
  Status apply() const;

  const Vm& vm_;
  bool messages_ = false;
  std::mutex mutex_;
  bool active_ = false;
  std::vector<interrupt::Route> routes_;
  std::map<interrupt::Virq, Line> lines_;
  std::map<u32, u32> high_;  // SPI -> how many virqs hold it
};

}  // namespace solder::accel::kvm::arm64
