#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <random>

#include "boot/kernel_file.h"
#include "boot/x86/load.h"
#include "unit/boot/x86_files.h"

namespace solder::boot::x86 {
namespace {

using ::testing::HasSubstr;

constexpr Extent kLow = {0, 0xc0000000};

std::string error_of(const std::vector<u8>& file) {
  const auto kernel = parse_kernel(file, "k");
  return kernel ? "no error" : kernel.error().text();
}

TEST(BzImage, HeaderIsRead) {
  const auto image = parse_bzimage(testing::bzimage(), "k");
  ASSERT_TRUE(image) << image.error().text();
  EXPECT_EQ(image->version, 0x020f);
  EXPECT_EQ(image->code_offset, 3U * 512);
  EXPECT_EQ(image->code_size, 0x4000U);
  EXPECT_TRUE(image->relocatable);
  EXPECT_TRUE(image->above_4g);
  EXPECT_EQ(image->alignment, 0x200000U);
  EXPECT_EQ(image->preferred, 0x1000000U);
  EXPECT_EQ(image->memory_size, 0x100000U);
  EXPECT_EQ(image->command_line_size, 2047U);
  EXPECT_EQ(image->setup_header.size(), 0x26cU - 0x1f1);
}

TEST(BzImage, SaysWhatIsWrong) {
  EXPECT_THAT(error_of({}), HasSubstr("k: is no x86 kernel"));
  EXPECT_THAT(error_of(std::vector<u8>(4096)), HasSubstr("neither a bzImage"));
  std::vector<u8> arm(4096);
  store_le<u32>(&arm[56], 0x644d5241);
  EXPECT_THAT(error_of(arm), HasSubstr("this is an arm64 kernel"));

  auto file = testing::bzimage();
  file.resize(0x210);
  EXPECT_THAT(error_of(file), HasSubstr("ends within its setup header"));
  file = testing::bzimage();
  file.resize(file.size() - 16);
  EXPECT_THAT(error_of(file), HasSubstr("ends within its protected-mode code"));
  file = testing::bzimage();
  store_le<u16>(&file[0x206], 0x020b);
  EXPECT_THAT(error_of(file), HasSubstr("version 2.11 of the boot protocol"));
  file = testing::bzimage();
  store_le<u16>(&file[0x236], 0);
  EXPECT_THAT(error_of(file), HasSubstr("is a 32-bit kernel"));
  file = testing::bzimage();
  store_le<u32>(&file[0x230], 0x300000);
  EXPECT_THAT(error_of(file), HasSubstr("no power of two"));
  file = testing::bzimage();
  store_le<u32>(&file[0x260], 0xffffffff);
  EXPECT_THAT(error_of(file), HasSubstr("which no kernel needs"));
  file = testing::bzimage();
  store_le<u16>(&file[0x1fe], 0);
  EXPECT_THAT(error_of(file), HasSubstr("boot flag"));
}

struct Guest {
  explicit Guest(std::vector<u8> kernel_file) : file(std::move(kernel_file)) {
    auto parsed = parse_kernel(file, "k");
    EXPECT_TRUE(parsed) << parsed.error().text();
    if (parsed) kernel = std::move(*parsed);
    request.kernel = &kernel;
    request.file = file;
    request.kernel_name = "k";
    request.command_line = "console=ttyS0 quiet";
    request.ram = {kLow};
    request.rsdp = kRsdp;
  }
  std::vector<u8> file;
  Kernel kernel;
  LoadRequest request;
};

const Piece* piece(const Loaded& loaded, std::string_view name) {
  for (const Piece& one : loaded.pieces)
    if (one.name == name) return &one;
  return nullptr;
}

TEST(BzImage, ParametersPointToEverything) {
  Guest guest(testing::bzimage());
  const std::vector<u8> initrd(0x12345, 7);
  const std::vector<u8> seed(32, 9);
  guest.request.initrd = initrd;
  guest.request.seed = seed;
  const auto loaded = load(guest.request);
  ASSERT_TRUE(loaded) << loaded.error().text();
  EXPECT_EQ(loaded->entry.mode, cpu::EntryMode::long_);
  EXPECT_EQ(loaded->entry.pc, 0x1000200U);
  EXPECT_EQ(piece(*loaded, "k")->address, 0x1000000U);
  EXPECT_EQ(piece(*loaded, "k")->bytes().size(), 0x4000U);

  const auto* params = piece(*loaded, "boot_params");
  ASSERT_NE(params, nullptr);
  EXPECT_EQ(loaded->entry.arguments[1], params->address);
  const u8* p = params->bytes().data();
  ASSERT_EQ(params->bytes().size(), 4096U);
  EXPECT_EQ(p[0x210], 0xff);                        // type_of_loader
  EXPECT_EQ(p[0x1ef], 0);                           // sentinel
  EXPECT_EQ(load_le<u32>(p + 0x202), 0x53726448U);  // the header came along
  EXPECT_EQ(load_le<u64>(p + 0x70), kRsdp);
  const auto* text = piece(*loaded, "the kernel's command line");
  EXPECT_EQ(load_le<u32>(p + 0x228), text->address);
  EXPECT_STREQ(reinterpret_cast<const char*>(text->bytes().data()), "console=ttyS0 quiet");
  // As high as initrd_addr_max lets it.
  EXPECT_EQ(load_le<u32>(p + 0x218), 0x80000000U - 0x13000);
  EXPECT_EQ(load_le<u32>(p + 0x21c), initrd.size());
  EXPECT_EQ(piece(*loaded, "the initrd")->address, 0x80000000U - 0x13000);
  // E820: low memory, firmware's, the rest.
  ASSERT_EQ(p[0x1e8], 3);
  const auto range = [&](usize i) {
    const u8* at = p + 0x2d0 + 20 * i;
    return std::array<u64, 3>{load_le<u64>(at), load_le<u64>(at + 8), load_le<u32>(at + 16)};
  };
  EXPECT_EQ(range(0), (std::array<u64, 3>{0, 0x9fc00, 1}));
  EXPECT_EQ(range(1), (std::array<u64, 3>{0x9fc00, 0x60400, 2}));
  EXPECT_EQ(range(2), (std::array<u64, 3>{0x100000, 0xbff00000, 1}));
  // The seed.
  const auto* data = piece(*loaded, "setup_data");
  EXPECT_EQ(load_le<u64>(p + 0x250), data->address);
  EXPECT_EQ(load_le<u64>(data->bytes().data()), 0U);
  EXPECT_EQ(load_le<u32>(data->bytes().data() + 8), 9U);
  EXPECT_EQ(load_le<u32>(data->bytes().data() + 12), 32U);
}

TEST(BzImage, StartsWithFlatSegmentsAndFourIdentityMappedGibibytes) {
  Guest guest(testing::bzimage());
  const auto loaded = load(guest.request);
  ASSERT_TRUE(loaded) << loaded.error().text();
  const auto* gdt = piece(*loaded, "the descriptor table");
  EXPECT_EQ(loaded->entry.descriptor_table, gdt->address);
  EXPECT_EQ(load_le<u64>(gdt->bytes().data() + 0x10), 0x00af9b000000ffffU);
  EXPECT_EQ(load_le<u64>(gdt->bytes().data() + 0x18), 0x00cf93000000ffffU);
  const auto* tables = piece(*loaded, "the page tables");
  EXPECT_EQ(loaded->entry.page_table, tables->address);
  const auto bytes = tables->bytes();
  // As the CPU walks (Intel SDM volume 3, section 4.5).
  for (const u64 address : {u64{0}, u64{0x1000200}, u64{0xfee00000}, u64{0xffffffff}}) {
    u64 entry = tables->address;
    for (const unsigned shift : {39U, 30U, 21U}) {
      const u64 at = (entry & 0xffffffffff000) - tables->address + 8 * (address >> shift & 511);
      ASSERT_LE(at + 8, bytes.size());
      entry = load_le<u64>(&bytes[at]);
      ASSERT_EQ(entry & 3, 3U);
    }
    EXPECT_NE(entry & 0x80, 0U);
    EXPECT_EQ((entry & 0xfffffffe00000) + (address & 0x1fffff), address);
  }
}

TEST(BzImage, NothingOverlaps) {
  for (const u64 megabytes : {19, 24, 40, 512}) {
    Guest guest(testing::bzimage(0x40000, 0x100000));
    const std::vector<u8> initrd(1_MiB, 7);
    const std::vector<u8> seed(32, 9);
    guest.request.initrd = initrd;
    guest.request.seed = seed;
    guest.request.ram = {{0, megabytes * 1_MiB}};
    guest.request.holes = {{0x180000, 0x1000, MemoryType::reserved}, {0x1100000, 0x10000, MemoryType::acpi}};
    const auto loaded = load(guest.request);
    ASSERT_TRUE(loaded) << loaded.error().text();
    std::vector<Extent> all = {{0, kLowStart}, {kEbda, kHighStart - kEbda}};
    for (const auto& hole : guest.request.holes) all.push_back({hole.address, hole.size});
    for (const Piece& one : loaded->pieces)
      all.push_back({one.address, one.name == "k" ? 0x100000 : one.bytes().size()});
    for (usize i = 0; i < all.size(); ++i) {
      EXPECT_LE(all[i].end(), megabytes * 1_MiB);
      for (usize j = 0; j < i; ++j)
        EXPECT_TRUE(all[i].address >= all[j].end() || all[j].address >= all[i].end()) << megabytes << ": " << i << j;
    }
  }
}

TEST(BzImage, RelocatesWhenItsPlaceIsTaken) {
  Guest guest(testing::bzimage());
  guest.request.holes = {{0x1000000, 0x1000, MemoryType::reserved}};
  auto loaded = load(guest.request);
  ASSERT_TRUE(loaded) << loaded.error().text();
  EXPECT_EQ(loaded->entry.pc, 0x200000U + 0x200);
  auto fixed = testing::bzimage();
  fixed[0x234] = 0;
  Guest stuck(std::move(fixed));
  stuck.request.holes = guest.request.holes;
  loaded = load(stuck.request);
  ASSERT_FALSE(loaded);
  EXPECT_THAT(loaded.error().text(), HasSubstr("k: needs 1024 KiB of memory in one piece"));
}

TEST(BzImage, AnInitrdGoesAboveFourGibibytesOnlyIfItMust) {
  Guest guest(testing::bzimage());
  const std::vector<u8> initrd(16_MiB, 7);
  guest.request.initrd = initrd;
  guest.request.ram = {{0, 20_MiB}, {u64{1} << 32, 64_MiB}};
  const auto loaded = load(guest.request);
  ASSERT_TRUE(loaded) << loaded.error().text();
  const u64 address = (u64{1} << 32) + 48_MiB;
  EXPECT_EQ(piece(*loaded, "the initrd")->address, address);
  const u8* p = piece(*loaded, "boot_params")->bytes().data();
  EXPECT_EQ(load_le<u32>(p + 0x218), static_cast<u32>(address));
  EXPECT_EQ(load_le<u32>(p + 0xc0), 1U);
  auto old = testing::bzimage();
  store_le<u16>(&old[0x236], 1);
  Guest low(std::move(old));
  low.request.initrd = initrd;
  low.request.ram = guest.request.ram;
  EXPECT_THAT(load(low.request).error().text(), HasSubstr("the initrd: needs 16384 KiB"));
}

TEST(BzImage, SaysWhatTheMachineLacks) {
  Guest guest(testing::bzimage());
  guest.request.ram = {{0, 2_MiB}};
  EXPECT_THAT(load(guest.request).error().text(), HasSubstr("the machine's 2 MiB have no such room left"));
  guest.request.ram = {{0x40000000, 64_MiB}};
  EXPECT_THAT(load(guest.request).error().text(), HasSubstr("let a memory node start at 0"));
  guest.request.ram = {kLow};
  guest.request.command_line = std::string(2048, 'x');
  EXPECT_THAT(load(guest.request).error().text(), HasSubstr("has 2048 characters, and k takes 2047"));
}

TEST(BzImage, LongMemoryMapsGoOnInSetupData) {
  Guest guest(testing::bzimage());
  for (u32 i = 0; i < 200; ++i)
    guest.request.holes.push_back({0x10000000 + i * u64{0x100000}, 0x1000, MemoryType::reserved});
  const auto loaded = load(guest.request);
  ASSERT_TRUE(loaded) << loaded.error().text();
  EXPECT_EQ(piece(*loaded, "boot_params")->bytes()[0x1e8], 128);
  const auto* data = piece(*loaded, "setup_data");
  ASSERT_NE(data, nullptr);
  const u8* p = data->bytes().data();
  EXPECT_EQ(load_le<u32>(p + 8), 1U);
  // Three ranges without holes; each hole splits one in two.
  EXPECT_EQ(load_le<u32>(p + 12), (3 + 400 - 128) * 20U);
  // Entry 128 is the memory behind the 63rd hole, 129 the next hole.
  EXPECT_EQ(load_le<u64>(p + 16), 0x10000000U + 62 * 0x100000 + 0x1000);
  EXPECT_EQ(load_le<u32>(p + 16 + 16), 1U);
  EXPECT_EQ(load_le<u64>(p + 36), 0x10000000U + 63 * 0x100000);
  EXPECT_EQ(load_le<u32>(p + 36 + 16), 2U);
}

TEST(BzImage, DebiansKernelIsOne) {
  for (const char* flavour : {"cloud", "generic"}) {
    const auto path =
        std::filesystem::path(SOLDER_SOURCE_DIR) / ".cache/guests/amd64" / (std::string("vmlinuz-") + flavour);
    if (!std::filesystem::exists(path)) GTEST_SKIP() << path << " is not there: scripts/fetch-guest --arch amd64";
    const auto file = read_file(path, kMaximumKernelBytes);
    ASSERT_TRUE(file) << file.error().text();
    const auto image = parse_bzimage(*file, path.string());
    ASSERT_TRUE(image) << image.error().text();
    EXPECT_GE(image->version, 0x020f);
    EXPECT_TRUE(image->relocatable);
    EXPECT_TRUE(image->above_4g);
    EXPECT_EQ(image->preferred, 0x1000000U);
    EXPECT_GT(image->memory_size, image->code_size);
    Guest guest(*file);
    const auto loaded = load(guest.request);
    EXPECT_TRUE(loaded) << loaded.error().text();
  }
}

// Whatever the bytes, an answer comes and nothing is overrun (the sanitizer builds look).
TEST(BzImage, MutatedFilesAreAnswered) {
  std::mt19937_64 random(1);
  const auto plain = testing::bzimage();
  u64 loads = 0;
  for (int i = 0; i < 20000; ++i) {
    auto file = plain;
    for (u64 n = 1 + random() % 4; n != 0; --n) file[0x1f1 + random() % 0x7b] = static_cast<u8>(random());
    if (random() % 4 == 0) file.resize(random() % file.size());
    const auto kernel = parse_kernel(file, "k");
    if (!kernel) continue;
    LoadRequest request;
    request.kernel = &*kernel;
    request.file = file;
    request.kernel_name = "k";
    request.ram = {{0, 256_MiB}};
    const auto loaded = load(request);
    if (!loaded) continue;
    ++loads;
    for (const Piece& one : loaded->pieces) EXPECT_LE(one.address + one.bytes().size(), 256_MiB);
  }
  EXPECT_GT(loads, 1000U);
}

}  // namespace
}  // namespace solder::boot::x86
