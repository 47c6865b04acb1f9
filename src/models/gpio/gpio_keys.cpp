// Keys on GPIO lines (binding input/gpio-keys): the power button among them can be pressed from outside.
#include <vector>

#include "device/registry.h"
#include "models/gpio/gpio_reference.h"

namespace solder::models::gpio {
namespace {

constexpr u32 kPowerKey = 116;  // KEY_POWER, dt-bindings/input/linux-event-codes.h
// Longer than any sensible debounce-interval, shorter than a long press.
constexpr time::Nanoseconds kPressTime = 200'000'000;

class GpioKeys final : public device::Device {
 public:
  explicit GpioKeys(device::Ports& ports) : ports_(ports), release_(ports.timers(), [this] { set_power_key(false); }) {
    for (const auto& child : ports.node().children()) {
      if (const auto reference = gpio_reference(*child, "gpios")) {
        keys_.push_back({.reference = *reference, .power = child->u32_value("linux,code") == kPowerKey});
      }
    }
  }

  Status start() override {
    // A key on a GPIO controller that is not modelled is a key nobody presses.
    for (Key& key : keys_) {
      key.port = ports_.gpio(key.reference.phandle);
      if (key.port != nullptr) key.port->set_input(key.reference.pin, key.reference.active_low);
    }
    return {};
  }

  void stop() override { release_.cancel(); }

  bool press_power_button() override {
    if (!set_power_key(true)) return false;
    release_.arm(ports_.clock().now() + kPressTime);
    return true;
  }

 private:
  struct Key {
    GpioReference reference;
    bool power = false;
    device::GpioPort* port = nullptr;
  };

  bool set_power_key(bool pressed) {
    bool found = false;
    for (const Key& key : keys_) {
      if (!key.power || key.port == nullptr) continue;
      key.port->set_input(key.reference.pin, pressed != key.reference.active_low);
      found = true;
    }
    return found;
  }

  device::Ports& ports_;
  std::vector<Key> keys_;
  time::Timer release_;
};

constexpr std::string_view kSummary = "Keys on GPIO lines; passes the power button on";
const device::Registration kKeys{"gpio-keys", device::make<GpioKeys>, kSummary};
const device::Registration kPolled{"gpio-keys-polled", device::make<GpioKeys>, kSummary};

}  // namespace
}  // namespace solder::models::gpio
