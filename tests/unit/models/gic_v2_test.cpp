#include <gtest/gtest.h>

#include "cpu/current.h"
#include "models/gic/gic_v2.h"
#include "support/fake_ports.h"

namespace solder::models::gic {
namespace {

constexpr u64 kCtlr = 0x000, kTyper = 0x004, kIsenabler = 0x100, kIcenabler = 0x180, kIspendr = 0x200, kIcpendr = 0x280;
constexpr u64 kIsactiver = 0x300, kIpriority = 0x400, kItargets = 0x800, kIcfgr = 0xc00, kSgir = 0xf00;
constexpr u64 kCpuCtlr = 0x00, kPmr = 0x04, kBpr = 0x08, kIar = 0x0c, kEoir = 0x10, kRpr = 0x14, kHppir = 0x18;
constexpr u64 kAiar = 0x20, kApr = 0xd0, kDir = 0x1000;
constexpr u32 kSpi = 40;  // SPI 8

class GicV2Test : public ::testing::Test {
 protected:
  explicit GicV2Test(u32 cpus = 2) : machine(cpus) {
    ports.window_sizes = {0x1000, 0x2000};
    auto made = GicV2::create(ports);
    EXPECT_TRUE(made.has_value());
    device = std::move(*made);
    gic = dynamic_cast<GicV2*>(device.get());
    EXPECT_TRUE(device->start().has_value());
    dist(kCtlr, 3);
    for (u32 cpu = 0; cpu < cpus; ++cpu) {
      cpu::set_current_cpu(cpu);
      iface(kPmr, 0xff);
      iface(kCpuCtlr, 1);
      dist(kIsenabler, 0xffffffff);
    }
    cpu::set_current_cpu(0);
  }
  ~GicV2Test() override { cpu::set_current_cpu(0); }

  void dist(u64 offset, u32 value, unsigned size = 4) { ports.write(offset, value, size, 0); }
  u32 read_dist(u64 offset) { return static_cast<u32>(ports.read(offset, 4, 0)); }
  void iface(u64 offset, u32 value) { ports.write(offset, value, 4, 1); }
  u32 read_iface(u64 offset) { return static_cast<u32>(ports.read(offset, 4, 1)); }
  /// An enabled SPI for CPU `target`.
  void spi(u32 id, u8 priority, u32 target = 0) {
    dist(kIsenabler + 4 * (id / 32), 1u << (id % 32));
    dist(kIpriority + id, priority, 1);
    dist(kItargets + id, 1u << target, 1);
  }
  bool irq(u32 cpu = 0) { return machine.vcpus[cpu]->irq(); }

  testing::FakeMachine machine;
  testing::FakePorts ports{machine, "intc@0"};
  std::unique_ptr<device::Device> device;
  GicV2* gic = nullptr;
};

class GicV2OneCpuTest : public GicV2Test {
 protected:
  GicV2OneCpuTest() : GicV2Test(1) {}
};

TEST_F(GicV2Test, LevelInterruptComesBackWhileTheLineIsHigh) {
  spi(kSpi, 0xa0);
  gic->set_level(kSpi, true);
  EXPECT_TRUE(irq());
  EXPECT_EQ(read_iface(kHppir), kSpi);
  EXPECT_EQ(read_iface(kIar), kSpi);
  EXPECT_FALSE(irq()) << "active and pending is not signalled again";
  EXPECT_EQ(read_iface(kRpr), 0xa0u);
  iface(kEoir, kSpi);
  EXPECT_EQ(read_iface(kRpr), 0xffu);
  EXPECT_TRUE(irq()) << "the device still asks";
  EXPECT_EQ(read_iface(kIar), kSpi);
  gic->set_level(kSpi, false);
  iface(kEoir, kSpi);
  EXPECT_FALSE(irq());
  EXPECT_EQ(read_iface(kIar), kSpurious);
}

TEST_F(GicV2Test, TellsTheEndOfALevelBeforeItComesAgain) {
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
  EXPECT_EQ(read_iface(kIar), kSpi);
  iface(kEoir, kSpi);
  EXPECT_EQ(ends, 1u);
  EXPECT_FALSE(irq()) << "its source took the level back";
  asks = true;
  gic->set_level(kSpi, true);
  EXPECT_EQ(read_iface(kIar), kSpi);
  iface(kEoir, kSpi);
  EXPECT_EQ(ends, 2u);
  EXPECT_TRUE(irq()) << "it still asks";
  // In two steps (GICC_CTLR.EOImodeNS) the second one is the end.
  iface(kCpuCtlr, 1 | 1u << 9);
  EXPECT_EQ(read_iface(kIar), kSpi);
  iface(kEoir, kSpi);
  EXPECT_EQ(ends, 2u);
  iface(kDir, kSpi);
  EXPECT_EQ(ends, 3u);
  gic->watch_eoi(kSpi, {});
  EXPECT_EQ(read_iface(kIar), kSpi);
  iface(kEoir, kSpi);
  iface(kDir, kSpi);
  EXPECT_EQ(ends, 3u);
}

TEST_F(GicV2Test, LevelThatGoesAwayIsForgottenAndEdgeIsNot) {
  spi(kSpi, 0xa0);
  gic->set_level(kSpi, true);
  gic->set_level(kSpi, false);
  EXPECT_FALSE(irq());

  dist(kIcfgr + 4 * (kSpi / 16), 2u << (2 * (kSpi % 16)));
  gic->pulse(kSpi);
  EXPECT_TRUE(irq());
  EXPECT_EQ(read_iface(kIar), kSpi);
  gic->pulse(kSpi);  // while active: pending again
  EXPECT_FALSE(irq());
  iface(kEoir, kSpi);
  EXPECT_TRUE(irq());
  dist(kIcpendr + 4 * (kSpi / 32), 1u << (kSpi % 32));
  EXPECT_FALSE(irq());
}

TEST_F(GicV2Test, HigherPriorityPreemptsEqualDoesNot) {
  spi(kSpi, 0x80);
  spi(kSpi + 1, 0x40);
  spi(kSpi + 2, 0x80);
  gic->set_level(kSpi, true);
  EXPECT_EQ(read_iface(kIar), kSpi);
  gic->set_level(kSpi + 2, true);
  EXPECT_FALSE(irq());
  gic->set_level(kSpi + 1, true);
  EXPECT_TRUE(irq());
  EXPECT_EQ(read_iface(kIar), kSpi + 1);
  EXPECT_EQ(read_iface(kRpr), 0x40u);
  EXPECT_EQ(read_iface(kApr), (1u << 16) | (1u << 8));
  gic->set_level(kSpi + 1, false);
  iface(kEoir, kSpi + 1);
  EXPECT_EQ(read_iface(kRpr), 0x80u);
  EXPECT_FALSE(irq());
}

TEST_F(GicV2Test, BinaryPointDecidesWhatPreempts) {
  spi(kSpi, 0x88);
  spi(kSpi + 1, 0x80);
  iface(kBpr, 3);  // bits 7..4 are the group priority: 0x80 and 0x88 are equal
  gic->set_level(kSpi, true);
  EXPECT_EQ(read_iface(kIar), kSpi);
  gic->set_level(kSpi + 1, true);
  EXPECT_FALSE(irq());
  EXPECT_EQ(read_iface(kIar), kSpurious);
  // What is active keeps the group priority it was taken with; the finer binary point counts from the next one on.
  gic->set_level(kSpi + 1, false);
  iface(kEoir, kSpi);
  iface(kBpr, 2);
  EXPECT_EQ(read_iface(kIar), kSpi);
  gic->set_level(kSpi + 1, true);
  EXPECT_TRUE(irq());
}

TEST_F(GicV2Test, PriorityMaskAndEqualPrioritiesByNumber) {
  spi(kSpi, 0x80);
  spi(kSpi + 1, 0x80);
  iface(kPmr, 0x80);
  gic->set_level(kSpi + 1, true);
  gic->set_level(kSpi, true);
  EXPECT_FALSE(irq());
  EXPECT_EQ(read_iface(kIar), kSpurious);
  iface(kPmr, 0x88);
  EXPECT_TRUE(irq());
  EXPECT_EQ(read_iface(kIar), kSpi);
}

TEST_F(GicV2Test, SgiComesOncePerSource) {
  cpu::set_current_cpu(1);
  dist(kSgir, 1u << 24 | 5);  // all others
  EXPECT_FALSE(irq(1));
  EXPECT_TRUE(irq(0));
  cpu::set_current_cpu(0);
  dist(kSgir, 1u << 16 | 5);  // to itself, by the list
  EXPECT_EQ(read_iface(kIar), 5u);
  EXPECT_FALSE(irq(0));
  iface(kEoir, 5);
  EXPECT_TRUE(irq(0)) << "the other CPU's request is a separate one";
  EXPECT_EQ(read_iface(kIar), 5u | 1u << 10);
  iface(kEoir, 5u | 1u << 10);
  EXPECT_FALSE(irq(0));
  dist(kSgir, 2u << 24 | 3);  // only itself
  EXPECT_TRUE(irq(0));
  EXPECT_EQ(read_dist(0xf20), 1u << 24);
  dist(0xf10, 1u << 24);
  EXPECT_FALSE(irq(0));
}

TEST_F(GicV2Test, PrivateInterruptsAreBanked) {
  const u32 ppi = 27;
  gic->set_level(1u << 16 | ppi, true);
  EXPECT_FALSE(irq(0));
  EXPECT_TRUE(irq(1));
  EXPECT_EQ(read_dist(kIspendr) & (1u << ppi), 0u);
  cpu::set_current_cpu(1);
  EXPECT_NE(read_dist(kIspendr) & (1u << ppi), 0u);
  dist(kIcenabler, 1u << ppi);
  EXPECT_FALSE(irq(1));
  cpu::set_current_cpu(0);
  EXPECT_NE(read_dist(kIsenabler) & (1u << ppi), 0u);
}

TEST_F(GicV2Test, SharedInterruptForTwoIsTakenByOne) {
  spi(kSpi, 0xa0);
  dist(kItargets + kSpi, 3, 1);
  gic->set_level(kSpi, true);
  EXPECT_TRUE(irq(0));
  EXPECT_TRUE(irq(1));
  cpu::set_current_cpu(1);
  EXPECT_EQ(read_iface(kIar), kSpi);
  EXPECT_FALSE(irq(0));
  cpu::set_current_cpu(0);
  EXPECT_EQ(read_iface(kIar), kSpurious);
}

TEST_F(GicV2Test, TwoStepEnd) {
  spi(kSpi, 0xa0);
  spi(kSpi + 1, 0xa0);
  iface(kCpuCtlr, 1 | 1u << 9);
  gic->set_level(kSpi, true);
  EXPECT_EQ(read_iface(kIar), kSpi);
  iface(kEoir, kSpi);
  EXPECT_EQ(read_iface(kRpr), 0xffu);
  EXPECT_FALSE(irq()) << "still active";
  EXPECT_NE(read_dist(kIsactiver + 4), 0u);
  gic->set_level(kSpi + 1, true);
  EXPECT_EQ(read_iface(kIar), kSpi + 1) << "another of the same priority comes";
  iface(kDir, kSpi);
  EXPECT_EQ(read_dist(kIsactiver + 4), 1u << (kSpi + 1 - 32));
}

TEST_F(GicV2Test, GroupsAndFiq) {
  spi(kSpi, 0xa0);
  dist(0x80 + 4, 1u << (kSpi - 32));
  iface(kCpuCtlr, 3 | 1u << 3);
  gic->set_level(kSpi, true);
  EXPECT_TRUE(irq());
  EXPECT_FALSE(machine.vcpus[0]->fiq());
  EXPECT_EQ(read_iface(kIar), kGroupOneInstead);
  EXPECT_EQ(read_iface(kAiar), kSpi);
  iface(0x24, kSpi);
  dist(0x80 + 4, 0);
  EXPECT_FALSE(irq());
  EXPECT_TRUE(machine.vcpus[0]->fiq());
  EXPECT_EQ(read_iface(kAiar), kSpurious);
  EXPECT_EQ(read_iface(kIar), kSpi);
}

TEST_F(GicV2Test, TargetsShowTheAskingCpu) {
  EXPECT_EQ(read_dist(kItargets), 0x01010101u);
  cpu::set_current_cpu(1);
  EXPECT_EQ(read_dist(kItargets), 0x02020202u);
  EXPECT_EQ(read_dist(kTyper), 8u | 1u << 5);
}

TEST_F(GicV2OneCpuTest, UniprocessorNeedsNoTargets) {
  dist(kIsenabler + 4, 1u << (kSpi - 32));
  EXPECT_EQ(read_dist(kItargets + kSpi), 0u);
  gic->set_level(kSpi, true);
  EXPECT_TRUE(irq());
}

TEST_F(GicV2Test, SpecifiersAndErrors) {
  const u32 good[] = {0, 8, 4};
  const auto input = gic->input(good, 0);
  ASSERT_TRUE(input.has_value());
  EXPECT_EQ(input->pin, kSpi);
  EXPECT_EQ(input->name, "SPI 8");
  const u32 ppi[] = {1, 11, 0xf08};
  const auto private_input = gic->input(ppi, 1);
  ASSERT_TRUE(private_input.has_value());
  EXPECT_EQ(private_input->name, "PPI 11 of cpu 1");
  EXPECT_EQ(private_input->trigger, interrupt::Controller::Trigger::level_low);

  const u32 far[] = {0, 700, 1};
  ASSERT_TRUE(gic->input(far, 0).has_value());
  EXPECT_EQ(read_dist(kTyper) & 0x1f, (700u + 32) / 32) << "as many SPIs as the tree uses";

  const auto error = [&](std::vector<u32> cells, u32 cpu = 0) {
    const auto result = gic->input(cells, cpu);
    return result.has_value() ? std::string("none") : result.error().text();
  };
  EXPECT_NE(error({0, 988, 4}).find("SPIs 0 to 987"), std::string::npos);
  EXPECT_NE(error({1, 27, 4}).find("interrupt id 27 is PPI 11"), std::string::npos);
  EXPECT_NE(error({2, 1, 4}).find("cell 0"), std::string::npos);
  EXPECT_NE(error({0, 1, 3}).find("cell 2"), std::string::npos);
  EXPECT_NE(error({0, 1}).find("3 cells"), std::string::npos);
  EXPECT_NE(error({1, 11, 4}, 9).find("no cpu 9"), std::string::npos);
}

TEST_F(GicV2Test, StateSurvivesSaveAndLoad) {
  spi(kSpi, 0x80);
  spi(kSpi + 1, 0x40);
  gic->set_level(kSpi, true);
  EXPECT_EQ(read_iface(kIar), kSpi);
  gic->set_level(kSpi + 1, true);
  auto saver = device::Archive::saver();
  device->state(saver);
  device->reset();
  EXPECT_EQ(read_iface(kRpr), 0xffu);
  auto loader = device::Archive::loader(saver.data());
  device->state(loader);
  ASSERT_TRUE(loader.status().has_value()) << loader.status().error().text();
  EXPECT_EQ(read_iface(kRpr), 0x80u);
  EXPECT_TRUE(irq());
  EXPECT_EQ(read_iface(kIar), kSpi + 1);
}

TEST(GicV2Create, RefusesNineCpus) {
  testing::FakeMachine machine(9);
  testing::FakePorts ports(machine);
  ports.window_sizes = {0x1000, 0x2000};
  const auto made = GicV2::create(ports);
  ASSERT_FALSE(made.has_value());
  EXPECT_NE(made.error().text().find("at most 8"), std::string::npos);
}

}  // namespace
}  // namespace solder::models::gic
