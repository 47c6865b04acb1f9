#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "device/registry.h"
#include "support/fake_ports.h"

namespace solder::models {
namespace {

class RomTest : public ::testing::Test {
 protected:
  RomTest() : path_(std::filesystem::temp_directory_path() / ("solder-rom-" + std::to_string(::getpid()))) {
    std::ofstream(path_) << "firmware";
    ports_.window_sizes = {0x1000};
  }
  ~RomTest() override { std::filesystem::remove(path_); }
  Result<std::unique_ptr<device::Device>> make() {
    const std::vector<std::string> compatible = {"mtd-rom"};
    return device::find_model(compatible)->factory(ports_);
  }
  std::filesystem::path path_;
  testing::FakeMachine machine_{1};
  testing::FakePorts ports_{machine_, "rom@0"};
};

TEST_F(RomTest, HoldsItsFileAndCannotBeWritten) {
  ports_.mutable_node().set_string("solder,path", path_.string());
  const auto rom = make();
  ASSERT_TRUE(rom) << rom.error().text();
  const auto& [ram, read_only] = ports_.memory_windows.at(0);
  EXPECT_TRUE(read_only);
  EXPECT_EQ(std::memcmp(ram->host(), "firmware", 8), 0);
  EXPECT_EQ(ram->host()[8], 0);
}

TEST_F(RomTest, AFileThatIsLargerThanTheRomIsRefused) {
  std::ofstream(path_) << std::string(5000, 'x');
  ports_.mutable_node().set_string("solder,path", path_.string());
  const auto rom = make();
  ASSERT_FALSE(rom);
  EXPECT_NE(rom.error().what.find("5000"), std::string::npos);
}

TEST_F(RomTest, AMissingFileIsNamed) {
  ports_.mutable_node().set_string("solder,path", "/nowhere/firmware.bin");
  const auto rom = make();
  ASSERT_FALSE(rom);
  EXPECT_EQ(rom.error().where, "/nowhere/firmware.bin");
}

TEST_F(RomTest, WithoutAFileItIsAnError) {
  EXPECT_FALSE(make());
}

}  // namespace
}  // namespace solder::models
