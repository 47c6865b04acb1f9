// What a user is told of a machine whose controllers live in KVM: who handles an interrupt at each hop, and how a CPU's
// access gets to what lies at an address.
#include "machine/explain.h"
#include "irqchip_fixture.h"
#include "machine/boards.h"
#include "machine/interrupt_path.h"
#include "machine/life_cycle.h"
#include "machine/reach.h"
#include "machine/shorthand.h"

namespace solder::accel::kvm {
namespace {

struct Built {
  std::unique_ptr<tree::Tree> tree;
  std::unique_ptr<machine::Plan> plan;
  machine::Control control;
  machine::Backends backends{{}, true};
  std::unique_ptr<machine::Machine> machine;

  explicit Built(const std::string& mode) {
    machine::Shorthand shorthand;
    shorthand.memory = 16_MiB;
    shorthand.irqchip = mode;
    const std::string board = "virt-x86_64";
    tree = machine::apply_shorthand(machine::compose_machine(std::span(&board, 1)).value(), shorthand).value();
    auto kvm = Kvm::create().value();
    plan = std::make_unique<machine::Plan>(machine::make_plan(*tree, false, kvm->kernel_devices()).value());
    auto built = machine::Machine::build(*tree, *plan, std::move(kvm), backends, control);
    EXPECT_TRUE(built) << built.error().text();
    machine = std::move(*built);
  }
  std::string receivers(const char* node) {
    return machine::interrupt_receivers(*machine, *tree->find(node), 0).value_or("nowhere");
  }
  std::string explain(const char* node) { return machine::explain(*machine, *tree->find(node)); }
};

TEST(KvmExplain, EachHopSaysWhoHandlesIt) {
  SOLDER_NEEDS_IRQCHIP();
  {
    Built built("kernel");
    EXPECT_EQ(built.receivers("/isa/serial@i3f8"), "KVM");
    EXPECT_EQ(built.receivers("/isa/timer@i40"), "KVM") << "KVM's i8254 to KVM's controllers";
    EXPECT_EQ(built.receivers("/isa/interrupt-controller@i20"), "KVM") << "KVM connects its i8259 to LINT0";
  }
  {
    Built built("split");
    EXPECT_EQ(built.receivers("/isa/serial@i3f8"), "here");
    const std::string text = built.explain("/isa/serial@i3f8");
    EXPECT_NE(text.find("messages to /interrupt-controller@fee00000, as the guest programs its entry: KVM"),
              std::string::npos)
        << text;
  }
  Built built("user");
  const std::string text = built.explain("/isa/serial@i3f8");
  EXPECT_EQ(text.find(": KVM\n"), std::string::npos) << text;
}

TEST(KvmExplain, EachPlaceSaysHowItIsAccessed) {
  SOLDER_NEEDS_IRQCHIP();
  Built built("kernel");
  std::map<std::string, std::string> how;
  for (const auto& one : machine::reach(*built.machine)) how[one.node] = one.how;
  EXPECT_EQ(how["/memory@0"].substr(0, 12), "memory slot ");
  EXPECT_EQ(how["/interrupt-controller@fee00000"], "KVM answers");
  EXPECT_EQ(how["/isa/timer@i40"], "KVM answers");
  EXPECT_EQ(how["/hpet@fed00000"], "KVM_EXIT_MMIO");
  EXPECT_EQ(how["/isa/serial@i3f8"], "KVM_EXIT_IO");
}

}  // namespace
}  // namespace solder::accel::kvm
