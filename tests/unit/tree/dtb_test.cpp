#include <gmock/gmock.h>

#include "base/bytes.h"
#include "tree/dtb_format.h"
#include "unit/tree/parts.h"

namespace solder::tree {
namespace {

using ::testing::HasSubstr;

class Dtb : public ::testing::Test {
 protected:
  void SetUp() override {
    bytes_ = blob("/memreserve/ 0x1000 0x10;\n/ { model = \"m\"; empty; a@1 { reg = <1>; b {}; }; c {}; };");
  }
  void put(usize offset, u32 value) { store_be<u32>(bytes_.data() + offset, value); }
  u32 get(usize offset) const { return load_be<u32>(bytes_.data() + offset); }
  std::string complaint_about() const {
    const auto tree = read_dtb(bytes_, "x.dtb");
    return tree ? "" : tree.error().text();
  }
  std::vector<u8> bytes_;
};

TEST_F(Dtb, IsReadAsItWasWritten) {
  const auto tree = read_dtb(bytes_, "x.dtb");
  ASSERT_TRUE(tree) << tree.error().text();
  EXPECT_EQ(write_dtb(**tree), bytes_);
  ASSERT_EQ((*tree)->reservations.size(), 1u);
  EXPECT_EQ((*tree)->reservations[0].address, 0x1000u);
  const Node* a = (*tree)->find("/a");
  ASSERT_TRUE(a);
  const u64 offset = a->property("reg")->where.offset;
  EXPECT_EQ(get(offset), kFdtProp) << "the place of a property is that of its token";
  EXPECT_EQ(get(a->where.offset), kFdtBeginNode);
  EXPECT_THAT(a->place("reg"), HasSubstr("x.dtb@0x"));
  EXPECT_EQ((*tree)->root().property("empty")->form, Form::empty);
}

TEST_F(Dtb, CutAnywhereItIsRefused) {
  const std::vector<u8> whole = bytes_;
  for (usize size = 0; size < whole.size(); ++size) {
    bytes_.assign(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_FALSE(complaint_about().empty()) << size;
    if (size < 40) continue;
    put(4, static_cast<u32>(size));  // and when the header admits to it
    const auto tree = read_dtb(bytes_, "x.dtb");
    EXPECT_FALSE(tree) << size;
  }
}

TEST_F(Dtb, TrailingBytesAreNotPartOfIt) {
  bytes_.resize(bytes_.size() + 100, 0xaa);
  EXPECT_EQ(complaint_about(), "");
}

TEST_F(Dtb, NopsAreSkipped) {
  const auto tree = read_dtb(bytes_, "x.dtb");
  ASSERT_TRUE(tree);
  const u64 begin = (*tree)->find("/c")->where.offset;  // begin, "c", end: three words
  for (u64 i = 0; i < 3; ++i) put(begin + i * 4, kFdtNop);
  const auto without = read_dtb(bytes_, "x.dtb");
  ASSERT_TRUE(without) << without.error().text();
  EXPECT_EQ((*without)->find("/c"), nullptr);
  EXPECT_NE((*without)->find("/a/b"), nullptr);
}

TEST_F(Dtb, VersionSixteenHasNoStructureSize) {
  put(20, 16);
  put(36, 0xdeadbeef);
  EXPECT_EQ(complaint_about(), "");
  put(20, 3);
  EXPECT_THAT(complaint_about(), HasSubstr("x.dtb@0x14: has format version 3"));
  put(20, 99);
  put(24, 18);
  EXPECT_THAT(complaint_about(), HasSubstr("format version 99 (readable as 18)"));
}

TEST_F(Dtb, HeadersThatLie) {
  const std::vector<u8> whole = bytes_;
  const auto with = [&](usize offset, u32 value) {
    bytes_ = whole;
    put(offset, value);
    return complaint_about();
  };
  EXPECT_THAT(with(0, 0x12345678), HasSubstr("magic"));
  EXPECT_THAT(with(4, 0xffffffff), HasSubstr("claims 4294967295 bytes but only"));
  EXPECT_THAT(with(4, 8), HasSubstr("shorter than its header"));
  EXPECT_THAT(with(8, 0xfffffffc), HasSubstr("structure block lies outside"));
  EXPECT_THAT(with(8, 0x39), HasSubstr("structure block lies outside"));
  EXPECT_THAT(with(12, 0xffffffff), HasSubstr("strings block lies outside"));
  EXPECT_THAT(with(16, 0xfffffff0), HasSubstr("memory reservations have no end"));
  EXPECT_THAT(with(32, 0), HasSubstr("name lies outside of the strings block"));
  EXPECT_THAT(with(36, 8), HasSubstr("ends before the end token"));
}

TEST_F(Dtb, BlocksThatLie) {
  const std::vector<u8> whole = bytes_;
  const u32 structure = get(8);
  const auto with = [&](usize word, u32 value) {
    bytes_ = whole;
    put(structure + word * 4, value);
    return complaint_about();
  };
  EXPECT_THAT(with(0, kFdtProp), HasSubstr("property outside of every node"));
  EXPECT_THAT(with(0, kFdtEnd), HasSubstr("ends inside a node"));
  EXPECT_THAT(with(0, kFdtEndNode), HasSubstr("ends a node that was never begun"));
  EXPECT_THAT(with(0, 7), HasSubstr("unknown token 0x7"));
  EXPECT_THAT(with(3, 0xffffffff), HasSubstr("longer than the blob"));
  EXPECT_THAT(with(1, 0x41424300), HasSubstr("its root is named \"ABC\""));
}

TEST_F(Dtb, NamesThatNoSourceCouldHave) {
  const std::string text(bytes_.begin(), bytes_.end());
  bytes_[text.find("a@1")] = ' ';
  EXPECT_THAT(complaint_about(), HasSubstr("/ has a child with the bad name \" @1\""));
  bytes_[text.find("a@1")] = 'a';
  bytes_[text.find("model")] = ';';
  EXPECT_THAT(complaint_about(), HasSubstr("/ has a property with the bad name \";odel\""));
}

TEST_F(Dtb, FixupsThatLie) {
  const auto overlay = [](const char* fixup) {
    const auto tree = parse_dts(
        std::string("/ { f { target = <0>; __overlay__ {}; }; __fixups__ { x = \"") + fixup + "\"; }; };", "o.dts", "");
    return tree ? std::string() : tree.error().text();
  };
  EXPECT_EQ(overlay("/f:target:0"), "");
  EXPECT_THAT(overlay("/f:target:1"), HasSubstr("past the end"));
  EXPECT_THAT(overlay("/f:target:99999999999"), HasSubstr("no number"));
  EXPECT_THAT(overlay("/f:target:"), HasSubstr("no number"));
  EXPECT_THAT(overlay("/f:to:0"), HasSubstr("names a property that is not there"));
  EXPECT_THAT(overlay("/g:target:0"), HasSubstr("names a node that is not there"));
  EXPECT_THAT(overlay("0"), HasSubstr("is not path:property:offset"));
  EXPECT_THAT(overlay(":0"), HasSubstr("is not path:property:offset"));
}

}  // namespace
}  // namespace solder::tree
