// An x86 guest's memory when its CPU starts: the built-in board with a program, loaded and looked at.
#include "machine/boot_x86.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "base/bytes.h"
#include "machine/accelerator.h"
#include "machine/boards.h"
#include "machine/life_cycle.h"
#include "machine/shorthand.h"
#include "unit/boot/x86_files.h"

namespace solder::machine {
namespace {

std::unique_ptr<tree::Tree> board(const Shorthand& shorthand) {
  const std::string name = "virt-x86_64";
  auto tree = apply_shorthand(std::move(*compose_machine(std::span(&name, 1))), shorthand);
  EXPECT_TRUE(tree) << tree.error().text();
  return std::move(*tree);
}

TEST(MemoryWindows, AreFilledInOrder) {
  Shorthand shorthand;
  shorthand.memory = 512_MiB;
  EXPECT_THAT(board(shorthand)->find("/memory@0")->cell_list("reg"), ::testing::ElementsAre(0, 0, 0, 0x20000000));
  shorthand.memory = 3_GiB;
  EXPECT_THAT(board(shorthand)->find("/memory@0")->cell_list("reg"), ::testing::ElementsAre(0, 0, 0, 0xc0000000));
  shorthand.memory = 8_GiB;
  EXPECT_THAT(board(shorthand)->find("/memory@0")->cell_list("reg"),
              ::testing::ElementsAre(0, 0, 0, 0xc0000000, 1, 0, 1, 0x40000000));
  shorthand.memory = u64{1} << 50;
  const std::string name = "virt-x86_64";
  const auto refused = apply_shorthand(std::move(*compose_machine(std::span(&name, 1))), shorthand);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().text(), ::testing::HasSubstr("more than the machine's memory windows hold"));
}

TEST(BootX86, AProgramFindsTheMachineInItsMemory) {
  namespace files = boot::x86::testing;
  const std::string path = ::testing::TempDir() + "solder-boot-x86.elf";
  const auto program = files::elf(false, 0x100000, {{0x100000, {0xf4, 0xeb, 0xfd}, 0x1000}}, 0x100000);
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(program.data()), static_cast<std::streamsize>(program.size()));
  Shorthand shorthand;
  shorthand.kernel = path;
  shorthand.append = "hello";
  shorthand.memory = 64_MiB;
  shorthand.cpus = 2;
  const auto tree = board(shorthand);
  const auto plan = make_plan(*tree);
  ASSERT_TRUE(plan) << plan.error().text();
  const auto boot_files = BootFiles::read(*tree);
  ASSERT_TRUE(boot_files) << boot_files.error().text();
  Control control;
  Backends backends({}, true);
  const auto machine = Machine::build(*tree, *plan, make_dry_accelerator(), backends, control);
  ASSERT_TRUE(machine) << machine.error().text();
  const auto entry = load_guest(**machine, *boot_files);
  ASSERT_TRUE(entry) << entry.error().text();
  EXPECT_EQ(entry->mode, cpu::EntryMode::protected_);
  EXPECT_EQ(entry->pc, 0x100000U);

  const auto& memory = (*machine)->fabric().memory;
  const auto load = [&](Gpa address, unsigned size) { return memory.load(address, size).value; };
  EXPECT_EQ(load(0x100000, 2), 0xebf4U);
  const Gpa info = entry->arguments[0];
  EXPECT_EQ(load(info, 4), 0x336ec578U);
  const Gpa rsdp = load(info + 32, 8);
  EXPECT_EQ(load(rsdp, 8), 0x2052545020445352U);  // "RSD PTR "
  const Gpa xsdt = load(rsdp + 24, 8);
  EXPECT_EQ(load(xsdt, 4), 0x54445358U);
  const Gpa fadt = load(xsdt + 36, 8);
  EXPECT_EQ(load(fadt, 4), 0x50434146U);
  EXPECT_EQ(load(load(fadt + 140, 8), 4), 0x54445344U);  // the DSDT
  EXPECT_EQ(load(0xf0000, 4), 0x334d535fU);              // "_SM3"
  std::array<char, 6> text{};
  ASSERT_TRUE(memory.read(load(info + 24, 8), text.data(), text.size()));
  EXPECT_STREQ(text.data(), "hello");
}

TEST(BootX86, FilesAreJudgedByTheMachinesCpus) {
  const std::string path = ::testing::TempDir() + "solder-no-kernel";
  std::ofstream(path) << std::string(4096, 'x');
  Shorthand shorthand;
  shorthand.kernel = path;
  const auto read = BootFiles::read(*board(shorthand));
  ASSERT_FALSE(read);
  EXPECT_THAT(read.error().text(), ::testing::HasSubstr("is no x86 kernel"));
  const auto arm = apply_shorthand(std::move(*compose_machine({})), shorthand);
  ASSERT_TRUE(arm) << arm.error().text();
  EXPECT_THAT(BootFiles::read(**arm).error().text(), ::testing::HasSubstr("is no arm64 kernel"));
}

}  // namespace
}  // namespace solder::machine
