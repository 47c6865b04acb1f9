/// PVH: Xen's hvm_start_info (public/arch-x86/hvm/start_info.h), which a kernel finds in EBX.
#pragma once

#include <span>
#include <vector>

#include "base/types.h"
#include "boot/x86/memory_map.h"

namespace solder::boot::x86 {

struct StartInfo {
  std::span<const MemoryRange> memory;
  Gpa command_line = 0;  ///< 0: none
  Gpa initrd = 0;
  u64 initrd_size = 0;  ///< 0: no module
  Gpa rsdp = 0;
};

/// The structure, version 1, with its list of modules and its memory map behind it, made to lie at `address`.
[[nodiscard]] std::vector<u8> make_start_info(Gpa address, const StartInfo& info);

}  // namespace solder::boot::x86
