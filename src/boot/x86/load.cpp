#include "boot/x86/load.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/bytes.h"
#include "boot/x86/start_info.h"

namespace solder::boot::x86 {

namespace {

constexpr u64 kPage = 4096;
constexpr u64 k4G = u64{1} << 32;
/// What kernels without a header of their own are told is theirs.
constexpr u64 kPlainCommandLine = 2047;

// Flat segments at the selectors that Linux wants, __BOOT_CS 0x10 and __BOOT_DS 0x18 (boot.rst, "64-bit Boot
// Protocol"), and that CPUs are started with in 32-bit mode too.
std::vector<u8> make_descriptors(cpu::EntryMode mode) {
  const u64 code = mode == cpu::EntryMode::long_ ? 0x00af9b000000ffff : 0x00cf9b000000ffff;
  const u64 descriptors[] = {0, 0, code, 0x00cf93000000ffff};
  std::vector<u8> out(sizeof descriptors);
  for (usize i = 0; i < std::size(descriptors); ++i) store_le<u64>(&out[8 * i], descriptors[i]);
  return out;
}

// The first 4 GiB, one to one, in pages of 2 MiB: a PML4, a directory pointer table, four directories.
std::vector<u8> make_page_tables(Gpa address) {
  constexpr u64 kPresent = 1;
  constexpr u64 kWritable = 2;
  constexpr u64 kLarge = 0x80;
  std::vector<u8> out(6 * kPage);
  store_le<u64>(&out[0], (address + kPage) | kPresent | kWritable);
  for (u64 i = 0; i < 4; ++i) store_le<u64>(&out[kPage + 8 * i], (address + (2 + i) * kPage) | kPresent | kWritable);
  for (u64 i = 0; i < 4 * 512; ++i) store_le<u64>(&out[2 * kPage + 8 * i], (i * 2_MiB) | kPresent | kWritable | kLarge);
  return out;
}

class Loader {
 public:
  explicit Loader(const LoadRequest& request) : request_(request), rooms_(request.ram, taken(request)) {
    for (const Extent& extent : request.ram) ram_size_ += extent.size;
    map_ = memory_map(request.ram, request.holes);
  }

  Result<Loaded> run() {
    if (!rooms_.is_ram(0, kEbda))
      return fail("the machine's memory", fmt::format("is not there from 0 to {:#x}, where a PC's is", kEbda),
                  "let a memory node start at 0");
    if (const auto* image = std::get_if<BzImage>(request_.kernel)) SOLDER_TRY_STATUS(load_bzimage(*image));
    if (const auto* image = std::get_if<ElfImage>(request_.kernel)) SOLDER_TRY_STATUS(load_elf(*image));
    return std::move(out_);
  }

 private:
  static std::vector<Extent> taken(const LoadRequest& request) {
    std::vector<Extent> out;
    // Vectors and data of a BIOS; the EBDA, the adapters' and the firmware's memory.
    out.push_back({0, kLowStart});
    out.push_back({kEbda, kHighStart - kEbda});
    for (const MemoryRange& hole : request.holes) out.push_back({hole.address, hole.size});
    return out;
  }

  std::unexpected<Error> no_room(const std::string& who, u64 size) const {
    return fail(who,
                fmt::format("needs {} KiB of memory in one piece, and the machine's {} MiB have no such room left",
                            (size + 1023) / 1024, ram_size_ / 1_MiB),
                "give the machine more memory (--memory)");
  }

  // Something made here, in the lowest free pages below the EBDA.
  Result<Gpa> room_below(u64 size, const std::string& name) {
    const auto at = rooms_.lowest(size, kPage, kLowStart, kEbda);
    if (!at) return no_room(name, size);
    return *at;
  }
  Result<Gpa> put_low(std::vector<u8> bytes, const std::string& name) {
    const Gpa at = SOLDER_TRY(room_below(bytes.size(), name));
    out_.pieces.push_back({at, std::move(bytes), {}, name});
    return at;
  }

  Status check_command_line(u64 limit) const {
    if (request_.command_line.size() > limit)
      return fail(
          "the kernel's command line",
          fmt::format("has {} characters, and {} takes {}", request_.command_line.size(), request_.kernel_name, limit),
          "shorten --append, or bootargs of /chosen");
    return {};
  }

  Result<Gpa> put_command_line() {
    std::vector<u8> text(request_.command_line.begin(), request_.command_line.end());
    text.push_back(0);
    return put_low(std::move(text), "the kernel's command line");
  }

  // As high as it may, so that it is not in the way of what a kernel allocates first.
  Result<Gpa> put_initrd(u64 limit) {
    if (request_.initrd.empty()) return Gpa{0};
    const auto at = rooms_.highest(request_.initrd.size(), kPage, kHighStart, limit);
    if (!at) return no_room("the initrd", request_.initrd.size());
    out_.pieces.push_back({*at, {}, request_.initrd, "the initrd"});
    return *at;
  }

  Status put_boot_params(std::span<const u8> header, Gpa initrd) {
    BootParams params;
    params.setup_header = header;
    params.memory = map_;
    params.command_line = SOLDER_TRY(put_command_line());
    params.initrd = initrd;
    params.initrd_size = request_.initrd.size();
    params.rsdp = request_.rsdp;
    if (const u64 size = make_setup_data(0, map_, request_.seed).size(); size != 0) {
      params.setup_data = SOLDER_TRY(room_below(size, "setup_data"));
      out_.pieces.push_back(
          {params.setup_data, make_setup_data(params.setup_data, map_, request_.seed), {}, "setup_data"});
    }
    out_.entry.arguments[1] = SOLDER_TRY(put_low(make_boot_params(params), "boot_params"));
    return {};
  }

  Status enter_long(u64 pc) {
    out_.entry.mode = cpu::EntryMode::long_;
    out_.entry.pc = pc;
    out_.entry.descriptor_table = SOLDER_TRY(put_low(make_descriptors(out_.entry.mode), "the descriptor table"));
    const u64 size = make_page_tables(0).size();
    out_.entry.page_table = SOLDER_TRY(room_below(size, "the page tables"));
    out_.pieces.push_back({out_.entry.page_table, make_page_tables(out_.entry.page_table), {}, "the page tables"});
    return {};
  }

  Status load_bzimage(const BzImage& image) {
    SOLDER_TRY_STATUS(check_command_line(image.command_line_size));
    std::optional<Gpa> at;
    // The page tables map 4 GiB, and the kernel wants all of itself mapped.
    const bool mapped = image.preferred < k4G && image.memory_size <= k4G - image.preferred;
    if (mapped && rooms_.take(image.preferred, image.memory_size)) {
      at = image.preferred;
    } else if (image.relocatable) {
      at = rooms_.lowest(image.memory_size, std::max(image.alignment, kPage), kHighStart, k4G);
    }
    if (!at) return no_room(request_.kernel_name, image.memory_size);
    out_.pieces.push_back({*at, {}, request_.file.subspan(image.code_offset, image.code_size), request_.kernel_name});
    const u64 limit = std::min(image.initrd_limit + 1, k4G);
    auto initrd = put_initrd(limit);
    if (!initrd && image.above_4g) initrd = put_initrd(~Gpa{0});
    if (!initrd) return std::unexpected(initrd.error());
    SOLDER_TRY_STATUS(put_boot_params(image.setup_header, *initrd));
    return enter_long(*at + kEntry64);
  }

  Status load_elf(const ElfImage& image) {
    SOLDER_TRY_STATUS(check_command_line(kPlainCommandLine));
    for (const Segment& segment : image.segments) {
      const Gpa last = segment.address + (segment.memory_size - 1);
      if (!rooms_.is_ram(segment.address, segment.memory_size))
        return fail(
            request_.kernel_name,
            fmt::format("has a segment at {:#x} to {:#x}, outside of the machine's memory", segment.address, last),
            "give the machine more memory (--memory), or link the program elsewhere");
      if (!rooms_.take(segment.address, segment.memory_size))
        return fail(request_.kernel_name,
                    fmt::format("has a segment at {:#x} to {:#x}, which is not free: below {:#x} are vectors, from "
                                "{:#x} to {:#x} firmware, and the tree may reserve more",
                                segment.address, last, kLowStart, kEbda, kHighStart),
                    "link the program to 1 MiB or above");
      out_.pieces.push_back(
          {segment.address, {}, request_.file.subspan(segment.offset, segment.file_size), request_.kernel_name});
    }
    const Gpa initrd = SOLDER_TRY(put_initrd(k4G));
    if (!image.pvh_entry) {
      SOLDER_TRY_STATUS(put_boot_params({}, initrd));
      if (image.entry >= k4G)
        return fail(request_.kernel_name,
                    fmt::format("has its entry at {:#x}; the page tables that it starts with map 4 GiB", image.entry),
                    "link its entry to a physical address");
      return enter_long(image.entry);
    }
    StartInfo info;
    info.memory = map_;
    info.command_line = SOLDER_TRY(put_command_line());
    info.initrd = initrd;
    info.initrd_size = request_.initrd.size();
    info.rsdp = request_.rsdp;
    const Gpa at = SOLDER_TRY(room_below(make_start_info(0, info).size(), "the start_info"));
    out_.pieces.push_back({at, make_start_info(at, info), {}, "the start_info"});
    out_.entry.mode = cpu::EntryMode::protected_;
    out_.entry.pc = *image.pvh_entry;
    out_.entry.arguments[0] = at;
    out_.entry.descriptor_table = SOLDER_TRY(put_low(make_descriptors(out_.entry.mode), "the descriptor table"));
    return {};
  }

  const LoadRequest& request_;
  Rooms rooms_;
  std::vector<MemoryRange> map_;
  u64 ram_size_ = 0;
  Loaded out_;
};

}  // namespace

Result<Kernel> parse_kernel(std::span<const u8> file, const std::string& name) {
  if (is_elf(file)) return SOLDER_TRY(parse_elf(file, name));
  if (is_bzimage(file)) return SOLDER_TRY(parse_bzimage(file, name));
  std::string what = "is no x86 kernel: neither a bzImage (\"HdrS\" at byte 0x202) nor an ELF file";
  if (file.size() >= 64 && load_le<u32>(&file[56]) == 0x644d5241) what += " (this is an arm64 kernel)";
  return fail(name, std::move(what), "pass a bzImage, such as Debian's /boot/vmlinuz-*-amd64, or an ELF program");
}

Result<Loaded> load(const LoadRequest& request) {
  return Loader(request).run();
}

}  // namespace solder::boot::x86
