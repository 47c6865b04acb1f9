/// Entering an arm64 kernel as Linux' Documentation/arm64/booting.rst says.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/types.h"
#include "boot/extent.h"

namespace solder::boot {

/// The 64-byte header at the start of every arm64 Image, EFI stub or not.
struct Arm64Header {
  u64 text_offset = 0;  ///< bytes from a 2 MiB boundary to the image
  u64 image_size = 0;   ///< bytes of memory the image needs, with what is not in the file (BSS)
  u64 flags = 0;
  [[nodiscard]] bool big_endian() const { return (flags & 1) != 0; }
  /// Bit 3: any 2 MiB boundary does; clear: as close as possible to the start of RAM.
  [[nodiscard]] bool anywhere() const { return (flags & 8) != 0; }
};

/// Errors name what is wrong with the file: too short, no "ARM\x64" magic, sizes that cannot be.
[[nodiscard]] Result<Arm64Header> parse_arm64_header(std::span<const u8> image, const std::string& name);

/// Where everything goes.
struct Placement {
  Gpa kernel = 0;  ///< of the image's first byte, which is its entry
  std::optional<Extent> initrd;
  Gpa dtb = 0;
  u64 dtb_room = 0;
};

/// What has to be placed.
struct PlacementRequest {
  Arm64Header header;
  u64 image_bytes = 0;   ///< of the file; image_size may be larger
  u64 initrd_bytes = 0;  ///< 0: none
  u64 dtb_bytes = 0;     ///< at most 2 MiB
  std::string kernel_name;
};

/// Places kernel, initrd and tree in RAM, clear of `reserved`: the kernel at the lowest 2 MiB boundary that fits, the
/// initrd within the same 32 GiB, the tree in 2 MiB of its own. Errors: RAM too small, saying how much is needed.
[[nodiscard]] Result<Placement> place_arm64(const PlacementRequest& request, std::span<const Extent> ram,
                                            std::span<const Extent> reserved);

}  // namespace solder::boot
