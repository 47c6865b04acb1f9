#include "boot/smbios.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "base/bytes.h"

namespace solder::boot {
namespace {

struct Structure {
  unsigned type = 0;
  u16 handle = 0;
  std::vector<u8> bytes;
  std::vector<std::string> strings;
};

// As DSP0134, section 6.1 says to walk it; checks that the walk ends at the table's end.
std::vector<Structure> walk(const std::vector<u8>& blob, Gpa address) {
  std::vector<Structure> out;
  const u64 table = load_le<u64>(&blob[16]) - address;
  const u64 end = table + load_le<u32>(&blob[12]);
  EXPECT_EQ(end, blob.size());
  u64 at = table;
  while (at + 4 <= end) {
    Structure one;
    one.type = blob[at];
    one.handle = load_le<u16>(&blob[at + 2]);
    one.bytes.assign(blob.begin() + static_cast<std::ptrdiff_t>(at),
                     blob.begin() + static_cast<std::ptrdiff_t>(at + blob[at + 1]));
    at += blob[at + 1];
    if (blob[at] == 0) ++at;
    while (blob[at] != 0) {
      one.strings.emplace_back(reinterpret_cast<const char*>(&blob[at]));
      at += one.strings.back().size() + 1;
    }
    ++at;
    out.push_back(one);
    if (one.type == 127) break;
  }
  EXPECT_EQ(at, end);
  return out;
}

TEST(Smbios, TellsTheMachine) {
  const SmbiosMachine machine{"A board", "1.2", 3, {{0, 3_GiB}, {4_GiB, 1_GiB}}};
  const auto blob = make_smbios(0xf0000, machine);
  EXPECT_EQ(std::memcmp(blob.data(), "_SM3_", 5), 0);
  u8 sum = 0;
  for (usize i = 0; i < 24; ++i) sum = static_cast<u8>(sum + blob[i]);
  EXPECT_EQ(sum, 0);
  const auto structures = walk(blob, 0xf0000);
  std::vector<unsigned> types;
  std::vector<usize> lengths;
  for (const auto& one : structures) {
    types.push_back(one.type);
    lengths.push_back(one.bytes.size());
  }
  EXPECT_THAT(types, ::testing::ElementsAre(0, 1, 3, 4, 16, 17, 19, 19, 32, 127));
  // The lengths of version 3.0 of each structure.
  EXPECT_THAT(lengths, ::testing::ElementsAre(0x18, 0x1b, 0x16, 0x30, 0x17, 0x28, 0x1f, 0x1f, 0x0b, 4));
  EXPECT_THAT(structures[1].strings, ::testing::ElementsAre("Solder", "A board", "1.2"));
  EXPECT_EQ(structures[3].bytes[0x23], 3);                        // cores
  EXPECT_EQ(load_le<u32>(&structures[4].bytes[0x07]), 4U << 20);  // KiB
  EXPECT_EQ(load_le<u16>(&structures[5].bytes[0x0c]), 4096);      // MiB
  EXPECT_EQ(load_le<u32>(&structures[7].bytes[0x04]), 4U << 20);
  EXPECT_EQ(load_le<u32>(&structures[7].bytes[0x08]), (5U << 20) - 1);
  EXPECT_EQ(load_le<u16>(&structures[5].bytes[4]), structures[4].handle);
}

TEST(Smbios, LargeMemoryAndOddNames) {
  const SmbiosMachine machine{std::string("a\0b", 3) + std::string(5000, 'x'), "", 1000, {{0, u64{1} << 42}}};
  const auto blob = make_smbios(0xf0000, machine);
  EXPECT_LT(blob.size(), 2048U);
  const auto structures = walk(blob, 0xf0000);
  EXPECT_EQ(structures[3].bytes[0x23], 0xff);
  EXPECT_EQ(load_le<u16>(&structures[3].bytes[0x2a]), 1000);
  EXPECT_EQ(load_le<u32>(&structures[4].bytes[0x07]), 0x80000000U);
  EXPECT_EQ(load_le<u64>(&structures[4].bytes[0x0f]), u64{1} << 42);
  EXPECT_EQ(load_le<u16>(&structures[5].bytes[0x0c]), 0x7fff);
  EXPECT_EQ(load_le<u32>(&structures[5].bytes[0x1c]), 1U << 22);
  EXPECT_EQ(blob, make_smbios(0xf0000, machine));
}

}  // namespace
}  // namespace solder::boot
