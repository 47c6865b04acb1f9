#include "device/registers.h"

#include <gtest/gtest.h>

#include "device/archive.h"

namespace solder::device {
namespace {

struct Model {
  std::mutex lock;
  u32 control = 0;
  u32 written = 0;
  std::array<u32, 4> bank{};
  RegisterBlock block{"/dev", 0x1000, lock};
  Model() {
    block.rw("CTRL", 0x00, control, 0xff)
        .ro("ID", 0x04, [] { return 0x11223344U; })
        .wo("KICK", 0x08, [this](u32 v) { written = v; })
        .bank(
            "DATA", 0x100, 4, [this](u32 i) { return bank[i]; }, [this](u32 i, u32 v) { bank[i] = v; })
        .primecell_id(0x31, 1);
  }
};

TEST(RegisterBlock, MasksWritesAndKeepsReadOnly) {
  Model m;
  m.block.write(0, 4, 0xabcd);
  EXPECT_EQ(m.block.read(0, 4), 0xcdU);
  m.block.write(4, 4, 0);
  EXPECT_EQ(m.block.read(4, 4), 0x11223344U);
  EXPECT_EQ(m.block.stray_accesses(), 1U);
}

TEST(RegisterBlock, NarrowReadsGetTheirPart) {
  Model m;
  EXPECT_EQ(m.block.read(4, 1), 0x44U);
  EXPECT_EQ(m.block.read(6, 2), 0x1122U);
}

TEST(RegisterBlock, NarrowWritesInsideARegisterNeedPermission) {
  Model m;
  m.block.write(0x101, 1, 0x7f);
  EXPECT_EQ(m.bank[0], 0U);
  m.block.allow_narrow();
  m.block.write(0x101, 1, 0x7f);
  EXPECT_EQ(m.bank[0], 0x7f00U);
}

TEST(RegisterBlock, BanksKnowTheirIndexAndWideAccessesAreTwo) {
  Model m;
  m.block.write(0x108, 8, 0x1111111122222222);
  EXPECT_EQ(m.bank[2], 0x22222222U);
  EXPECT_EQ(m.bank[3], 0x11111111U);
  EXPECT_EQ(m.block.read(0x108, 8), 0x1111111122222222U);
}

TEST(RegisterBlock, HolesReadZeroAndCount) {
  Model m;
  EXPECT_EQ(m.block.read(0x800, 4), 0U);
  m.block.write(0x800, 8, ~u64{0});
  EXPECT_EQ(m.block.stray_accesses(), 2U);
}

TEST(RegisterBlock, PrimeCellIdentifiesItself) {
  Model m;
  EXPECT_EQ(m.block.read(0xfe0, 4), 0x31U);
  EXPECT_EQ(m.block.read(0xfe4, 4), 0x10U);
  EXPECT_EQ(m.block.read(0xfe8, 4), 0x14U);
  EXPECT_EQ(m.block.read(0xff0, 4), 0x0dU);
  EXPECT_EQ(m.block.read(0xffc, 4), 0xb1U);
}

struct Part {
  u32 a = 0;
  std::array<u16, 3> b{};
  std::vector<u8> fifo;
  void state(Archive& archive) {
    archive("a", a)("b", b);
    archive.bytes("fifo", fifo, 16);
  }
};

TEST(Archive, LoadsWhatItSaved) {
  Part part{7, {1, 2, 3}, {9, 8}};
  Archive save = Archive::saver();
  save("part", part);
  Part copy;
  Archive load = Archive::loader(save.data());
  load("part", copy);
  EXPECT_TRUE(load.status());
  EXPECT_EQ(copy.a, 7U);
  EXPECT_EQ(copy.b[2], 3U);
  EXPECT_EQ(copy.fifo, (std::vector<u8>{9, 8}));
}

TEST(Archive, EveryTruncationAndCorruptionIsAnErrorThatNamesTheField) {
  Part part{7, {1, 2, 3}, {9, 8}};
  Archive save = Archive::saver();
  save("part", part);
  for (usize length = 0; length < save.data().size(); ++length) {
    Part copy;
    Archive load = Archive::loader({save.data().begin(), save.data().begin() + static_cast<std::ptrdiff_t>(length)});
    load("part", copy);
    ASSERT_FALSE(load.status());
    EXPECT_NE(load.status().error().what.find("part."), std::string::npos);
  }
  std::vector<u8> bad = save.data();
  bad[bad.size() - 6] = 0xff;  // the fifo's length: larger than the data and its limit
  Part copy;
  Archive load = Archive::loader(bad);
  load("part", copy);
  EXPECT_FALSE(load.status());
}

}  // namespace
}  // namespace solder::device
