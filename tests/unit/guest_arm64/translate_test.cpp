// Blocks: what goes on, what ends them, and that they do not depend on where they lie.
#include <gtest/gtest.h>

#include <algorithm>

#include "unit/guest_arm64/machine.h"

namespace solder::arm64::test {
namespace {

ir::Block translate(Machine& m, std::vector<u32> words, u32 max_insts = 64, u64 pc = kCode) {
  ir::TranslateRequest request;
  request.pc = pc;
  request.code = {reinterpret_cast<const u8*>(words.data()), words.size() * 4};
  request.key = m.cpu().key();
  request.max_insts = max_insts;
  ir::Block block;
  m.cpu().translate(request, block);
  EXPECT_EQ(ir::verify(block), "") << ir::print(block);
  return block;
}

usize count(const ir::Block& block, ir::Op op) {
  return static_cast<usize>(std::ranges::count(block.insts, op, &ir::Inst::op));
}

TEST(Blocks, EndAtThePageAndAtTheLimit) {
  Machine m;
  const std::vector<u32> nops(100, 0xd503201f);
  EXPECT_EQ(translate(m, nops).guest_insts, 64U);
  EXPECT_EQ(translate(m, nops, 5).guest_bytes, 20U);
  const ir::Block page = translate(m, {0xd503201f, 0xd503201f});
  EXPECT_EQ(page.guest_insts, 2U);
  EXPECT_EQ(page.insts.back().op, ir::Op::exit_direct);
  EXPECT_EQ(page.insts.back().imm_ab(), 8U);
}

TEST(Blocks, GoOnPastConditionalBranchesAndAlongNearJumps) {
  Machine m;
  // cbz x1, +16; b +8; (skipped); ret
  const ir::Block block = translate(m, {0xb4000081, 0x14000002, 0xffffffff, 0xd65f03c0});
  EXPECT_EQ(block.guest_insts, 3U);
  EXPECT_EQ(block.guest_bytes, 16U);
  EXPECT_EQ(count(block, ir::Op::exit_if), 1U);
  EXPECT_EQ(block.insts.back().op, ir::Op::exit_indirect);
  const ir::Block loop = translate(m, {0x14000000});  // b .
  EXPECT_EQ(loop.insts.back().op, ir::Op::exit_direct);
  EXPECT_EQ(loop.insts.back().imm_ab(), 0U);
}

TEST(Blocks, OneStackCheckWhileItStaysAligned) {
  Machine m;
  m.s().sctlr_el1 |= 1 << 3;
  m.cpu().mode_changed();
  // ldr x1, [sp]; sub sp, sp, #16; ldr x1, [sp], #16; ldr x1, [sp]; ret
  EXPECT_EQ(count(translate(m, {0xf94003e1, 0xd10043ff, 0xf84107e1, 0xf94003e1, 0xd65f03c0}), ir::Op::exit_if), 1U);
}

TEST(Blocks, AreRelativeToTheirAddress) {
  Machine m;
  m.run({0x10000085});  // adr x5, +16
  EXPECT_EQ(m.s().x[5], kCode + 16);
  m.put(kCode, {0xd503201f, 0xb0000005});  // nop; adrp x5, +1 page
  m.s().core.pc = kCode;
  m.step();
  m.step();
  EXPECT_EQ(m.s().x[5], kCode + 0x1000);
  m.run({0x94000010});  // bl +64
  EXPECT_EQ(m.s().x[30], kCode + 4);
  EXPECT_EQ(m.s().core.pc, kCode + 64);
  m.s().x[6] = kRam + 0x100;
  m.run({0xd63f00c0});  // blr x6
  EXPECT_EQ(m.s().x[30], kCode + 4);
  EXPECT_EQ(m.s().core.pc, kRam + 0x100);
  m.write(kCode + 32, 0x8000000080000001);
  m.run({0x58000107});  // ldr x7, +32
  EXPECT_EQ(m.s().x[7], 0x8000000080000001U);
  m.run({0x98000107});  // ldrsw x7, +32
  EXPECT_EQ(m.s().x[7], 0xffffffff80000001U);
}

TEST(Blocks, LinkRegisterAsTarget) {
  Machine m;
  m.s().x[30] = kRam + 0x200;
  m.run({0xd63f03c0});  // blr x30: the old value is the target
  EXPECT_EQ(m.s().core.pc, kRam + 0x200);
  EXPECT_EQ(m.s().x[30], kCode + 4);
}

TEST(Blocks, ExclusivesFailWithoutTheirLoad) {
  Machine m;
  m.s().x[2] = kRam + 0x3000;
  m.write(kRam + 0x3000, 5);
  m.s().x[1] = 9;
  m.run({0xc8037c41});  // stxr w3, x1, [x2]
  EXPECT_EQ(m.s().x[3], 1U);
  m.run({0xc85f7c41, 0xd5033f5f, 0xc8037c41});  // ldxr; clrex; stxr
  EXPECT_EQ(m.s().x[3], 1U);
  m.run({0xc85f7c41, 0xc8037c41});
  EXPECT_EQ(m.s().x[3], 0U);
}

TEST(Registers, ByNameAndBack) {
  Machine m;
  m.s().x[7] = 42;
  Machine other;
  for (const cpu::RegisterValue& value : m.cpu().registers()) {
    EXPECT_TRUE(other.cpu().set_register(value).has_value()) << value.name;
  }
  EXPECT_EQ(other.s().x[7], 42U);
  EXPECT_EQ(other.s().vbar_el1, kVectors);
  EXPECT_FALSE(other.cpu().set_register({"nonsense", {}}).has_value());
}

}  // namespace
}  // namespace solder::arm64::test
