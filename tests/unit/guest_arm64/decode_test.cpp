#include "guest/arm64/decode.h"

#include <gtest/gtest.h>

#include <bit>
#include <cstring>
#include <random>

namespace solder::arm64 {
namespace {

TEST(Decode, PatternsOverlapOnlyByRefinement) {
  const auto all = encodings();
  for (usize i = 0; i < all.size(); ++i) {
    for (usize j = i + 1; j < all.size(); ++j) {
      const Encoding& a = all[i];
      const Encoding& b = all[j];
      if (((a.value ^ b.value) & a.mask & b.mask) != 0) continue;
      const bool refines = a.mask != b.mask && ((a.mask & b.mask) == a.mask || (a.mask & b.mask) == b.mask);
      EXPECT_TRUE(refines) << a.name << " " << a.pattern << "\n" << b.name << " " << b.pattern;
    }
  }
}

TEST(Decode, EveryEncodingIsFound) {
  std::mt19937 random(1);
  for (const Encoding& e : encodings()) {
    bool found = false;
    for (unsigned n = 0; n < 64 && !found; ++n) found = decode(e.value | (static_cast<u32>(random()) & ~e.mask)) == &e;
    EXPECT_TRUE(found) << e.name << " is hidden by others";
  }
}

TEST(Decode, LookupAgreesWithTheTable) {
  std::mt19937 random(2);
  for (unsigned n = 0; n < 200'000; ++n) {
    const u32 word = static_cast<u32>(random());
    const Encoding* best = nullptr;
    for (const Encoding& e : encodings()) {
      if ((word & e.mask) != e.value) continue;
      if (best == nullptr || std::popcount(e.mask) > std::popcount(best->mask)) best = &e;
    }
    ASSERT_EQ(decode(word), best) << std::hex << word;
  }
}

TEST(Decode, UnallocatedWordsAreNotFound) {
  EXPECT_EQ(decode(0x00000003), nullptr);  // UDF
  EXPECT_EQ(decode(0xffffffff), nullptr);
  EXPECT_EQ(decode(0xd4400000), nullptr);  // HLT: no halting debug
}

}  // namespace
}  // namespace solder::arm64
