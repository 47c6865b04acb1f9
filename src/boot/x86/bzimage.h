/// Linux' bzImage and its boot protocol (Documentation/arch/x86/boot.rst), entered at the 64-bit entry point.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/types.h"
#include "boot/x86/memory_map.h"

namespace solder::boot::x86 {

/// The setup header of a kernel that has a 64-bit entry point.
struct BzImage {
  u16 version = 0;      ///< of the protocol: 0x020f is 2.15
  u64 code_offset = 0;  ///< in the file: of the protected-mode kernel
  u64 code_size = 0;
  bool relocatable = false;
  u64 alignment = 0;             ///< of the load address; a power of two
  u64 preferred = 0;             ///< load address
  u64 memory_size = 0;           ///< what the kernel needs from its load address on, to unpack itself
  u64 initrd_limit = 0;          ///< the highest address that the initrd's last byte may have
  bool above_4g = false;         ///< kernel, initrd, command line may lie above 4 GiB
  u32 command_line_size = 0;     ///< without the NUL
  std::vector<u8> setup_header;  ///< the file's bytes from 0x1f1 to the header's end
};

/// Offset of the setup header, in the file and in boot_params.
inline constexpr usize kSetupHeader = 0x1f1;
/// The 64-bit entry point, from the load address.
inline constexpr u64 kEntry64 = 0x200;

[[nodiscard]] bool is_bzimage(std::span<const u8> file);

/// Errors: truncated, a protocol before 2.12, a 32-bit kernel, sizes that cannot be.
[[nodiscard]] Result<BzImage> parse_bzimage(std::span<const u8> file, const std::string& name);

/// What goes into boot_params (the "zero page", 4096 bytes). Kernels without a setup header (vmlinux) get one with what
/// a loader sets.
struct BootParams {
  std::span<const u8> setup_header;  ///< empty: none
  std::span<const MemoryRange> memory;
  Gpa command_line = 0;
  Gpa initrd = 0;
  u64 initrd_size = 0;
  Gpa rsdp = 0;
  Gpa setup_data = 0;  ///< first element of the list; 0: none
};
[[nodiscard]] std::vector<u8> make_boot_params(const BootParams& params);

/// Entries of the memory map that boot_params has room for.
inline constexpr usize kBootParamsRanges = 128;

/// The setup_data list (struct setup_data): a random seed (SETUP_RNG_SEED), and the memory ranges that boot_params has
/// no room for (SETUP_E820_EXT), made to lie at `address`. Empty when there is nothing to say.
[[nodiscard]] std::vector<u8> make_setup_data(Gpa address, std::span<const MemoryRange> memory,
                                              std::span<const u8> seed);

}  // namespace solder::boot::x86
