/// The GIC bindings' interrupt specifiers: <type number flags>, for GICv3 optionally a fourth cell.
#pragma once

#include <span>

#include "base/result.h"
#include "interrupt/wire.h"

namespace solder::models::gic {

/// A specifier's meaning. `id` is the GIC's interrupt id (SPI 0 is 32, PPI 0 is 16).
struct Specifier {
  u32 id = 0;
  interrupt::Controller::Trigger trigger = interrupt::Controller::Trigger::level_high;
};

/// `max_cells`: 3, or 4 where the binding has PPI partitions. Errors name the cell and what it may be.
[[nodiscard]] Result<Specifier> parse_specifier(std::span<const u32> cells, usize max_cells);

/// Pins of the controllers' sink: a shared interrupt's id; for a private one the CPU above bit 16.
[[nodiscard]] constexpr u32 pin_of(u32 id, u32 cpu) {
  return id >= 32 ? id : (cpu << 16 | id);
}

/// What `Controller::input` returns for `specifier` and `cpu`, which must exist.
[[nodiscard]] interrupt::Controller::Input make_input(const Specifier& specifier, u32 cpu, interrupt::Sink& sink);

}  // namespace solder::models::gic
