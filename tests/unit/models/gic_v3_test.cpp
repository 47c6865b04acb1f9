#include <gtest/gtest.h>

#include "models/gic/gic_v3.h"
#include "support/fake_ports.h"

namespace solder::models::gic {
namespace {

constexpr u32 icc(u32 crn, u32 crm, u32 op2) {
  return 3u << 14 | crn << 7 | crm << 3 | op2;
}
constexpr u32 kPmr = icc(4, 6, 0), kIar0 = icc(12, 8, 0), kEoir0 = icc(12, 8, 1), kIar1 = icc(12, 12, 0);
constexpr u32 kEoir1 = icc(12, 12, 1), kHppir1 = icc(12, 12, 2), kBpr1 = icc(12, 12, 3), kCtlr = icc(12, 12, 4);
constexpr u32 kSre = icc(12, 12, 5), kIgrpen0 = icc(12, 12, 6), kIgrpen1 = icc(12, 12, 7), kDir = icc(12, 11, 1);
constexpr u32 kRpr = icc(12, 11, 3), kSgi1r = icc(12, 11, 5), kSgi0r = icc(12, 11, 7), kAp1r0 = icc(12, 9, 0);
constexpr u32 kSpi = 40;
constexpr u64 kSgiFrame = 0x10000;

class GicV3Test : public ::testing::Test {
 protected:
  explicit GicV3Test(std::vector<u64> ids = {0, 1, 0x100}) : machine(static_cast<u32>(ids.size())) {
    machine.hardware_ids = ids;
    ports.window_sizes = {0x10000, 0x20000 * ids.size()};
    auto made = GicV3::create(ports);
    EXPECT_TRUE(made.has_value());
    device = std::move(*made);
    gic = dynamic_cast<GicV3*>(device.get());
    EXPECT_TRUE(device->start().has_value());
    dist(0, 3);
    for (u32 cpu = 0; cpu < ids.size(); ++cpu) {
      redist(cpu, 0x14, 0);
      redist(cpu, kSgiFrame + 0x80, 0xffffffff);
      redist(cpu, kSgiFrame + 0x100, 0xffffffff);
      gic->write(cpu, kPmr, 0xff);
      gic->write(cpu, kIgrpen1, 1);
    }
    for (u32 word = 1; word < 9; ++word) dist(0x80 + 4 * word, 0xffffffff);
  }
  void dist(u64 offset, u64 value, unsigned size = 4) { ports.write(offset, value, size, 0); }
  u64 read_dist(u64 offset, unsigned size = 4) { return ports.read(offset, size, 0); }
  void redist(u32 cpu, u64 offset, u32 value) { ports.write(cpu * 0x20000 + offset, value, 4, 1); }
  u64 read_redist(u32 cpu, u64 offset, unsigned size = 4) { return ports.read(cpu * 0x20000 + offset, size, 1); }
  void spi(u32 id, u8 priority, u64 affinity = 0) {
    dist(0x100 + 4 * (id / 32), 1u << (id % 32));
    dist(0x400 + id, priority, 1);
    dist(0x6000 + 8 * id, affinity, 8);
  }
  bool irq(u32 cpu = 0) { return machine.vcpus[cpu]->irq(); }
  bool fiq(u32 cpu = 0) { return machine.vcpus[cpu]->fiq(); }

  testing::FakeMachine machine;
  testing::FakePorts ports{machine, "intc@0"};
  std::unique_ptr<device::Device> device;
  GicV3* gic = nullptr;
};

TEST_F(GicV3Test, Identification) {
  EXPECT_EQ(read_dist(0xffe8) & 0xf0, 0x30u);
  EXPECT_EQ(read_dist(4) & 0x1f, 8u);
  EXPECT_EQ(read_dist(4) & (1u << 17), 0u) << "no LPIs";
  EXPECT_EQ(read_dist(0), 0x53u) << "DS, ARE, both groups";
  EXPECT_EQ(read_redist(0, 8, 8), 0u);
  EXPECT_EQ(read_redist(2, 8, 8), (u64{0x100} << 32) | 2u << 8 | 1u << 4) << "affinity, number, Last";
  EXPECT_EQ(read_redist(1, 8, 8) & (1u << 4), 0u);
  for (u32 cpu = 0; cpu < 3; ++cpu) EXPECT_EQ(machine.vcpus[cpu]->system_registers, gic);
  EXPECT_EQ(gic->read(0, kSre), 7u);
  EXPECT_TRUE(gic->has(kIar1));
  EXPECT_FALSE(gic->has(icc(12, 9, 1))) << "AP1R1 is not there with 5 priority bits";
}

TEST_F(GicV3Test, LevelInterrupt) {
  spi(kSpi, 0xa0, 0x100);
  gic->set_level(kSpi, true);
  EXPECT_FALSE(irq(0));
  EXPECT_TRUE(irq(2));
  EXPECT_EQ(gic->read(0, kIar1), kSpurious);
  EXPECT_EQ(gic->read(2, kHppir1), kSpi);
  EXPECT_EQ(gic->read(2, kIar1), kSpi);
  EXPECT_FALSE(irq(2));
  EXPECT_EQ(gic->read(2, kRpr), 0xa0u);
  gic->write(2, kEoir1, kSpi);
  EXPECT_TRUE(irq(2)) << "the line is still high";
  EXPECT_EQ(gic->read(2, kIar1), kSpi);
  gic->set_level(kSpi, false);
  gic->write(2, kEoir1, kSpi);
  EXPECT_FALSE(irq(2));
}

TEST_F(GicV3Test, TellsTheEndOfALevelBeforeItComesAgain) {
  spi(kSpi, 0xa0);
  u32 ends = 0;
  bool asks = false;
  gic->watch_eoi(kSpi, [&] {
    ++ends;
    EXPECT_FALSE(irq()) << "still active";
    gic->set_level(kSpi, false);
    if (asks) gic->set_level(kSpi, true);
  });
  gic->set_level(kSpi, true);
  EXPECT_EQ(gic->read(0, kIar1), kSpi);
  gic->write(0, kEoir1, kSpi);
  EXPECT_EQ(ends, 1u);
  EXPECT_FALSE(irq()) << "its source took the level back";
  asks = true;
  gic->set_level(kSpi, true);
  EXPECT_EQ(gic->read(0, kIar1), kSpi);
  gic->write(0, kEoir1, kSpi);
  EXPECT_EQ(ends, 2u);
  EXPECT_TRUE(irq()) << "it still asks";
  // In two steps the second one is the end.
  gic->write(0, kCtlr, 2);
  EXPECT_EQ(gic->read(0, kIar1), kSpi);
  gic->write(0, kEoir1, kSpi);
  EXPECT_EQ(ends, 2u);
  gic->write(0, kDir, kSpi);
  EXPECT_EQ(ends, 3u);
  gic->watch_eoi(kSpi, {});
  EXPECT_EQ(gic->read(0, kIar1), kSpi);
  gic->write(0, kEoir1, kSpi);
  gic->write(0, kDir, kSpi);
  EXPECT_EQ(ends, 3u);
}

TEST_F(GicV3Test, EdgeLatches) {
  spi(kSpi, 0xa0);
  dist(0xc00 + 4 * (kSpi / 16), 2u << (2 * (kSpi % 16)));
  gic->pulse(kSpi);
  EXPECT_EQ(gic->read(0, kIar1), kSpi);
  gic->pulse(kSpi);
  EXPECT_FALSE(irq());
  gic->write(0, kEoir1, kSpi);
  EXPECT_TRUE(irq());
  EXPECT_EQ(gic->read(0, kIar1), kSpi);
  gic->write(0, kEoir1, kSpi);
  EXPECT_FALSE(irq());
}

TEST_F(GicV3Test, PreemptionAndBinaryPoint) {
  spi(kSpi, 0x90);
  spi(kSpi + 1, 0x80);
  gic->write(0, kBpr1, 5);  // bits 7..5: 0x80 and 0x90 are one group
  gic->set_level(kSpi, true);
  EXPECT_EQ(gic->read(0, kIar1), kSpi);
  gic->set_level(kSpi + 1, true);
  EXPECT_FALSE(irq());
  EXPECT_EQ(gic->read(0, kIar1), kSpurious);
  gic->write(0, kBpr1, 0);
  EXPECT_EQ(gic->read(0, kBpr1), 3u);
  gic->set_level(kSpi + 1, false);
  gic->write(0, kEoir1, kSpi);
  EXPECT_EQ(gic->read(0, kIar1), kSpi);
  gic->set_level(kSpi + 1, true);
  EXPECT_TRUE(irq());
  EXPECT_EQ(gic->read(0, kIar1), kSpi + 1);
  EXPECT_EQ(gic->read(0, kAp1r0), (1u << 18) | (1u << 16));
}

TEST_F(GicV3Test, NestedInterruptsEndInOrder) {
  spi(kSpi, 0x80);
  spi(kSpi + 1, 0x40);
  gic->set_level(kSpi, true);
  EXPECT_EQ(gic->read(0, kIar1), kSpi);
  gic->set_level(kSpi + 1, true);
  EXPECT_EQ(gic->read(0, kIar1), kSpi + 1);
  EXPECT_EQ(gic->read(0, kAp1r0), (1u << 16) | (1u << 8));
  gic->write(0, kEoir1, kSpi + 1);
  EXPECT_EQ(gic->read(0, kRpr), 0x80u);
  EXPECT_TRUE(irq()) << "its line is still high";
  gic->set_level(kSpi + 1, false);
  EXPECT_FALSE(irq());
  gic->write(0, kEoir1, kSpi);
  EXPECT_TRUE(irq());
}

TEST_F(GicV3Test, PriorityMaskHasFiveBits) {
  spi(kSpi, 0xa7);
  EXPECT_EQ(read_dist(0x400 + kSpi, 1), 0xa0u);
  gic->write(0, kPmr, 0xa0);
  gic->set_level(kSpi, true);
  EXPECT_FALSE(irq());
  gic->write(0, kPmr, 0xff);
  EXPECT_EQ(gic->read(0, kPmr), 0xf8u);
  EXPECT_TRUE(irq());
}

TEST_F(GicV3Test, SgiByAffinity) {
  gic->write(0, kSgi1r, u64{3} << 24 | 0b10);  // cluster 0, Aff0 1
  EXPECT_FALSE(irq(0));
  EXPECT_TRUE(irq(1));
  EXPECT_FALSE(irq(2));
  EXPECT_EQ(gic->read(1, kIar1), 3u);
  gic->write(1, kEoir1, 3);
  gic->write(1, kSgi1r, u64{4} << 24 | u64{1} << 16 | 1);  // Aff1 1, Aff0 0
  EXPECT_TRUE(irq(2));
  gic->write(1, kSgi1r, u64{5} << 24 | u64{1} << 40);  // all but itself
  EXPECT_TRUE(irq(0));
  EXPECT_FALSE(irq(1));
  EXPECT_EQ(gic->read(2, kIar1), 4u);
}

TEST_F(GicV3Test, SgiOfTheWrongGroupIsDropped) {
  gic->write(0, kSgi0r, u64{3} << 24 | 0b10);
  EXPECT_EQ(read_redist(1, kSgiFrame + 0x200), 0u);
  redist(1, kSgiFrame + 0x80, ~(1u << 3));
  gic->write(0, kSgi0r, u64{3} << 24 | 0b10);
  EXPECT_EQ(read_redist(1, kSgiFrame + 0x200), 1u << 3);
  EXPECT_FALSE(fiq(1)) << "group 0 is not enabled";
  gic->write(1, kIgrpen0, 1);
  EXPECT_TRUE(fiq(1));
  EXPECT_FALSE(irq(1));
  EXPECT_EQ(gic->read(1, kIar1), kSpurious);
  EXPECT_EQ(gic->read(1, kIar0), 3u);
  gic->write(1, kEoir1, 3);
  EXPECT_NE(gic->read(1, kRpr), 0xffu) << "EOIR1 does not end a group 0 interrupt";
  gic->write(1, kEoir0, 3);
  EXPECT_EQ(gic->read(1, kRpr), 0xffu);
}

TEST_F(GicV3Test, TwoStepEnd) {
  spi(kSpi, 0xa0);
  spi(kSpi + 1, 0xa0);
  gic->write(0, kCtlr, 2);
  gic->set_level(kSpi, true);
  EXPECT_EQ(gic->read(0, kIar1), kSpi);
  gic->write(0, kEoir1, kSpi);
  EXPECT_EQ(gic->read(0, kRpr), 0xffu);
  EXPECT_FALSE(irq());
  gic->set_level(kSpi + 1, true);
  EXPECT_EQ(gic->read(0, kIar1), kSpi + 1);
  gic->write(0, kDir, kSpi);
  gic->write(0, kEoir1, kSpi + 1);
  EXPECT_TRUE(irq()) << "deactivated, and its line is still high";
}

TEST_F(GicV3Test, ReroutingMovesAPendingInterrupt) {
  spi(kSpi, 0xa0, 0);
  gic->set_level(kSpi, true);
  EXPECT_TRUE(irq(0));
  dist(0x6000 + 8 * kSpi, 1, 8);
  EXPECT_FALSE(irq(0));
  EXPECT_TRUE(irq(1));
  EXPECT_EQ(read_dist(0x6000 + 8 * kSpi, 8), 1u);
  dist(0x6000 + 8 * kSpi, 7, 8);  // nobody
  EXPECT_FALSE(irq(1));
}

TEST_F(GicV3Test, OneOfNGoesToOneWhoTakesIt) {
  spi(kSpi, 0xa0, u64{1} << 31);
  gic->set_level(kSpi, true);
  EXPECT_EQ(irq(0) + irq(1) + irq(2), 1);
  EXPECT_TRUE(irq(0));
  gic->write(0, kIgrpen1, 0);
  EXPECT_FALSE(irq(0));
  EXPECT_EQ(irq(1) + irq(2), 1) << "another CPU takes over";
}

TEST_F(GicV3Test, SleepingRedistributorSignalsNothing) {
  redist(1, 0x14, 2);
  EXPECT_EQ(read_redist(1, 0x14), 6u);
  gic->set_level(1u << 16 | 27, true);
  EXPECT_FALSE(irq(1));
  redist(1, 0x14, 0);
  EXPECT_TRUE(irq(1));
}

TEST_F(GicV3Test, PrivateRegistersAreTheRedistributors) {
  dist(0x100, 0xffffffff);
  EXPECT_EQ(read_dist(0x100), 0u);
  redist(0, kSgiFrame + 0x180, 1u << 27);
  EXPECT_EQ(read_redist(0, kSgiFrame + 0x100), ~(1u << 27));
  EXPECT_EQ(read_redist(1, kSgiFrame + 0x100), 0xffffffffu);
}

TEST_F(GicV3Test, FourCellSpecifier) {
  const u32 cells[] = {1, 7, 4, 0};
  const auto input = gic->input(cells, 2);
  ASSERT_TRUE(input.has_value());
  input->sink->set_level(input->pin, true);
  EXPECT_TRUE(irq(2));
  EXPECT_EQ(gic->read(2, kIar1), 23u);
}

TEST_F(GicV3Test, StateSurvivesSaveAndLoad) {
  spi(kSpi, 0x80, 1);
  spi(kSpi + 1, 0x40, 1);
  gic->set_level(kSpi, true);
  EXPECT_EQ(gic->read(1, kIar1), kSpi);
  gic->set_level(kSpi + 1, true);
  auto saver = device::Archive::saver();
  device->state(saver);
  device->reset();
  EXPECT_FALSE(irq(1));
  auto loader = device::Archive::loader(saver.data());
  device->state(loader);
  ASSERT_TRUE(loader.status().has_value()) << loader.status().error().text();
  EXPECT_TRUE(irq(1));
  EXPECT_EQ(gic->read(1, kRpr), 0x80u);
  EXPECT_EQ(gic->read(1, kIar1), kSpi + 1);
}

TEST(GicV3Create, RegionsAndStride) {
  testing::FakeMachine machine(4);
  machine.hardware_ids = {0, 1, 0x100, 0x101};
  testing::FakePorts ports(machine);
  ports.mutable_node().set_u32("#redistributor-regions", 2);
  ports.mutable_node().set_u64("redistributor-stride", 0x40000);
  ports.window_sizes = {0x10000, 0x80000, 0x80000, 0x2000};
  const auto made = GicV3::create(ports);
  ASSERT_TRUE(made.has_value()) << made.error().text();
  EXPECT_EQ(ports.read(0x40000 + 8, 8, 1), u64{1} << 32 | 1u << 8 | 1u << 4) << "the last of its region";
  EXPECT_EQ(ports.read(0x40000 + 8, 8, 2), u64{0x101} << 32 | 3u << 8 | 1u << 4);
  EXPECT_EQ(ports.read(0x20000 + 8, 8, 1), 0u) << "between two redistributors";
  EXPECT_EQ(ports.read(0, 4, 3), 0u);
}

TEST(GicV3Create, Errors) {
  testing::FakeMachine machine(4);
  {
    testing::FakePorts ports(machine);
    ports.window_sizes = {0x10000, 0x40000};
    const auto made = GicV3::create(ports);
    ASSERT_FALSE(made.has_value());
    EXPECT_NE(made.error().text().find("room for 2 CPUs"), std::string::npos);
  }
  testing::FakePorts ports(machine);
  ports.mutable_node().set_u32("#redistributor-regions", 3);
  ports.window_sizes = {0x10000, 0x80000};
  EXPECT_FALSE(GicV3::create(ports).has_value());
}

}  // namespace
}  // namespace solder::models::gic
