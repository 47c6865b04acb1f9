// ACPI's tables of whole machines. Those of the built-in board are held against tests/golden/acpi/<machine>/*.dsl, as
// iasl disassembles them; SOLDER_UPDATE_GOLDEN=1 writes these anew. Odd boards only have to please iasl, and to say
// what is there.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/bytes.h"
#include "machine/boards.h"
#include "machine/boot_x86.h"
#include "machine/shorthand.h"
#include "support/iasl.h"

namespace solder::machine {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

const std::filesystem::path kFolder = std::filesystem::path(SOLDER_SOURCE_DIR) / "tests/golden/acpi";

using Tables = std::vector<boot::acpi::Table>;

Result<Tables> tables_of(const std::string& dts, const Shorthand& shorthand = {}) {
  tree::Composer composer;
  SOLDER_TRY_STATUS(composer.add_text(find_board("virt-x86_64")->text, "virt-x86_64.dts"));
  if (!dts.empty()) SOLDER_TRY_STATUS(composer.add_text("/dts-v1/;\n" + dts, "test.dts"));
  auto composed = SOLDER_TRY(composer.finish());
  const auto tree = SOLDER_TRY(apply_shorthand(std::move(composed), shorthand));
  const auto plan = SOLDER_TRY(make_plan(*tree));
  return acpi_tables(*tree, plan);
}

const boot::acpi::Table* find(const Tables& tables, std::string_view name) {
  const auto found = std::ranges::find(tables, name, &boot::acpi::Table::name);
  return found == tables.end() ? nullptr : &*found;
}

std::string dsl(const Tables& tables, std::string_view name) {
  const auto* table = find(tables, name);
  return table == nullptr ? "" : solder::testing::judge(*table).dsl;
}

std::string content(const std::filesystem::path& path) {
  std::stringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

class AcpiOfMachines : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!solder::testing::have_iasl()) GTEST_SKIP() << "iasl (acpica-tools) is not installed";
  }

  void expect_golden(const std::string& machine, const Tables& tables) {
    const bool update = std::getenv("SOLDER_UPDATE_GOLDEN") != nullptr;
    const auto folder = kFolder / machine;
    if (update) std::filesystem::create_directories(folder);
    std::vector<std::string> expected_files;
    for (const auto& table : tables) {
      if (table.name == "RSDP") continue;
      const auto judgement = solder::testing::judge(table);
      EXPECT_EQ(judgement.complaints, "") << table.name;
      const auto path = folder / (table.name + ".dsl");
      expected_files.push_back(path.filename());
      if (update) std::ofstream(path) << judgement.dsl;
      EXPECT_EQ(judgement.dsl, content(path))
          << path << ": if the new text is right, SOLDER_UPDATE_GOLDEN=1 golden_acpi writes it";
    }
    for (const auto& entry : std::filesystem::directory_iterator(folder))
      EXPECT_THAT(expected_files, Contains(entry.path().filename().string())) << "no such table any more";
  }
};

TEST_F(AcpiOfMachines, TheBuiltInBoard) {
  Shorthand shorthand;
  shorthand.cpus = 2;
  shorthand.disks = {"disk.img"};
  shorthand.networks = {"user"};
  const auto tables = tables_of("", shorthand);
  ASSERT_TRUE(tables) << tables.error().text();
  expect_golden("virt-x86_64", *tables);
}

// No fixed hardware, no HPET, no ISA devices but the clock: hardware-reduced.
TEST_F(AcpiOfMachines, AHardwareReducedBoard) {
  const auto tables = tables_of(R"(
    / {
      solder,delete-node = "/hpet@fed00000", "/isa/pm@i600", "/isa/keyboard@i60", "/isa/serial@i3f8";
      chosen { stdout-path = "/serial@fed30000"; };
      serial@fed30000 { compatible = "ns16550a"; reg = <0x0 0xfed30000 0x0 0x100>; interrupts = <16 1>;
                        clock-frequency = <1843200>; };
    };
  )");
  ASSERT_TRUE(tables) << tables.error().text();
  expect_golden("reduced", *tables);
  EXPECT_EQ(find(*tables, "HPET"), nullptr);
  EXPECT_EQ(find(*tables, "FACS"), nullptr);
  // The button is the event device's.
  EXPECT_THAT(dsl(*tables, "DSDT"), HasSubstr("Notify (\\_SB.PWRB, 0x80)"));
  EXPECT_THAT(dsl(*tables, "DSDT"), Not(HasSubstr("_S5")));
}

TEST_F(AcpiOfMachines, AMovedSerialPortAndSlotsElsewhere) {
  std::string dts = R"(
    / {
      solder,delete-node = "/isa/serial@i3f8";
      isa { serial@i2e8 { compatible = "ns16550a", "pnpPNP,501"; reg = <1 0x2e8 8>; clock-frequency = <1843200>;
                          interrupts = <3 3>; }; };
      chosen { stdout-path = "/isa/serial@i2e8:9600"; };
  )";
  // Sixty slots above 4 GiB, four on each of fifteen pins.
  for (u32 i = 0; i < 60; ++i)
    dts += "slot@" + std::to_string(i) + " { compatible = \"virtio,mmio\"; reg = <0x100 " + std::to_string(i * 0x200) +
           " 0x0 0x200>; interrupts-extended = <&ioapic " + std::to_string(16 + i % 4) +
           " 1>; solder,virtio = \"rng\"; };\n";
  const auto tables = tables_of(dts + "};");
  ASSERT_TRUE(tables) << tables.error().text();
  EXPECT_EQ(solder::testing::complaints(*tables), "");
  const std::string dsdt = dsl(*tables, "DSDT");
  EXPECT_THAT(dsdt, HasSubstr("0x02E8,             // Range Minimum"));
  EXPECT_THAT(dsdt, Not(HasSubstr("0x03F8")));
  EXPECT_THAT(dsdt, HasSubstr("0x0000010000007600, // Range Minimum"));
  EXPECT_THAT(dsdt, HasSubstr("Interrupt (ResourceConsumer, Level, ActiveHigh, Shared"));
  const auto& spcr = find(*tables, "SPCR")->bytes;
  EXPECT_EQ(load_le<u64>(&spcr[44]), 0x2e8U);
  EXPECT_EQ(spcr[58], 3U);  // 9600 baud
}

TEST_F(AcpiOfMachines, OverridesFollowTheFanOut) {
  const auto tables = tables_of(R"(
    &gsi { solder,route = <0 16 &pic 0>, <0 1 &ioapic 5>, <8 1 &ioapic 8>, <9 1 &ioapic 20>, <10 1 &ioapic 10>,
                          <16 4 &ioapic 16>, <20 3 &ioapic 21>, <4 1 &ioapic 4>, <1 1 &ioapic 1>, <12 1 &ioapic 12>,
                          <23 1 &ioapic 11>; };
  )");
  ASSERT_TRUE(tables) << tables.error().text();
  EXPECT_EQ(solder::testing::complaints(*tables), "");
  const auto& madt = find(*tables, "APIC")->bytes;
  std::vector<std::array<u32, 3>> overrides;
  for (usize at = 44; at < madt.size(); at += madt[at + 1])
    if (madt[at] == 2) overrides.push_back({madt[at + 3], load_le<u32>(&madt[at + 4]), load_le<u16>(&madt[at + 8])});
  using Entry = std::array<u32, 3>;
  EXPECT_THAT(overrides, ::testing::ElementsAre(Entry{0, 5, 5}, Entry{9, 20, 13}, Entry{10, 10, 13}));
}

// More tables than the first MiB has room for.
TEST_F(AcpiOfMachines, VeryManyCpus) {
  Shorthand shorthand;
  shorthand.cpus = 2000;
  const auto tables = tables_of("", shorthand);
  ASSERT_TRUE(tables) << tables.error().text();
  EXPECT_EQ(find(*tables, "RSDP")->address, 0xe0000U);
  EXPECT_GT(find(*tables, "DSDT")->address, 0x3ff00000U);
  EXPECT_EQ(solder::testing::judge(*find(*tables, "DSDT")).complaints, "");
}

std::string error_of(const std::string& dts) {
  const auto tables = tables_of(dts);
  return tables ? "no error" : tables.error().text();
}

TEST(AcpiErrors, NameTheNode) {
  EXPECT_THAT(error_of("&gsi { solder,route = <0 16 &pic>; };"), HasSubstr("/gsi: solder,route: is not a list of"));
  EXPECT_THAT(error_of("&ioapic { reg = <0x1 0x0 0x0 0x1000>; };"), HasSubstr("lie below 4 GiB"));
  EXPECT_THAT(error_of("&com1 { reg = <1 0xfffc 8>; };"), HasSubstr("I/O ports have 16 bits"));
  EXPECT_THAT(error_of("&ram0 { reg = <0x0 0x80000000 0x0 0x40000000>; };"), HasSubstr("has no memory from 0xe0000"));
  EXPECT_THAT(error_of("/ { cpus { cpu@0 { reg = <0xffffffff>; }; }; };"), HasSubstr("is no local APIC's ID"));
}

}  // namespace
}  // namespace solder::machine
