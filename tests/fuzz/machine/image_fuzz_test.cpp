// Mutated kernels through the whole load path: read from a file, unwrapped (gzip, zboot), their header believed or not,
// placed into a machine's RAM with an initrd. Each is loaded or refused with the file's name; nothing crashes.
// SOLDER_FUZZ_ROUNDS and SOLDER_FUZZ_SEED as in machine_fuzz_test.cpp.
#include <gtest/gtest.h>
#include <zlib.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>

#include "base/bytes.h"
#include "machine/accelerator.h"
#include "machine/boards.h"
#include "machine/boot_files.h"
#include "machine/life_cycle.h"
#include "machine/machine.h"
#include "machine/shorthand.h"

namespace solder::machine {
namespace {

u64 setting(const char* name, u64 otherwise) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::strtoull(text, nullptr, 0) : otherwise;
}

// As Linux' Documentation/arm64/booting.rst lays the header out.
std::vector<u8> plain_image() {
  std::vector<u8> image(96 * 1024);
  for (usize i = 64; i < image.size(); ++i) image[i] = static_cast<u8>(i * 7);
  store_le<u64>(image.data() + 8, 0);            // text_offset
  store_le<u64>(image.data() + 16, 0x40000);     // image_size
  store_le<u64>(image.data() + 24, 0xa);         // flags: little-endian, 4 KiB pages, anywhere
  store_le<u32>(image.data() + 56, 0x644d5241);  // "ARM\x64"
  return image;
}

std::vector<u8> gzipped(const std::vector<u8>& content) {
  z_stream stream{};
  EXPECT_EQ(deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::vector<u8> out(deflateBound(&stream, content.size()) + 64);
  stream.next_in = const_cast<Bytef*>(content.data());
  stream.avail_in = static_cast<uInt>(content.size());
  stream.next_out = out.data();
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::vector<u8> zboot(const std::vector<u8>& payload) {
  std::vector<u8> out(64);
  out[0] = 'M';
  out[1] = 'Z';
  std::copy_n("zimg", 4, out.begin() + 4);
  store_le<u32>(out.data() + 8, 64);
  store_le<u32>(out.data() + 12, static_cast<u32>(payload.size()));
  std::copy_n("gzip", 5, out.begin() + 24);
  out.insert(out.end(), payload.begin(), payload.end());
  return out;
}

void mutate(std::vector<u8>& bytes, std::mt19937_64& random) {
  static constexpr u8 kBytes[] = {0, 1, 0x7f, 0x80, 0xff};
  for (u64 n = random() % 5; n != 0; --n) {
    // Headers are where the decisions are.
    const usize reach = random() % 4 != 0 ? std::min<usize>(bytes.size(), 96) : bytes.size();
    if (reach == 0) return;
    bytes[random() % reach] = random() % 2 != 0 ? static_cast<u8>(random()) : kBytes[random() % std::size(kBytes)];
  }
  if (random() % 8 == 0) bytes.resize(random() % (bytes.size() + 1));
}

TEST(WholeLoadPath, MutatedImages) {
  const auto folder = std::filesystem::temp_directory_path() / ("solder-images-" + std::to_string(::getpid()));
  std::filesystem::create_directory(folder);
  const auto path = folder / "kernel";
  const auto initrd = folder / "initrd";
  std::ofstream(initrd) << std::string(5000, 'i');
  auto composed = compose_machine({});
  ASSERT_TRUE(composed) << composed.error().text();
  const auto tree = apply_shorthand(std::move(*composed), {.cpus = {},
                                                           .memory = 64_MiB,
                                                           .disks = {},
                                                           .networks = {},
                                                           .console = "null",
                                                           .append = {},
                                                           .irqchip = {},
                                                           .kernel = path.string(),
                                                           .firmware = {},
                                                           .initrd = initrd.string()});
  ASSERT_TRUE(tree) << tree.error().text();
  const auto plan = make_plan(**tree);
  ASSERT_TRUE(plan) << plan.error().text();
  Control control;
  Backends backends({}, true);
  auto machine = Machine::build(**tree, *plan, make_dry_accelerator(), backends, control);
  ASSERT_TRUE(machine) << machine.error().text();

  const std::vector<u8> plain = plain_image();
  const std::vector<u8> packed = gzipped(plain);
  const std::vector<std::vector<u8>> seeds = {plain, packed, zboot(packed)};
  u64 loaded = 0;
  u64 refused = 0;
  const u64 seed = setting("SOLDER_FUZZ_SEED", 1);
  for (u64 round = 0; round < setting("SOLDER_FUZZ_ROUNDS", 1000); ++round) {
    std::mt19937_64 random(seed + round);
    std::vector<u8> file = seeds[round % seeds.size()];
    mutate(file, random);
    {
      std::ofstream out(path, std::ios::binary | std::ios::trunc);
      out.write(reinterpret_cast<const char*>(file.data()), static_cast<std::streamsize>(file.size()));
    }
    const auto files = BootFiles::read(**tree);
    const auto entry = files ? load_guest(**machine, *files) : std::unexpected(files.error());
    ++(entry ? loaded : refused);
    if (!entry) {
      EXPECT_FALSE(entry.error().what.empty()) << "round " << seed + round;
    }
  }
  EXPECT_GT(loaded, 0U);
  EXPECT_GT(refused, 0U);
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace solder::machine
