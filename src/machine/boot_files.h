/// The kernel and initrd of a machine, read once and put into memory at every start.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "boot/arm64.h"
#include "machine/machine.h"

namespace solder::machine {

/// What /solder/boot names: solder,kernel and solder,initrd.
struct BootFiles {
  std::string kernel_name;
  std::vector<u8> kernel;  ///< unwrapped
  boot::Arm64Header header;
  std::vector<u8> initrd;

  /// Errors: the tree names no kernel, a file that cannot be read or is not what it should be.
  [[nodiscard]] static Result<BootFiles> read(const tree::Tree& tree);
};

/// Puts kernel, initrd and the guest's tree into the machine's RAM; how the first CPU enters.
[[nodiscard]] Result<cpu::EntryState> load_guest(Machine& machine, const BootFiles& files);

}  // namespace solder::machine
