#include "models/gic/specifier.h"

#include <fmt/format.h>

#include "models/gic/interrupt_state.h"

namespace solder::models::gic {

Result<Specifier> parse_specifier(std::span<const u32> cells, usize max_cells) {
  if (cells.size() < 3 || cells.size() > max_cells) {
    return fail(
        "",
        fmt::format("a GIC interrupt has {} cells, but this one has {}", max_cells == 3 ? "3" : "3 or 4", cells.size()),
        "write <type number flags>: type 0 for an SPI, 1 for a PPI");
  }
  const u32 type = cells[0];
  const u32 number = cells[1];
  if (type > 1) {
    return fail("", fmt::format("cell 0 (interrupt type) is {}: this GIC knows 0 (SPI) and 1 (PPI)", type),
                type <= 3 ? "extended SPIs and PPIs are not modelled; use an SPI or a PPI" : "");
  }
  if (type == 0 && number >= kSpecialIds - 32) {
    return fail("", fmt::format("cell 1 (SPI number) is {}: a GIC has SPIs 0 to {}", number, kSpecialIds - 33));
  }
  if (type == 1 && number > 15) {
    return fail("", fmt::format("cell 1 (PPI number) is {}: a GIC has PPIs 0 to 15", number),
                number < 32 ? fmt::format("count PPIs from 0: interrupt id {} is PPI {}", number, number - 16) : "");
  }
  Specifier out;
  out.id = type == 0 ? number + 32 : number + 16;
  using Trigger = interrupt::Controller::Trigger;
  switch (cells[2] & 0xf) {
    case 0:  // no type given: as a level, which is the GIC's reset value
    case 4:
      out.trigger = Trigger::level_high;
      break;
    case 1:
      out.trigger = Trigger::edge_rising;
      break;
    case 2:
      out.trigger = Trigger::edge_falling;
      break;
    case 8:
      out.trigger = Trigger::level_low;
      break;
    default:
      return fail("", fmt::format("cell 2 (flags) is {:#x}: its low 4 bits must be one of 1 (rising edge), 2 (falling "
                                  "edge), 4 (level high), 8 (level low)",
                                  cells[2]));
  }
  return out;
}

interrupt::Controller::Input make_input(const Specifier& specifier, u32 cpu, interrupt::Sink& sink) {
  const bool shared = specifier.id >= 32;
  return {.sink = &sink,
          .pin = pin_of(specifier.id, cpu),
          .trigger = specifier.trigger,
          .name = shared ? fmt::format("SPI {}", specifier.id - 32)
                         : fmt::format("PPI {} of cpu {}", specifier.id - 16, cpu)};
}

}  // namespace solder::models::gic
