#include "tree/node.h"

#include <gtest/gtest.h>

namespace solder::tree {
namespace {

TEST(Node, PathsAndNames) {
  Tree t;
  Node& soc = t.root().add_child("soc");
  Node& uart = soc.add_child("uart@9000000");
  EXPECT_EQ(uart.path(), "/soc/uart@9000000");
  EXPECT_EQ(t.root().path(), "/");
  EXPECT_EQ(uart.base_name(), "uart");
  EXPECT_EQ(uart.unit_address(), "9000000");
  EXPECT_EQ(t.find("/soc/uart"), &uart);
  EXPECT_EQ(t.find("/"), &t.root());
  EXPECT_EQ(t.find("/soc/spi"), nullptr);
  soc.add_child("uart@a000000");
  EXPECT_EQ(t.find("/soc/uart"), nullptr) << "two have that base name";
  t.root().add_child("aliases").set_string("serial0", "/soc/uart@9000000");
  EXPECT_EQ(t.find("serial0"), &uart);
  EXPECT_EQ(t.find("serial1"), nullptr);
}

TEST(Node, Values) {
  Node n("x");
  n.set_u64("size", 0x1'0000'0002);
  EXPECT_EQ(n.number("size"), 0x1'0000'0002u);
  EXPECT_EQ(n.cell_list("size"), (std::vector<u32>{1, 2}));
  EXPECT_FALSE(n.u32_value("size"));
  n.set_string("compatible", "a,b");
  EXPECT_TRUE(n.is_compatible("a,b"));
  EXPECT_EQ(n.number("compatible"), 0x612c6200u) << "four bytes are a number, too";
  EXPECT_TRUE(n.enabled());
  n.set_string("status", "disabled");
  EXPECT_FALSE(n.enabled());
  n.set_string("status", "okay");
  EXPECT_TRUE(n.enabled());
  EXPECT_TRUE(n.remove_property("status"));
  EXPECT_FALSE(n.remove_property("status"));
  EXPECT_EQ(n.place("compatible"), "(solder): /: compatible");
}

TEST(Tree, PhandlesAreSmallestUnused) {
  Tree t;
  Node& a = t.root().add_child("a");
  Node& b = t.root().add_child("b");
  b.set_u32("phandle", 1);
  EXPECT_EQ(t.ensure_phandle(a), 2u);
  EXPECT_EQ(t.ensure_phandle(a), 2u);
  EXPECT_EQ(t.by_phandle(1), &b);
  const auto copy = t.clone();
  EXPECT_EQ(copy->by_phandle(2)->name(), "a");
  EXPECT_NE(copy->by_phandle(2), &a);
}

}  // namespace
}  // namespace solder::tree
