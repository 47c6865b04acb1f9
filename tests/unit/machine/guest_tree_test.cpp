#include "machine/guest_tree.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "machine/boards.h"
#include "machine/shorthand.h"

namespace solder::machine {
namespace {

std::unique_ptr<tree::Tree> compose(const std::string& dts) {
  tree::Composer composer;
  EXPECT_TRUE(composer.add_text(find_board("virt-arm64")->text, "virt-arm64.dts"));
  if (!dts.empty()) {
    const auto added = composer.add_text("/dts-v1/;\n" + dts, "test.dts");
    EXPECT_TRUE(added) << added.error().text();
  }
  auto tree = composer.finish();
  EXPECT_TRUE(tree) << tree.error().text();
  return std::move(*tree);
}

std::unique_ptr<tree::Tree> guest_of(const tree::Tree& full, const GuestTreeOptions& options = {}) {
  const auto plan = make_plan(full);
  EXPECT_TRUE(plan) << plan.error().text();
  return make_guest_tree(full, *plan, options);
}

TEST(GuestTree, HasNothingOfTheHost) {
  const auto full = compose("");
  const auto guest = guest_of(*full);
  guest->walk([](tree::Node& node) {
    EXPECT_FALSE(node.name().starts_with("solder")) << node.path();
    for (const auto& property : node.properties()) EXPECT_FALSE(property.name.starts_with("solder,")) << node.path();
  });
}

TEST(GuestTree, LeavesOutWhatHasNoModelAndWhatRefersToIt) {
  const auto full = compose("");
  ASSERT_NE(full->find("/pcie@10000000"), nullptr);
  const auto guest = guest_of(*full);
  EXPECT_EQ(guest->find("/pcie@10000000"), nullptr);
  EXPECT_EQ(guest->find("/intc@8000000/its@8080000"), nullptr);
  EXPECT_NE(guest->find("/intc@8000000"), nullptr);
}

TEST(GuestTree, DropsReferencesThatLeadNowhere) {
  const auto full = compose(R"(
    / { clk_gone: clock-1 { compatible = "acme,clock"; #clock-cells = <1>; solder,unmatched = "disable"; };
        aliases { gone = &clk_gone; }; };
    &rtc { clocks = <&clk24>, <&clk_gone 3>; clock-names = "a", "b"; };
    &uart0 { msi-parent = <&its 1>; };
  )");
  const auto guest = guest_of(*full);
  const auto* rtc = guest->find("/pl031@9010000");
  ASSERT_NE(rtc, nullptr);
  EXPECT_FALSE(rtc->has("clocks"));
  EXPECT_FALSE(rtc->has("clock-names"));
  EXPECT_FALSE(guest->find("/aliases")->has("gone"));
  EXPECT_TRUE(guest->find("/aliases")->has("serial0"));
  EXPECT_FALSE(guest->find("/pl011@9000000")->has("msi-parent"));
  EXPECT_TRUE(guest->find("/pl011@9000000")->has("clocks"));
}

TEST(GuestTree, DisabledNodesAndEmptySlotsGo) {
  const auto full = compose("&rtc { status = \"disabled\"; };\n&virtio3 { solder,virtio = \"rng\"; };");
  const auto guest = guest_of(*full);
  EXPECT_EQ(guest->find("/pl031@9010000"), nullptr);
  EXPECT_EQ(guest->find("/virtio_mmio@a000000"), nullptr);
  EXPECT_NE(guest->find("/virtio_mmio@a000600"), nullptr);
}

TEST(GuestTree, ChosenIsFilledIn) {
  const auto full = compose("/ { chosen { /delete-property/ stdout-path; }; };");
  GuestTreeOptions options;
  options.initrd = GuestTreeOptions::Initrd{0x48000000, 0x48001000};
  options.seed.emplace();
  options.seed->fill(7);
  const auto guest = guest_of(*full, options);
  const auto* chosen = guest->find("/chosen");
  EXPECT_EQ(chosen->number("linux,initrd-start"), 0x48000000U);
  EXPECT_EQ(chosen->number("linux,initrd-end"), 0x48001000U);
  EXPECT_EQ(chosen->property("kaslr-seed")->value.size(), 8U);
  EXPECT_EQ(chosen->property("rng-seed")->value.size(), 32U);
  EXPECT_EQ(chosen->string("stdout-path"), "/pl011@9000000");
}

TEST(GuestTree, ADocumentsOwnSeedStays) {
  const auto full = compose("/ { chosen { kaslr-seed = <1 2>; }; };");
  GuestTreeOptions options;
  options.seed.emplace();
  options.seed->fill(7);
  const auto guest = guest_of(*full, options);
  EXPECT_THAT(guest->find("/chosen")->cell_list("kaslr-seed"), testing::ElementsAre(1, 2));
}

TEST(Plan, PolicyIsInheritedAndOverridden) {
  const auto full = compose(R"(
    / { bus { compatible = "simple-bus"; #address-cells = <2>; #size-cells = <2>; ranges; solder,unmatched = "stub";
              a { compatible = "acme,a"; };
              b { compatible = "acme,b"; solder,unmatched = "disable"; c { compatible = "arm,pl011"; }; }; }; };
  )");
  const auto plan = make_plan(*full);
  ASSERT_TRUE(plan) << plan.error().text();
  EXPECT_EQ(plan->find(*full->find("/bus/a"))->role, Role::stubbed);
  EXPECT_EQ(plan->find(*full->find("/bus/b"))->role, Role::left_out);
  EXPECT_EQ(plan->find(*full->find("/bus/b/c"))->role, Role::inside);
}

std::unique_ptr<tree::Tree> edited(const Shorthand& shorthand) {
  auto tree = apply_shorthand(compose(""), shorthand);
  EXPECT_TRUE(tree) << tree.error().text();
  return std::move(*tree);
}

usize cpu_count(const tree::Tree& tree) {
  usize count = 0;
  for (const auto& child : tree.find("/cpus")->children()) count += child->string("device_type") == "cpu" ? 1 : 0;
  return count;
}

TEST(Shorthand, CpusGrowAndShrink) {
  Shorthand shorthand;
  shorthand.cpus = 4;
  const auto tree = edited(shorthand);
  EXPECT_EQ(cpu_count(*tree), 4U);
  EXPECT_EQ(tree->find("/cpus/cpu@3")->number("reg"), 3U);
  EXPECT_EQ(tree->find("/cpus/cpu@3")->string("enable-method"), "psci");
  shorthand.cpus = 2;
  auto again = apply_shorthand(tree->clone(), shorthand);
  ASSERT_TRUE(again) << again.error().text();
  EXPECT_EQ(cpu_count(**again), 2U);
  shorthand.cpus = 0;
  EXPECT_FALSE(apply_shorthand(compose(""), shorthand));
}

TEST(Shorthand, MemoryDisksNetworksAndConsole) {
  Shorthand shorthand;
  shorthand.memory = 512_MiB;
  shorthand.disks = {"a.img", "b \"quoted\".img,readonly"};
  shorthand.networks = {"none", "user,forward=tcp:2222:22"};
  shorthand.console = "file=/tmp/out";
  shorthand.append = "quiet";
  const auto tree = edited(shorthand);
  EXPECT_THAT(tree->find("/memory@40000000")->cell_list("reg"), testing::ElementsAre(0, 0x40000000, 0, 0x20000000));
  EXPECT_EQ(tree->find("/virtio_mmio@a000000")->string("solder,virtio"), "block");
  EXPECT_EQ(tree->find("/virtio_mmio@a000200")->string("solder,virtio"), "block");
  EXPECT_EQ(tree->find("/virtio_mmio@a000400")->string("solder,virtio"), "net");
  EXPECT_EQ(tree->find("/solder/disk-1")->string("solder,path"), "b \"quoted\".img");
  EXPECT_TRUE(tree->find("/solder/disk-1")->has("solder,readonly"));
  EXPECT_EQ(tree->find("/solder/chardev-console")->string("solder,path"), "/tmp/out");
  EXPECT_EQ(tree->find("/chosen")->string("bootargs"), "quiet");
  EXPECT_EQ(tree->find("/chosen")->property("bootargs")->where.text().substr(0, 8), "--append");
}

TEST(Shorthand, SaysWhatIsWrong) {
  Shorthand shorthand;
  shorthand.disks.assign(33, "x.img");
  auto result = apply_shorthand(compose(""), shorthand);
  ASSERT_FALSE(result);
  EXPECT_THAT(result.error().what, testing::HasSubstr("no free virtio,mmio transport"));
  shorthand = {};
  shorthand.console = "telepathy";
  EXPECT_FALSE(apply_shorthand(compose(""), shorthand));
  shorthand = {};
  shorthand.networks = {"pigeon"};
  EXPECT_FALSE(apply_shorthand(compose(""), shorthand));
}

TEST(Shorthand, Sizes) {
  EXPECT_EQ(parse_size("512M", "x").value(), 512_MiB);
  EXPECT_EQ(parse_size("2G", "x").value(), 2_GiB);
  EXPECT_EQ(parse_size("4096", "x").value(), 4096U);
  for (const char* bad : {"", "M", "12Q", "-1", "99999999999G", "1.5G"}) EXPECT_FALSE(parse_size(bad, "x")) << bad;
}

}  // namespace
}  // namespace solder::machine
