// The way of an interrupt through the tree, the routing table and the controllers of a board whose parts live here.
// With parts in KVM: tests/unit/accel_kvm/explain_test.cpp.
#include "machine/interrupt_path.h"

#include <gtest/gtest.h>

#include "machine/accelerator.h"
#include "machine/boards.h"
#include "machine/explain.h"
#include "machine/life_cycle.h"
#include "machine/shorthand.h"

namespace solder::machine {
namespace {

struct Built {
  std::unique_ptr<tree::Tree> tree;
  std::unique_ptr<Plan> plan;
  Control control;
  Backends backends{{}, true};
  std::unique_ptr<Machine> machine;

  explicit Built(const std::string& board, Shorthand shorthand = {}) {
    shorthand.memory = 64_MiB;
    auto made = apply_shorthand(std::move(*compose_machine(std::span(&board, 1))), shorthand);
    EXPECT_TRUE(made) << made.error().text();
    tree = std::move(*made);
    plan = std::make_unique<Plan>(make_plan(*tree).value());
    auto built = Machine::build(*tree, *plan, make_dry_accelerator(), backends, control);
    EXPECT_TRUE(built) << built.error().text();
    machine = std::move(*built);
  }
  std::vector<std::string> hops(const char* node) {
    std::vector<std::string> out;
    const auto found = interrupt_hops(*machine, *tree->find(node), 0);
    EXPECT_TRUE(found) << found.error().text();
    for (const Hop& hop : *found) out.push_back(std::string(hop.depth, ' ') + hop.what + ": " + hop.by);
    return out;
  }
};

TEST(InterruptPath, FromADeviceToOneController) {
  Built built("virt-arm64");
  EXPECT_EQ(built.hops("/pl011@9000000"), (std::vector<std::string>{"SPI 1 of /intc@8000000: here", " CPUs: here"}));
}

TEST(InterruptPath, ThroughAFanOutToSeveralAndTheirOwnOutputs) {
  Built built("virt-x86_64");
  EXPECT_EQ(built.hops("/isa/serial@i3f8"),
            (std::vector<std::string>{
                "pin 4 of /isa/interrupt-controller@i20: here",
                " LINT0 of cpu 0 of /interrupt-controller@fee00000: here",
                "  CPUs: here",
                "pin 4 of /interrupt-controller@fec00000: here",
                " messages to /interrupt-controller@fee00000, as the guest programs its entry: here",
                "  CPUs: here",
            }));
  EXPECT_EQ(interrupt_receivers(*built.machine, *built.tree->find("/isa/serial@i3f8"), 0).value(), "here");
  EXPECT_FALSE(interrupt_hops(*built.machine, *built.tree->find("/isa/serial@i3f8"), 1));
}

TEST(InterruptPath, ExplainNamesEveryHopAndHowItIsAccessed) {
  Shorthand shorthand;
  shorthand.disks = {"/nonexistent/disk.img"};
  Built built("virt-x86_64", shorthand);
  const std::string text = explain(*built.machine, *built.tree->find("/isa/serial@i3f8"));
  EXPECT_NE(text.find("-> pin 4 of /interrupt-controller@fec00000: here"), std::string::npos) << text;
  EXPECT_NE(text.find("accesses:\n    ports 0x3f8..0x3ff: a call of the model"), std::string::npos) << text;
}

}  // namespace
}  // namespace solder::machine
