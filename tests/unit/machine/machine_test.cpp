// Machines as they are built from trees, without running them.
#include "machine/machine.h"

#include <gtest/gtest.h>

#include "machine/accelerator.h"
#include "machine/boards.h"
#include "machine/life_cycle.h"
#include "machine/shorthand.h"

namespace solder::machine {
namespace {

// Builds `board` with `text` composed onto it; the error's text, or nothing.
std::string build(std::string_view board, const std::string& text, const Shorthand& shorthand = {}) {
  tree::Composer composer;
  EXPECT_TRUE(composer.add_text(find_board(board)->text, "board.dts"));
  if (auto added = composer.add_text("/dts-v1/;\n" + text, "edit.dts"); !added) return added.error().text();
  auto composed = composer.finish();
  if (!composed) return composed.error().text();
  const auto tree = apply_shorthand(std::move(*composed), shorthand);
  if (!tree) return tree.error().text();
  const auto plan = make_plan(**tree);
  if (!plan) return plan.error().text();
  Control control;
  Backends backends({}, true);
  const auto machine = Machine::build(**tree, *plan, make_dry_accelerator(), backends, control);
  return machine ? std::string{} : machine.error().text();
}

// Phandle 0 keeps a place free in a list of clocks: no clock, and no rate.
TEST(Machine, AnEmptyPlaceAmongClocksIsNoClock) {
  EXPECT_EQ(build("virt-arm64", "&uart0 { clocks = <0>; clock-names = \"uartclk\"; };"), "");
}

TEST(Machine, PortsAndMemoryAreTwoSpaces) {
  // The same number as a port and as an address: no overlap. Two devices on one port: one.
  EXPECT_EQ(build("virt-x86_64",
                  "/ { isa { more@i900 { compatible = \"ns16550a\"; reg = <1 0x900 8>; "
                  "clock-frequency = <1843200>; }; }; };"),
            "");
  const std::string error = build("virt-x86_64",
                                  "/ { isa { more@i3fa { compatible = \"ns16550a\"; reg = <1 0x3fa 8>; "
                                  "clock-frequency = <1843200>; }; }; };");
  EXPECT_NE(error.find("overlaps"), std::string::npos) << error;
}

TEST(Machine, ABackendThatTheAcceleratorHasNotIsAnErrorWithItsPlace) {
  const std::string error = build("virt-x86_64", "&ioapic { solder,backend = \"kernel\"; };");
  EXPECT_NE(error.find("edit.dts"), std::string::npos) << error;
  EXPECT_NE(error.find("solder,backend"), std::string::npos) << error;
  EXPECT_EQ(build("virt-x86_64", "&ioapic { solder,backend = \"kernel\", \"user\"; };"), "");
}

TEST(Machine, IrqchipOptionSpeaksOfWhatTheTreeHas) {
  Shorthand split;
  split.irqchip = "split";
  const std::string error = build("virt-arm64", "", split);
  EXPECT_NE(error.find("local APIC"), std::string::npos) << error;
  Shorthand user;
  user.irqchip = "user";
  EXPECT_EQ(build("virt-x86_64", "", user), "");
}

}  // namespace
}  // namespace solder::machine
