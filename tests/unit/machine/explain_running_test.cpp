// What a user asks of a machine while its guest uses the same devices. Data races are the thread sanitizer's to find.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "machine/accelerator.h"
#include "machine/boards.h"
#include "machine/explain.h"
#include "machine/life_cycle.h"
#include "machine/shorthand.h"

namespace solder::machine {
namespace {

TEST(ExplainRunning, AsksWhileDevicesAreUsed) {
  for (const char* board : {"virt-arm64", "virt-x86_64"}) {
    const std::string name = board;
    Shorthand shorthand;
    shorthand.memory = 64_MiB;
    shorthand.console = "null";
    auto tree = apply_shorthand(std::move(*compose_machine(std::span(&name, 1))), shorthand);
    ASSERT_TRUE(tree) << tree.error().text();
    const auto plan = make_plan(**tree);
    ASSERT_TRUE(plan) << plan.error().text();
    Control control;
    Backends backends({}, true);
    const auto machine = Machine::build(**tree, *plan, make_dry_accelerator(), backends, control);
    ASSERT_TRUE(machine) << machine.error().text();
    std::atomic<bool> done{false};
    // A guest's accesses, and what makes a GIC count its SPIs anew.
    std::thread guest([&] {
      const auto& memory = (*machine)->fabric().memory;
      while (!done) {
        for (const auto& range : memory.map().ranges()) {
          if (range.handler == nullptr) continue;
          for (u64 offset = 0; offset < 0x40; offset += 4) (void)memory.load(range.start + offset, 4);
        }
      }
    });
    std::thread wiring([&] {
      while (!done)
        for (const auto& entry : plan->nodes)
          if (NodePorts* ports = (*machine)->ports(*entry.node))
            for (u32 i = 0; i < ports->interrupt_count(); ++i) (void)ports->interrupt_input(i, 0);
    });
    for (int round = 0; round < 20; ++round)
      for (const auto& entry : plan->nodes) EXPECT_FALSE(explain(**machine, *entry.node).empty());
    done = true;
    guest.join();
    wiring.join();
  }
}

}  // namespace
}  // namespace solder::machine
