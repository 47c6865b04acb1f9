/// Loading an x86 kernel or program: which kind it is, where everything goes, how the first CPU enters.
#pragma once

#include <span>
#include <string>
#include <variant>
#include <vector>

#include "base/result.h"
#include "boot/x86/bzimage.h"
#include "boot/x86/elf.h"
#include "boot/x86/memory_map.h"
#include "cpu/vcpu.h"

namespace solder::boot::x86 {

/// A kernel file, looked at once.
using Kernel = std::variant<BzImage, ElfImage>;

/// A bzImage or an ELF file. Errors: neither, and what those two say of damaged files.
[[nodiscard]] Result<Kernel> parse_kernel(std::span<const u8> file, const std::string& name);

struct LoadRequest {
  const Kernel* kernel = nullptr;
  std::span<const u8> file;  ///< the kernel's bytes
  std::string kernel_name;
  std::span<const u8> initrd;  ///< empty: none
  std::string command_line;
  std::span<const u8> seed;  ///< random bytes for the kernel
  std::vector<Extent> ram;
  std::vector<MemoryRange> holes;  ///< of RAM: what is in use already, as the guest shall see it
  Gpa rsdp = 0;
};

/// What is to be written where. What an ELF segment has in memory only stays as it is: fresh RAM is zero.
struct Piece {
  Gpa address = 0;
  std::vector<u8> made;       ///< content made here …
  std::span<const u8> given;  ///< … or of the request's files
  std::string name;           ///< for errors
  [[nodiscard]] std::span<const u8> bytes() const { return made.empty() ? given : std::span<const u8>(made); }
};

struct Loaded {
  std::vector<Piece> pieces;
  cpu::EntryState entry;
};

/// Places kernel, initrd, command line, parameters, page tables and descriptors in RAM. Errors: too little RAM, a
/// segment outside of RAM or on firmware's places, a command line that is too long.
[[nodiscard]] Result<Loaded> load(const LoadRequest& request);

}  // namespace solder::boot::x86
