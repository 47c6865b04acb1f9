#include "boot/x86/elf.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <string_view>

#include "base/bytes.h"

namespace solder::boot::x86 {

namespace {

// The ELF specification, and the supplements for i386 and x86-64.
constexpr u16 kExecutable = 2;
constexpr u16 kSharedObject = 3;
constexpr u16 kI386 = 3;
constexpr u16 kX86_64 = 62;
constexpr u32 kLoad = 1;
constexpr u32 kNote = 4;
constexpr u32 kPhys32Entry = 18;
/// More program headers than any kernel has.
constexpr u16 kMaximumHeaders = 256;

struct ProgramHeader {
  u32 type = 0;
  u64 offset = 0;
  u64 physical = 0;
  u64 file_size = 0;
  u64 memory_size = 0;
  u64 alignment = 0;
};

ProgramHeader read_header(const u8* at, bool is_64) {
  ProgramHeader out;
  out.type = load_le<u32>(at);
  if (is_64) {
    out.offset = load_le<u64>(at + 8);
    out.physical = load_le<u64>(at + 24);
    out.file_size = load_le<u64>(at + 32);
    out.memory_size = load_le<u64>(at + 40);
    out.alignment = load_le<u64>(at + 48);
  } else {
    out.offset = load_le<u32>(at + 4);
    out.physical = load_le<u32>(at + 12);
    out.file_size = load_le<u32>(at + 16);
    out.memory_size = load_le<u32>(at + 20);
    out.alignment = load_le<u32>(at + 28);
  }
  return out;
}

// A note's fields are padded to four bytes, or to eight in segments aligned so.
u64 padded(u64 size, u64 alignment) {
  return (size + alignment - 1) / alignment * alignment;
}

std::optional<u32> find_pvh_note(std::span<const u8> notes, u64 alignment) {
  u64 at = 0;
  while (notes.size() - at >= 12) {
    const u64 name_size = load_le<u32>(&notes[at]);
    const u64 content_size = load_le<u32>(&notes[at + 4]);
    const u32 type = load_le<u32>(&notes[at + 8]);
    const u64 content = at + 12 + padded(name_size, alignment);
    if (content > notes.size() || content_size > notes.size() - content) return std::nullopt;
    const bool xen = name_size == 4 && std::memcmp(&notes[at + 12], "Xen", 4) == 0;
    if (xen && type == kPhys32Entry && content_size >= 4) return load_le<u32>(&notes[content]);
    at = content + padded(content_size, alignment);
    if (at > notes.size()) return std::nullopt;
  }
  return std::nullopt;
}

}  // namespace

bool is_elf(std::span<const u8> file) {
  return file.size() >= 4 && load_be<u32>(file.data()) == 0x7f454c46;
}

Result<ElfImage> parse_elf(std::span<const u8> file, const std::string& name) {
  constexpr usize kHeader32 = 52;
  constexpr usize kHeader64 = 64;
  if (!is_elf(file)) return fail(name, "is no ELF file");
  const auto cut_off = [&](std::string_view what) {
    return fail(name, fmt::format("is an ELF file that ends too early: {} lies behind its {} bytes", what, file.size()),
                "fetch or build the file again");
  };
  if (file.size() < kHeader32) return cut_off("its header");
  if (file[4] != 1 && file[4] != 2) return fail(name, fmt::format("is an ELF file of an unknown class, {}", file[4]));
  if (file[5] != 1) return fail(name, "is a big-endian ELF file; x86 is little-endian");
  ElfImage image;
  image.is_64 = file[4] == 2;
  if (image.is_64 && file.size() < kHeader64) return cut_off("its header");
  const u16 machine = load_le<u16>(&file[18]);
  if (machine != kX86_64 && machine != kI386) {
    const std::string_view what = machine == 183 ? " (64-bit ARM)" : machine == 243 ? " (RISC-V)" : "";
    return fail(name, fmt::format("is an ELF file for machine {}{}, not for x86", machine, what),
                "choose a MACHINE with such CPUs, or a kernel for this one");
  }
  const u16 type = load_le<u16>(&file[16]);
  if (type != kExecutable && type != kSharedObject)
    return fail(name, type == 1 ? "is an ELF object file, not a linked program" : "is an ELF file, but no program",
                "link it");

  image.entry = image.is_64 ? load_le<u64>(&file[24]) : load_le<u32>(&file[24]);
  const u64 table = image.is_64 ? load_le<u64>(&file[32]) : load_le<u32>(&file[28]);
  const u16 entry_size = load_le<u16>(&file[image.is_64 ? 54 : 42]);
  const u16 count = load_le<u16>(&file[image.is_64 ? 56 : 44]);
  if (count > kMaximumHeaders) return fail(name, fmt::format("has {} program headers, which no kernel has", count));
  if (count != 0 && entry_size < (image.is_64 ? 56 : 32))
    return fail(name, fmt::format("has program headers of {} bytes, too small for its class", entry_size));
  if (table > file.size() || u64{count} * entry_size > file.size() - table) return cut_off("its program header table");

  for (u16 i = 0; i < count; ++i) {
    const ProgramHeader header = read_header(&file[table + u64{i} * entry_size], image.is_64);
    if (header.type != kLoad && header.type != kNote) continue;
    if (header.offset > file.size() || header.file_size > file.size() - header.offset)
      return cut_off(fmt::format("program header {}'s content", i));
    if (header.type == kNote) {
      if (!image.pvh_entry)
        image.pvh_entry = find_pvh_note(file.subspan(header.offset, header.file_size), header.alignment == 8 ? 8 : 4);
      continue;
    }
    if (header.memory_size == 0) continue;
    if (header.file_size > header.memory_size)
      return fail(name, fmt::format("program header {} has more bytes in the file than in memory", i));
    if (header.physical + header.memory_size < header.physical)
      return fail(name, fmt::format("program header {} wraps around the address space", i));
    image.segments.push_back({header.physical, header.memory_size, header.offset, header.file_size});
  }
  if (image.segments.empty()) return fail(name, "is an ELF file with nothing to load");
  auto sorted = image.segments;
  std::ranges::sort(sorted, {}, &Segment::address);
  for (usize i = 1; i < sorted.size(); ++i)
    if (sorted[i].address < sorted[i - 1].address + sorted[i - 1].memory_size)
      return fail(name, fmt::format("has segments that overlap at {:#x}", sorted[i].address));
  if (!image.is_64 && !image.pvh_entry)
    return fail(name,
                "is a 32-bit ELF program without a PVH entry note (XEN_ELFNOTE_PHYS32_ENTRY), so there is no way to "
                "enter it",
                "add the note, or build a 64-bit program");
  return image;
}

}  // namespace solder::boot::x86
