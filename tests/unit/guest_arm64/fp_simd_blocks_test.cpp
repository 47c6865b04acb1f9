// What the blocks of FP and SIMD instructions look like, whatever they compute: well formed, trapping when FP is off,
// and writing registers only after the last access that may fault.
#include <gtest/gtest.h>

#include <array>
#include <random>
#include <string_view>

#include "guest/arm64/decode.h"
#include "guest/arm64/helpers.h"
#include "guest/arm64/state.h"
#include "guest/arm64/translator.h"
#include "translator/ir/ir.h"

namespace solder::arm64 {
namespace {

using ir::Inst;
using ir::Op;

constexpr int kWordsPerLine = 40;
constexpr u32 kUndefined = syndrome(0, 0);
constexpr u32 kFpAccess = syndrome(0x07, 0x1e00000);

ir::Block translate(u32 word, u64 key) {
  const std::array<u8, 4> code{static_cast<u8>(word), static_cast<u8>(word >> 8), static_cast<u8>(word >> 16),
                               static_cast<u8>(word >> 24)};
  ir::TranslateRequest request;
  request.code = code;
  request.key = key;
  request.single = true;
  ir::Block block;
  ir::Builder builder(block);
  Translate(builder, request).run();
  return block;
}

/// The syndrome that the block raises, or 0xffffffff.
u32 raised(const ir::Block& block) {
  for (const Inst& inst : block.insts) {
    if (inst.op == Op::call && inst.sub == static_cast<u16>(HelperId::raise))
      return static_cast<u32>(block.insts[inst.a].imm_ab());
  }
  return ~u32{0};
}

template <class Check>
void for_each_word(Check&& check) {
  std::mt19937 random(7);
  for (const Encoding& e : encodings()) {
    if (std::string_view(e.table) != "fp_simd") continue;
    for (int n = 0; n < kWordsPerLine; ++n) {
      const u32 word = e.value | (static_cast<u32>(random()) & ~e.mask);
      if (decode(word) == &e) check(e, word);
      if (testing::Test::HasFailure()) return;
    }
  }
}

TEST(FpSimdBlocks, AreWellFormed) {
  for_each_word([](const Encoding& e, u32 word) {
    for (const u64 key : {u64{0}, u64{key::kAlignCheck}, key::kFlushToZero | key::kDefaultNan | key::kAltHalf}) {
      const ir::Block block = translate(word, key);
      EXPECT_EQ(ir::verify(block), "") << e.name << std::hex << " " << word << "\n" << ir::print(block);
    }
  });
}

TEST(FpSimdBlocks, TrapWhenFpIsOffButUndefinedGoesFirst) {
  for_each_word([](const Encoding& e, u32 word) {
    const u32 with_fp = raised(translate(word, 0));
    const ir::Block block = translate(word, key::kFpTrapped);
    EXPECT_EQ(raised(block), with_fp == kUndefined ? kUndefined : kFpAccess) << e.name << std::hex << " " << word;
    for (const Inst& inst : block.insts)
      EXPECT_NE(inst.op, Op::put) << e.name << std::hex << " " << word << ": writes state though it traps";
  });
}

TEST(FpSimdBlocks, WriteRegistersAfterEveryAccess) {
  unsigned with_accesses = 0;
  for_each_word([&](const Encoding& e, u32 word) {
    for (const u64 key : {u64{0}, u64{key::kAlignCheck}}) {
      const ir::Block block = translate(word, key);
      bool written = false;
      for (const Inst& inst : block.insts) {
        written = written || inst.op == Op::put;
        if (inst.op != Op::load && inst.op != Op::store) continue;
        ++with_accesses;
        EXPECT_FALSE(written) << e.name << std::hex << " " << word << "\n" << ir::print(block);
      }
    }
  });
  EXPECT_GT(with_accesses, 1000U);
}

}  // namespace
}  // namespace solder::arm64
