#include "accel/kvm/x86/irqchip_devices.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <initializer_list>
#include <mutex>
#include <vector>

#include "accel/kvm/x86/irqchip_state.h"
#include "base/log.h"
#include "device/register_names.h"
#include "models/apic/register_names.h"
#include "models/apic/specifier.h"

namespace solder::accel::kvm::x86 {

namespace {

using device::Archive;

/// What fills the place of a device that KVM answers for: no access of a CPU arrives here. Others (DMA, a debugger)
/// find nothing.
class KernelWindow final : public memory::MmioHandler {
 public:
  using Names = std::string (*)(u64 offset);
  explicit KernelWindow(Names names) : names_(names) {}
  u64 read(u64, unsigned) override { return 0; }
  void write(u64, unsigned, u64) override {}
  // For accesses that the host's kernel tells of.
  [[nodiscard]] std::string register_name(u64 offset) const override { return names_(offset); }

 private:
  Names names_;
};

using device::RegisterName;

std::string pic_name(u64 offset) {
  static constexpr std::array kNames{RegisterName{"COMMAND", 0, 1}, RegisterName{"MASK", 1, 1}};
  return device::register_name(kNames, offset);
}
std::string elcr_name(u64 offset) {
  static constexpr std::array kNames{RegisterName{"ELCR", 0, 1, 2, 1}};
  return device::register_name(kNames, offset);
}
std::string pit_name(u64 offset) {
  static constexpr std::array kNames{RegisterName{"COUNTER0", 0, 1}, RegisterName{"COUNTER1", 1, 1},
                                     RegisterName{"COUNTER2", 2, 1}, RegisterName{"CONTROL", 3, 1}};
  return device::register_name(kNames, offset);
}
std::string port_b_name(u64 offset) {
  return offset == 0 ? "PORTB" : "";
}

/// What the four have in common.
class KernelDevice : public device::Device {
 public:
  /// `names`: of each window's registers; the last also of those that follow.
  KernelDevice(device::Ports& ports, Vm& vm, std::initializer_list<KernelWindow::Names> names)
      : ports_(ports), vm_(vm) {
    windows_.reserve(ports.window_count());
    for (u32 i = 0; i < ports.window_count(); ++i) {
      windows_.emplace_back(names.begin()[std::min<usize>(i, names.size() - 1)]);
      ports.window(i, windows_.back());
    }
  }

 protected:
  /// An ioctl that KVM refuses for a state that a file brought, or for one of its own: the user hears of it.
  void check(const Status& done) const {
    if (!done) log::warn(ports_.node().place() + ": " + done.error().text());
  }
  device::Ports& ports_;
  Vm& vm_;

 private:
  std::vector<KernelWindow> windows_;
};

/// Pins of one controller in KVM, as KVM numbers them. Wires that come here directly, not through a fan-out, get a virq
/// of their own.
class KernelPins final : public interrupt::Sink {
 public:
  KernelPins(device::Ports& ports, u32 controller) : ports_(ports), controller_(controller) {}
  void set_level(u32 pin, bool level) override {
    if (pin < virqs_.size()) ports_.routes().set_level(virq(pin), level);
  }
  void pulse(u32 pin) override {
    if (pin < virqs_.size()) ports_.routes().raise(virq(pin));
  }
  /// Makes `input`, whose pin is set, one of these.
  void take(interrupt::Controller::Input& input) {
    input.sink = this;
    input.in_kernel = true;
    input.controller = controller_;
  }

 private:
  interrupt::Virq virq(u32 pin) {
    const std::lock_guard guard(mutex_);
    if (!virqs_[pin]) {
      const u32 shown = controller_ == KVM_IRQCHIP_PIC_SLAVE ? pin + 8 : pin;
      const std::string name = fmt::format("pin {}", shown);
      interrupt::PinTarget target;
      target.controller = controller_;
      target.pin = pin;
      target.in_kernel = true;
      target.name = name;
      target.node = ports_.node().path();
      virqs_[pin] = ports_.routes().take({{std::nullopt, target.node + " " + name, {target}}}).front();
    }
    return *virqs_[pin];
  }

  device::Ports& ports_;
  const u32 controller_;
  std::mutex mutex_;
  std::array<std::optional<interrupt::Virq>, models::apic::kIoApicPins> virqs_{};
};

class KernelIoApic final : public KernelDevice, public interrupt::Controller {
 public:
  KernelIoApic(device::Ports& ports, Vm& vm)
      : KernelDevice(ports, vm, {models::apic::ioapic_register_name}), pins_(ports, KVM_IRQCHIP_IOAPIC) {
    ports.provide_controller(*this);
  }
  [[nodiscard]] std::string describe() const override { return "I/O APIC in KVM"; }

  Result<Input> input(std::span<const u32> specifier, u32) override {
    Input out = SOLDER_TRY(models::apic::parse_pin_specifier(specifier, models::apic::kIoApicPins));
    pins_.take(out);
    return out;
  }

  void reset() override { load({}); }
  void state(Archive& archive) override {
    models::apic::IoApicState record;
    kvm_irqchip chip{};
    chip.chip_id = KVM_IRQCHIP_IOAPIC;
    if (archive.mode() == Archive::Mode::save) {
      check(vm_.call(SOLDER_KVM(KVM_GET_IRQCHIP), &chip));
      record = ioapic_record(chip.chip.ioapic);
    }
    archive("ioapic", record);
    if (archive.mode() == Archive::Mode::load && archive.status()) load(record);
  }

 private:
  void load(const models::apic::IoApicState& record) {
    kvm_irqchip chip{};
    chip.chip_id = KVM_IRQCHIP_IOAPIC;
    check(vm_.call(SOLDER_KVM(KVM_GET_IRQCHIP), &chip));
    apply(record, chip.chip.ioapic);
    check(vm_.call(SOLDER_KVM(KVM_SET_IRQCHIP), &chip));
  }
  KernelPins pins_;
};

class KernelPic final : public KernelDevice, public interrupt::Controller {
 public:
  KernelPic(device::Ports& ports, Vm& vm)
      : KernelDevice(ports, vm, {pic_name, pic_name, elcr_name}),
        master_(ports, KVM_IRQCHIP_PIC_MASTER),
        slave_(ports, KVM_IRQCHIP_PIC_SLAVE) {
    ports.provide_controller(*this);
  }
  [[nodiscard]] std::string describe() const override { return "i8259 pair in KVM"; }

  Result<Input> input(std::span<const u32> specifier, u32) override {
    Input out = SOLDER_TRY(models::apic::parse_pin_specifier(specifier, 16));
    if (out.pin == 2) return fail("", "cell 0 (pin) is 2: there the slave is connected", "use another interrupt");
    // KVM numbers the slave's from 0.
    KernelPins& pins = out.pin < 8 ? master_ : slave_;
    out.pin %= 8;
    pins.take(out);
    return out;
  }

  void reset() override { load({}); }
  void state(Archive& archive) override {
    models::pic::PairState record;
    if (archive.mode() == Archive::Mode::save)
      for (u32 i = 0; i < 2; ++i) record.chips[i] = pic_record(get(i).chip.pic);
    archive("pic", record);
    if (archive.mode() == Archive::Mode::load && archive.status()) load(record);
  }

 private:
  kvm_irqchip get(u32 index) {
    kvm_irqchip chip{};
    chip.chip_id = index == 0 ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE;
    check(vm_.call(SOLDER_KVM(KVM_GET_IRQCHIP), &chip));
    return chip;
  }
  void load(const models::pic::PairState& record) {
    // The slave first: the master's output follows from both.
    for (u32 i = 2; i-- > 0;) {
      kvm_irqchip chip = get(i);
      apply(record.chips[i], chip.chip.pic);
      check(vm_.call(SOLDER_KVM(KVM_SET_IRQCHIP), &chip));
    }
  }
  KernelPins master_;
  KernelPins slave_;
};

class KernelPit final : public KernelDevice {
 public:
  KernelPit(device::Ports& ports, Vm& vm) : KernelDevice(ports, vm, {pit_name, port_b_name}) {}
  [[nodiscard]] std::string describe() const override { return "i8254 in KVM"; }

  Status start() override {
    if (ports_.interrupt_count() == 0) return {};
    const auto input = SOLDER_TRY(ports_.interrupt_input(0, 0));
    if (input.virq == 0u) return {};
    return fail(ports_.node().place("interrupts"),
                fmt::format("KVM's timer raises its interrupt 0, and the tree wires this one to {}{}", input.name,
                            input.virq ? fmt::format(" (KVM's {})", *input.virq) : ""),
                R"(use interrupt 0 of a "solder,gsi" node, or set solder,backend = "user" for the controllers)");
  }
  void reset() override { load({}); }
  void state(Archive& archive) override {
    models::timer::PitState record;
    if (archive.mode() == Archive::Mode::save) {
      kvm_pit_state2 pit{};
      check(vm_.call(SOLDER_KVM(KVM_GET_PIT2), &pit));
      record = pit_record(pit, to_machine());
    }
    record.state(archive);
    if (archive.mode() == Archive::Mode::load && archive.status()) load(record);
  }

 private:
  void load(const models::timer::PitState& record) {
    kvm_pit_state2 pit{};
    apply(record, pit, to_machine());
    check(vm_.call(SOLDER_KVM(KVM_SET_PIT2), &pit));
  }
  [[nodiscard]] i64 to_machine() const {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<i64>(ports_.clock().now()) - (i64{now.tv_sec} * 1'000'000'000 + now.tv_nsec);
  }
};

}  // namespace

std::unique_ptr<device::Device> make_kernel_ioapic(device::Ports& ports, Vm& vm) {
  return std::make_unique<KernelIoApic>(ports, vm);
}
std::unique_ptr<device::Device> make_kernel_pic(device::Ports& ports, Vm& vm) {
  return std::make_unique<KernelPic>(ports, vm);
}
std::unique_ptr<device::Device> make_kernel_pit(device::Ports& ports, Vm& vm) {
  return std::make_unique<KernelPit>(ports, vm);
}

}  // namespace solder::accel::kvm::x86
