// The fan-out of a board's interrupts: pins of several controllers by one virq, and what a tree can get wrong.
#include "model_fixture.h"

namespace solder::models::gsi {
namespace {

/// A controller of 32 pins, here or in the kernel.
struct FakeController final : interrupt::Controller {
  Result<Input> input(std::span<const u32> specifier, u32) override {
    if (specifier[0] >= 32) return fail("", "no such pin");
    Input out;
    out.sink = &sink;
    out.pin = specifier[0];
    out.name = "pin";
    out.in_kernel = in_kernel;
    out.controller = 7;
    return out;
  }
  testing::FakeSink sink;
  bool in_kernel = false;
};

class GsiTest : public ::testing::Test {
 protected:
  GsiTest() {
    machine.controllers[1] = &first;
    machine.controllers[2] = &second;
  }
  Status make(std::vector<u32> cells) {
    ports.mutable_node().set_cells("solder,route", cells);
    auto made = testing::try_make_model(ports, "solder,gsi");
    if (!made) return std::unexpected(made.error());
    device = std::move(*made);
    return {};
  }
  Result<interrupt::Controller::Input> input(u32 number) {
    const std::array<u32, 2> cells{number, 3};
    return ports.controller->input(cells, 0);
  }
  testing::FakeMachine machine;
  FakeController first;
  FakeController second;
  testing::FakePorts ports{machine, "gsi"};
  std::unique_ptr<device::Device> device;
};

TEST_F(GsiTest, OneInterruptDrivesSeveralPins) {
  ASSERT_TRUE(make({0, 2, 1, 0, 0, 1, 2, 2, 1, 1, 2, 1}));
  auto zero = input(0);
  ASSERT_TRUE(zero.has_value());
  zero->sink->set_level(zero->pin, true);
  EXPECT_TRUE(first.sink.levels[0]);
  EXPECT_TRUE(second.sink.levels[2]) << "the timer's other pin";
  EXPECT_FALSE(second.sink.levels[0]);
  zero->sink->set_level(zero->pin, false);
  EXPECT_FALSE(second.sink.levels[2]);
  auto one = input(1);
  one->sink->pulse(one->pin);
  EXPECT_EQ(first.sink.rises[1], 1u);
  EXPECT_EQ(second.sink.rises[1], 1u);
  EXPECT_EQ(machine.routes.count(*one->virq), 1u);
}

TEST_F(GsiTest, NumbersAreAllocatedUnlessAllTargetsAreInTheKernel) {
  second.in_kernel = true;
  ASSERT_TRUE(make({3, 1, 1, 3, 5, 1, 2, 9}));
  EXPECT_EQ(input(5)->virq, 5u) << "KVM's own number";
  EXPECT_GE(input(3)->virq.value(), 6u);
  bool found = false;
  for (const auto& route : machine.routes.routes()) {
    const auto* pin = std::get_if<interrupt::PinTarget>(&route.target);
    if (route.virq != 5 || pin == nullptr) continue;
    found = true;
    EXPECT_TRUE(pin->in_kernel);
    EXPECT_EQ(pin->sink, nullptr);
    EXPECT_EQ(pin->controller, 7u);
    EXPECT_EQ(pin->pin, 9u);
  }
  EXPECT_TRUE(found);
}

TEST_F(GsiTest, InputsThatNoEntryHas) {
  ASSERT_TRUE(make({0, 2, 1, 0, 4, 1, 1, 4}));
  EXPECT_TRUE(input(4).has_value());
  EXPECT_FALSE(input(2).has_value());
  EXPECT_FALSE(input(5).has_value());
}

TEST_F(GsiTest, ErrorsNamePropertyAndEntry) {
  auto text = [this](std::vector<u32> cells) {
    const Status made = make(std::move(cells));
    return made ? std::string("no error") : made.error().text();
  };
  const std::string unknown = text({0, 1, 1, 0, 1, 1, 9, 0});
  EXPECT_NE(unknown.find("solder,route"), std::string::npos) << unknown;
  EXPECT_NE(unknown.find("entry 1"), std::string::npos) << unknown;
  const std::string pin = text({0, 4, 1, 30});
  EXPECT_NE(pin.find("entry 0: interrupt 2 to pin 32"), std::string::npos) << pin;
  EXPECT_NE(text({0, 1, 1}).find("3 cells"), std::string::npos);
  EXPECT_NE(text({0, 0, 1, 0}).find("entry 0"), std::string::npos);
  EXPECT_NE(text({1, 0xffff'ffff, 1, 0}).find("entry 0"), std::string::npos);
}

}  // namespace
}  // namespace solder::models::gsi
