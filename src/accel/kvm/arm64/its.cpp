// The Interrupt Translation Service in KVM (Documentation/virt/kvm/devices/arm-vgic-its.rst): messages become LPIs.
#include <fmt/format.h>

#include "accel/kvm/arm64/its_state.h"
#include "accel/kvm/arm64/kernel_devices.h"
#include "accel/kvm/arm64/reserved_window.h"
#include "accel/kvm/arm64/vgic_state.h"
#include "base/log.h"
#include "device/registry.h"

namespace solder::accel::kvm::arm64 {

namespace {

constexpr u64 kFrame = 0x10000;
constexpr u64 kSize = 2 * kFrame;  // the control frame, and that of GITS_TRANSLATER

class Its final : public device::Device, public interrupt::MessageTarget, public Finisher {
 public:
  Its(device::Ports& ports, KernelDevices& kernel, KernelDevice its)
      : ports_(ports), kernel_(kernel), its_(std::move(its)) {}

  Status place() {
    const tree::Node& node = ports_.node();
    if (ports_.window_count() == 0 || ports_.window_address(0) % kFrame != 0 || ports_.window_size(0) < kSize) {
      return fail(node.place("reg"), "an ITS has 0x20000 bytes at an address that is a multiple of 0x10000",
                  "correct the address");
    }
    const u64 address = ports_.window_address(0);
    if (auto done = its_.set(KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_ITS_ADDR_TYPE, &address); !done) {
      return fail(node.place("reg"), "KVM does not put an ITS there: " + done.error().what, "correct the address");
    }
    ports_.window(0, window_);
    return {};
  }

  Status finish() override { return its_.set(KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, nullptr); }

  // The GIC's node is above this one: its state comes first.
  void state(device::Archive& archive) override {
    if (const Status done = archive_its(its_, kernel_.gic(), affinities(ports_), archive); !done) {
      log::warn(ports_.node().path() + ": its state: " + done.error().text());
    }
  }

  [[nodiscard]] std::string describe() const override {
    return fmt::format("ITS in KVM, messages to {:#x}", ports_.window_address(0) + kFrame + 0x40);
  }

  bool deliver(const interrupt::Message& message) override {
    kvm_msi request{};
    request.address_lo = static_cast<u32>(message.address);
    request.address_hi = static_cast<u32>(message.address >> 32);
    request.data = message.data;
    request.flags = KVM_MSI_VALID_DEVID;
    request.devid = message.device_id;
    // 0: the guest has mapped no interrupt to this event; an error: no ITS has this address.
    const auto done = kernel_.vm().call_value(SOLDER_KVM(KVM_SIGNAL_MSI), &request);
    return done && *done > 0;
  }

 private:
  device::Ports& ports_;
  KernelDevices& kernel_;
  KernelDevice its_;
  ReservedWindow window_;
};

const device::Registration kIts{
    device::kKernelOnly, "arm,gic-v3-its",
    "Arm GICv3 Interrupt Translation Service (IHI 0069), in the host's kernel where KVM has one"};

}  // namespace

Result<std::unique_ptr<device::Device>> make_its(device::Ports& ports, KernelDevices& kernel) {
  auto device = SOLDER_TRY(KernelDevice::create(kernel.vm(), KVM_DEV_TYPE_ARM_VGIC_ITS));
  auto its = std::make_unique<Its>(ports, kernel, std::move(device));
  SOLDER_TRY_STATUS(its->place());
  ports.provide_messages(*its);
  kernel.add_finisher(*its);
  return its;
}

}  // namespace solder::accel::kvm::arm64
