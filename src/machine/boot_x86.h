/// Starting an x86 kernel or program, which is told of the machine by ACPI, E820 and SMBIOS.
#pragma once

#include <vector>

#include "boot/acpi/tables.h"
#include "machine/boot_files.h"

namespace solder::machine {

/// Errors: the kernel is neither a bzImage nor an ELF program for x86, or is damaged.
[[nodiscard]] Status check_x86(const BootFiles& files);
/// Puts kernel, initrd, ACPI's tables, SMBIOS and the protocol's structures into the machine's RAM.
[[nodiscard]] Result<cpu::EntryState> load_x86(Machine& machine, const BootFiles& files);

/// RAM as the tree's memory nodes describe it, without entries of size zero.
[[nodiscard]] Result<std::vector<boot::Extent>> memory_of(const tree::Tree& tree, const Plan& plan);

/// ACPI's tables where a guest finds them: with the RSDP in the first MiB if they fit, else at the top of the memory
/// below 4 GiB. Errors: those of describe_acpi, no memory for them.
[[nodiscard]] Result<std::vector<boot::acpi::Table>> acpi_tables(const tree::Tree& tree, const Plan& plan);

}  // namespace solder::machine
