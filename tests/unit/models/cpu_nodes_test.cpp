// PSCI, and the nodes of the CPUs' own lines.
#include "model_fixture.h"

namespace solder::models {
namespace {

constexpr u64 kNotSupported = ~u64{0};

class PsciTest : public ::testing::Test {
 protected:
  PsciTest() {
    machine.hardware_ids = {0x0, 0x1, 0x100};
    ports.mutable_node().set_string("method", "hvc");
    psci = testing::make_model(ports, "arm,psci-1.0");
  }
  /// The first result register; nullopt when the function is not known.
  std::optional<u64> call(u32 cpu, u64 function, u64 a = 0, u64 b = 0, u64 c = 0, bool smc = false) {
    std::array<u64, 4> registers{function, a, b, c};
    if (!machine.vcpus[cpu]->firmware->call(cpu, smc, registers)) return std::nullopt;
    return registers[0];
  }
  testing::FakeMachine machine{3};
  testing::FakePorts ports{machine, "psci"};
  std::unique_ptr<device::Device> psci;
};

TEST_F(PsciTest, VersionsAndFeatures) {
  EXPECT_EQ(call(0, 0x84000000), 0x10001u);
  EXPECT_EQ(call(0, 0x80000000), 0x10001u);
  EXPECT_EQ(call(0, 0x84000006), 2u);
  EXPECT_EQ(call(0, 0x8400000a, 0xc4000003), 0u);
  EXPECT_EQ(call(0, 0x8400000a, 0x80000000), 0u);
  EXPECT_EQ(call(0, 0x8400000a, 0x84000099), kNotSupported);
  EXPECT_EQ(call(0, 0x84000099), std::nullopt);
  EXPECT_EQ(call(0, 0x84000000, 0, 0, 0, true), std::nullopt) << "the other conduit";
}

TEST_F(PsciTest, CpusComeAndGo) {
  EXPECT_EQ(call(0, 0xc4000004, 0x100, 0), 1u) << "off";
  EXPECT_EQ(call(0, 0xc4000003, 0x100, 0x40080000, 0x1234), 0u);
  ASSERT_TRUE(machine.vcpus[2]->entry.has_value());
  EXPECT_EQ(machine.vcpus[2]->entry->pc, 0x40080000u);
  EXPECT_EQ(machine.vcpus[2]->entry->arguments[0], 0x1234u);
  EXPECT_FALSE(machine.vcpus[1]->entry.has_value());
  EXPECT_EQ(call(0, 0xc4000004, 0x100, 0), 0u) << "on";
  EXPECT_EQ(call(0, 0xc4000004, 0x1ff, 1), 0u) << "its cluster";
  EXPECT_EQ(call(0, 0xc4000003, 0x100, 0x40080000), static_cast<u64>(-4)) << "already";
  EXPECT_EQ(call(2, 0x84000002), 0u);
  EXPECT_FALSE(machine.cpu_set[2].powered());
  EXPECT_TRUE(machine.vcpus[2]->firmware->take_wait(2));
  EXPECT_FALSE(machine.vcpus[2]->firmware->take_wait(2));
  EXPECT_GE(machine.vcpus[2]->kicks, 1u);
  EXPECT_EQ(call(0, 0xc4000003, 0x7, 0x40080000), static_cast<u64>(-2)) << "no such CPU";
  EXPECT_EQ(call(0, 0xc4000003, 0x1, 0x40080002), static_cast<u64>(-9));
}

TEST_F(PsciTest, ThirtyTwoBitCallsIgnoreTheUpperHalves) {
  EXPECT_EQ(call(0, 0x84000003, 0xffffffff'00000001, 0xffffffff'40080000, ~u64{0}), 0u);
  EXPECT_EQ(machine.vcpus[1]->entry->pc, 0x40080000u);
  EXPECT_EQ(machine.vcpus[1]->entry->arguments[0], 0xffffffffu);
}

TEST_F(PsciTest, SuspendWaits) {
  EXPECT_FALSE(machine.vcpus[0]->firmware->take_wait(0));
  EXPECT_EQ(call(0, 0xc4000001, 0x10000, 0x40080000), 0u);
  EXPECT_TRUE(machine.vcpus[0]->firmware->take_wait(0));
}

TEST_F(PsciTest, SystemOffAndReset) {
  call(0, 0x84000008);
  EXPECT_EQ(machine.control.shutdowns, 1u);
  call(0, 0x84000009);
  EXPECT_EQ(machine.control.resets, 1u);
  EXPECT_EQ(call(0, 0x84000012, 0x80000000), static_cast<u64>(-2));
  call(0, 0xc4000012, 0);
  EXPECT_EQ(machine.control.resets, 2u);
}

TEST(PsciNode, MethodAndOldIdentifiers) {
  testing::FakeMachine machine(2);
  testing::FakePorts ports(machine, "psci");
  EXPECT_FALSE(testing::try_make_model(ports, "arm,psci").has_value());
  ports.mutable_node().set_string("method", "mail");
  EXPECT_NE(testing::try_make_model(ports, "arm,psci").error().text().find("mail"), std::string::npos);
  ports.mutable_node().set_string("method", "smc");
  ports.mutable_node().set_u32("cpu_on", 0x95c1ba60);
  const auto psci = testing::make_model(ports, "arm,psci");
  std::array<u64, 4> registers{0x95c1ba60, 1, 0x40000000, 9};
  EXPECT_TRUE(machine.vcpus[0]->firmware->call(0, true, registers));
  EXPECT_EQ(registers[0], 0u);
  EXPECT_TRUE(machine.vcpus[1]->entry.has_value());
}

/// An interrupt controller with one cell: the pin, made different per CPU.
struct PerCpuController final : interrupt::Controller {
  Result<Input> input(std::span<const u32> cells, u32 cpu) override {
    return Input{.sink = &sink, .pin = cells[0] + 100 * cpu, .trigger = Trigger::level_high, .name = ""};
  }
  testing::FakeSink sink;
};

class CpuLinesTest : public ::testing::Test {
 protected:
  CpuLinesTest() { ports.interrupt_parent = &controller; }
  testing::FakeMachine machine{2};
  PerCpuController controller;
  testing::FakePorts ports{machine, "timer"};
};

TEST_F(CpuLinesTest, TimerInterruptsGoToEachCpu) {
  ports.specifiers = {{13}, {14}, {11}, {10}, {12}};
  const auto timer = testing::make_model(ports, "arm,armv8-timer");
  EXPECT_EQ(machine.vcpus[1]->outputs.size(), 4u);
  machine.vcpus[1]->outputs[2].set(true);
  EXPECT_TRUE(controller.sink.levels[111]);
  EXPECT_FALSE(controller.sink.levels[11]);
  machine.vcpus[0]->outputs[1].set(true);
  EXPECT_TRUE(controller.sink.levels[14]);
}

TEST_F(CpuLinesTest, TimerInterruptsByName) {
  ports.specifiers = {{14}, {11}, {12}};
  ports.mutable_node().set_strings("interrupt-names", std::vector<std::string>{"phys", "virt", "hyp-virt"});
  const auto timer = testing::make_model(ports, "arm,armv8-timer");
  EXPECT_EQ(machine.vcpus[0]->outputs.size(), 2u);
  machine.vcpus[0]->outputs[1].set(true);
  EXPECT_TRUE(controller.sink.levels[14]);
}

TEST_F(CpuLinesTest, PmuByPpiOrAffinity) {
  ports.specifiers = {{7}};
  const auto shared = testing::make_model(ports, "arm,armv8-pmuv3");
  machine.vcpus[1]->outputs[4].set(true);
  EXPECT_TRUE(controller.sink.levels[107]);

  tree::Node& cpus = machine.tree.root().add_child("cpus");
  for (u32 i = 0; i < 2; ++i) {
    tree::Node& cpu = cpus.add_child("cpu@" + std::to_string(i));
    cpu.set_string("device_type", "cpu");
    cpu.set_u32("phandle", 20 + i);
  }
  ports.specifiers = {{30}, {31}};
  ports.mutable_node().set_cells("interrupt-affinity", std::vector<u32>{21, 20});
  const auto each = testing::make_model(ports, "arm,armv8-pmuv3");
  machine.vcpus[1]->outputs[4].set(false);
  machine.vcpus[1]->outputs[4].set(true);
  EXPECT_TRUE(controller.sink.levels[130]);
}

TEST_F(CpuLinesTest, MissingInterruptIsAnError) {
  ports.specifiers = {{7}};
  ports.interrupt_parent = nullptr;
  EXPECT_FALSE(testing::try_make_model(ports, "arm,armv8-timer").has_value());
}

}  // namespace
}  // namespace solder::models
