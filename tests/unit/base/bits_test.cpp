#include "base/bits.h"

#include <gtest/gtest.h>

namespace solder {
namespace {

TEST(Bits, ExtractsInclusiveRanges) {
  EXPECT_EQ(bits(u32{0xabcd1234}, 15, 8), 0x12U);
  EXPECT_EQ(bits(u64{0xabcd1234}, 63, 0), 0xabcd1234U);
  EXPECT_TRUE(bit(u32{0x80000000}, 31));
}

TEST(Bits, SignExtends) {
  EXPECT_EQ(sign_extend(0xff, 8), -1);
  EXPECT_EQ(sign_extend(0x7f, 8), 127);
  EXPECT_EQ(sign_extend(~u64{0}, 64), -1);
}

TEST(Bits, Aligns) {
  EXPECT_EQ(align_up(1, 4096), 4096U);
  EXPECT_EQ(align_up(4096, 4096), 4096U);
  EXPECT_EQ(align_down(4097, 4096), 4096U);
  EXPECT_EQ(mask64(64), ~u64{0});
  EXPECT_EQ(mask64(0), 0U);
}

}  // namespace
}  // namespace solder
