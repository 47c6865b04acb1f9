/// Linking, unlinking, killing, the jump cache, requests and the buffer's end.
#include <atomic>
#include <thread>

#include "machine.h"

namespace solder {
namespace {

using host_x64::Leave;
using host_x64::LeaveInfo;
using ir::Builder;
using ir::Type;

constexpr u64 kPc = 0x40'0100;

std::unique_ptr<host_x64::Compiled> counting(test::HostMachine& machine, unsigned reg, u64 pc, u64 target_delta) {
  ir::Block block;
  Builder b(block);
  b.insn_start(0);
  b.put(test::offset_of_x(reg), b.add(b.get(Type::i64, test::offset_of_x(reg)), b.c64(1)));
  b.exit_direct(target_delta);
  return machine.compiler->compile(block, static_cast<u32>(pc & 4095));
}

TEST(Compiler, LeavesWhenRequested) {
  test::HostMachine machine;
  const auto block = counting(machine, 0, kPc, 8);
  test::TestState state;
  state.exit_request = ir::kExitKick;
  EXPECT_EQ(machine.run(*block, state, kPc).why, Leave::requested);
  EXPECT_EQ(state.pc, kPc);
  EXPECT_EQ(state.x[0], 0U);
}

TEST(Compiler, LinksUnlinksAndKills) {
  test::HostMachine machine;
  const auto first = counting(machine, 0, kPc, 8);
  const auto second = counting(machine, 1, kPc + 8, 0x10);
  ASSERT_EQ(first->links.size(), 1U);
  EXPECT_EQ(first->links[0].target_delta, 8U);
  u8* const slot = first->entry + first->links[0].offset;

  test::TestState state;
  LeaveInfo left = machine.run(*first, state, kPc);
  EXPECT_EQ(left.why, Leave::link);
  EXPECT_EQ(left.slot, slot);
  EXPECT_EQ(state.pc, kPc + 8);

  machine.compiler->link(slot, second->entry);
  left = machine.run(*first, state, kPc);
  EXPECT_EQ(left.why, Leave::link);
  EXPECT_EQ(left.slot, second->entry + second->links[0].offset);
  EXPECT_EQ(state.pc, kPc + 0x18);
  EXPECT_EQ(state.x[0], 2U);
  EXPECT_EQ(state.x[1], 1U);

  machine.compiler->kill(second->entry);
  left = machine.run(*first, state, kPc);
  EXPECT_EQ(left.why, Leave::lookup);
  EXPECT_EQ(state.pc, kPc + 8);
  EXPECT_EQ(state.x[1], 1U);

  machine.compiler->unlink(slot);
  left = machine.run(*first, state, kPc);
  EXPECT_EQ(left.why, Leave::link);
  EXPECT_EQ(left.slot, slot);
  EXPECT_EQ(state.x[0], 4U);
}

TEST(Compiler, LinksConditionalExits) {
  test::HostMachine machine;
  ir::Block block;
  Builder b(block);
  b.insn_start(0);
  b.exit_if(ir::ExitTest::zero64, b.get(Type::i64, test::offset_of_x(3)), 0x20);
  b.exit_direct(4);
  const auto compiled = machine.compiler->compile(block, kPc & 4095);
  ASSERT_EQ(compiled->links.size(), 2U);
  const auto target = counting(machine, 1, kPc + 0x20, 0x10);
  for (const host_x64::LinkSlot& link : compiled->links) {
    if (link.target_delta == 0x20) machine.compiler->link(compiled->entry + link.offset, target->entry);
  }
  test::TestState state;
  state.x[3] = 1;
  machine.run(*compiled, state, kPc);
  EXPECT_EQ(state.pc, kPc + 4);
  state.x[3] = 0;
  machine.run(*compiled, state, kPc);
  EXPECT_EQ(state.pc, kPc + 0x30);
  EXPECT_EQ(state.x[1], 1U);
}

TEST(Compiler, OtherPagesThroughTheJumpCache) {
  test::HostMachine machine;
  const u64 target = kPc + 0x2008;
  const auto first = counting(machine, 0, kPc, 0x2008);
  const auto second = counting(machine, 1, target, 0x10);
  EXPECT_TRUE(first->links.empty());
  test::TestState state;
  EXPECT_EQ(machine.run(*first, state, kPc).why, Leave::lookup);
  EXPECT_EQ(state.pc, target);
  machine.context->jumps[ir::Context::jump_index(target)] = {target, second->entry};
  EXPECT_EQ(machine.run(*first, state, kPc).why, Leave::link);
  EXPECT_EQ(state.pc, target + 0x10) << "pc_page follows the jump";
  EXPECT_EQ(state.x[1], 1U);
}

TEST(Compiler, JumpToThePcOfEmptyEntries) {
  test::HostMachine machine;
  ir::Block block;
  Builder b(block);
  b.insn_start(0);
  b.exit_indirect(b.get(Type::i64, test::offset_of_x(0)), ir::ExitHint::jump);
  const auto compiled = machine.compiler->compile(block, 0);
  test::TestState state;
  state.x[0] = ~u64{0};
  EXPECT_EQ(machine.run(*compiled, state, 0x1000).why, Leave::lookup);
  EXPECT_EQ(state.pc, ~u64{0});
}

/// A linked loop is left when it is killed, and when asked to, from another thread.
TEST(Compiler, StopsRunningLoops) {
  for (const bool kill : {false, true}) {
    test::HostMachine machine;
    const auto loop = counting(machine, 0, kPc, 0);
    machine.compiler->link(loop->entry + loop->links[0].offset, loop->entry);
    test::TestState state;
    std::thread other([&] {
      std::this_thread::yield();
      if (kill) {
        machine.compiler->kill(loop->entry);
      } else {
        state.exit_request.store(ir::kExitInterrupt);
      }
    });
    const LeaveInfo left = machine.run(*loop, state, kPc);
    other.join();
    EXPECT_EQ(left.why, kill ? Leave::lookup : Leave::requested);
    EXPECT_EQ(state.pc, kPc);
  }
}

TEST(Compiler, FullBufferAndReset) {
  test::HostMachine machine;
  test::TestState state;
  for (unsigned round = 0; round < 2; ++round) {
    usize blocks = 0;
    while (const auto block = counting(machine, 0, kPc, 8)) {
      ASSERT_LT(++blocks, 1'000'000U);
    }
    EXPECT_GT(blocks, 1000U);
    machine.compiler->reset();
    EXPECT_EQ(machine.compiler->bytes_used(), 0U);
    const auto block = counting(machine, 0, kPc, 8);
    ASSERT_NE(block, nullptr);
    EXPECT_EQ(machine.run(*block, state, kPc).why, Leave::link);
  }
}

TEST(Compiler, HugeBlocksAreInterpreted) {
  test::HostMachine machine;
  ir::Block block;
  Builder b(block);
  b.insn_start(0);
  // More values alive at once than there are places for them.
  std::vector<ir::Value> values;
  for (unsigned i = 0; i < 2000; ++i) {
    values.push_back(b.binary(ir::Op::mul, b.get(Type::i64, test::offset_of_x(i % 32)), b.c64(i + 3)));
  }
  ir::Value sum = b.c64(0);
  for (const ir::Value v : values) sum = b.add(sum, v);
  b.put(test::offset_of_x(0), sum);
  b.exit_direct(4);
  const auto compiled = machine.compiler->compile(block, kPc & 4095);
  ASSERT_NE(compiled, nullptr);
  test::TestState state;
  EXPECT_EQ(machine.run(*compiled, state, kPc).why, Leave::interpret);
  EXPECT_EQ(state.pc, kPc);
}

}  // namespace
}  // namespace solder
