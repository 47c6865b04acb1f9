#include "tree/resolve.h"

#include <gmock/gmock.h>

#include "unit/tree/parts.h"

namespace solder::tree {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class Resolve : public ::testing::Test {
 protected:
  void make(const std::string& text) {
    tree_ = composed({text});
    ASSERT_TRUE(tree_);
  }
  const Node& at(const char* path) const {
    const Node* found = tree_->find(path);
    EXPECT_NE(found, nullptr) << path;
    return *found;
  }
  template <class T>
  static std::string error(const Result<T>& result) {
    return result ? "no error" : result.error().text();
  }
  std::unique_ptr<Tree> tree_;
};

TEST_F(Resolve, RegThroughRanges) {
  make(R"(/ { #address-cells = <2>; #size-cells = <2>;
    bus@1 { #address-cells = <1>; #size-cells = <1>; ranges = <0x0 0x1 0x10000000 0x1000>, <0x8000 0x2 0 0x8000>;
      inner { #address-cells = <1>; #size-cells = <0>; flat {}; dev@1 { reg = <1>; }; };
      same { #address-cells = <1>; #size-cells = <1>; ranges; dev@9000 { reg = <0x9000 0x10>, <0x10 0x20>; }; };
      out@7000 { reg = <0x7000 4>; }; bad { reg = <1 2 3>; }; };
    top@5 { reg = <0 5 0 6>; }; none {}; };)");
  const auto ranges = translate_reg(*tree_, at("/bus@1/same/dev@9000"));
  ASSERT_TRUE(ranges) << error(ranges);
  ASSERT_THAT(*ranges, SizeIs(2));
  EXPECT_EQ((*ranges)[0].address, 0x2'0000'1000u);
  EXPECT_EQ((*ranges)[0].size, 0x10u);
  EXPECT_EQ((*ranges)[1].address, 0x1'1000'0010u);
  EXPECT_EQ(translate_reg(*tree_, at("/top@5"))->at(0).address, 5u);
  EXPECT_THAT(*translate_reg(*tree_, at("/none")), IsEmpty());
  EXPECT_THAT(error(translate_reg(*tree_, at("/bus@1/inner/dev@1"))),
              HasSubstr("/bus@1/inner (a.dts:3) has no ranges"));
  EXPECT_THAT(error(translate_reg(*tree_, at("/bus@1/out@7000"))),
              HasSubstr("0x7000 lies in no window of the ranges of /bus@1"));
  EXPECT_THAT(error(translate_reg(*tree_, at("/bus@1/bad"))), HasSubstr("a.dts:5: /bus@1/bad: reg: has 3 cells"));
}

TEST_F(Resolve, PciAddressesKeepTheirSpaces) {
  make(R"(/ { #address-cells = <2>; #size-cells = <2>;
    pcie { device_type = "pci"; #address-cells = <3>; #size-cells = <2>;
      ranges = <0x01000000 0 0 0 0x3eff0000 0 0x10000>, <0x02000000 0 0x10000000 0 0x10000000 0 0x2eff0000>;
      io@1 { reg = <0x01000010 0 0x20 0 0x10>; }; mem@2 { reg = <0x82000014 0 0x10000100 0 0x10>; };
      dev@3 { reg = <0x1800 0 0 0 0>; }; }; };)");
  EXPECT_EQ(translate_reg(*tree_, at("/pcie/io@1"))->at(0).address, 0x3eff0020u);
  EXPECT_EQ(translate_reg(*tree_, at("/pcie/mem@2"))->at(0).address, 0x10000100u);
  EXPECT_THAT(error(translate_reg(*tree_, at("/pcie/dev@3"))), HasSubstr("PCI configuration address"));
}

TEST_F(Resolve, InterruptsOfTheNearestParent) {
  make(R"(/ { interrupt-parent = <&gic>;
    gic: gic { interrupt-controller; #interrupt-cells = <3>; interrupts = <1 9 4>; };
    gpio: gpio { interrupt-controller; #interrupt-cells = <2>; interrupts = <0 44 4>; };
    a { interrupts = <0 1 4 0 2 4>; }; b { interrupt-parent = <&gpio>; c { interrupts = <5 8>; }; };
    d { interrupts = <9 9 9>; interrupts-extended = <&gpio 7 1>, <&gic 0 3 4>; };
    bad { interrupts = <0 1>; }; };)");
  const auto a = interrupts(*tree_, at("/a"));
  ASSERT_TRUE(a) << error(a);
  ASSERT_THAT(*a, SizeIs(2));
  EXPECT_EQ((*a)[0].controller, &at("/gic"));
  EXPECT_THAT((*a)[1].cells, ElementsAre(0u, 2u, 4u));
  EXPECT_EQ((*a)[0].path.at(0).note, "interrupt-parent from / (a.dts:1)");
  const auto c = interrupts(*tree_, at("/b/c"));
  ASSERT_TRUE(c) << error(c);
  EXPECT_EQ((*c)[0].controller, &at("/gpio"));
  const auto d = interrupts(*tree_, at("/d"));
  ASSERT_TRUE(d) << error(d);
  ASSERT_THAT(*d, SizeIs(2));
  EXPECT_EQ((*d)[0].controller, &at("/gpio"));
  EXPECT_EQ((*d)[1].controller, &at("/gic"));
  EXPECT_THAT(error(interrupts(*tree_, at("/bad"))),
              HasSubstr("a.dts:6: /bad: interrupts: has 2 cells, but an interrupt of /gic has 3"));

  const auto chain = cascade(*tree_, at("/gpio"));
  ASSERT_TRUE(chain) << error(chain);
  ASSERT_THAT(*chain, SizeIs(1));
  EXPECT_THAT((*chain)[0].cells, ElementsAre(0u, 44u, 4u));
  EXPECT_THAT(*cascade(*tree_, at("/gic")), IsEmpty()) << "its maintenance interrupt is its own";
}

TEST_F(Resolve, ALoopOfControllersIsAnError) {
  make(R"(/ { a: a { interrupt-controller; #interrupt-cells = <1>; interrupts-extended = <&b 1>; };
    b: b { interrupt-controller; #interrupt-cells = <1>; interrupts-extended = <&a 1>; }; };)");
  EXPECT_THAT(error(cascade(*tree_, at("/a"))), HasSubstr("circle"));
}

TEST_F(Resolve, InterruptMaps) {
  make(R"(/ { #address-cells = <1>; #size-cells = <1>; interrupt-parent = <&gic>;
    gic: gic { interrupt-controller; #interrupt-cells = <3>; #address-cells = <1>; };
    pcie: pcie { device_type = "pci"; #address-cells = <3>; #size-cells = <2>; #interrupt-cells = <1>;
      interrupt-map-mask = <0x1800 0 0 7>;
      interrupt-map = <0 0 0 1 &gic 0 0 3 4>, <0x800 0 0 1 &nexus 9>, <0x800 0 0 2 &gic 0 0 5 4>;
      dev@1 { reg = <0x800 0 0 0 0>; interrupts = <1>; }; dev@2 { reg = <0x1000 0 0 0 0>; interrupts = <1>; };
      dev@20 { reg = <0x10000 0 0 0 0>; interrupts = <1>; }; };
    nexus: nexus { #interrupt-cells = <1>; #address-cells = <0>; interrupt-map = <8 &gic 0 0 8 1>, <9 &gic 0 0 99 1>; };
    loop: loop { #interrupt-cells = <1>; #address-cells = <0>; interrupt-map = <1 &loop 1>; };
    lost { interrupt-parent = <&loop>; interrupts = <1>; };
    short: short { #interrupt-cells = <1>; #address-cells = <0>; interrupt-map = <1 &gic 0 0 1>; };
    cut { interrupt-parent = <&short>; interrupts = <1>; }; };)");
  const auto dev = interrupts(*tree_, at("/pcie/dev@1"));
  ASSERT_TRUE(dev) << error(dev);
  EXPECT_EQ((*dev)[0].controller, &at("/gic"));
  EXPECT_THAT((*dev)[0].cells, ElementsAre(0u, 99u, 1u)) << "through two nexus nodes";
  ASSERT_THAT((*dev)[0].path, SizeIs(3));
  EXPECT_THAT((*dev)[0].path[1].note, HasSubstr("interrupt-map entry 1 of /pcie"));
  EXPECT_THAT((*dev)[0].path[2].note, HasSubstr("interrupt-map entry 1 of /nexus"));
  EXPECT_THAT(interrupts(*tree_, at("/pcie/dev@20"))->at(0).cells, ElementsAre(0u, 3u, 4u)) << "masked to slot 0";
  EXPECT_THAT(error(interrupts(*tree_, at("/pcie/dev@2"))),
              HasSubstr("the interrupt-map of /pcie (a.dts:5) has no entry for <0x1000 0x0 0x0 0x1>"));
  EXPECT_THAT(error(interrupts(*tree_, at("/lost"))), HasSubstr("circle"));
  EXPECT_THAT(error(interrupts(*tree_, at("/cut"))), HasSubstr("/short: interrupt-map: ends inside entry 0"));

  const u32 slot[] = {0x800, 0, 0};
  const u32 pin[] = {2};
  const auto given = map_interrupt(*tree_, at("/pcie"), slot, pin, at("/pcie"));
  ASSERT_TRUE(given) << error(given);
  EXPECT_THAT(given->cells, ElementsAre(0u, 5u, 4u));
}

TEST_F(Resolve, MessageSignalledInterrupts) {
  make(R"(/ { #address-cells = <1>; #size-cells = <1>;
    its: its { msi-controller; #msi-cells = <1>; }; v2m: v2m { msi-controller; };
    pcie { device_type = "pci"; #address-cells = <3>; #size-cells = <2>; msi-map-mask = <0xffff>;
      msi-map = <0 &its 0x10000 0x100>, <0x200 &its 0 0x10>; dev@1 { reg = <0x800 0 0 0 0>; }; };
    old { device_type = "pci"; #address-cells = <3>; #size-cells = <2>; msi-parent = <&v2m>; };
    plat { msi-parent = <&its 7>; }; none {}; };)");
  const auto mapped = msi_target(*tree_, at("/pcie/dev@1"), 8);
  ASSERT_TRUE(mapped && *mapped) << error(mapped);
  EXPECT_EQ((*mapped)->controller, &at("/its"));
  EXPECT_EQ((*mapped)->device_id, 0x10008u);
  EXPECT_EQ((*msi_target(*tree_, at("/pcie"), 0x10205))->device_id, 5u);
  EXPECT_FALSE(*msi_target(*tree_, at("/pcie"), 0x100)) << "no entry has it";
  EXPECT_EQ((*msi_target(*tree_, at("/old"), 9))->device_id, 9u);
  EXPECT_EQ((*msi_target(*tree_, at("/plat"), 0))->device_id, 7u);
  EXPECT_FALSE(*msi_target(*tree_, at("/none"), 0));
}

TEST_F(Resolve, DmaWindows) {
  make(R"(/ { #address-cells = <2>; #size-cells = <2>;
    smmu: smmu { #iommu-cells = <1>; };
    soc { #address-cells = <1>; #size-cells = <1>; ranges; dma-ranges = <0 1 0 0x80000000>, <0xc0000000 0 0 0x1000>;
      bus { #address-cells = <1>; #size-cells = <1>; ranges; dma-ranges; dev { iommus = <&smmu 3>; }; }; };
    pcie { device_type = "pci"; #address-cells = <3>; #size-cells = <2>; iommu-map = <0 &smmu 0x100 0x100>; dev@1 {}; };
    flat { }; };)");
  const auto path = dma_path(*tree_, at("/soc/bus/dev"));
  ASSERT_TRUE(path) << error(path);
  EXPECT_FALSE(path->identity);
  ASSERT_THAT(path->windows, SizeIs(2));
  EXPECT_EQ(path->windows[0].bus, 0u);
  EXPECT_EQ(path->windows[0].cpu, 0x1'0000'0000u);
  EXPECT_EQ(path->windows[0].size, 0x80000000u);
  EXPECT_EQ(path->windows[1].bus, 0xc0000000u);
  EXPECT_EQ(path->windows[1].cpu, 0u);
  ASSERT_THAT(path->iommus, SizeIs(1));
  EXPECT_THAT(path->iommus[0].cells, ElementsAre(3u));
  EXPECT_TRUE(dma_path(*tree_, at("/flat"))->identity);
  const auto id = iommu_map(*tree_, at("/pcie/dev@1"), 8);
  ASSERT_TRUE(id && *id) << error(id);
  EXPECT_THAT((*id)->cells, ElementsAre(0x108u));
}

TEST_F(Resolve, Lists) {
  make(R"(/ { a: a { #clock-cells = <0>; }; b: b { #clock-cells = <2>; }; c: c {};
    n { clocks = <&a>, <&b 1 2>, <0>, <&a>; };
    cut { clocks = <&b 1>; }; none { clocks = <&c>; }; dangling { clocks = <99>; }; odd { clocks = [00 01]; }; };)");
  const auto list = phandle_list(*tree_, at("/n"), "clocks", "#clock-cells");
  ASSERT_TRUE(list) << error(list);
  ASSERT_THAT(*list, SizeIs(4));
  EXPECT_THAT((*list)[1].cells, ElementsAre(1u, 2u));
  EXPECT_EQ((*list)[2].target, nullptr);
  EXPECT_THAT(*phandle_list(*tree_, at("/n"), "absent", "#clock-cells"), IsEmpty());
  EXPECT_THAT(error(phandle_list(*tree_, at("/cut"), "clocks", "#clock-cells")), HasSubstr("/b wants 2"));
  EXPECT_THAT(error(phandle_list(*tree_, at("/none"), "clocks", "#clock-cells")),
              HasSubstr("/c (a.dts:1) has no #clock-cells"));
  EXPECT_THAT(error(phandle_list(*tree_, at("/dangling"), "clocks", "#clock-cells")),
              HasSubstr("phandle 0x63 belongs to no node"));
  EXPECT_THAT(error(phandle_list(*tree_, at("/odd"), "clocks", "#clock-cells")), HasSubstr("no whole cells"));
}

}  // namespace
}  // namespace solder::tree
