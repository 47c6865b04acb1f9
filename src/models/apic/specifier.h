/// The second cell of an interrupt specifier on PC boards, common to the local APIC, the I/O APIC, the i8259 pair and
/// the fan-out: the binding of the ISA bus.
#pragma once

#include <fmt/format.h>

#include <span>

#include "base/result.h"
#include "interrupt/wire.h"

namespace solder::models::apic {

/// 0 falling edge, 1 level high, 2 level low, 3 rising edge. Wires carry "asserted", so that polarity is for the guest
/// to know only.
[[nodiscard]] inline Result<interrupt::Controller::Trigger> parse_trigger(u32 cell) {
  using Trigger = interrupt::Controller::Trigger;
  switch (cell) {
    case 0:
      return Trigger::edge_falling;
    case 1:
      return Trigger::level_high;
    case 2:
      return Trigger::level_low;
    case 3:
      return Trigger::edge_rising;
    default:
      return fail(
          "", fmt::format("cell 1 (trigger) is {}: 0 falling edge, 1 level high, 2 level low, 3 rising edge", cell));
  }
}

/// A specifier <pin trigger> of a controller with `pins` pins. Without `sink`; `name` is "pin N".
[[nodiscard]] inline Result<interrupt::Controller::Input> parse_pin_specifier(std::span<const u32> specifier,
                                                                              u32 pins) {
  if (specifier.size() != 2)
    return fail("", fmt::format("an interrupt of this controller has 2 cells, but this one has {}", specifier.size()),
                "write <pin trigger>");
  if (specifier[0] >= pins)
    return fail("", fmt::format("cell 0 (pin) is {}: there are pins 0 to {}", specifier[0], pins - 1));
  interrupt::Controller::Input out;
  out.pin = specifier[0];
  out.trigger = SOLDER_TRY(parse_trigger(specifier[1]));
  out.name = fmt::format("pin {}", specifier[0]);
  return out;
}

/// A specifier <LINT pin, trigger> of the local APICs' node: LINT0 or LINT1 of CPU 0. Without `sink`.
[[nodiscard]] inline Result<interrupt::Controller::Input> parse_lint_specifier(std::span<const u32> specifier) {
  if (specifier.size() != 2)
    return fail("", fmt::format("a local APIC's interrupt has 2 cells, but this one has {}", specifier.size()),
                "write <pin trigger>: pin 0 for LINT0, 1 for LINT1");
  if (specifier[0] > 1)
    return fail("", fmt::format("cell 0 (LINT pin) is {}: there are LINT0 and LINT1", specifier[0]));
  interrupt::Controller::Input out;
  out.pin = specifier[0];
  out.trigger = SOLDER_TRY(parse_trigger(specifier[1]));
  out.name = fmt::format("LINT{} of cpu 0", specifier[0]);
  return out;
}

}  // namespace solder::models::apic
