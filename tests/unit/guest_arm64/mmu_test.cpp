// The stage 1 walk: levels, granules, permissions, access flag and dirty state, faults with their levels.
#include <gtest/gtest.h>

#include "unit/guest_arm64/machine.h"

namespace solder::arm64::test {
namespace {

using ir::AccessKind;
using ir::MmuIndex;

constexpr Gpa kTables = kRam + 0x100000;
constexpr u64 kTable = 3;
constexpr u64 kPage = 3;
constexpr u64 kBlock = 1;
constexpr u64 kAf = 1 << 10;
constexpr u64 kUser = 1 << 6;
constexpr u64 kReadOnly = 1 << 7;
constexpr u64 kPxn = u64{1} << 53;
constexpr u64 kUxn = u64{1} << 54;
constexpr u64 kDbm = u64{1} << 51;
constexpr u64 kNormal = 1 << 2;  // MAIR index 1
constexpr u64 kUpper = 0xffff000000000000;

class Mmu : public testing::Test {
 protected:
  Mmu() {
    m.s().mair_el1 = 0xff00;  // 0: device, 1: normal
    m.s().tcr_el1 =
        16 | (u64{16} << 16) | (u64{2} << 30) | (u64{4} << 32) | (u64{1} << 36);  // 4K both, 44 bits, 16-bit ASID
    m.s().ttbr0_el1 = kTables;
    m.s().ttbr1_el1 = kTables + 0x10000;
    m.s().sctlr_el1 |= 1;
    m.cpu().mode_changed();
  }

  /// Maps one 4 KiB page through all four levels.
  void map(u64 va, u64 leaf, u64 table_bits = 0) {
    Gpa table = bit(va, 55) ? kTables + 0x10000 : kTables;
    for (unsigned level = 0; level < 3; ++level) {
      const Gpa entry = table + bits(va, 47 - 9 * level, 39 - 9 * level) * 8;
      if (m.read(entry) == 0) {
        m.write(entry, next_ | kTable | (level == 2 ? table_bits : 0));
        next_ += 0x1000;
      }
      table = m.read(entry) & 0xfffffffff000;
    }
    leaf_ = table + bits(va, 20, 12) * 8;
    m.write(leaf_, leaf);
  }
  u32 code(u64 va, AccessKind kind = AccessKind::read, MmuIndex mmu = MmuIndex::current) {
    const auto found = m.cpu().walk(va, kind, mmu);
    return found ? 0xffff : found.error().code;
  }
  static constexpr u32 kFine = 0xffff;

  Machine m;
  Gpa leaf_ = 0;

 private:
  Gpa next_ = kTables + 0x20000;
};

TEST_F(Mmu, FourLevels) {
  map(0x123456789000, (kRam + 0x5000) | kPage | kAf | kNormal);
  const auto found = m.cpu().walk(0x123456789abc, AccessKind::read, MmuIndex::current);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->physical, kRam + 0x5abc);
  EXPECT_EQ(found->page_bits, 12);
  EXPECT_TRUE(found->writable);
  EXPECT_TRUE(found->executable);
  EXPECT_FALSE(found->device);
}

TEST_F(Mmu, FaultsNameTheLevel) {
  EXPECT_EQ(code(0x1000), 0x04U);
  map(0x1000, 0);
  EXPECT_EQ(code(0x1000), 0x07U);
  EXPECT_EQ(code(0x1000, AccessKind::write), 0x47U);
  EXPECT_EQ(code(0x200000), 0x06U);
  EXPECT_EQ(code(u64{1} << 39), 0x04U);
  EXPECT_EQ(code(0x0001000000000000), 0x04U);  // beyond T0SZ
  map(0x1000, (kRam) | kPage | kNormal);
  EXPECT_EQ(code(0x1000), 0x0bU);  // access flag
  map(0x1000, (u64{1} << 45) | kPage | kNormal | kAf);
  EXPECT_EQ(code(0x1000), 0x03U);  // address size
  map(0x1000, kRam | 1 | kAf);
  EXPECT_EQ(code(0x1000), 0x07U);  // a block is no page
  m.s().tcr_el1 |= 1 << 7;         // EPD0
  EXPECT_EQ(code(0x1000), 0x04U);
  m.s().ttbr1_el1 = 0x1000;  // tables where no RAM is
  EXPECT_EQ(code(kUpper), 0x14U);
}

TEST_F(Mmu, Permissions) {
  map(0x1000, kRam | kPage | kAf | kNormal | kUser);
  EXPECT_EQ(code(0x1000, AccessKind::execute), 0x0fU);  // writable at EL0: not executable at EL1
  EXPECT_EQ(code(0x1000, AccessKind::write), kFine);
  EXPECT_EQ(code(0x1000, AccessKind::write, MmuIndex::unprivileged), kFine);
  map(0x2000, kRam | kPage | kAf | kNormal | kReadOnly | kPxn);
  EXPECT_EQ(code(0x2000), kFine);
  EXPECT_EQ(code(0x2000, AccessKind::write), 0x4fU);
  EXPECT_EQ(code(0x2000, AccessKind::execute), 0x0fU);
  EXPECT_EQ(code(0x2000, AccessKind::read, MmuIndex::unprivileged), 0x0fU);
  map(0x3000, kRam | kPage | kAf | kNormal | kReadOnly | kUser | kUxn);
  m.go_to_el0();
  EXPECT_EQ(code(0x3000), kFine);
  EXPECT_EQ(code(0x3000, AccessKind::write), 0x4fU);
  EXPECT_EQ(code(0x3000, AccessKind::execute), 0x0fU);
  EXPECT_EQ(code(0x1000, AccessKind::execute), kFine);
  m.s().sctlr_el1 |= 1 << 19;  // WXN
  EXPECT_EQ(code(0x1000, AccessKind::execute), 0x0fU);
}

TEST_F(Mmu, PanHidesUserPagesFromEl1Only) {
  map(0x1000, kRam | kPage | kAf | kNormal | kUser | kReadOnly);
  const ir::ContextKey before = m.cpu().context_key();
  m.s().pan = 1;
  EXPECT_NE(m.cpu().context_key(), before);
  EXPECT_EQ(code(0x1000), 0x0fU);
  EXPECT_EQ(code(0x1000, AccessKind::execute), kFine);
  EXPECT_EQ(code(0x1000, AccessKind::read, MmuIndex::unprivileged), kFine);
}

TEST_F(Mmu, TablesRestrictWhatIsBelow) {
  map(0x1000, kRam | kPage | kAf | kNormal | kUser, (u64{1} << 62) | (u64{1} << 61) | (u64{1} << 59));
  EXPECT_EQ(code(0x1000, AccessKind::write), 0x4fU);
  EXPECT_EQ(code(0x1000, AccessKind::execute), 0x0fU);
  EXPECT_EQ(code(0x1000, AccessKind::read, MmuIndex::unprivileged), 0x0fU);
}

TEST_F(Mmu, BlocksOfTwoMegabytes) {
  map(kUpper, 0);
  m.write((m.read((m.read(kTables + 0x10000) & 0xfffffffff000)) & 0xfffffffff000) + 8,
          0x40000000 | kBlock | kAf | kNormal);
  const auto found = m.cpu().walk(kUpper + 0x212345, AccessKind::read, MmuIndex::current);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->physical, 0x40012345U);
  EXPECT_EQ(found->page_bits, 21);
}

TEST_F(Mmu, HardwareAccessFlagAndDirtyState) {
  map(0x1000, kRam | kPage | kNormal | kReadOnly | kDbm);
  m.s().tcr_el1 |= (u64{1} << 39) | (u64{1} << 40);
  auto found = m.cpu().walk(0x1000, AccessKind::read, MmuIndex::current);
  ASSERT_TRUE(found);
  EXPECT_FALSE(found->writable);  // the first write must be seen
  EXPECT_EQ(m.read(leaf_), kRam | kPage | kNormal | kReadOnly | kDbm | kAf);
  found = m.cpu().walk(0x1000, AccessKind::write, MmuIndex::current);
  ASSERT_TRUE(found);
  EXPECT_TRUE(found->writable);
  EXPECT_EQ(m.read(leaf_), kRam | kPage | kNormal | kDbm | kAf);
  map(0x2000, kRam | kPage | kNormal | kReadOnly);  // really read-only: no flag for a write that faults
  EXPECT_EQ(code(0x2000, AccessKind::write), 0x4fU);
  EXPECT_EQ(m.read(leaf_) & kAf, 0U);
}

TEST_F(Mmu, TopByteIgnored) {
  map(0x1000, kRam | kPage | kAf | kNormal);
  EXPECT_EQ(code(0xab00000000001000), 0x04U);
  m.s().tcr_el1 |= u64{1} << 37;
  EXPECT_EQ(code(0xab00000000001000), kFine);
  EXPECT_EQ(m.cpu().canonical(0xab00000000001000), 0x1000U);
}

TEST_F(Mmu, HalvesHiddenFromEl0) {
  map(0x1000, kRam | kPage | kAf | kNormal | kUser);
  map(kUpper, kRam | kPage | kAf | kNormal | kUser);
  m.s().tcr_el1 |= u64{1} << 56;  // E0PD1
  EXPECT_EQ(code(kUpper), kFine);
  EXPECT_EQ(code(kUpper, AccessKind::read, MmuIndex::unprivileged), 0x04U);
  EXPECT_EQ(code(0x1000, AccessKind::read, MmuIndex::unprivileged), kFine);
}

TEST_F(Mmu, DeviceMemory) {
  map(0x1000, 0x09000000 | kPage | kAf);
  const auto found = m.cpu().walk(0x1000, AccessKind::read, MmuIndex::current);
  ASSERT_TRUE(found);
  EXPECT_TRUE(found->device);
}

TEST_F(Mmu, Granule64K) {
  m.s().tcr_el1 = (m.s().tcr_el1 & ~u64{0xc000}) | (1 << 14);
  const Gpa second = kTables + 0x40000;
  const Gpa third = kTables + 0x50000;
  m.write(kTables, second | kTable);                                 // level 1: 42 bits and up
  m.write(second + 8, third | kTable);                               // level 2: 512 MiB each
  m.write(third + 3 * 8, (kRam + 0x20000) | kPage | kAf | kNormal);  // level 3: 64 KiB each
  const auto found = m.cpu().walk(0x20000000 + 0x31234, AccessKind::read, MmuIndex::current);
  ASSERT_TRUE(found) << found.error().code;
  EXPECT_EQ(found->physical, kRam + 0x21234);
  EXPECT_EQ(found->page_bits, 16);
}

TEST_F(Mmu, AddressTranslateInstructions) {
  map(0x1000, (kRam + 0x7000) | kPage | kAf | kNormal | (3 << 8));
  map(kUpper + (kCode & 0xffffffff), kCode | kPage | kAf | kNormal);
  m.s().x[2] = 0x1234;
  m.put(kCode, {0xd5087802, 0xd5087862});  // at s1e1r, x2; at s1e0w, x2
  m.s().core.pc = kUpper + (kCode & 0xffffffff);
  m.step();
  EXPECT_EQ(m.s().par_el1, 0xff00000000000000 | (kRam + 0x7000) | (3 << 7) | (1 << 11));
  m.step();
  EXPECT_EQ(m.s().par_el1, (0x0fU << 1) | (1 << 11) | 1);
}

TEST_F(Mmu, ContextsSurviveProcessSwitches) {
  const ir::ContextKey kernel = m.cpu().context_key();
  const ir::ContextKey user = m.cpu().unprivileged_context_key();
  map(0x1000, kRam | kPage | kAf | kNormal);
  (void)m.cpu().walk(0x1000, AccessKind::read, MmuIndex::current);
  map(kUpper + (kCode & 0xffffffff), kCode | kPage | kAf | kNormal);
  m.put(kCode, {0xd5182002, 0xd5182002});  // msr ttbr0_el1, x2
  m.s().x[2] = (u64{5} << 48) | kTables;
  m.s().core.pc = kUpper + (kCode & 0xffffffff);
  m.step();
  EXPECT_EQ(m.cpu().context_key(), kernel);
  EXPECT_NE(m.cpu().unprivileged_context_key(), user);
  EXPECT_EQ(m.cpu().asid(), 5U);
  ASSERT_EQ(m.tlb.calls.size(), 1U);
  EXPECT_EQ(m.tlb.calls[0], "range 0+36028797018963968 of 65536");
  m.s().x[2] = (u64{6} << 48) | kTables;
  m.step();
  EXPECT_EQ(m.tlb.calls.size(), 1U);  // nothing of the lower half was used
}

}  // namespace
}  // namespace solder::arm64::test
