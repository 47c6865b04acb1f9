/// What ACPI tells a guest of a machine, read off the machine's tree.
#pragma once

#include <vector>

#include "base/result.h"
#include "boot/acpi/description.h"
#include "machine/plan.h"
#include "tree/document.h"

namespace solder::machine {

/// Describes what is in the machine: CPUs, interrupt controllers and the fan-out of ISA interrupts, power management,
/// and a device for every modelled node that ACPI has a name for (device::ModelInfo::acpi_hid, or a "pnpPNP,501" among
/// its compatibles). Errors: addresses that ACPI cannot express (a port above 65535, an I/O APIC above 4 GiB), a
/// malformed solder,route, too many devices; with the node's place.
[[nodiscard]] Result<boot::acpi::Description> describe_acpi(const tree::Tree& tree, const Plan& plan);

}  // namespace solder::machine
