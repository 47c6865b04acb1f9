/// ELF files as kernels: segments, entry, and the note that says where Xen and its likes enter (PVH).
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/types.h"

namespace solder::boot::x86 {

/// Bytes of the file that go to a physical address, followed by zeros up to `memory_size`.
struct Segment {
  Gpa address = 0;
  u64 memory_size = 0;
  u64 offset = 0;  ///< in the file
  u64 file_size = 0;
};

struct ElfImage {
  bool is_64 = false;
  u64 entry = 0;
  std::vector<Segment> segments;  ///< with memory; no two overlap
  /// XEN_ELFNOTE_PHYS32_ENTRY (Xen's include/public/elfnote.h): entered in 32-bit mode with a start_info.
  std::optional<u32> pvh_entry;
};

[[nodiscard]] bool is_elf(std::span<const u8> file);

/// Reads an x86 executable. Errors: truncated, not for x86, not little-endian, nothing to load, segments that overlap
/// or wrap, no way in.
[[nodiscard]] Result<ElfImage> parse_elf(std::span<const u8> file, const std::string& name);

}  // namespace solder::boot::x86
