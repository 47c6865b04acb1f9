/// SMBIOS 3.0: the machine's name, CPUs and memory for people and inventories (DMTF DSP0134).
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/types.h"
#include "boot/extent.h"

namespace solder::boot {

struct SmbiosMachine {
  std::string product;  ///< the tree's model
  std::string version;  ///< of Solder
  u32 cpus = 1;
  std::vector<Extent> ram;
};

/// The 64-bit entry point, and 16-byte-aligned behind it the structures of types 0, 1, 3, 4, 16, 17, 19, 32 and 127,
/// made to lie at `address`. The same machine gives the same bytes.
[[nodiscard]] std::vector<u8> make_smbios(Gpa address, const SmbiosMachine& machine);

}  // namespace solder::boot
