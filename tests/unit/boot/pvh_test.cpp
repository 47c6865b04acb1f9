#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "boot/x86/load.h"
#include "boot/x86/start_info.h"
#include "unit/boot/x86_files.h"

namespace solder::boot::x86 {
namespace {

const Piece* at(const Loaded& loaded, Gpa address) {
  for (const Piece& piece : loaded.pieces)
    if (piece.address == address) return &piece;
  return nullptr;
}

TEST(Pvh, EntersInProtectedModeWithAStartInfo) {
  const auto file = testing::elf(true, 0xffffffff81000000, {{0x1000000, {0xf4}, 0x1000}}, 0x1000040);
  const auto kernel = parse_kernel(file, "k");
  ASSERT_TRUE(kernel) << kernel.error().text();
  const std::vector<u8> initrd(5000, 1);
  LoadRequest request;
  request.kernel = &*kernel;
  request.file = file;
  request.kernel_name = "k";
  request.command_line = "quiet";
  request.initrd = initrd;
  request.ram = {{0, 64_MiB}, {u64{1} << 32, 64_MiB}};
  request.rsdp = kRsdp;
  const auto loaded = load(request);
  ASSERT_TRUE(loaded) << loaded.error().text();
  EXPECT_EQ(loaded->entry.mode, cpu::EntryMode::protected_);
  EXPECT_EQ(loaded->entry.pc, 0x1000040U);
  const auto* gdt = at(*loaded, loaded->entry.descriptor_table);
  EXPECT_EQ(load_le<u64>(gdt->bytes().data() + 0x10), 0x00cf9b000000ffffU);

  const Gpa address = loaded->entry.arguments[0];
  const auto* info = at(*loaded, address);
  ASSERT_NE(info, nullptr);
  const u8* p = info->bytes().data();
  EXPECT_EQ(load_le<u32>(p), 0x336ec578U);
  EXPECT_EQ(load_le<u32>(p + 4), 1U);
  EXPECT_EQ(load_le<u64>(p + 32), kRsdp);
  const auto* text = at(*loaded, load_le<u64>(p + 24));
  EXPECT_STREQ(reinterpret_cast<const char*>(text->bytes().data()), "quiet");
  ASSERT_EQ(load_le<u32>(p + 12), 1U);
  const u8* module = p + (load_le<u64>(p + 16) - address);
  // Linux takes a module below 4 GiB only.
  EXPECT_EQ(load_le<u64>(module), 64_MiB - 0x2000);
  EXPECT_EQ(load_le<u64>(module + 8), initrd.size());
  const u8* map = p + (load_le<u64>(p + 40) - address);
  ASSERT_EQ(load_le<u32>(p + 48), 4U);
  ASSERT_EQ(map + 4 * 24, p + info->bytes().size());
  EXPECT_EQ(load_le<u64>(map + 3 * 24), u64{1} << 32);
  EXPECT_EQ(load_le<u64>(map + 3 * 24 + 8), 64_MiB);
  EXPECT_EQ(load_le<u32>(map + 3 * 24 + 16), 1U);
}

TEST(Pvh, WithoutAnInitrdThereIsNoModule) {
  const auto bytes = make_start_info(0x5000, {});
  EXPECT_EQ(bytes.size(), 56U);
  EXPECT_EQ(load_le<u32>(&bytes[12]), 0U);
  EXPECT_EQ(load_le<u64>(&bytes[16]), 0U);
}

TEST(MemoryMap, HolesCutMemoryAndNeighboursJoin) {
  const std::vector<Extent> ram = {{0x100000, 0x100000}, {0, 0x100000}, {0x300000, 0x1000}};
  const std::vector<MemoryRange> holes = {{0x180000, 0x1000, MemoryType::acpi}, {0x181000, 0x1000, MemoryType::acpi}};
  const auto map = memory_map(ram, holes);
  ASSERT_EQ(map.size(), 6U);
  EXPECT_EQ(map[2].address, 0x100000U);
  EXPECT_EQ(map[2].size, 0x80000U);
  EXPECT_EQ(map[3].size, 0x2000U);
  EXPECT_EQ(map[3].type, MemoryType::acpi);
  EXPECT_EQ(map[4].address, 0x182000U);
  EXPECT_EQ(map[5].address, 0x300000U);
}

TEST(Rooms, AreHandedOutOnce) {
  const std::vector<Extent> ram = {{0x1000, 0x10000}};
  const std::vector<Extent> taken = {{0x4000, 0x1000}};
  Rooms rooms(ram, taken);
  EXPECT_EQ(rooms.lowest(0x3000, 0x1000, 0, ~Gpa{0}), 0x1000U);
  EXPECT_EQ(rooms.lowest(0x3000, 0x1000, 0, ~Gpa{0}), 0x5000U);
  EXPECT_EQ(rooms.highest(0x2000, 0x1000, 0, ~Gpa{0}), 0xf000U);
  EXPECT_EQ(rooms.highest(0x1000, 0x8000, 0, ~Gpa{0}), 0x8000U);
  EXPECT_FALSE(rooms.highest(0x7000, 0x1000, 0, ~Gpa{0}));
  EXPECT_FALSE(rooms.take(0x4000, 1));
  EXPECT_FALSE(rooms.take(0x20000, 1));
  EXPECT_TRUE(rooms.take(0x9000, 0x100));
}

}  // namespace
}  // namespace solder::boot::x86
