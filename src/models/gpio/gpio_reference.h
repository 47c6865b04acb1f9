/// A `gpios` entry of two-cell GPIO controllers: <&controller line flags>.
#pragma once

#include <optional>

#include "base/types.h"
#include "tree/node.h"

namespace solder::models::gpio {

struct GpioReference {
  u32 phandle = 0;
  u32 pin = 0;
  bool active_low = false;  ///< flag bit 0, dt-bindings/gpio/gpio.h
};

/// The first entry of `property`; nullopt when it is absent or too short.
[[nodiscard]] inline std::optional<GpioReference> gpio_reference(const tree::Node& node, std::string_view property) {
  const std::vector<u32> cells = node.cell_list(property);
  if (cells.size() < 3) return std::nullopt;
  return GpioReference{.phandle = cells[0], .pin = cells[1], .active_low = (cells[2] & 1) != 0};
}

}  // namespace solder::models::gpio
