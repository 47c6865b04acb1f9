// What traces call the registers of the models that take their windows' accesses themselves.
#include "models/gic/register_names.h"
#include "model_fixture.h"

namespace solder::models {
namespace {

using Names = std::vector<std::pair<u64, std::string>>;

class RegisterNamesTest : public ::testing::Test {
 protected:
  void expect(const std::string& compatible, std::vector<u64> sizes, u32 window, const Names& names) {
    testing::FakeMachine machine{2};
    testing::FakePorts ports{machine, "device@0"};
    ports.window_sizes = std::move(sizes);
    const auto device = testing::make_model(ports, compatible);
    ASSERT_NE(device, nullptr);
    for (const auto& [offset, name] : names)
      EXPECT_EQ(ports.handler(window)->register_name(offset), name) << compatible << " " << offset;
  }
};

TEST_F(RegisterNamesTest, Gic) {
  expect("arm,gic-400", {0x1000, 0x2000}, 0,
         {{0x0, "GICD_CTLR"},
          {0x10c, "GICD_ISENABLER[3]"},
          {0x42a, "GICD_IPRIORITYR[10]+2"},
          {0x7fc, ""},
          {0xc00, "GICD_ICFGR[0]"},
          {0xfe8, "GICD_PIDR2"},
          {0xffc, "GICD_CIDR[3]"},
          {0x6100, ""}});
  expect("arm,gic-400", {0x1000, 0x2000}, 1, {{0xc, "GICC_IAR"}, {0x1000, "GICC_DIR"}, {0x2c, ""}});
  expect("arm,gic-v3", {0x10000, 0x40000}, 0,
         {{0x4, "GICD_TYPER"}, {0x6100, "GICD_IROUTER[32]"}, {0x6104, "GICD_IROUTER[32]+4"}, {0xffe8, "GICD_PIDR2"}});
  expect("arm,gic-v3", {0x10000, 0x40000}, 1,
         {{0x14, "GICR_WAKER@0"}, {0x20014, "GICR_WAKER@1"}, {0x30100, "GICR_ISENABLER0@1"}, {0x18014, ""}});
}

TEST_F(RegisterNamesTest, Pc) {
  expect("intel,ce4100-lapic", {0x1000}, 0,
         {{0x20, "ID"}, {0xb0, "EOI"}, {0x110, "ISR[1]"}, {0x114, ""}, {0x300, "ICR_LOW"}, {0x3e0, "DIVIDE"}});
  expect("intel,ce4100-ioapic", {0x1000}, 0, {{0, "IOREGSEL"}, {0x10, "IOWIN"}, {0x40, "EOIR"}, {0x20, ""}});
  expect("intel,ce4100-hpet", {0x400}, 0,
         {{0, "GCAP_ID"}, {0xf4, "MAIN_CNT+4"}, {0x128, "TIM_COMP[1]"}, {0x118, ""}, {0x160, ""}});
  expect("qemu,fw-cfg-io", {12}, 0, {{0, "SELECTOR"}, {1, "DATA"}, {4, "DMA_ADDRESS"}, {2, ""}});
  expect("qemu,fw-cfg-mmio", {24}, 0, {{0, "DATA"}, {8, "SELECTOR"}, {20, "DMA_ADDRESS+4"}, {10, ""}});
  expect("intel,i8259", {2, 2, 2}, 1, {{0, "COMMAND"}, {1, "MASK"}});
}

}  // namespace
}  // namespace solder::models
