// The generic event device: what interrupts the guest to have its AML ask what happened (ACPI 6.5, section 5.6.9). One
// register of event bits, cleared by the read; the wire is high while any is set.
#include "device/acpi_hardware.h"
#include "device/registry.h"

namespace solder::models::acpi {
namespace {

namespace hw = device::acpi;

/// Whether `node` or one below it is the fixed ACPI hardware, enabled.
bool has_fixed_hardware(const tree::Node& node) {
  if (!node.enabled()) return false;
  if (node.is_compatible("solder,acpi-pm")) return true;
  for (const auto& child : node.children())
    if (has_fixed_hardware(*child)) return true;
  return false;
}

class AcpiGed final : public device::Device {
 public:
  explicit AcpiGed(device::Ports& ports) : ports_(ports), wire_(ports.level_wire(0)) {
    ports.window(0, 4).ro("EVENTS", hw::kGedEventRegister, [this] {
      const u32 events = events_;
      events_ = 0;
      wire_.set(false);
      return events;
    });
    const tree::Node* root = &ports.node();
    while (root->parent() != nullptr) root = root->parent();
    has_power_button_ = !has_fixed_hardware(*root);
  }

  void reset() override {
    events_ = 0;
    wire_.set(false);
  }

  void state(device::Archive& archive) override {
    archive("events", events_);
    wire_.set(events_ != 0);
  }

  /// One device reports the button (section 4.8.2.2.1): the fixed hardware where there is one.
  bool press_power_button() override {
    if (!has_power_button_) return false;
    const std::lock_guard guard(ports_.lock());
    events_ |= hw::kGedPowerButton;
    wire_.set(true);
    return true;
  }

 private:
  device::Ports& ports_;
  interrupt::LevelWire& wire_;
  u32 events_ = 0;
  bool has_power_button_ = false;
};

const device::Registration kGed{"solder,acpi-ged", device::make<AcpiGed>,
                                "ACPI generic event device (ACPI 6.5, 5.6.9)"};

}  // namespace
}  // namespace solder::models::acpi
