// The fixed ACPI hardware and the generic event device (ACPI 6.5, sections 4.8 and 5.6.9).
#include "device/acpi_hardware.h"

#include "pc_fixture.h"

namespace solder::models::acpi {
namespace {

namespace hw = device::acpi;

constexpr u32 kEvent = 0, kControl = 1, kTimer = 2, kReset = 3;
constexpr u16 kSleepNow = hw::kPm1SleepEnable | hw::kSleepTypeS5 << hw::kPm1SleepTypeShift;

class PmTest : public testing::PcTest {
 protected:
  PmTest() {
    ports.window_sizes = {4, 2, 4, 1};
    pm = testing::make_model(ports, "solder,acpi-pm");
  }
  u64 status() { return ports.read(0, 2, kEvent); }
  void clear(u16 bits) { ports.write(0, bits, 2, kEvent); }
  void enable(u16 bits) { ports.write(2, bits, 2, kEvent); }
  std::unique_ptr<device::Device> pm;
};

TEST_F(PmTest, PowerButtonSetsItsStatusAndInterrupts) {
  EXPECT_EQ(status(), 0u);
  EXPECT_TRUE(pm->press_power_button());
  EXPECT_EQ(status(), hw::kPm1PowerButton);
  EXPECT_FALSE(ports.irq());
  enable(hw::kPm1PowerButton);
  EXPECT_TRUE(ports.irq());
  clear(hw::kPm1Timer);
  EXPECT_TRUE(ports.irq());
  clear(hw::kPm1PowerButton);
  EXPECT_FALSE(ports.irq());
  EXPECT_EQ(status(), 0u);
}

TEST_F(PmTest, RegistersByBytesAndAsAWhole) {
  enable(0xffff);
  EXPECT_EQ(ports.read(2, 2, kEvent), hw::kPm1Bits);
  ports.write(2, 0, 1, kEvent);
  EXPECT_EQ(ports.read(2, 2, kEvent), hw::kPm1PowerButton);
  ports.write(2, 0x01, 1, kEvent);
  ports.write(3, 0, 1, kEvent);
  EXPECT_EQ(ports.read(2, 2, kEvent), hw::kPm1Timer);
  pm->press_power_button();
  ports.write(1, 0x01, 1, kEvent);
  EXPECT_EQ(status(), 0u);
  ports.write(0, u64{hw::kPm1PowerButton} << 16, 4, kEvent);
  EXPECT_EQ(ports.read(0, 4, kEvent), u64{hw::kPm1PowerButton} << 16);
}

TEST_F(PmTest, ControlIsInAcpiModeAndSwitchesOff) {
  EXPECT_EQ(ports.read(0, 2, kControl), hw::kPm1SciEnable);
  ports.write(0, 0, 2, kControl);
  EXPECT_EQ(ports.read(0, 2, kControl), hw::kPm1SciEnable);
  ports.write(0, hw::kSleepTypeS5 << hw::kPm1SleepTypeShift, 2, kControl);
  EXPECT_EQ(machine.control.shutdowns, 0u) << "not without SLP_EN";
  EXPECT_EQ(ports.read(0, 2, kControl), hw::kPm1SciEnable | hw::kSleepTypeS5 << hw::kPm1SleepTypeShift);
  ports.write(0, hw::kPm1SleepEnable | 1 << hw::kPm1SleepTypeShift, 2, kControl);
  EXPECT_EQ(machine.control.shutdowns, 0u) << "another state, which does not exist";
  ports.write(0, kSleepNow, 2, kControl);
  EXPECT_EQ(machine.control.shutdowns, 1u);
  EXPECT_EQ(ports.read(0, 2, kControl) & hw::kPm1SleepEnable, 0u);
}

TEST_F(PmTest, TimerCountsMachineTime) {
  const u64 before = ports.read(0, 4, kTimer);
  step(1'000'000'000);
  EXPECT_NEAR(static_cast<double>((ports.read(0, 4, kTimer) - before) & 0xffff'ffff), 3'579'545.0, 1.0);
  ports.write(0, 0, 4, kTimer);
  EXPECT_NE(ports.read(0, 4, kTimer), 0u) << "nobody writes it";
}

TEST_F(PmTest, TimerOverflowSetsStatusAndInterrupts) {
  const u64 half = (u64{1} << 31) * 1'000'000'000 / hw::kPmTimerHz + 1;
  step(half - machine.clock.now() - 1'000'000);
  EXPECT_EQ(status(), 0u);
  step(1'000'000);
  EXPECT_EQ(status(), hw::kPm1Timer) << "the highest bit rose";
  clear(hw::kPm1Timer);
  step(half - 1'000'000);
  EXPECT_EQ(status(), 0u);
  enable(hw::kPm1Timer);
  EXPECT_FALSE(ports.irq());
  step(2'000'000);
  EXPECT_TRUE(ports.irq()) << "… and fell";
  EXPECT_EQ(status(), hw::kPm1Timer);
  clear(hw::kPm1Timer);
  EXPECT_FALSE(ports.irq());
}

TEST_F(PmTest, ResetRegister) {
  out(0, 0x02, kReset);
  EXPECT_EQ(machine.control.resets, 0u);
  EXPECT_EQ(in(0, kReset), 0x02u);
  out(0, hw::kResetValue, kReset);
  EXPECT_EQ(machine.control.resets, 1u);
  out(0, hw::kResetValue, kReset);
  EXPECT_EQ(machine.control.resets, 1u) << "bit 2 has to rise";
  pm->reset();
  out(0, 0x0e, kReset);
  EXPECT_EQ(machine.control.resets, 2u);
}

TEST_F(PmTest, StateSurvivesSaveAndLoad) {
  enable(hw::kPm1PowerButton);
  pm->press_power_button();
  out(0, 0x04, kReset);
  save_and_load(*pm);
  EXPECT_TRUE(ports.irq());
  EXPECT_EQ(status(), hw::kPm1PowerButton);
  EXPECT_EQ(in(0, kReset), 0x04u);
  pm->reset();
  EXPECT_FALSE(ports.irq());
}

TEST_F(PmTest, TheResetRegisterMayBeMissing) {
  testing::FakePorts few(machine, "few");
  few.window_sizes = {4, 2, 4};
  EXPECT_TRUE(testing::try_make_model(few, "solder,acpi-pm").has_value());
  few.window_sizes = {4, 2};
  EXPECT_FALSE(testing::try_make_model(few, "solder,acpi-pm").has_value());
}

class GedTest : public testing::PcTest {
 protected:
  GedTest() { ports.window_sizes = {0x10}; }
};

TEST_F(GedTest, ButtonIsAnEventThatTheReadClears) {
  const auto ged = testing::make_model(ports, "solder,acpi-ged");
  EXPECT_EQ(ports.read(0), 0u);
  EXPECT_TRUE(ged->press_power_button());
  EXPECT_TRUE(ports.irq());
  save_and_load(*ged);
  EXPECT_TRUE(ports.irq());
  EXPECT_EQ(ports.read(0), hw::kGedPowerButton);
  EXPECT_FALSE(ports.irq());
  EXPECT_EQ(ports.read(0), 0u);
  ged->press_power_button();
  ged->reset();
  EXPECT_FALSE(ports.irq());
}

TEST_F(GedTest, TheFixedHardwareComesFirst) {
  tree::Node& isa = machine.tree.root().add_child("isa");
  tree::Node& pm = isa.add_child("pm@i600");
  pm.set_string("compatible", "solder,acpi-pm");
  {
    const auto ged = testing::make_model(ports, "solder,acpi-ged");
    EXPECT_FALSE(ged->press_power_button());
    EXPECT_FALSE(ports.irq());
  }
  pm.set_string("status", "disabled");
  const auto ged = testing::make_model(ports, "solder,acpi-ged");
  EXPECT_TRUE(ged->press_power_button());
}

}  // namespace
}  // namespace solder::models::acpi
