#include "translator/passes/optimize.h"

#include <gtest/gtest.h>

#include "translator/ir/builder.h"
#include "translator/ir/core_state.h"

namespace solder::passes {
namespace {

using ir::Op;
using ir::Type;
using ir::Value;

constexpr u32 kFlags = offsetof(ir::CoreState, flags);
constexpr u32 kX0 = sizeof(ir::CoreState);

class OptimizeTest : public ::testing::Test {
 protected:
  usize puts_left() {
    b.exit_direct(4);
    optimizer.run(block);
    EXPECT_EQ(ir::verify(block), "");
    return count(Op::put);
  }
  usize count(Op op) {
    usize n = 0;
    for (const ir::Inst& inst : block.insts) n += inst.op == op ? 1 : 0;
    return n;
  }
  void put_flags() {
    const Value x = b.emit({Op::get, Type::i64, 0, kX0});
    b.put(kFlags, b.flags_sub(x, x));
  }

  ir::Block block;
  ir::Builder b{block};
  Optimizer optimizer;
};

TEST_F(OptimizeTest, RemovesFlagsNobodySees) {
  put_flags();
  b.insn_start(4);
  put_flags();
  EXPECT_EQ(puts_left(), 1U);
  EXPECT_EQ(count(Op::flags_sub), 1U);
}

TEST_F(OptimizeTest, KeepsFlagsWhereTheBlockCanBeLeft) {
  put_flags();
  b.load(Type::i64, b.c64(0x1000), {});
  put_flags();
  EXPECT_EQ(puts_left(), 2U);
}

TEST_F(OptimizeTest, KeepsFlagsThatAreRead) {
  put_flags();
  const Value flags = b.emit({Op::get, Type::flags, 0, kFlags});
  put_flags();
  b.put(kX0, b.select(ir::Cond::eq, flags, b.c64(1), b.c64(2)));
  EXPECT_EQ(puts_left(), 3U);
}

TEST_F(OptimizeTest, SideExitsAndCallsSeeState) {
  put_flags();
  b.exit_if(ir::ExitTest::zero64, b.c64(1), 8);
  put_flags();
  b.call(Type::none, 0);
  put_flags();
  EXPECT_EQ(puts_left(), 3U);
}

TEST_F(OptimizeTest, PartlyOverwrittenStays) {
  b.put(kX0, b.c64(1));
  b.put(kX0, b.c32(2));
  EXPECT_EQ(puts_left(), 2U);
}

TEST_F(OptimizeTest, TwoHalvesOverwriteAWhole) {
  b.put(kX0, b.v_const(1));
  b.put(kX0 + 8, b.c64(2));
  b.put(kX0, b.c64(3));
  EXPECT_EQ(puts_left(), 2U);
}

TEST_F(OptimizeTest, KeepsWhatHasEffects) {
  b.load(Type::i64, b.c64(0x1000), {});
  b.f(Op::f_add, {}, b.v_const(1), b.v_const(2));
  b.add(b.emit({Op::get, Type::i64, 0, kX0}), b.c64(7));
  EXPECT_EQ(puts_left(), 0U);
  EXPECT_EQ(count(Op::load), 1U) << "it can fault";
  EXPECT_EQ(count(Op::f_add), 1U) << "it can set sticky flags";
  EXPECT_EQ(count(Op::add), 0U);
  EXPECT_EQ(count(Op::get), 0U);
}

}  // namespace
}  // namespace solder::passes
