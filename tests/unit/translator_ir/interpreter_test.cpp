#include "translator/interpreter/interpreter.h"

#include <gtest/gtest.h>

#include "support/flat_memory.h"
#include "support/random_ir.h"

namespace solder {
namespace {

using interpreter::End;
using ir::MemAttr;
using ir::Op;
using ir::Type;
using ir::Value;
using test::offset_of_v;
using test::offset_of_x;

constexpr u64 kBase = 0x1000;
constexpr u64 kPc = 0xffff000000010000;

class InterpreterTest : public ::testing::Test {
 protected:
  End run() {
    EXPECT_EQ(ir::verify(block), "") << ir::print(block);
    return interpreter.run(block, kPc, state);
  }
  u64& word(usize index) { return *reinterpret_cast<u64*>(memory.bytes().data() + index * 8); }

  test::TestState state;
  test::FlatMemory memory{kBase, 0x1000};
  interpreter::Interpreter interpreter{test::test_helpers(), memory};
  ir::Block block;
  ir::Builder b{block};
};

TEST_F(InterpreterTest, LeavesWithTheRightPc) {
  b.insn_start(0);
  b.exit_if(ir::Cond::eq, b.get(Type::flags, offsetof(ir::CoreState, flags)), u64{0} - 8);
  b.put(offset_of_x(0), b.pc_rel(0x20));
  b.exit_direct(4);
  state.flags = ir::kFlagZ;
  EXPECT_EQ(run(), End::next);
  EXPECT_EQ(state.pc, kPc - 8);
  EXPECT_EQ(state.x[0], 0U);
  state.flags = 0;
  EXPECT_EQ(run(), End::next);
  EXPECT_EQ(state.pc, kPc + 4);
  EXPECT_EQ(state.x[0], kPc + 0x20);
}

TEST_F(InterpreterTest, NamesEveryWayOut) {
  b.insn_start(8);
  b.exit_interpret(8);
  EXPECT_EQ(run(), End::interpret);
  EXPECT_EQ(state.pc, kPc + 8);

  block.clear();
  b.insn_start(0);
  b.put(offsetof(ir::CoreState, pc), b.c64(0x1234));
  b.exit_dispatch();
  EXPECT_EQ(run(), End::dispatch);
  EXPECT_EQ(state.pc, 0x1234U);

  block.clear();
  b.insn_start(0);
  b.exit_indirect(b.c64(0x88), ir::ExitHint::ret);
  EXPECT_EQ(run(), End::next);
  EXPECT_EQ(state.pc, 0x88U);
}

TEST_F(InterpreterTest, StopsAtAFaultWithTheInstructionsPc) {
  b.insn_start(0);
  b.put(offset_of_x(0), b.c64(1));
  b.insn_start(4);
  const Value v = b.load(Type::i64, b.c64(0x900000), {});
  b.put(offset_of_x(1), v);
  b.exit_direct(8);
  EXPECT_EQ(run(), End::exception);
  EXPECT_EQ(state.pc, kPc + 4);
  EXPECT_EQ(state.x[0], 1U);
  EXPECT_EQ(memory.fault_address(), 0x900000U);
}

TEST_F(InterpreterTest, LoadsExtend) {
  word(0) = 0x8182838485868788;
  b.insn_start(0);
  const Value at = b.c64(kBase);
  b.put(offset_of_x(0), b.load(Type::i64, at, {.size_log2 = 0, .sign = true}));
  b.put(offset_of_x(1), b.zext32(b.load(Type::i32, at, {.size_log2 = 1, .sign = true})));
  b.put(offset_of_x(2), b.load(Type::i64, at, {.size_log2 = 2}));
  b.put(offset_of_x(3), b.load(Type::i64, at, {.size_log2 = 2, .big_endian = true}));
  b.put(offset_of_v(0), b.load(Type::v128, at, {.size_log2 = 3}, 0));
  b.exit_direct(4);
  state.v[0].d = {~u64{0}, ~u64{0}};
  EXPECT_EQ(run(), End::next);
  EXPECT_EQ(state.x[0], 0xffffffffffffff88U);
  EXPECT_EQ(state.x[1], 0xffff8788U);
  EXPECT_EQ(state.x[2], 0x85868788U);
  EXPECT_EQ(state.x[3], 0x88878685U);
  EXPECT_EQ(state.v[0].d[0], 0x8182838485868788U);
  EXPECT_EQ(state.v[0].d[1], 0U);
}

TEST_F(InterpreterTest, HelpersSeeTheirInstructionsPcAndCanLeave) {
  b.insn_start(12);
  b.put(offset_of_x(0), b.c64(77));
  b.call(Type::none, 3, b.c64(8), b.c64(0xabc));
  b.exit_direct(16);
  EXPECT_EQ(run(), End::exception);
  EXPECT_EQ(state.x[0], 77U);
  EXPECT_EQ(state.x[2], kPc + 12) << "what the helper saw";
  EXPECT_EQ(state.pc, 0xabcU);
}

class Exclusives : public InterpreterTest {
 protected:
  /// load_ex of 8 bytes at kBase, `between`, store_ex of `size` at `store_at`; status goes to x0.
  template <class Between>
  End exclusive(u64 store_at, u8 size, Between&& between) {
    block.clear();
    b.insn_start(0);
    b.put(offset_of_x(1), b.load_ex(Type::i64, b.c64(kBase), {.align = ir::Align::natural}));
    b.insn_start(4);
    between();
    b.insn_start(8);
    b.put(offset_of_x(0),
          b.zext32(b.store_ex(b.c64(store_at), b.c64(99), {.size_log2 = size, .align = ir::Align::natural})));
    b.exit_direct(12);
    return run();
  }
};

TEST_F(Exclusives, StoreWhenNothingHappened) {
  word(0) = 5;
  EXPECT_EQ(exclusive(kBase, 3, [] {}), End::next);
  EXPECT_EQ(state.x[1], 5U);
  EXPECT_EQ(state.x[0], 0U);
  EXPECT_EQ(word(0), 99U);
  EXPECT_EQ(state.monitor_address, ir::kNoMonitor);
}

TEST_F(Exclusives, FailWhenMemoryChanged) {
  word(0) = 5;
  EXPECT_EQ(exclusive(kBase, 3, [&] { b.store(b.c64(kBase), b.c64(6), {}); }), End::next);
  EXPECT_EQ(state.x[0], 1U);
  EXPECT_EQ(word(0), 6U);
}

TEST_F(Exclusives, FailElsewhereOrWithAnotherSize) {
  EXPECT_EQ(exclusive(kBase + 8, 3, [] {}), End::next);
  EXPECT_EQ(state.x[0], 1U);
  EXPECT_EQ(exclusive(kBase, 2, [] {}), End::next);
  EXPECT_EQ(state.x[0], 1U);
  EXPECT_EQ(word(0), 0U);
  EXPECT_EQ(word(1), 0U);
}

TEST_F(Exclusives, WorkOnceOnly) {
  word(0) = 5;
  EXPECT_EQ(exclusive(kBase, 3, [&] { b.store_ex(b.c64(kBase), b.c64(7), {.align = ir::Align::natural}); }), End::next);
  EXPECT_EQ(state.x[0], 1U);
  EXPECT_EQ(word(0), 7U);
}

TEST_F(Exclusives, CompareAndSwapGivesTheOldValue) {
  word(0) = 0x1111;
  b.insn_start(0);
  const MemAttr byte{.size_log2 = 0, .align = ir::Align::natural};
  b.put(offset_of_x(0), b.cas(Type::i64, b.c64(kBase), b.c64(0xff11), b.c64(0x22), byte));
  b.put(offset_of_x(1), b.cas(Type::i64, b.c64(kBase), b.c64(0x33), b.c64(0x44), byte));
  b.put(offset_of_x(2), b.atomic(Type::i64, ir::Rmw::smax, b.c64(kBase), b.c64(0xf0), byte));
  b.exit_direct(4);
  EXPECT_EQ(run(), End::next);
  EXPECT_EQ(state.x[0], 0x11U) << "only the low byte is compared";
  EXPECT_EQ(state.x[1], 0x22U);
  EXPECT_EQ(state.x[2], 0x22U);
  EXPECT_EQ(word(0), 0x1122U) << "0xf0 is negative as a byte";
}

TEST(PureFunctions, ExistForPureOperationsOnly) {
  EXPECT_EQ(interpreter::pure_function(Op::load), nullptr);
  EXPECT_EQ(interpreter::pure_function(Op::call), nullptr);
  EXPECT_EQ(interpreter::pure_function(Op::get), nullptr);
  EXPECT_EQ(interpreter::pure_function(Op::pc_rel), nullptr);
  EXPECT_NE(interpreter::pure_function(Op::add), nullptr);
  EXPECT_NE(interpreter::pure_function(Op::sha256_su1), nullptr);
}

/// One pure operation on vectors.
ir::V128 apply(Op op, u16 sub, const ir::V128& a, const ir::V128& b = {}, const ir::V128& c = {},
               u32* status = nullptr) {
  const ir::Inst inst{op, Type::v128, sub, 0, 1, 2};
  u32 fp_status = 0;
  ir::V128 result{};
  interpreter::pure_function(op)(inst, ir::FpRules::arm, a, b, c, fp_status, result);
  if (status != nullptr) *status = fp_status;
  return result;
}

ir::V128 bytes(std::array<u8, 16> b) {
  ir::V128 v;
  v.b = b;
  return v;
}

TEST(PureFunctions, MayWriteOverTheirOperands) {
  const ir::Inst inst{Op::v_zip1, Type::v128, ir::VecAttr{.lane = ir::Lane::b}.pack(), 0, 1};
  ir::V128 a = bytes({0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15});
  const ir::V128 expected = apply(Op::v_zip1, inst.sub, a, a);
  u32 status = 0;
  interpreter::pure_function(Op::v_zip1)(inst, ir::FpRules::arm, a, a, a, status, a);
  EXPECT_EQ(a.b, expected.b);
}

TEST(Crypto, EncryptsTheExampleOfFips197) {
  // Appendix B: round keys of 2b7e1516 28aed2a6 abf71588 09cf4f3c, block 3243f6a8 885a308d 313198a2 e0370734.
  static constexpr u32 kRoundKeys[11][4] = {
      {0x2b7e1516, 0x28aed2a6, 0xabf71588, 0x09cf4f3c}, {0xa0fafe17, 0x88542cb1, 0x23a33939, 0x2a6c7605},
      {0xf2c295f2, 0x7a96b943, 0x5935807a, 0x7359f67f}, {0x3d80477d, 0x4716fe3e, 0x1e237e44, 0x6d7a883b},
      {0xef44a541, 0xa8525b7f, 0xb671253b, 0xdb0bad00}, {0xd4d1c6f8, 0x7c839d87, 0xcaf2b8bc, 0x11f915bc},
      {0x6d88a37a, 0x110b3efd, 0xdbf98641, 0xca0093fd}, {0x4e54f70e, 0x5f5fc9f3, 0x84a64fb2, 0x4ea6dc4f},
      {0xead27321, 0xb58dbad2, 0x312bf560, 0x7f8d292f}, {0xac7766f3, 0x19fadc21, 0x28d12941, 0x575c006e},
      {0xd014f9a8, 0xc9ee2589, 0xe13f0cc8, 0xb6630ca6}};
  const auto key = [](unsigned round) {
    ir::V128 v;
    for (unsigned i = 0; i < 4; ++i) v.s[i] = __builtin_bswap32(kRoundKeys[round][i]);
    return v;
  };
  const ir::V128 plain =
      bytes({0x32, 0x43, 0xf6, 0xa8, 0x88, 0x5a, 0x30, 0x8d, 0x31, 0x31, 0x98, 0xa2, 0xe0, 0x37, 0x07, 0x34});
  ir::V128 x = plain;
  for (unsigned round = 0; round < 9; ++round) x = apply(Op::aes_mc, 0, apply(Op::aes_e, 0, x, key(round)));
  x = apply(Op::aes_e, 0, x, key(9));
  x.d = {x.d[0] ^ key(10).d[0], x.d[1] ^ key(10).d[1]};
  EXPECT_EQ(x.b,
            bytes({0x39, 0x25, 0x84, 0x1d, 0x02, 0xdc, 0x09, 0xfb, 0xdc, 0x11, 0x85, 0x97, 0x19, 0x6a, 0x0b, 0x32}).b);
  // And back: the equivalent inverse cipher (5.3.5).
  x = apply(Op::aes_imc, 0, apply(Op::aes_d, 0, x, key(10)));
  for (unsigned round = 9; round > 1; --round) {
    x = apply(Op::aes_imc, 0, apply(Op::aes_d, 0, x, apply(Op::aes_imc, 0, key(round))));
  }
  x = apply(Op::aes_d, 0, x, apply(Op::aes_imc, 0, key(1)));
  x.d = {x.d[0] ^ key(0).d[0], x.d[1] ^ key(0).d[1]};
  EXPECT_EQ(x.b, plain.b);
}

TEST(Saturation, SetsTheStickyFlagOnlyWhenItHappens) {
  u32 status = 0;
  const u16 sub = ir::VecAttr{.lane = ir::Lane::h, .width = ir::Width::scalar, .sign = true}.pack();
  ir::V128 max{};
  max.h[0] = 0x7fff;
  max.h[1] = 0x7fff;
  ir::V128 one{};
  one.h[0] = 1;
  EXPECT_EQ(apply(Op::v_add_sat, sub, max, {}, {}, &status).s[0], 0x7fffU) << "a scalar: one lane";
  EXPECT_EQ(status, 0U);
  EXPECT_EQ(apply(Op::v_add_sat, sub, max, one, {}, &status).s[0], 0x7fffU);
  EXPECT_EQ(status, ir::kFpSaturated);
}

}  // namespace
}  // namespace solder
