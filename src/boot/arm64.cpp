#include "boot/arm64.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/bytes.h"
#include "boot/kernel_file.h"

namespace solder::boot {

namespace {

constexpr u64 kAlignment = 2_MiB;
constexpr u64 kDtbLimit = 2_MiB;
// The kernel maps the initrd only within 32 GiB of itself.
constexpr u64 kReach = 32_GiB;

// The lowest `address = n * 2 MiB + offset` with `size` free bytes in RAM, at or above `from`.
std::optional<Gpa> find_room(std::span<const Extent> ram, std::span<const Extent> taken, u64 size, u64 offset,
                             Gpa from) {
  for (const Extent& range : ram) {
    const Gpa low = std::max(range.address, from);
    if (low >= range.end()) continue;
    // Rounding up must not wrap: RAM ends well below 2^64 - 2 MiB in any machine that passed the address space's
    // checks.
    Gpa base = (low + kAlignment - 1) / kAlignment * kAlignment;
    while (true) {
      const Gpa start = base + offset;
      if (start < base || start > range.end() || size > range.end() - start) break;
      const auto clash = std::find_if(taken.begin(), taken.end(), [&](const Extent& other) {
        return other.size != 0 && start < other.end() && other.address < start + size;
      });
      if (clash == taken.end()) return start;
      const Gpa next = (clash->end() + kAlignment - 1) / kAlignment * kAlignment;
      base = next > base ? next : base + kAlignment;
    }
  }
  return std::nullopt;
}

}  // namespace

Result<Arm64Header> parse_arm64_header(std::span<const u8> image, const std::string& name) {
  constexpr u32 kMagic = 0x644d5241;  // "ARM\x64"
  if (image.size() < 64)
    return fail(name, fmt::format("is no arm64 kernel: {} bytes, and the header alone has 64", image.size()));
  if (load_le<u32>(image.data() + 56) != kMagic) {
    std::string hint = "pass an arm64 Image, gzip-compressed or not, such as Debian's /boot/vmlinuz-*-arm64";
    std::string what = "is no arm64 kernel: the magic number \"ARMd\" is not at byte 56";
    if (load_be<u32>(image.data()) == 0x7f454c46) what += " (this is an ELF file, perhaps vmlinux)";
    if (image.size() > 0x206 && load_le<u32>(image.data() + 0x202) == 0x53726448) what += " (this is an x86 kernel)";
    if (load_le<u32>(image.data() + 36) == 0x016f2818) what += " (this is a 32-bit ARM kernel)";
    return fail(name, std::move(what), std::move(hint));
  }
  Arm64Header header;
  header.text_offset = load_le<u64>(image.data() + 8);
  header.image_size = load_le<u64>(image.data() + 16);
  header.flags = load_le<u64>(image.data() + 24);
  // Before Linux 3.17 image_size was 0 and text_offset 0x80000, whatever it said.
  if (header.image_size == 0) {
    header.text_offset = 0x80000;
    header.image_size = image.size();
  }
  if (header.text_offset >= kAlignment)
    return fail(
        name, fmt::format("its header asks for a text offset of {:#x}, which is not below 2 MiB", header.text_offset));
  if (header.image_size > 4 * kMaximumKernelBytes)
    return fail(name,
                fmt::format("its header asks for {:#x} bytes of memory, which no kernel needs", header.image_size));
  if (header.big_endian()) return fail(name, "is a big-endian kernel; Solder's arm64 CPUs run little-endian ones");
  return header;
}

Result<Placement> place_arm64(const PlacementRequest& request, std::span<const Extent> ram,
                              std::span<const Extent> reserved) {
  if (request.dtb_bytes > kDtbLimit)
    return fail("the guest's device tree",
                fmt::format("has {} bytes; an arm64 kernel takes at most 2 MiB", request.dtb_bytes));
  u64 total = 0;
  for (const Extent& range : ram) total += range.size;
  const u64 needed = std::max(request.header.image_size, request.image_bytes);
  std::vector<Extent> taken(reserved.begin(), reserved.end());
  const auto no_room = [&](const std::string& who, u64 size) {
    return fail(who,
                fmt::format("needs {} MiB of memory in one piece, and the machine's {} MiB have no such room left",
                            (size + 1_MiB - 1) / 1_MiB, total / 1_MiB),
                "give the machine more memory (--memory)");
  };

  Placement placement;
  const auto kernel = find_room(ram, taken, needed, request.header.text_offset, 0);
  if (!kernel) return no_room(request.kernel_name, needed);
  placement.kernel = *kernel;
  taken.push_back({*kernel, needed});

  // Above the kernel first, so that what the kernel frees early stays in one piece.
  if (request.initrd_bytes != 0) {
    auto initrd = find_room(ram, taken, request.initrd_bytes, 0, *kernel);
    if (!initrd) initrd = find_room(ram, taken, request.initrd_bytes, 0, 0);
    const Gpa window = *kernel / 1_GiB * 1_GiB;
    if (!initrd || *initrd < window || *initrd + request.initrd_bytes > window + kReach)
      return no_room("the initrd", request.initrd_bytes);
    placement.initrd = Extent{*initrd, request.initrd_bytes};
    taken.push_back(*placement.initrd);
  }
  auto dtb = find_room(ram, taken, kDtbLimit, 0, *kernel);
  placement.dtb_room = kDtbLimit;
  if (!dtb) {
    // A small machine: exactly what it needs.
    placement.dtb_room = request.dtb_bytes;
    dtb = find_room(ram, taken, request.dtb_bytes, 0, 0);
  }
  if (!dtb) return no_room("the guest's device tree", request.dtb_bytes);
  placement.dtb = *dtb;
  return placement;
}

}  // namespace solder::boot
