// Machines that are wrong, each composed onto the built-in board, and the words their author gets. The texts are in
// tests/golden/machine/*.txt; SOLDER_UPDATE_GOLDEN=1 writes them anew.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "machine/accelerator.h"
#include "machine/boards.h"
#include "machine/life_cycle.h"
#include "machine/machine.h"

namespace solder::machine {
namespace {

const std::filesystem::path kFolder = std::filesystem::path(SOLDER_SOURCE_DIR) / "tests/golden/machine";

std::vector<std::string> broken_machines() {
  std::vector<std::string> out;
  for (const auto& entry : std::filesystem::directory_iterator(kFolder))
    if (entry.path().extension() == ".dts") out.push_back(entry.path().stem().string());
  std::ranges::sort(out);
  return out;
}

Status build(const std::vector<std::string>& machines) {
  const auto tree = SOLDER_TRY(compose_machine(machines));
  const auto plan = SOLDER_TRY(make_plan(*tree));
  Control control;
  Backends backends({}, true);
  SOLDER_TRY(Machine::build(*tree, plan, make_dry_accelerator(), backends, control));
  return {};
}

std::string replace_all(std::string text, const std::string& what, const std::string& with) {
  for (usize at = text.find(what); at != std::string::npos; at = text.find(what, at + with.size()))
    text.replace(at, what.size(), with);
  return text;
}

class BrokenMachine : public testing::TestWithParam<std::string> {};

TEST_P(BrokenMachine, SaysWhatIsWrong) {
  const auto status = build({"virt-arm64", (kFolder / (GetParam() + ".dts")).string()});
  ASSERT_FALSE(status) << "the machine was built";
  const std::string got = replace_all(status.error().text(), kFolder.string() + "/", "") + "\n";
  const auto golden = kFolder / (GetParam() + ".txt");
  if (std::getenv("SOLDER_UPDATE_GOLDEN") != nullptr) std::ofstream(golden) << got;
  std::stringstream expected;
  expected << std::ifstream(golden).rdbuf();
  EXPECT_EQ(got, expected.str());
}

INSTANTIATE_TEST_SUITE_P(Golden, BrokenMachine, testing::ValuesIn(broken_machines()), [](const auto& machine) {
  std::string name = machine.param;
  std::ranges::replace(name, '-', '_');
  return name;
});

TEST(BrokenMachines, ThereAreTen) {
  EXPECT_GE(broken_machines().size(), 10U);
}

TEST(BuiltInBoard, Builds) {
  const auto status = build({});
  EXPECT_TRUE(status) << status.error().text();
}

}  // namespace
}  // namespace solder::machine
