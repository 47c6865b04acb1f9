#include "pc_fixture.h"

namespace solder::models::power {
namespace {

class PvpanicTest : public testing::PcTest {
 protected:
  std::unique_ptr<device::Device> make(std::string_view action = {}) {
    ports.window_sizes = {1};
    if (!action.empty()) ports.mutable_node().set_string("solder,on-panic", action);
    return testing::make_model(ports, "qemu,pvpanic");
  }
  std::string panic(u8 value) {
    ::testing::internal::CaptureStderr();
    out(0, value);
    return ::testing::internal::GetCapturedStderr();
  }
};

TEST_F(PvpanicTest, ReportsOnce) {
  const auto device = make();
  EXPECT_EQ(in(0), 3u) << "the events it knows";
  EXPECT_EQ(panic(0), "");
  EXPECT_NE(panic(1).find("/device@0: the guest's kernel panicked"), std::string::npos);
  EXPECT_EQ(panic(1), "");
  EXPECT_NE(panic(2).find("crash kernel"), std::string::npos);
  EXPECT_EQ(machine.control.resets + machine.control.shutdowns, 0u);
  save_and_load(*device);
  EXPECT_EQ(panic(3), "");
  device->reset();
  EXPECT_NE(panic(1), "");
}

TEST_F(PvpanicTest, ResetsOrShutsDownWhenToldTo) {
  {
    const auto device = make("reset");
    panic(2);
    EXPECT_EQ(machine.control.resets, 0u) << "the crash kernel runs";
    panic(1);
    EXPECT_EQ(machine.control.resets, 1u);
  }
  const auto device = make("shutdown");
  panic(1);
  EXPECT_EQ(machine.control.shutdowns, 1u);
}

TEST_F(PvpanicTest, UnknownActionsAreRefused) {
  ports.window_sizes = {1};
  ports.mutable_node().set_string("solder,on-panic", "explode");
  const auto made = testing::try_make_model(ports, "qemu,pvpanic-mmio");
  ASSERT_FALSE(made.has_value());
  EXPECT_NE(made.error().text().find("\"shutdown\""), std::string::npos);
}

}  // namespace
}  // namespace solder::models::power
