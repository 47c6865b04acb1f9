#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <random>

#include "base/bytes.h"
#include "boot/arm64.h"
#include "boot/kernel_file.h"

namespace solder::boot {
namespace {

std::vector<u8> image(u64 text_offset, u64 image_size, u64 flags, usize bytes = 4096) {
  std::vector<u8> out(bytes);
  store_le<u64>(&out[8], text_offset);
  store_le<u64>(&out[16], image_size);
  store_le<u64>(&out[24], flags);
  store_le<u32>(&out[56], 0x644d5241);
  return out;
}

std::vector<u8> gzip(const std::vector<u8>& data) {
  z_stream stream{};
  EXPECT_EQ(deflateInit2(&stream, 6, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::vector<u8> out(deflateBound(&stream, data.size()) + 64);
  stream.next_in = const_cast<Bytef*>(data.data());
  stream.avail_in = static_cast<uInt>(data.size());
  stream.next_out = out.data();
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

TEST(Arm64Header, IsRead) {
  const auto header = parse_arm64_header(image(0x1000, 0x200000, 0xa), "k");
  ASSERT_TRUE(header);
  EXPECT_EQ(header->text_offset, 0x1000U);
  EXPECT_EQ(header->image_size, 0x200000U);
  EXPECT_TRUE(header->anywhere());
}

TEST(Arm64Header, OldKernelsHaveADefaultOffset) {
  const auto header = parse_arm64_header(image(0, 0, 0), "k");
  ASSERT_TRUE(header);
  EXPECT_EQ(header->text_offset, 0x80000U);
  EXPECT_EQ(header->image_size, 4096U);
}

TEST(Arm64Header, RefusesWhatIsNoKernel) {
  EXPECT_FALSE(parse_arm64_header(std::vector<u8>(10), "k"));
  EXPECT_FALSE(parse_arm64_header(std::vector<u8>(100), "k"));
  EXPECT_FALSE(parse_arm64_header(image(0x200000, 4096, 0), "k"));
  EXPECT_FALSE(parse_arm64_header(image(0, ~u64{0}, 0), "k"));
  EXPECT_FALSE(parse_arm64_header(image(0, 4096, 1), "k"));
  std::vector<u8> elf(100);
  store_be<u32>(elf.data(), 0x7f454c46);
  EXPECT_THAT(parse_arm64_header(elf, "k").error().what, testing::HasSubstr("ELF"));
}

TEST(KernelFile, GzipAndZboot) {
  const auto plain = image(0, 4096, 0);
  const auto packed = gzip(plain);
  EXPECT_EQ(unwrap_kernel(plain, "k").value(), plain);
  EXPECT_EQ(unwrap_kernel(packed, "k").value(), plain);
  std::vector<u8> zboot(64);
  store_be<u16>(zboot.data(), 0x4d5a);
  store_be<u32>(&zboot[4], 0x7a696d67);
  store_le<u32>(&zboot[8], 64);
  store_le<u32>(&zboot[12], static_cast<u32>(packed.size()));
  std::memcpy(&zboot[24], "gzip", 5);
  zboot.insert(zboot.end(), packed.begin(), packed.end());
  EXPECT_EQ(unwrap_kernel(zboot, "k").value(), plain);
  std::memcpy(&zboot[24], "zstd", 5);
  EXPECT_THAT(unwrap_kernel(zboot, "k").error().what, testing::HasSubstr("zstd"));
  std::memcpy(&zboot[24], "gzip", 5);
  store_le<u32>(&zboot[12], 0xffffffff);
  EXPECT_FALSE(unwrap_kernel(zboot, "k"));
}

TEST(KernelFile, DamagedAndEndlessGzip) {
  auto packed = gzip(std::vector<u8>(1_MiB));
  EXPECT_FALSE(gunzip(packed, 4096, "k"));
  EXPECT_TRUE(gunzip(packed, 1_MiB, "k"));
  packed.resize(packed.size() / 2);
  const auto cut = gunzip(packed, 1_MiB, "k");
  ASSERT_FALSE(cut);
  EXPECT_THAT(cut.error().what, testing::HasSubstr("damaged"));
}

// Whatever the bytes, an answer comes and nothing is overrun (the sanitizer builds look).
TEST(KernelFile, MutatedFilesAreAnswered) {
  std::mt19937_64 random(1);
  const auto plain = image(0, 4096, 0);
  const auto packed = gzip(plain);
  for (int i = 0; i < 20000; ++i) {
    auto file = (i & 1) != 0 ? plain : packed;
    for (u64 n = random() % 8; n != 0; --n) file[random() % file.size()] = static_cast<u8>(random());
    if (random() % 4 == 0) file.resize(random() % file.size());
    const auto kernel = unwrap_kernel(std::move(file), "k");
    if (kernel) (void)parse_arm64_header(*kernel, "k");
  }
}

PlacementRequest request(u64 image_size, u64 initrd, u64 text_offset = 0) {
  PlacementRequest out;
  out.header.image_size = image_size;
  out.header.text_offset = text_offset;
  out.image_bytes = image_size / 2;
  out.initrd_bytes = initrd;
  out.dtb_bytes = 8192;
  out.kernel_name = "k";
  return out;
}

TEST(Placement, NothingOverlaps) {
  const std::vector<Extent> ram = {{0x40000000, 512_MiB}};
  const std::vector<Extent> reserved = {{0x40000000, 1_MiB}, {0x44000000, 4096}};
  const auto place = place_arm64(request(40_MiB, 20_MiB, 0x80000), ram, reserved);
  ASSERT_TRUE(place) << place.error().text();
  EXPECT_EQ(place->kernel % 2_MiB, 0x80000U);
  EXPECT_EQ(place->dtb % 8, 0U);
  std::vector<Extent> all = reserved;
  all.push_back({place->kernel, 40_MiB});
  all.push_back(*place->initrd);
  all.push_back({place->dtb, place->dtb_room});
  for (usize i = 0; i < all.size(); ++i) {
    EXPECT_GE(all[i].address, ram[0].address);
    EXPECT_LE(all[i].end(), ram[0].end());
    for (usize j = 0; j < i; ++j)
      EXPECT_TRUE(all[i].address >= all[j].end() || all[j].address >= all[i].end()) << i << j;
  }
}

TEST(Placement, FindsTheBankThatFits) {
  const std::vector<Extent> ram = {{0, 8_MiB}, {0x80000000, 256_MiB}};
  const auto place = place_arm64(request(40_MiB, 0), ram, {});
  ASSERT_TRUE(place);
  EXPECT_EQ(place->kernel, 0x80000000U);
  EXPECT_FALSE(place->initrd);
}

TEST(Placement, SaysWhatDoesNotFit) {
  const std::vector<Extent> ram = {{0x40000000, 32_MiB}};
  EXPECT_THAT(place_arm64(request(40_MiB, 0), ram, {}).error().text(), testing::HasSubstr("k: needs 40 MiB"));
  EXPECT_THAT(place_arm64(request(20_MiB, 20_MiB), ram, {}).error().text(),
              testing::HasSubstr("the initrd: needs 20 MiB"));
}

}  // namespace
}  // namespace solder::boot
