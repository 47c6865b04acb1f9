/// The kernel and initrd of a machine, read once and put into memory at every start.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "base/result.h"
#include "boot/extent.h"
#include "machine/machine.h"

namespace solder::machine {

struct BootProtocol;

/// What /solder/boot names: solder,kernel and solder,initrd; or nothing but a machine that starts at its ROM
/// (solder,from-rom).
struct BootFiles {
  bool from_rom = false;  ///< the CPU starts where it does after power-on; what follows is empty
  std::string kernel_name;
  std::vector<u8> kernel;  ///< unwrapped
  std::vector<u8> initrd;
  const BootProtocol* protocol = nullptr;  ///< of the machine's CPUs

  /// Errors: the tree names no kernel, a file that cannot be read or is not what it should be.
  [[nodiscard]] static Result<BootFiles> read(const tree::Tree& tree);
};

/// How the kernels of one CPU architecture are told of the machine and entered.
struct BootProtocol {
  std::string_view cpus;  ///< how the compatibles of its CPUs start
  /// Errors: the kernel is not one for these CPUs.
  Status (*check)(const BootFiles& files);
  Result<cpu::EntryState> (*load)(Machine& machine, const BootFiles& files);
  /// Where a CPU starts after power-on.
  cpu::EntryState power_on;
};

/// Puts kernel, initrd and what tells of the machine into its RAM; how the first CPU enters.
[[nodiscard]] Result<cpu::EntryState> load_guest(Machine& machine, const BootFiles& files);

/// What the tree keeps for others: /memreserve/ and the fixed entries of /reserved-memory.
[[nodiscard]] Result<std::vector<boot::Extent>> reserved_extents(const tree::Tree& tree);

/// Random bytes for the guest's own generator: eight for KASLR, the rest a seed.
[[nodiscard]] std::array<u8, 40> random_seed();

}  // namespace solder::machine
