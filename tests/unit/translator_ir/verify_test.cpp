#include <gtest/gtest.h>

#include "translator/ir/builder.h"
#include "translator/ir/core_state.h"
#include "translator/ir/ir.h"
#include "translator/ir/op_info.h"

namespace solder::ir {
namespace {

/// A block of `insts` and a final exit.
std::string verify_with(std::initializer_list<Inst> insts) {
  Block block;
  block.insts = insts;
  block.insts.push_back({Op::exit_direct, Type::none, 0, 4, 0});
  return verify(block);
}

constexpr Inst kI32{Op::constant, Type::i32, 0, 5, 0};
constexpr Inst kI64{Op::constant, Type::i64, 0, 5, 0};
constexpr Inst kVector{Op::v_const, Type::v128, 0, 5, 0};
constexpr Inst kFlags{Op::get, Type::flags, 0, 4};

TEST(Verify, AcceptsWhatFollowsTheRules) {
  EXPECT_EQ(verify_with({kI64, kI64, {Op::add, Type::i64, 0, 0, 1}, {Op::put, Type::none, 0, 128, 2}}), "");
  EXPECT_EQ(verify_with({kFlags, kI32, {Op::select, Type::i32, 3, 0, 1, 1}}), "");
  EXPECT_EQ(verify_with({kI32, {Op::exit_if, Type::none, static_cast<u16>(ExitTest::bit_set) | (31 << 8), 0, 8, 0}}),
            "");
}

TEST(Verify, WantsOneFinalExit) {
  Block block;
  EXPECT_NE(verify(block), "");
  block.insts = {kI64};
  EXPECT_NE(verify(block).find("must leave"), std::string::npos);
  block.insts = {{Op::exit_direct, Type::none, 0, 4, 0}, {Op::exit_direct, Type::none, 0, 4, 0}};
  EXPECT_NE(verify(block).find("nothing can follow"), std::string::npos);
}

TEST(Verify, WantsDefinitionsBeforeUses) {
  EXPECT_NE(verify_with({kI64, {Op::add, Type::i64, 0, 0, 1}}), "");
  EXPECT_NE(verify_with({kI64, {Op::add, Type::i64, 0, 0, 7}}), "");
  EXPECT_NE(verify_with({kI64, {Op::add, Type::i64, 0, 0, ~u32{0}}}).find("missing"), std::string::npos);
  EXPECT_NE(verify_with({{}, {Op::put, Type::none, 0, 128, 0}}), "") << "a nop has no value";
}

TEST(Verify, WantsMatchingTypes) {
  EXPECT_NE(verify_with({kI32, kI64, {Op::add, Type::i64, 0, 0, 1}}), "");
  EXPECT_NE(verify_with({kI64, {Op::zext32, Type::i64, 0, 0}}), "");
  EXPECT_NE(verify_with({kI32, {Op::trunc, Type::i32, 0, 0}}), "");
  EXPECT_NE(verify_with({kI64, {Op::clz, Type::v128, 0, 0}}), "") << "result type";
  EXPECT_NE(verify_with({kI64, kI64, {Op::flags_add, Type::flags, static_cast<u16>(Type::i32), 0, 1}}), "");
  EXPECT_NE(verify_with({kI32, {Op::load, Type::i64, MemAttr{}.pack(), 0, 0}}), "") << "addresses are i64";
  EXPECT_NE(verify_with({kI64, kI64, kI64, {Op::select, Type::i64, 0, 0, 1, 2}}), "") << "no flags";
  EXPECT_NE(verify_with({kVector, kI64, {Op::v_add, Type::v128, 0, 0, 1}}), "");
  EXPECT_NE(verify_with({kI64, {Op::exit_if, Type::none, static_cast<u16>(ExitTest::zero32), 0, 8, 0}}), "");
  EXPECT_NE(verify_with({kI64, {Op::exit_if, Type::none, static_cast<u16>(Cond::eq), 0, 8, 0}}), "");
}

TEST(Verify, WantsAttributesInRange) {
  EXPECT_NE(verify_with({kI32, {Op::extract_u, Type::i32, 30 | (3 << 8), 0}}), "");
  EXPECT_NE(verify_with({kI32, {Op::extract_u, Type::i32, 0, 0}}), "") << "width 0";
  EXPECT_NE(verify_with({kI32, kI32, {Op::extract_pair, Type::i32, 32, 0, 1}}), "");
  EXPECT_NE(verify_with({kI32, {Op::exit_if, Type::none, static_cast<u16>(ExitTest::bit_set) | (32 << 8), 0, 8, 0}}),
            "");
  EXPECT_NE(verify_with({{Op::constant, Type::i32, 0, 5, 1}}), "") << "not zero-extended";
  EXPECT_NE(verify_with({kVector, {Op::v_shr, Type::v128, VecAttr{.lane = Lane::h, .imm = 17}.pack(), 0}}), "");
  EXPECT_NE(verify_with({kVector, {Op::v_shr, Type::v128, VecAttr{.lane = Lane::h, .imm = 0}.pack(), 0}}), "");
  EXPECT_NE(verify_with({kVector, {Op::v_shl, Type::v128, VecAttr{.lane = Lane::b, .imm = 8}.pack(), 0}}), "");
  EXPECT_NE(verify_with({kVector, {Op::v_dup_lane, Type::v128, VecAttr{.lane = Lane::d, .imm = 2}.pack(), 0}}), "");
  EXPECT_NE(verify_with({kVector, {Op::v_narrow, Type::v128, VecAttr{.lane = Lane::b, .high = true}.pack(), 0}}), "");
  EXPECT_NE(verify_with({kVector, {Op::v_widen, Type::v128, VecAttr{.lane = Lane::d}.pack(), 0}}), "");
  EXPECT_NE(verify_with({kVector, {Op::f_neg, Type::v128, FpAttr{.lane = Lane::b}.pack(), 0}}), "");
  EXPECT_NE(verify_with({kVector, {Op::f_convert, Type::v128, FpAttr{.lane = Lane::s, .extra = 2}.pack(), 0}}), "");
  EXPECT_NE(verify_with({kI64, {Op::load, Type::i32, MemAttr{.size_log2 = 3}.pack(), 0, 0}}), "");
  EXPECT_NE(verify_with({kI64, kI64, {Op::atomic, Type::i64, MemAttr{}.pack(), 0, 1, 9}}), "");
}

TEST(Print, ShowsEveryOperationByName) {
  for (usize i = 0; i < static_cast<usize>(Op::count); ++i) {
    Block block;
    block.insts = {{static_cast<Op>(i), Type::none, 0, 0, 0, 0}};
    EXPECT_NE(print(block).find(name(static_cast<Op>(i))), std::string::npos);
  }
  EXPECT_STREQ(name(Op::sha256_su1), "sha256_su1");
}

TEST(Print, ReadsLikeTheProgram) {
  Block block;
  Builder b(block);
  b.insn_start(0x10);
  const Value x = b.get(Type::i64, 128);
  b.store(x, b.c32(7), {.size_log2 = 2, .order = Order::release}, -8);
  b.exit_if(ExitTest::bit_set, x, 0x40, 5);
  b.exit_direct(0x14);
  EXPECT_EQ(print(block),
            "               insn_start 0x10\n"
            "    %1 = i64   get #0x80\n"
            "    %2 = i32   constant 0x7\n"
            "               store [%1-8] %2 .32.rel\n"
            "               exit_if bit_set 5 %1 -> 0x40\n"
            "               exit_direct 0x14\n");
}

}  // namespace
}  // namespace solder::ir
