/// What the data sheets call the registers of a PC's APICs, for traces: of the models here, and of those that the
/// host's kernel runs.
#pragma once

#include <string>

#include "base/types.h"

namespace solder::models::apic {

/// The local APIC's page (Intel SDM volume 3, table 11-1). Empty: no register is at `offset`.
[[nodiscard]] std::string lapic_register_name(u64 offset);
/// The I/O APIC's (82093AA, section 3.1). IOWIN shows what IOREGSEL selected, which a name cannot know.
[[nodiscard]] std::string ioapic_register_name(u64 offset);

}  // namespace solder::models::apic
