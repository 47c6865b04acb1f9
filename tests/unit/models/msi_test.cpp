// The tests' source of interrupts.
#include "pc_fixture.h"

namespace solder::models::test {
namespace {

constexpr u64 kAddressLow = 0, kAddressHigh = 4, kData = 8, kDeviceId = 0xc, kFire = 0x10, kEdge = 0x14, kLevel = 0x18,
              kCount = 0x1c;

struct Messages final : interrupt::MessageTarget {
  bool deliver(const interrupt::Message& message) override {
    seen.push_back(message);
    return true;
  }
  std::vector<interrupt::Message> seen;
};

class MsiTest : public testing::PcTest {
 protected:
  MsiTest() {
    machine.routes.set_message_target(&target);
    ports.window_sizes = {0x20};
    device = testing::make_model(ports, "solder,msi-test");
  }
  Messages target;
  std::unique_ptr<device::Device> device;
};

TEST_F(MsiTest, MessagesChangeAsAWhole) {
  ports.write(kFire, 1);
  EXPECT_TRUE(target.seen.empty()) << "no message yet";
  ports.write(kAddressLow, 0xfee0'0000);
  ports.write(kAddressHigh, 1);
  ports.write(kDeviceId, 7);
  ports.write(kFire, 1);
  EXPECT_TRUE(target.seen.empty());
  ports.write(kData, 0x4041);
  ports.write(kFire, 1);
  ASSERT_EQ(target.seen.size(), 1u);
  EXPECT_EQ(target.seen[0].address, 0x1'fee0'0000u);
  EXPECT_EQ(target.seen[0].data, 0x4041u);
  EXPECT_EQ(target.seen[0].device_id, 7u);
  ports.write(kAddressLow, 0xfee0'1000);
  ports.write(kFire, 1);
  EXPECT_EQ(target.seen[1].address, 0x1'fee0'0000u) << "the old one until DATA is written";
  EXPECT_EQ(ports.read(kCount), 4u);
}

TEST_F(MsiTest, EdgesAndLevels) {
  testing::FakeSink sink;
  ports.edge_wire(0).connect(&sink, 5);
  ports.write(kEdge, 1);
  ports.write(kEdge, 1);
  EXPECT_EQ(sink.rises[5], 2u);
  ports.write(kLevel, 3);
  EXPECT_TRUE(ports.irq(1));
  EXPECT_EQ(ports.read(kLevel), 1u);
  ports.write(kLevel, 2);
  EXPECT_FALSE(ports.irq(1));
}

TEST_F(MsiTest, StateSurvivesSaveAndLoad) {
  ports.write(kAddressLow, 0xfee0'0000);
  ports.write(kData, 0x55);
  ports.write(kAddressLow, 0xfee0'2000);
  ports.write(kLevel, 1);
  save_and_load(*device);
  EXPECT_TRUE(ports.irq(1));
  ports.write(kFire, 0);
  ASSERT_EQ(target.seen.size(), 1u);
  EXPECT_EQ(target.seen[0].address, 0xfee0'0000u);
  device->reset();
  EXPECT_FALSE(ports.irq(1));
  ports.write(kFire, 0);
  EXPECT_EQ(target.seen.size(), 1u);
  device.reset();
  EXPECT_TRUE(machine.routes.report().empty()) << "its number is given back";
}

}  // namespace
}  // namespace solder::models::test
