#include "boot/x86/bzimage.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "base/bytes.h"

namespace solder::boot::x86 {

namespace {

constexpr usize kBootParamsSize = 4096;
// The setup header (boot.rst, "Details of Header Fields"): offsets in the file and in boot_params.
constexpr usize kSetupSectors = 0x1f1;
constexpr usize kSysSize = 0x1f4;
constexpr usize kBootFlag = 0x1fe;
constexpr usize kJumpOffset = 0x201;
constexpr usize kMagic = 0x202;
constexpr usize kVersion = 0x206;
constexpr usize kLoader = 0x210;
constexpr usize kLoadFlags = 0x211;
constexpr usize kInitrdAddress = 0x218;
constexpr usize kInitrdSize = 0x21c;
constexpr usize kCommandLine = 0x228;
constexpr usize kInitrdMaximum = 0x22c;
constexpr usize kAlignment = 0x230;
constexpr usize kRelocatable = 0x234;
constexpr usize kXLoadFlags = 0x236;
constexpr usize kCommandLineSize = 0x238;
constexpr usize kSetupData = 0x250;
constexpr usize kPreferred = 0x258;
constexpr usize kInitSize = 0x260;
constexpr usize kHeaderEnd = 0x264;  // of protocol 2.12 without the handover offset
// boot_params outside of the header (Documentation/arch/x86/zero-page.rst).
constexpr usize kAcpiRsdp = 0x070;
constexpr usize kExtInitrdAddress = 0x0c0;
constexpr usize kExtInitrdSize = 0x0c4;
constexpr usize kExtCommandLine = 0x0c8;
constexpr usize kE820Count = 0x1e8;
constexpr usize kE820Table = 0x2d0;
constexpr usize kE820Entry = 20;

constexpr u32 kHdrS = 0x53726448;
constexpr u16 kOldest = 0x020c;
constexpr u8 kUndefinedLoader = 0xff;
constexpr u8 kLoadedHigh = 1U << 0;
constexpr u16 kXlf64 = 1U << 0;
constexpr u16 kXlfAbove4G = 1U << 1;
/// No kernel needs more to unpack itself.
constexpr u64 kMaximumMemory = 2_GiB;

constexpr u32 kSetupE820Ext = 1;
constexpr u32 kSetupRngSeed = 9;

void append_range(std::vector<u8>& out, usize at, const MemoryRange& range) {
  store_le<u64>(&out[at], range.address);
  store_le<u64>(&out[at + 8], range.size);
  store_le<u32>(&out[at + 16], static_cast<u32>(range.type));
}

}  // namespace

bool is_bzimage(std::span<const u8> file) {
  return file.size() >= kMagic + 4 && load_le<u32>(&file[kMagic]) == kHdrS;
}

Result<BzImage> parse_bzimage(std::span<const u8> file, const std::string& name) {
  if (!is_bzimage(file)) return fail(name, "is no bzImage: the magic number \"HdrS\" is not at byte 0x202");
  const auto cut_off = [&](std::string_view what) {
    return fail(name, fmt::format("is a bzImage that ends within its {}, after {} bytes", what, file.size()),
                "fetch or build the file again");
  };
  if (file.size() < kHeaderEnd) return cut_off("setup header");
  if (load_le<u16>(&file[kBootFlag]) != 0xaa55)
    return fail(name, "is a damaged bzImage: its boot flag is not 0xaa55", "fetch or build the file again");
  BzImage image;
  image.version = load_le<u16>(&file[kVersion]);
  if (image.version < kOldest)
    return fail(
        name,
        fmt::format("speaks version {}.{:02} of the boot protocol; the 64-bit entry point needs 2.12 (Linux 3.8)",
                    image.version >> 8, image.version & 0xff),
        "use a newer kernel");
  const u16 flags = load_le<u16>(&file[kXLoadFlags]);
  if ((flags & kXlf64) == 0)
    return fail(name, "is a 32-bit kernel: it has no 64-bit entry point (XLF_KERNEL_64)", "use a 64-bit kernel");
  image.above_4g = (flags & kXlfAbove4G) != 0;

  const u64 sectors = file[kSetupSectors] == 0 ? 4 : file[kSetupSectors];
  image.code_offset = (sectors + 1) * 512;
  image.code_size = u64{load_le<u32>(&file[kSysSize])} * 16;
  if (image.code_offset >= file.size()) return cut_off("real-mode code");
  // The size is in paragraphs; the last one may be partly missing.
  const u64 present = file.size() - image.code_offset;
  if (image.code_size <= kEntry64 || image.code_size > present + 15) return cut_off("protected-mode code");
  image.code_size = std::min(image.code_size, present);

  image.relocatable = file[kRelocatable] != 0;
  image.alignment = load_le<u32>(&file[kAlignment]);
  if (!std::has_single_bit(image.alignment))
    return fail(name, fmt::format("asks for an alignment of {:#x}, which is no power of two", image.alignment));
  image.preferred = load_le<u64>(&file[kPreferred]);
  image.memory_size = std::max<u64>(load_le<u32>(&file[kInitSize]), image.code_size);
  if (image.memory_size > kMaximumMemory)
    return fail(name, fmt::format("asks for {:#x} bytes of memory, which no kernel needs", image.memory_size));
  image.initrd_limit = load_le<u32>(&file[kInitrdMaximum]);
  image.command_line_size = load_le<u32>(&file[kCommandLineSize]);
  // The byte behind the jump's opcode says where the header ends.
  const usize end = std::max<usize>(kMagic + file[kJumpOffset], kHeaderEnd);
  if (end > file.size()) return cut_off("setup header");
  image.setup_header.assign(file.begin() + kSetupHeader, file.begin() + static_cast<std::ptrdiff_t>(end));
  return image;
}

std::vector<u8> make_boot_params(const BootParams& params) {
  std::vector<u8> out(kBootParamsSize);
  if (params.setup_header.empty()) {
    // vmlinux: what its own unpacker would have left.
    store_le<u16>(&out[kBootFlag], 0xaa55);
    store_le<u32>(&out[kMagic], kHdrS);
    store_le<u16>(&out[kVersion], kOldest);
  } else {
    std::ranges::copy(params.setup_header, out.begin() + kSetupHeader);
  }
  out[kLoader] = kUndefinedLoader;
  out[kLoadFlags] |= kLoadedHigh;
  store_le<u32>(&out[kInitrdAddress], static_cast<u32>(params.initrd));
  store_le<u32>(&out[kInitrdSize], static_cast<u32>(params.initrd_size));
  store_le<u32>(&out[kExtInitrdAddress], static_cast<u32>(params.initrd >> 32));
  store_le<u32>(&out[kExtInitrdSize], static_cast<u32>(params.initrd_size >> 32));
  store_le<u32>(&out[kCommandLine], static_cast<u32>(params.command_line));
  store_le<u32>(&out[kExtCommandLine], static_cast<u32>(params.command_line >> 32));
  store_le<u64>(&out[kSetupData], params.setup_data);
  store_le<u64>(&out[kAcpiRsdp], params.rsdp);
  const usize count = std::min(params.memory.size(), kBootParamsRanges);
  out[kE820Count] = static_cast<u8>(count);
  for (usize i = 0; i < count; ++i) append_range(out, kE820Table + i * kE820Entry, params.memory[i]);
  return out;
}

std::vector<u8> make_setup_data(Gpa address, std::span<const MemoryRange> memory, std::span<const u8> seed) {
  std::vector<u8> out;
  usize link = 0;  // where the previous element's `next` is
  const auto add = [&](u32 type, usize size) {
    out.resize((out.size() + 7) / 8 * 8);
    const usize at = out.size();
    if (at != 0) store_le<u64>(&out[link], address + at);
    link = at;
    out.resize(at + 16 + size);
    store_le<u32>(&out[at + 8], type);
    store_le<u32>(&out[at + 12], static_cast<u32>(size));
    return at + 16;
  };
  if (!seed.empty()) {
    const usize at = add(kSetupRngSeed, seed.size());
    std::ranges::copy(seed, out.begin() + static_cast<std::ptrdiff_t>(at));
  }
  if (memory.size() > kBootParamsRanges) {
    const auto rest = memory.subspan(kBootParamsRanges);
    const usize at = add(kSetupE820Ext, rest.size() * kE820Entry);
    for (usize i = 0; i < rest.size(); ++i) append_range(out, at + i * kE820Entry, rest[i]);
  }
  return out;
}

}  // namespace solder::boot::x86
