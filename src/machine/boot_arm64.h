/// Starting an arm64 kernel, which is told of the machine by a device tree.
#pragma once

#include "machine/boot_files.h"

namespace solder::machine {

/// Errors: the kernel is no arm64 Image.
[[nodiscard]] Status check_arm64(const BootFiles& files);
/// Puts kernel, initrd and the guest's tree into the machine's RAM.
[[nodiscard]] Result<cpu::EntryState> load_arm64(Machine& machine, const BootFiles& files);

}  // namespace solder::machine
