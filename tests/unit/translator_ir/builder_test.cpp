#include "translator/ir/builder.h"

#include <gtest/gtest.h>

#include "translator/ir/core_state.h"
#include "translator/ir/guest.h"
#include "translator/ir/op_info.h"

namespace solder::ir {
namespace {

constexpr u32 kX0 = sizeof(CoreState);
constexpr u32 kV0 = kX0 + 256;

class BuilderTest : public ::testing::Test {
 protected:
  u64 constant_of(Value v) {
    u64 value = 0;
    EXPECT_TRUE(b.is_constant(v, value)) << print(block);
    return value;
  }
  Op op(Value v) { return block.insts[v.id].op; }
  usize count(Op wanted) {
    usize n = 0;
    for (const Inst& inst : block.insts) n += inst.op == wanted ? 1 : 0;
    return n;
  }

  Block block;
  Builder b{block};
};

TEST_F(BuilderTest, FoldsConstants) {
  EXPECT_EQ(constant_of(b.add(b.c32(0xffffffff), b.c32(2))), 1U);
  EXPECT_EQ(constant_of(b.sub(b.c64(1), b.c64(2))), ~u64{0});
  EXPECT_EQ(constant_of(b.shl(b.c32(1), b.c32(33))), 2U);
  EXPECT_EQ(constant_of(b.shr_s(b.c32(0x80000000), b.c32(31))), 0xffffffffU);
  EXPECT_EQ(constant_of(b.ror(b.c32(1), b.c32(1))), 0x80000000U);
  EXPECT_EQ(constant_of(b.sext32(b.c32(0x80000000))), 0xffffffff80000000U);
  EXPECT_EQ(constant_of(b.trunc(b.c64(0x123456789))), 0x23456789U);
  EXPECT_EQ(constant_of(b.extract_s(b.c32(0xf0), 4, 4)), 0xffffffffU);
  EXPECT_EQ(constant_of(b.insert(b.c64(~u64{0}), b.c64(0), 4, 8)), ~u64{0xff0});
  EXPECT_EQ(constant_of(b.binary(Op::or_not, b.c32(0), b.c32(1))), 0xfffffffeU);
}

TEST_F(BuilderTest, SimplifiesTheTrivial) {
  const Value x = b.get(Type::i64, kX0);
  EXPECT_EQ(b.add(x, b.c64(0)), x);
  EXPECT_EQ(b.add(b.c64(0), x), x);
  EXPECT_EQ(b.or_(x, x), x);
  EXPECT_EQ(b.or_(b.c64(0), x), x);
  EXPECT_EQ(b.and_(x, b.c64(~u64{0})), x);
  EXPECT_EQ(constant_of(b.xor_(x, x)), 0U);
  EXPECT_EQ(constant_of(b.and_(x, b.c64(0))), 0U);
  EXPECT_EQ(op(b.binary(Op::or_not, b.c64(0), x)), Op::not_);
  EXPECT_EQ(b.unary(Op::not_, b.unary(Op::not_, x)), x);
  EXPECT_EQ(b.shl(x, b.c64(64)), x);
  const Value w = b.trunc(x);
  EXPECT_EQ(b.trunc(b.zext32(w)), w);
  EXPECT_EQ(b.select(Cond::al, b.get(Type::flags, 4), x, b.c64(1)), x);
  EXPECT_EQ(b.select(Cond::nv, b.get(Type::flags, 4), x, b.c64(1)), x) << "nv is always, too";
}

TEST_F(BuilderTest, ForwardsWhatIsKnownOfState) {
  const Value x = b.get(Type::i64, kX0);
  EXPECT_EQ(b.get(Type::i64, kX0), x);
  const Value y = b.add(x, b.c64(1));
  b.put(kX0, y);
  EXPECT_EQ(b.get(Type::i64, kX0), y);
  b.insn_start(4);
  b.exit_if(ExitTest::zero64, y, 0);
  EXPECT_EQ(b.get(Type::i64, kX0), y) << "neither boundaries nor side exits change state";
  EXPECT_EQ(count(Op::put), 1U);
}

TEST_F(BuilderTest, ReadsThirtyTwoBitsOfAKnownRegister) {
  const Value w = b.get(Type::i32, kX0 + 8);
  b.put(kX0, b.zext32(w));
  EXPECT_EQ(b.get(Type::i32, kX0), w);
  const Value x = b.get(Type::i64, kX0 + 16);
  EXPECT_EQ(op(b.get(Type::i32, kX0 + 16)), Op::trunc);
  EXPECT_EQ(b.get(Type::i64, kX0 + 16), x) << "the narrow read does not hide the wide one";
}

TEST_F(BuilderTest, OverlapsForget) {
  const Value v = b.get(Type::v128, kV0);
  b.put(kV0 + 8, b.c64(1));
  EXPECT_NE(b.get(Type::v128, kV0), v) << "its upper half was written";
  const Value x = b.c64(2);
  b.put(kV0, x);
  const Value whole = b.get(Type::v128, kV0);
  EXPECT_EQ(op(whole), Op::get);
  b.put(kX0, b.c64(3));
  b.put(kX0 + 4, b.c32(4));
  EXPECT_EQ(op(b.get(Type::i64, kX0)), Op::get);
  b.put(kX0, b.c32(5));
  EXPECT_EQ(op(b.get(Type::i64, kX0)), Op::get) << "only the lower half is known";
}

TEST_F(BuilderTest, CallsForgetUnlessKnownToBeHarmless) {
  const Value x = b.get(Type::i64, kX0);
  b.call(Type::none, 0);
  EXPECT_NE(b.get(Type::i64, kX0), x);

  const Helper helpers[] = {{"pure", nullptr, kReadsState}, {"writes", nullptr, kWritesState}};
  Block other;
  Builder knowing(other, helpers, 2);
  const Value y = knowing.get(Type::i64, kX0);
  knowing.call(Type::none, 0);
  EXPECT_EQ(knowing.get(Type::i64, kX0), y);
  knowing.call(Type::none, 1);
  EXPECT_NE(knowing.get(Type::i64, kX0), y);
}

TEST_F(BuilderTest, DoesNotForwardWhatChangesBehindIt) {
  for (const u32 offset :
       {offsetof(CoreState, fp_status), offsetof(CoreState, monitor_address), offsetof(CoreState, pc)}) {
    const Value v = b.get(Type::i64, offset);
    EXPECT_NE(b.get(Type::i64, offset), v);
  }
}

TEST_F(BuilderTest, FoldsAddressesOfThisInstructionOnly) {
  b.insn_start(0);
  const Value x = b.get(Type::i64, kX0);
  const Value t = b.add(x, b.c64(16));
  const Value loaded = b.load(Type::i64, t, {}, -24);
  EXPECT_EQ(block.insts[loaded.id].a, x.id);
  EXPECT_EQ(static_cast<i32>(block.insts[loaded.id].b), -8);
  b.put(kX0, t);
  b.insn_start(4);
  const Value again = b.load(Type::i64, b.get(Type::i64, kX0), {});
  EXPECT_EQ(block.insts[again.id].a, t.id) << "x0's old value is not kept for it";
  const Value far = b.load(Type::i64, b.add(x, b.c64(u64{1} << 31)), {});
  EXPECT_NE(block.insts[far.id].a, x.id) << "does not fit 32 bits";
}

TEST_F(BuilderTest, StateOffsetsFarApartDoNotMeet) {
  const Value x = b.get(Type::i64, kX0);
  b.put(kX0 + 8 * 128, b.c64(1));
  b.put(kX0 + 8 * 256, b.c64(2));
  EXPECT_EQ(constant_of(b.get(Type::i64, kX0 + 8 * 256)), 2U);
  const Value again = b.get(Type::i64, kX0);
  EXPECT_TRUE(again == x || op(again) == Op::get);
}

}  // namespace
}  // namespace solder::ir
