/// The devices of nodes that live in KVM: they keep the node's place in the maps, give its inputs and its messages to
/// KVM, and save what KVM has.
#pragma once

#include <memory>

#include "accel/kvm/vm.h"
#include "device/device.h"

namespace solder::accel::kvm::x86 {

/// What they must know of their VM.
struct IrqchipOptions {
  bool kernel_pic = false;  ///< i8259 and I/O APIC are in KVM too
  bool wide_ids = false;    ///< KVM_CAP_X2APIC_API is on
};

/// Local APICs: LINT pins (of a split irqchip; else KVM's own i8259 has LINT0), messages by KVM_SIGNAL_MSI.
[[nodiscard]] std::unique_ptr<device::Device> make_kernel_lapic(device::Ports& ports, Vm& vm,
                                                                const IrqchipOptions& options);
[[nodiscard]] std::unique_ptr<device::Device> make_kernel_ioapic(device::Ports& ports, Vm& vm);
[[nodiscard]] std::unique_ptr<device::Device> make_kernel_pic(device::Ports& ports, Vm& vm);
/// Its interrupt is KVM's number 0: an error in start() when the tree has another.
[[nodiscard]] std::unique_ptr<device::Device> make_kernel_pit(device::Ports& ports, Vm& vm);

}  // namespace solder::accel::kvm::x86
