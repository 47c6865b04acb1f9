// A GPIO line that switches the machine off or resets it (bindings power/reset/gpio-poweroff, gpio-restart).
#include <fmt/format.h>

#include "device/registry.h"
#include "models/gpio/gpio_reference.h"

namespace solder::models::power {
namespace {

class GpioPower final : public device::Device {
 public:
  GpioPower(device::Ports& ports, const gpio::GpioReference& reference, bool restart)
      : ports_(ports), reference_(reference), restart_(restart) {}

  Status start() override {
    device::GpioPort* port = ports_.gpio(reference_.phandle);
    // On a GPIO controller that is not modelled the line leads nowhere; the guest has other ways to stop.
    if (port == nullptr) return {};
    port->watch_output(reference_.pin, [this](bool level) {
      if (level == reference_.active_low) return;
      restart_ ? ports_.control().request_reset() : ports_.control().request_shutdown();
    });
    return {};
  }

 private:
  device::Ports& ports_;
  gpio::GpioReference reference_;
  bool restart_;
};

template <bool restart>
Result<std::unique_ptr<device::Device>> create(device::Ports& ports) {
  const auto reference = gpio::gpio_reference(ports.node(), "gpios");
  if (!reference) {
    return fail(ports.node().place("gpios"), "it must name one line, <&controller line flags>", "add the property");
  }
  return std::make_unique<GpioPower>(ports, *reference, restart);
}

const device::Registration kOff{"gpio-poweroff", create<false>, "Power-off by a GPIO line"};
const device::Registration kRestart{"gpio-restart", create<true>, "Reset by a GPIO line"};

}  // namespace
}  // namespace solder::models::power
