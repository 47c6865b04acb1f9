#include <gmock/gmock.h>

#include "base/bytes.h"
#include "tree/resolve.h"
#include "tree/typing.h"
#include "unit/tree/parts.h"

namespace solder::tree {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(Composer, LaterDocumentsWinAndKeepTheirPlace) {
  const auto t = composed({
      "/ {\n model = \"first\";\n uart0: serial@1000 {\n  status = \"disabled\";\n  current-speed = <9600>;\n };\n};",
      "/ { serial@1000 { current-speed = <115200>; }; };\n&uart0 {\n status = \"okay\";\n};",
  });
  ASSERT_TRUE(t);
  const Node* uart = t->find("/serial@1000");
  ASSERT_TRUE(uart);
  EXPECT_TRUE(uart->enabled());
  EXPECT_EQ(uart->u32_value("current-speed"), 115200u);
  EXPECT_EQ(uart->place("status"), "b.dts:3: /serial@1000: status");
  EXPECT_EQ(uart->place(), "a.dts:3: /serial@1000");
  EXPECT_EQ(t->root().place("model"), "a.dts:2: /: model");
}

TEST(Composer, LaterDocumentsDeleteFromEarlierOnes) {
  const auto t = composed({
      "/ { a { x = <1>; y = <2>; }; b { c {}; d {}; }; e: e {}; };",
      "/ { a { /delete-property/ x; }; b { /delete-node/ c; }; };\n/delete-node/ &e;",
  });
  ASSERT_TRUE(t);
  EXPECT_FALSE(t->find("/a")->has("x"));
  EXPECT_TRUE(t->find("/a")->has("y"));
  EXPECT_EQ(t->find("/b/c"), nullptr);
  EXPECT_NE(t->find("/b/d"), nullptr);
  EXPECT_EQ(t->find("/e"), nullptr);
}

TEST(Composer, PhandlesAreGivenOnlyWhereReferred) {
  const auto t = composed({"/ { a: a {}; b: b { to = <&a &c>; }; c: c { phandle = <1>; }; };"});
  ASSERT_TRUE(t);
  EXPECT_THAT(t->find("/b")->cell_list("to"), ElementsAre(2u, 1u));
  EXPECT_EQ(t->find("/b")->phandle(), 0u);
}

TEST(Composer, ADeletedNodesLabelMayBeUsedAgain) {
  const auto t = composed({"/ { x: a {}; user { to = <&x>; }; };", "/delete-node/ &x;\n/ { x: b {}; };"});
  ASSERT_TRUE(t);
  EXPECT_EQ(t->by_phandle(t->find("/user")->u32_value("to").value_or(0)), t->find("/b"));
}

TEST(Composer, TextAfterABlobFindsItsSymbolsAndAliases) {
  Composer composer;
  const auto board = blob("/ { aliases { serial0 = &uart; }; uart: serial@1 { status = \"disabled\"; }; };", true);
  ASSERT_TRUE(composer.add_bytes(board, "board.dtb"));
  ASSERT_TRUE(composer.add_text("&uart { status = \"okay\"; };\n&serial0 { more; };", "b.dts"));
  const auto t = composer.finish();
  ASSERT_TRUE(t) << t.error().text();
  EXPECT_TRUE((*t)->find("serial0")->enabled());
  EXPECT_TRUE((*t)->find("serial0")->has("more"));
}

TEST(Composer, ASecondBlobsPhandlesGiveWay) {
  // Both blobs number from 1. In the second, known by the bindings: clocks and interrupt-parent; "reg" is no reference.
  const auto first = blob("/ { clk: clk-a { #clock-cells = <0>; }; dev-a { clocks = <&clk>; }; };");
  const auto second = blob(
      "/ { interrupt-parent = <&pic>; clk: clk-b { #clock-cells = <1>; };"
      "    dev-b { clocks = <&clk 1>, <&clk 2>; reg = <1 2>; }; pic: pic { #interrupt-cells = <1>; }; };");
  Composer composer;
  ASSERT_TRUE(composer.add_bytes(first, "first.dtb"));
  ASSERT_TRUE(composer.add_bytes(second, "second.dtb"));
  auto t = composer.finish();
  ASSERT_TRUE(t) << t.error().text();
  const auto target = [&](const char* path, const char* property, usize cell) {
    const Node* found = (*t)->by_phandle((*t)->find(path)->cell_list(property).at(cell));
    return found ? found->path() : "nothing";
  };
  EXPECT_EQ(target("/dev-a", "clocks", 0), "/clk-a");
  EXPECT_EQ(target("/dev-b", "clocks", 0), "/clk-b");
  EXPECT_EQ(target("/dev-b", "clocks", 2), "/clk-b");
  EXPECT_EQ((*t)->find("/dev-b")->cell_list("clocks").at(1), 1u) << "an argument";
  EXPECT_EQ(target("/", "interrupt-parent", 0), "/pic");
  EXPECT_THAT((*t)->find("/dev-b")->cell_list("reg"), ElementsAre(1u, 2u));
  (*t)->walk([](Node& n) { EXPECT_TRUE(n.labels.empty()) << n.path() << ": no helper labels are left"; });
}

TEST(Composer, ANodeOfTwoBlobsKeepsItsFirstPhandle) {
  const auto first = blob("/ { x: x {}; clk: clk { #clock-cells = <0>; }; u { clocks = <&clk>; to = <&x>; }; };");
  const auto second = blob("/ { clk: clk { #clock-cells = <0>; }; v { clocks = <&clk>; }; };");
  Composer composer;
  ASSERT_TRUE(composer.add_bytes(first, "first.dtb"));
  ASSERT_TRUE(composer.add_bytes(second, "second.dtb"));
  const auto t = composer.finish();
  ASSERT_TRUE(t) << t.error().text();
  const u32 phandle = (*t)->find("/clk")->phandle();
  EXPECT_EQ((*t)->find("/u")->u32_value("clocks"), phandle);
  EXPECT_EQ((*t)->find("/v")->u32_value("clocks"), phandle);
  EXPECT_EQ((*t)->find("/x")->phandle(), (*t)->find("/u")->u32_value("to"));
}

TEST(Composer, DeletionsSurviveCompilation) {
  const std::string board =
      "/ { aliases { ethernet0 = &eth; serial0 = &uart; }; uart: serial {};"
      "    soc { eth: ethernet { phy-handle = <&phy>; mode = \"mii\"; mdio { phy: phy@c {}; phy@d {}; }; }; }; };";
  const std::string edit =
      "&eth { solder,delete-property = \"phy-handle\"; solder,delete-node = \"mdio/phy@c\"; };"
      "/ { solder,delete-node = &uart, \"/soc/ethernet/mdio/phy@d\"; };";
  Composer composer;
  ASSERT_TRUE(composer.add_bytes(blob(board, true), "board.dtb"));
  ASSERT_TRUE(composer.add_text(edit, "edit.dts"));
  const auto t = composer.finish();
  ASSERT_TRUE(t) << t.error().text();
  const Node* eth = (*t)->find("ethernet0");
  ASSERT_TRUE(eth);
  EXPECT_FALSE(eth->has("phy-handle"));
  EXPECT_TRUE(eth->has("mode"));
  EXPECT_TRUE(eth->child("mdio")->children().empty());
  EXPECT_EQ((*t)->find("/serial"), nullptr);
  EXPECT_FALSE((*t)->find("/aliases")->has("serial0")) << "an alias goes with its node";
  (*t)->walk([](Node& n) {
    for (const auto& p : n.properties()) EXPECT_FALSE(p.name.starts_with("solder,")) << n.path();
  });
}

TEST(Composer, DeletionsOfAnImportWaitForIt) {
  const auto t = composed({"/ { eth { solder,import = \"/eth\"; solder,delete-property = \"iommus\"; }; };"});
  ASSERT_TRUE(t);
  EXPECT_TRUE(t->find("/eth")->has("solder,delete-property"));
}

TEST(Composer, OverlaysDeleteToo) {
  const std::string board = "/ { eth: ethernet { phy-handle = <1>; old {}; }; };";
  const auto native =
      composed({board, "/dts-v1/; /plugin/; &eth { /delete-property/ phy-handle; /delete-node/ old; };"});
  const auto listed =
      composed({board, "/plugin/; &eth { solder,delete-property = \"phy-handle\"; solder,delete-node = \"old\"; };"});
  for (const auto* t : {&native, &listed}) {
    ASSERT_TRUE(*t);
    EXPECT_FALSE((*t)->find("/ethernet")->has("phy-handle"));
    EXPECT_TRUE((*t)->find("/ethernet")->children().empty());
    EXPECT_TRUE((*t)->find("/ethernet")->properties().empty());
  }
}

TEST(Composer, ADecompiledOverlayIsAnOverlay) {
  auto overlay = parse_dts("/dts-v1/; /plugin/; &a { x: added { to = <&a>; }; };", "o.dts", "");
  ASSERT_TRUE(overlay) << overlay.error().text();
  Composer composer;
  ASSERT_TRUE(composer.add_text("/ { a: a {}; };", "a.dts"));
  const auto bytes = write_dtb(**overlay, true);
  auto again = read_dtb(bytes, "o.dtbo");
  ASSERT_TRUE(again) << again.error().text();
  std::string text = print_dts(**again);
  text.replace(text.find("/plugin/;"), 9, "");
  ASSERT_TRUE(composer.add_text(text, "o.dts"));
  const auto t = composer.finish();
  ASSERT_TRUE(t) << t.error().text();
  ASSERT_TRUE((*t)->find("/a/added"));
  EXPECT_EQ((*t)->by_phandle((*t)->find("/a/added")->u32_value("to").value_or(0)), (*t)->find("/a"));
}

TEST(Composer, ReferencesWithinAndIntoMixedValues) {
  const auto t = composed({"/ { a: a {}; b { v = &a, <&a 7>, \"x\", &{/a}; }; };"});
  ASSERT_TRUE(t);
  const auto& v = t->find("/b")->property("v")->value;
  const std::string text(v.begin(), v.end());
  EXPECT_EQ(text, std::string("/a\0\0\0\0\1\0\0\0\7x\0/a\0", 16));
}

TEST(Composer, AComposedTreeMayBeComposedAgain) {
  auto first = composed({
      "/ { aliases { k = &kept; }; /omit-if-no-ref/ kept: kept {}; /omit-if-no-ref/ gone: gone {}; a: a { to = <&b>; };"
      "    b: b {}; };",
  });
  ASSERT_TRUE(first);
  EXPECT_EQ(first->find("/gone"), nullptr);
  Composer composer;
  ASSERT_TRUE(composer.add_tree(std::move(first)));
  ASSERT_TRUE(composer.add_text("&a { too = <&b &a>; };", "edit.dts"));
  const auto t = composer.finish();
  ASSERT_TRUE(t) << t.error().text();
  EXPECT_NE((*t)->find("/kept"), nullptr) << "only a path refers to it, and that is text by now";
  EXPECT_EQ((*t)->find("/a")->cell_list("too").at(0), (*t)->find("/a")->u32_value("to"));
}

TEST(StripHostSide, LeavesWhatTheGuestMaySee) {
  const auto t = composed({
      "/ { aliases { con = &con; u = &u; }; u: uart { reg = <1>; solder,chardev = <&con>; solder,card { cpu {}; }; };"
      "    solder { con: con { solder,type = \"stdio\"; }; }; };",
  });
  ASSERT_TRUE(t);
  const auto guest = strip_host_side(*t);
  EXPECT_EQ(print_dts(*guest).find("solder"), std::string::npos) << print_dts(*guest);
  EXPECT_NE(guest->find("/uart"), nullptr);
  EXPECT_TRUE(guest->find("/aliases")->has("u"));
  EXPECT_FALSE(guest->find("/aliases")->has("con"));
  EXPECT_NE(t->find("/solder/con"), nullptr) << "the original stays";
}

TEST(Printer, IsAFixedPoint) {
  const auto t =
      composed({"/ { a: a { s = \"x\", \"\"; c = <1 &a>; b = [01 02 03]; m = \"q\\\"\\\\\\n\\x01\"; e; p = &a; }; };"});
  ASSERT_TRUE(t);
  const std::string once = print_dts(*t);
  const auto again = composed({once});
  ASSERT_TRUE(again) << once;
  EXPECT_EQ(print_dts(*again), once);
  EXPECT_EQ(write_dtb(*again), write_dtb(*t));
  EXPECT_THAT(once, HasSubstr("c = <0x1 &a>;"));
  EXPECT_THAT(once, HasSubstr("b = [01 02 03];"));
  EXPECT_THAT(print_dts(*t, {.locations = true}), HasSubstr("e; /* a.dts:1 */"));
}

TEST(Typing, KnowsTheBindings) {
  const auto t = composed({
      "/ { c: c { #clock-cells = <1>; #gpio-cells = <2>; #iommu-cells = <1>; };"
      "    n { clocks = <&c 1>, <0>, <&c 1>; reset-gpios = <&c 1 1>; vdd-supply = <&c>; pinctrl-0 = <&c>; "
      "pinctrl-names = \"a\";"
      "        nr-gpios = <1>; iommu-map = <0 &c 1 0x100>; reg = <1 1>; };"
      "    hog { gpio-hog; gpios = <1 0>; }; };",
  });
  ASSERT_TRUE(t);
  const PhandleLookup lookup = [&](u32 p) { return t->by_phandle(p); };
  const auto offsets = [&](const char* path, const char* name) {
    return phandle_offsets(*t->find(path), *t->find(path)->property(name), lookup);
  };
  ASSERT_EQ(t->find("/c")->phandle(), 1u);
  EXPECT_THAT(offsets("/n", "clocks"), ElementsAre(0u, 12u));
  EXPECT_THAT(offsets("/n", "reset-gpios"), ElementsAre(0u));
  EXPECT_THAT(offsets("/n", "vdd-supply"), ElementsAre(0u));
  EXPECT_THAT(offsets("/n", "pinctrl-0"), ElementsAre(0u));
  EXPECT_THAT(offsets("/n", "iommu-map"), ElementsAre(4u));
  EXPECT_THAT(offsets("/n", "pinctrl-names"), ElementsAre());
  EXPECT_THAT(offsets("/n", "nr-gpios"), ElementsAre());
  EXPECT_THAT(offsets("/n", "reg"), ElementsAre());
  EXPECT_THAT(offsets("/hog", "gpios"), ElementsAre());
}

}  // namespace
}  // namespace solder::tree
