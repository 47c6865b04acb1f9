// RTC, GPIO, keys, power switches and system controllers.
#include <chrono>
#include <thread>

#include "model_fixture.h"

namespace solder::models {
namespace {

/// Waits for what another thread brings about; fails the test after long.
template <class F>
bool eventually(F condition) {
  for (int i = 0; i < 2000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

class PlatformTest : public ::testing::Test {
 protected:
  testing::FakeMachine machine;
  testing::FakePorts ports{machine, "device@0"};
};

TEST_F(PlatformTest, RtcShowsAndTakesTheTime) {
  const auto rtc = testing::make_model(ports, "arm,pl031");
  const u64 before = machine.clock.wall_seconds();
  const u64 shown = ports.read(0x00);
  EXPECT_GE(shown, before);
  EXPECT_LE(shown, machine.clock.wall_seconds());
  ports.write(0x08, 1000);
  EXPECT_GE(ports.read(0x00), 1000u);
  EXPECT_LT(ports.read(0x00), 1100u);
  EXPECT_EQ(ports.read(0x0c), 1u);
  EXPECT_EQ(ports.read(0xfe0), 0x31u);
}

TEST_F(PlatformTest, RtcAlarm) {
  const auto rtc = testing::make_model(ports, "arm,pl031");
  ports.write(0x10, 1);
  ports.write(0x04, ports.read(0x00) + 1);
  EXPECT_TRUE(eventually([&] { return ports.read(0x18) == 1; }));
  EXPECT_TRUE(ports.irq());
  ports.write(0x1c, 1);
  EXPECT_FALSE(ports.irq());
  ports.write(0x04, ports.read(0x00) + 100'000);
  EXPECT_EQ(ports.read(0x14), 0u);
  ports.write(0x04, ports.read(0x00));
  EXPECT_EQ(ports.read(0x14), 1u) << "a match that is there already";
}

class GpioTest : public PlatformTest {
 protected:
  GpioTest() {
    ports.mutable_node().set_u32("phandle", 7);
    device = testing::make_model(ports, "arm,pl061");
    gpio = machine.gpios[7];
  }
  std::unique_ptr<device::Device> device;
  device::GpioPort* gpio = nullptr;
};

TEST_F(GpioTest, AddressMasksData) {
  std::vector<bool> seen;
  gpio->watch_output(1, [&](bool level) { seen.push_back(level); });
  ports.write(0x3fc, 0xff);
  EXPECT_EQ(ports.read(0x3fc), 0u) << "inputs are not written";
  ports.write(0x400, 0x0f);
  ports.write(0x3fc, 0xff);
  EXPECT_EQ(ports.read(0x3fc), 0x0fu);
  ports.write(0x2 << 2, 0);
  EXPECT_EQ(ports.read(0x3fc), 0x0du);
  EXPECT_EQ(ports.read(0x1 << 2), 1u);
  gpio->set_input(7, true);
  EXPECT_EQ(ports.read(0x3fc), 0x8du);
  EXPECT_EQ(seen, (std::vector<bool>{true, false}));
}

TEST_F(GpioTest, WhoAsksForAnInputAgainDoesNotDriveIt) {
  ASSERT_NE(ports.controller, nullptr);
  const std::vector<u32> low{3, 8};
  const auto input = ports.controller->input(low, 0);
  ASSERT_TRUE(input) << input.error().text();
  EXPECT_EQ(ports.read(0x3fc), 0x08u) << "idle is high";
  input->sink->set_level(input->pin, true);
  EXPECT_EQ(ports.read(0x3fc), 0u);
  ASSERT_TRUE(ports.controller->input(low, 0)) << "a user who has the machine explained";
  EXPECT_EQ(ports.read(0x3fc), 0u) << "still asserted";
}

TEST_F(GpioTest, EdgeInterruptsLatch) {
  ports.write(0x410, 0x04);
  ports.write(0x40c, 0x04);  // rising
  gpio->set_input(2, true);
  EXPECT_TRUE(ports.irq());
  gpio->set_input(2, false);
  EXPECT_TRUE(ports.irq());
  ports.write(0x41c, 0x04);
  EXPECT_FALSE(ports.irq());
  gpio->set_input(3, true);
  EXPECT_FALSE(ports.irq());
  ports.write(0x408, 0x04);  // both
  gpio->set_input(2, true);
  ports.write(0x41c, 0x04);
  gpio->set_input(2, false);
  EXPECT_EQ(ports.read(0x418), 0x04u);
}

TEST_F(GpioTest, LevelInterruptsFollow) {
  ports.write(0x404, 0x01);
  ports.write(0x410, 0x01);
  EXPECT_TRUE(ports.irq()) << "low-level sensing, and the line is low";
  ports.write(0x40c, 0x01);
  EXPECT_FALSE(ports.irq());
  gpio->set_input(0, true);
  EXPECT_TRUE(ports.irq());
  ports.write(0x41c, 0x01);
  EXPECT_TRUE(ports.irq()) << "a level is not cleared";
  gpio->set_input(0, false);
  EXPECT_FALSE(ports.irq());
}

TEST_F(GpioTest, IsAnInterruptControllerWithPolarity) {
  const u32 low[] = {3, 8};
  const auto input = ports.controller->input(low, 0);
  ASSERT_TRUE(input.has_value());
  EXPECT_EQ(ports.read(0x3fc), 0x08u) << "idle is high";
  input->sink->set_level(input->pin, true);
  EXPECT_EQ(ports.read(0x3fc), 0x00u);
  const u32 bad_line[] = {8, 4};
  EXPECT_FALSE(ports.controller->input(bad_line, 0).has_value());
  const u32 bad_flags[] = {1, 6};
  EXPECT_FALSE(ports.controller->input(bad_flags, 0).has_value());
}

TEST_F(GpioTest, PowerKeyIsPressedAndReleased) {
  testing::FakePorts keys_ports(machine, "gpio-keys");
  tree::Node& other = keys_ports.mutable_node().add_child("other");
  other.set_cells("gpios", std::vector<u32>{7, 1, 1});
  other.set_u32("linux,code", 30);
  tree::Node& power = keys_ports.mutable_node().add_child("poweroff");
  power.set_cells("gpios", std::vector<u32>{7, 3, 0});
  power.set_u32("linux,code", 116);
  const auto keys = testing::make_model(keys_ports, "gpio-keys");
  EXPECT_EQ(ports.read(0x3fc), 0x02u) << "an active-low key at rest is high";
  ports.write(0x410, 0x08);
  ports.write(0x408, 0x08);
  EXPECT_TRUE(keys->press_power_button());
  EXPECT_TRUE(ports.irq());
  EXPECT_TRUE(eventually([&] { return (ports.read(0x3fc) & 8) == 0; }));
}

TEST_F(GpioTest, KeysWithoutPowerKeyPassNothingOn) {
  testing::FakePorts keys_ports(machine, "gpio-keys");
  keys_ports.mutable_node().add_child("far").set_cells("gpios", std::vector<u32>{99, 3, 0});
  const auto keys = testing::make_model(keys_ports, "gpio-keys");
  EXPECT_FALSE(keys->press_power_button());
}

TEST_F(GpioTest, LinesSwitchTheMachine) {
  testing::FakePorts off_ports(machine, "poweroff");
  off_ports.mutable_node().set_cells("gpios", std::vector<u32>{7, 0, 0});
  const auto off = testing::make_model(off_ports, "gpio-poweroff");
  testing::FakePorts restart_ports(machine, "restart");
  restart_ports.mutable_node().set_cells("gpios", std::vector<u32>{7, 1, 1});
  const auto restart = testing::make_model(restart_ports, "gpio-restart");
  ports.write(0x400, 0x01);
  ports.write(0x3fc, 0x01);
  EXPECT_EQ(machine.control.shutdowns, 1u);
  EXPECT_EQ(machine.control.resets, 0u);
  ports.write(0x400, 0x03);
  ports.write(0x3fc, 0x02);
  ports.write(0x3fc, 0x00);
  EXPECT_EQ(machine.control.resets, 1u) << "active low";
}

TEST_F(PlatformTest, SystemControllerSwitchesTheMachine) {
  ports.mutable_node().set_u32("phandle", 5);
  const auto syscon = testing::make_model(ports, "syscon");
  testing::FakePorts off_ports(machine, "poweroff");
  off_ports.mutable_node().set_u32("regmap", 5);
  off_ports.mutable_node().set_u32("offset", 0x10);
  off_ports.mutable_node().set_u32("value", 0x5500);
  off_ports.mutable_node().set_u32("mask", 0xff00);
  const auto off = testing::make_model(off_ports, "syscon-poweroff");
  // A child refers to its parent; a mask alone is the whole value.
  testing::FakePorts reboot_ports(machine, ports.mutable_node().add_child("reboot"));
  reboot_ports.mutable_node().set_u32("offset", 0x14);
  reboot_ports.mutable_node().set_u32("mask", 0x1);
  const auto reboot = testing::make_model(reboot_ports, "syscon-reboot");

  ports.write(0x20, 0xdeadbeef);
  EXPECT_EQ(ports.read(0x20), 0xdeadbeefu);
  EXPECT_EQ(ports.read(0x22, 2), 0xdeadu);
  ports.write(0x10, 0x4400);
  EXPECT_EQ(machine.control.shutdowns, 0u);
  ports.write(0x10, 0x55aa);
  EXPECT_EQ(machine.control.shutdowns, 1u);
  ports.write(0x14, 3);
  EXPECT_EQ(machine.control.resets, 0u);
  ports.write(0x14, 1);
  EXPECT_EQ(machine.control.resets, 1u);
}

TEST_F(PlatformTest, PowerSwitchErrors) {
  EXPECT_FALSE(testing::try_make_model(ports, "syscon-poweroff").has_value());
  ports.mutable_node().set_u32("regmap", 77);
  ports.mutable_node().set_u32("offset", 0);
  EXPECT_FALSE(testing::try_make_model(ports, "syscon-poweroff").has_value()) << "neither value nor mask";
  ports.mutable_node().set_u32("value", 0);
  const auto made = testing::try_make_model(ports, "syscon-poweroff");
  ASSERT_FALSE(made.has_value());
  EXPECT_NE(made.error().text().find("syscon"), std::string::npos);
  EXPECT_FALSE(testing::try_make_model(ports, "gpio-poweroff").has_value());
}

TEST(Known, BusesAndClocksNeedNoDevice) {
  for (const char* name : {"simple-bus", "simple-mfd", "arm,amba-bus", "syscon"}) {
    const std::vector<std::string> compatibles{"vendor,unknown", name};
    const device::ModelInfo* info = device::find_model(compatibles);
    ASSERT_NE(info, nullptr) << name;
    EXPECT_TRUE(info->bus) << name;
  }
  for (const char* name : {"fixed-clock", "fixed-factor-clock", "regulator-fixed"}) {
    const std::vector<std::string> compatibles{name};
    const device::ModelInfo* info = device::find_model(compatibles);
    ASSERT_NE(info, nullptr) << name;
    EXPECT_EQ(info->factory, nullptr) << name;
  }
  for (const char* name : {"arm,primecell", "arm,gic-v3-its", "arm,gic-v2m-frame", "pci-host-ecam-generic"}) {
    const std::vector<std::string> compatibles{name};
    EXPECT_EQ(device::find_model(compatibles), nullptr) << name;
  }
}

}  // namespace
}  // namespace solder::models
