#include "boot/x86/elf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "boot/x86/load.h"
#include "unit/boot/x86_files.h"

namespace solder::boot::x86 {
namespace {

using ::testing::HasSubstr;

std::string error_of(const std::vector<u8>& file) {
  const auto image = parse_elf(file, "k");
  return image ? "no error" : image.error().text();
}

Result<Loaded> load_into(const std::vector<u8>& file, std::vector<Extent> ram) {
  const auto kernel = SOLDER_TRY(parse_kernel(file, "k"));
  LoadRequest request;
  request.kernel = &kernel;
  request.file = file;
  request.kernel_name = "k";
  request.command_line = "quiet";
  request.ram = std::move(ram);
  request.rsdp = kRsdp;
  return load(request);
}

TEST(Elf, SegmentsAndEntryAreRead) {
  for (const bool is_64 : {false, true}) {
    const auto image =
        parse_elf(testing::elf(is_64, 0x100010, {{0x100000, std::vector<u8>(100), 0x2000}}, 0x100020), "k");
    ASSERT_TRUE(image) << image.error().text();
    EXPECT_EQ(image->is_64, is_64);
    EXPECT_EQ(image->entry, 0x100010U);
    ASSERT_EQ(image->segments.size(), 1U);
    EXPECT_EQ(image->segments[0].address, 0x100000U);
    EXPECT_EQ(image->segments[0].memory_size, 0x2000U);
    EXPECT_EQ(image->segments[0].file_size, 100U);
    EXPECT_EQ(image->pvh_entry, 0x100020U);
  }
}

TEST(Elf, SaysWhatIsWrong) {
  const std::vector<testing::Part> parts = {{0x100000, std::vector<u8>(100), 0}};
  auto file = testing::elf(true, 0x100000, parts);
  file.resize(60);
  EXPECT_THAT(error_of(file), HasSubstr("ends too early"));
  file = testing::elf(true, 0x100000, parts);
  file.resize(file.size() - 1);
  EXPECT_THAT(error_of(file), HasSubstr("program header 0's content lies behind"));
  file = testing::elf(true, 0x100000, parts);
  store_le<u16>(&file[18], 183);
  EXPECT_THAT(error_of(file), HasSubstr("machine 183 (64-bit ARM), not for x86"));
  file = testing::elf(true, 0x100000, parts);
  file[5] = 2;
  EXPECT_THAT(error_of(file), HasSubstr("big-endian"));
  file = testing::elf(true, 0x100000, parts);
  store_le<u16>(&file[16], 1);
  EXPECT_THAT(error_of(file), HasSubstr("object file"));
  EXPECT_THAT(error_of(testing::elf(true, 0, {})), HasSubstr("nothing to load"));
  EXPECT_THAT(error_of(testing::elf(true, 0, {{~u64{0} - 4, std::vector<u8>(100), 0}})), HasSubstr("wraps around"));
  EXPECT_THAT(error_of(testing::elf(true, 0, {parts[0], {0x100032, {1}, 0}})), HasSubstr("overlap at 0x100032"));
  EXPECT_THAT(error_of(testing::elf(false, 0x100000, parts)), HasSubstr("without a PVH entry note"));
  file = testing::elf(true, 0x100000, parts);
  store_le<u16>(&file[56], 60000);
  EXPECT_THAT(error_of(file), HasSubstr("60000 program headers"));
}

TEST(Elf, WithoutANoteStartsInLongModeWithBootParams) {
  const auto loaded = load_into(testing::elf(true, 0x1000000, {{0x1000000, {0xf4}, 0x1000}}), {{0, 64_MiB}});
  ASSERT_TRUE(loaded) << loaded.error().text();
  EXPECT_EQ(loaded->entry.mode, cpu::EntryMode::long_);
  EXPECT_EQ(loaded->entry.pc, 0x1000000U);
  const Gpa params = loaded->entry.arguments[1];
  const auto found = std::ranges::find(loaded->pieces, params, &Piece::address);
  ASSERT_NE(found, loaded->pieces.end());
  EXPECT_EQ(load_le<u32>(found->bytes().data() + 0x202), 0x53726448U);
  EXPECT_EQ(load_le<u64>(found->bytes().data() + 0x70), kRsdp);
  EXPECT_GT(found->bytes()[0x1e8], 0);
}

TEST(Elf, SegmentsMustBeInFreeMemory) {
  const auto outside = load_into(testing::elf(true, 0x8000000, {{0x8000000, {0xf4}, 0}}), {{0, 64_MiB}});
  EXPECT_THAT(outside.error().text(), HasSubstr("k: has a segment at 0x8000000 to 0x8000000, outside"));
  const auto firmware = load_into(testing::elf(true, 0xf0000, {{0xf0000, {0xf4}, 0}}), {{0, 64_MiB}});
  EXPECT_THAT(firmware.error().text(), HasSubstr("which is not free"));
  const auto vectors = load_into(testing::elf(true, 0x400, {{0x400, {0xf4}, 0}}), {{0, 64_MiB}});
  EXPECT_THAT(vectors.error().text(), HasSubstr("link the program to 1 MiB or above"));
  // Where the loader would have put its own things.
  const auto low = load_into(testing::elf(true, 0x1000, {{0x1000, {0xf4}, 0x8000}}), {{0, 64_MiB}});
  ASSERT_TRUE(low) << low.error().text();
  for (const Piece& one : low->pieces) EXPECT_TRUE(one.name == "k" || one.address >= 0x9000) << one.name;
  const auto entry = load_into(testing::elf(true, 0xffffffff81000000, {{0x1000000, {0xf4}, 0}}), {{0, 64_MiB}});
  EXPECT_THAT(entry.error().text(), HasSubstr("has its entry at 0xffffffff81000000"));
}

TEST(Elf, MutatedFilesAreAnswered) {
  std::mt19937_64 random(1);
  const std::vector<std::vector<u8>> plain = {
      testing::elf(true, 0x100000, {{0x100000, std::vector<u8>(64), 0x200}, {0x200000, {1}, 0}}, 0x100000),
      testing::elf(false, 0x100000, {{0x100000, std::vector<u8>(64), 0x200}}, 0x100000)};
  u64 loads = 0;
  for (int i = 0; i < 20000; ++i) {
    auto file = plain[random() % plain.size()];
    for (u64 n = random() % 4; n != 0; --n) file[random() % file.size()] = static_cast<u8>(random());
    if (random() % 8 == 0) file.resize(random() % file.size());
    const auto loaded = load_into(file, {{0, 16_MiB}});
    if (!loaded) continue;
    ++loads;
    for (const Piece& one : loaded->pieces) EXPECT_LE(one.address + one.bytes().size(), 16_MiB);
  }
  EXPECT_GT(loads, 1000U);
}

}  // namespace
}  // namespace solder::boot::x86
