/// Random blocks: they verify, and forwarding, folding and the optimizer do not change what they do.
#include <gtest/gtest.h>

#include "support/flat_memory.h"
#include "support/random_ir.h"
#include "translator/interpreter/interpreter.h"
#include "translator/ir/op_info.h"
#include "translator/passes/optimize.h"

namespace solder {
namespace {

struct Outcome {
  test::TestState state;
  std::vector<u8> memory;
  interpreter::End end;
};

/// --gtest_random_seed gives other blocks.
u64 first_seed() {
  return u64{10000} * static_cast<u64>(GTEST_FLAG_GET(random_seed));
}

Outcome run(const ir::Block& block, const test::TestState& state, const test::FlatMemory& memory) {
  test::FlatMemory copy = memory;
  interpreter::Interpreter interpreter(test::test_helpers(), copy);
  Outcome outcome{state, {}, interpreter::End::next};
  outcome.end = interpreter.run(block, 0x10000, outcome.state);
  outcome.memory = copy.bytes();
  return outcome;
}

TEST(RandomIr, VerifiesAndSurvivesTheOptimizer) {
  passes::Optimizer optimizer;
  usize ends[4] = {};
  usize removed = 0;
  for (u64 seed = first_seed(); seed < first_seed() + 6000; ++seed) {
    test::RandomIrOptions options;
    options.forwarding = seed % 2 == 0;
    test::RandomIr random(seed, options);
    ir::Block block;
    random.make(block);
    ASSERT_EQ(ir::verify(block), "") << "seed " << seed << "\n" << ir::print(block);

    test::TestState state;
    random.randomize(state);
    test::FlatMemory memory(options.arena_base, options.arena_bytes);
    random.randomize(memory.bytes());
    const Outcome before = run(block, state, memory);
    ++ends[static_cast<usize>(before.end)];

    ir::Block optimized = block;
    optimizer.run(optimized);
    ASSERT_EQ(ir::verify(optimized), "") << "seed " << seed << "\n" << ir::print(optimized);
    for (const ir::Inst& inst : optimized.insts) removed += inst.op == ir::Op::nop ? 1 : 0;
    const Outcome after = run(optimized, state, memory);
    ASSERT_EQ(before.end, after.end) << "seed " << seed;
    ASSERT_EQ(test::differences(before.state, after.state), "") << "seed " << seed << "\n" << ir::print(block);
    ASSERT_EQ(before.memory, after.memory) << "seed " << seed;
  }
  for (const usize count : ends) EXPECT_GT(count, 100U);
  EXPECT_GT(removed, 1000U);
}

// clang-format off
/// The same operations through the builder's simplifications and as they are.
TEST(RandomIr, BuilderKeepsMeaning) {
  for (u64 seed = first_seed(); seed < first_seed() + 6000; ++seed) {
    test::RandomIrOptions options;
    options.forwarding = false;
    test::RandomIr random(seed, options);
    ir::Block block;
    random.make(block);

    // Rebuild it through the convenience methods.
    ir::Block rebuilt;
    ir::Builder builder(rebuilt, test::test_helpers().data(), test::test_helpers().size());
    std::vector<ir::Value> map(block.insts.size());
    for (usize i = 0; i < block.insts.size(); ++i) {
      ir::Inst inst = block.insts[i];
      const auto mapped = [&](u32 id) { return id < i ? map[id] : ir::Value{}; };
      using ir::Op;
      switch (inst.op) {
        case Op::insn_start: builder.insn_start(inst.imm_ab()); break;
        case Op::constant: map[i] = builder.constant(inst.type, inst.imm_ab()); break;
        case Op::pc_rel: map[i] = builder.pc_rel(inst.imm_ab()); break;
        case Op::get: map[i] = builder.get(inst.type, inst.a); break;
        case Op::put: builder.put(inst.a, mapped(inst.b)); break;
        case Op::add: case Op::sub: case Op::and_: case Op::or_: case Op::xor_: case Op::and_not: case Op::or_not:
        case Op::xor_not: case Op::mul: case Op::mul_hi_u: case Op::mul_hi_s: case Op::div_u: case Op::div_s:
        case Op::shl: case Op::shr_u: case Op::shr_s: case Op::ror:
          map[i] = builder.binary(inst.op, mapped(inst.a), mapped(inst.b));
          break;
        case Op::not_: case Op::neg: case Op::clz: case Op::cls: case Op::ctz: case Op::popcount: case Op::bit_reverse:
        case Op::byte_swap: case Op::byte_swap16: case Op::byte_swap32:
          map[i] = builder.unary(inst.op, mapped(inst.a));
          break;
        case Op::zext32: map[i] = builder.zext32(mapped(inst.a)); break;
        case Op::sext32: map[i] = builder.sext32(mapped(inst.a)); break;
        case Op::trunc: map[i] = builder.trunc(mapped(inst.a)); break;
        case Op::extract_u: map[i] = builder.extract_u(mapped(inst.a), inst.sub & 0xffU, inst.sub >> 8U); break;
        case Op::extract_s: map[i] = builder.extract_s(mapped(inst.a), inst.sub & 0xffU, inst.sub >> 8U); break;
        case Op::insert:
          map[i] = builder.insert(mapped(inst.a), mapped(inst.b), inst.sub & 0xffU, inst.sub >> 8U);
          break;
        case Op::extract_pair: map[i] = builder.extract_pair(mapped(inst.a), mapped(inst.b), inst.sub); break;
        case Op::select:
          map[i] = builder.select(static_cast<ir::Cond>(inst.sub), mapped(inst.a), mapped(inst.b), mapped(inst.c));
          break;
        case Op::flags_select:
          map[i] = builder.flags_select(static_cast<ir::Cond>(inst.sub), mapped(inst.a), mapped(inst.b), mapped(inst.c));
          break;
        case Op::select_nz: map[i] = builder.select_nz(mapped(inst.a), mapped(inst.b), mapped(inst.c)); break;
        case Op::load:
          map[i] = builder.load(inst.type, mapped(inst.a), ir::MemAttr::unpack(inst.sub), static_cast<i32>(inst.b));
          break;
        case Op::store:
          builder.store(mapped(inst.a), mapped(inst.c), ir::MemAttr::unpack(inst.sub), static_cast<i32>(inst.b));
          break;
        case Op::call: map[i] = builder.call(inst.type, inst.sub, mapped(inst.a), mapped(inst.b), mapped(inst.c)); break;
        case Op::v_and: case Op::v_or:
          map[i] = builder.v(inst.op, ir::VecAttr::unpack(inst.sub), mapped(inst.a), mapped(inst.b));
          break;
        default: {
          const ir::OpInfo& info = ir::info(inst.op);
          if (ir::is_value(info.a) && inst.a != ~u32{0}) inst.a = map[inst.a].id;
          if (ir::is_value(info.b) && inst.b != ~u32{0}) inst.b = map[inst.b].id;
          if (ir::is_value(info.c) && inst.c != ~u32{0}) inst.c = map[inst.c].id;
          map[i] = builder.emit(inst);
          break;
        }
      }
    }
    ASSERT_EQ(ir::verify(rebuilt), "") << "seed " << seed << "\n" << ir::print(rebuilt);

    test::TestState state;
    random.randomize(state);
    test::FlatMemory memory(options.arena_base, options.arena_bytes);
    random.randomize(memory.bytes());
    const Outcome before = run(block, state, memory);
    const Outcome after = run(rebuilt, state, memory);
    ASSERT_EQ(before.end, after.end) << "seed " << seed;
    ASSERT_EQ(test::differences(before.state, after.state), "")
        << "seed " << seed << "\n"
        << ir::print(block) << "\n"
        << ir::print(rebuilt);
    ASSERT_EQ(before.memory, after.memory) << "seed " << seed;
  }
}

}  // namespace
}  // namespace solder
