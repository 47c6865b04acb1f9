#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <set>

#include "base/bytes.h"
#include "boot/acpi/aml.h"
#include "boot/acpi/tables.h"
#include "support/iasl.h"

namespace solder::boot::acpi {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;

u8 sum(std::span<const u8> bytes) {
  return std::accumulate(bytes.begin(), bytes.end(), u8{0}, [](u8 a, u8 b) { return static_cast<u8>(a + b); });
}

TEST(Aml, Integers) {
  EXPECT_THAT(aml::integer(0), ElementsAre(0x00));
  EXPECT_THAT(aml::integer(1), ElementsAre(0x01));
  EXPECT_THAT(aml::integer(2), ElementsAre(0x0a, 2));
  EXPECT_THAT(aml::integer(0xff), ElementsAre(0x0a, 0xff));
  EXPECT_THAT(aml::integer(0x100), ElementsAre(0x0b, 0, 1));
  EXPECT_THAT(aml::integer(0x10000), ElementsAre(0x0c, 0, 0, 1, 0));
  EXPECT_THAT(aml::integer(u64{1} << 32), ElementsAre(0x0e, 0, 0, 0, 0, 1, 0, 0, 0));
}

TEST(Aml, Names) {
  EXPECT_THAT(aml::name_string("_HID"), ElementsAreArray(std::string_view("_HID")));
  EXPECT_THAT(aml::name_string("AB"), ElementsAreArray(std::string_view("AB__")));
  EXPECT_THAT(aml::name_string("\\"), ElementsAre('\\', 0));
  EXPECT_THAT(aml::name_string("^^X"), ElementsAreArray(std::string_view("^^X___")));
  EXPECT_THAT(aml::name_string("\\_SB.GED"), ElementsAreArray(std::string_view("\\._SB_GED_")));
  EXPECT_THAT(aml::name_string("A.B.C"), ElementsAreArray(std::string_view("\x2f\x03"
                                                                           "A___B___C___")));
}

TEST(Aml, EisaIdsAreCompressedAndBigEndian) {
  EXPECT_THAT(aml::eisa_id("PNP0501"), ElementsAre(0x0c, 0x41, 0xd0, 0x05, 0x01));
  EXPECT_THAT(aml::eisa_id("PNP0C0C"), ElementsAre(0x0c, 0x41, 0xd0, 0x0c, 0x0c));
  EXPECT_FALSE(aml::is_eisa_id("LNRO0005"));
  EXPECT_FALSE(aml::is_eisa_id("PNP05G1"));
  EXPECT_FALSE(aml::is_eisa_id("pnp0501"));
}

// A scope's bytes behind the opcode: PkgLength, four bytes of name, the body.
TEST(Aml, PackageLengthsCountThemselves) {
  const auto lead = [](usize body) {
    const auto scope = aml::scope("S", {aml::Term(body, 0x00)});
    EXPECT_EQ(scope[0], 0x10);
    const usize extra = scope[1] >> 6;
    u64 length = extra == 0 ? scope[1] & 0x3f : scope[1] & 0xf;
    for (usize i = 0; i < extra; ++i) length |= u64{scope[2 + i]} << (4 + 8 * i);
    EXPECT_EQ(length, scope.size() - 1) << body;
    EXPECT_EQ(scope.size(), 1 + 1 + extra + 4 + body);
    return extra;
  };
  EXPECT_EQ(lead(0), 0U);
  EXPECT_EQ(lead(0x3f - 5), 0U);
  EXPECT_EQ(lead(0x40 - 5), 1U);
  EXPECT_EQ(lead(0xfff - 6), 1U);
  EXPECT_EQ(lead(0x1000 - 6), 2U);
  EXPECT_EQ(lead(0xfffff - 7), 2U);
  EXPECT_EQ(lead(0x100000 - 7), 3U);
}

TEST(Aml, ResourcesEndInAChecksum) {
  aml::ResourceTemplate resources;
  resources.memory32(0xfed00000, 0x400).io(0x3f8, 8).irq(4).interrupt(16, Trigger::level, Polarity::high, true);
  const auto term = resources.term();
  ASSERT_EQ(term[0], 0x11);
  // Buffer: opcode, length, size as a byte constant, then the descriptors.
  const std::span<const u8> bytes = std::span(term).subspan(4);
  EXPECT_EQ(sum(bytes), 0);
  EXPECT_EQ(bytes[0], 0x86);
  EXPECT_EQ(load_le<u32>(&bytes[4]), 0xfed00000U);
  EXPECT_EQ(load_le<u32>(&bytes[8]), 0x400U);
  EXPECT_EQ(bytes[12], 0x47);
  EXPECT_EQ(bytes[20], 0x22);
  EXPECT_EQ(load_le<u16>(&bytes[21]), 1U << 4);
  EXPECT_EQ(bytes[23], 0x89);
  EXPECT_EQ(bytes[26], 0b1001);
  EXPECT_EQ(load_le<u32>(&bytes[28]), 16U);
}

TEST(AmlDeathTest, BadNamesAreOurs) {
  EXPECT_DEATH((void)aml::name_string("TOOLONG"), "four characters");
  EXPECT_DEATH((void)aml::name_string("9ABC"), "capital letters");
}

Description pc() {
  Description out;
  out.cpus = {{0}, {1}};
  out.local_apic = 0xfee00000;
  out.legacy_controller = true;
  out.io_apics = {{0xfec00000, 0}};
  out.overrides = {{0, 2, Trigger::edge, Polarity::high}, {9, 9, Trigger::level, Polarity::high}};
  out.power = PowerManagement{0x600, 0x604, 0x608, 0xcf9, 6, 5, 9};
  out.rtc = true;
  out.hpet = Hpet{0xfed00000, 0x80862201};
  out.console = Console{{0x3f8, 8}, {}, Interrupt{4, Trigger::edge, Polarity::high, false, 4}, 115200};
  out.devices = {{"serial", "PNP0501", 0, "/isa/serial@i3f8", {}, {{0x3f8, 8}}, {*out.console->interrupt}}};
  return out;
}

const Table& find(const std::vector<Table>& tables, std::string_view name) {
  for (const Table& table : tables)
    if (table.name == name) return table;
  ADD_FAILURE() << "no " << name;
  return tables.front();
}

TEST(Tables, LinkToEachOtherAndAddUp) {
  const auto tables = make_tables(pc(), 0xe0000, 0xe0040);
  const auto& rsdp = find(tables, "RSDP");
  EXPECT_EQ(rsdp.address, 0xe0000U);
  EXPECT_EQ(std::string(rsdp.bytes.begin(), rsdp.bytes.begin() + 8), "RSD PTR ");
  EXPECT_EQ(sum(std::span(rsdp.bytes).first(20)), 0);
  EXPECT_EQ(sum(rsdp.bytes), 0);
  const auto& xsdt = find(tables, "XSDT");
  EXPECT_EQ(load_le<u64>(&rsdp.bytes[24]), xsdt.address);
  std::vector<u64> listed;
  for (usize at = 36; at < xsdt.bytes.size(); at += 8) listed.push_back(load_le<u64>(&xsdt.bytes[at]));
  EXPECT_THAT(listed, ElementsAre(find(tables, "FACP").address, find(tables, "APIC").address,
                                  find(tables, "HPET").address, find(tables, "SPCR").address));
  const auto& fadt = find(tables, "FACP").bytes;
  EXPECT_EQ(load_le<u32>(&fadt[36]), find(tables, "FACS").address);
  EXPECT_EQ(load_le<u32>(&fadt[40]), find(tables, "DSDT").address);
  EXPECT_EQ(load_le<u64>(&fadt[140]), find(tables, "DSDT").address);
  EXPECT_EQ(find(tables, "FACS").address % 64, 0U);
  u32 end = 0;
  for (const Table& table : tables) {
    if (table.name == "RSDP") continue;
    EXPECT_GE(table.address, end == 0 ? 0xe0040 : end) << table.name;
    end = table.address + static_cast<u32>(table.bytes.size());
    EXPECT_EQ(load_le<u32>(&table.bytes[4]), table.bytes.size()) << table.name;
    if (table.name == "FACS") continue;
    EXPECT_EQ(sum(table.bytes), 0) << table.name;
  }
  EXPECT_EQ(end - 0xe0040, tables_size(pc()));
}

TEST(Tables, AreTheSameBytesEachTime) {
  const auto first = make_tables(pc(), 0xe0000, 0xe0040);
  const auto second = make_tables(pc(), 0xe0000, 0xe0040);
  ASSERT_EQ(first.size(), second.size());
  for (usize i = 0; i < first.size(); ++i) EXPECT_EQ(first[i].bytes, second[i].bytes) << first[i].name;
}

TEST(Fadt, SaysWhatThereIs) {
  const auto fadt = make_fadt(pc(), 0, 0);
  EXPECT_EQ(load_le<u16>(&fadt[46]), 9U);                // SCI
  EXPECT_EQ(load_le<u32>(&fadt[48]), 0U);                // SMI_CMD
  EXPECT_EQ(load_le<u32>(&fadt[56]), 0x600U);            // PM1a_EVT_BLK
  EXPECT_EQ(load_le<u32>(&fadt[112]) & (1U << 20), 0U);  // not hardware-reduced
  EXPECT_NE(load_le<u32>(&fadt[112]) & (1U << 10), 0U);  // reset register
  EXPECT_EQ(load_le<u64>(&fadt[120]), 0xcf9U);
  EXPECT_EQ(fadt[128], 6U);
  EXPECT_EQ(load_le<u16>(&fadt[109]) & 0b100010U, 0b000000U);  // no i8042, a CMOS clock

  auto reduced = pc();
  reduced.power.reset();
  reduced.rtc = false;
  reduced.keyboard_controller = true;
  const auto other = make_fadt(reduced, 0, 0);
  EXPECT_NE(load_le<u32>(&other[112]) & (1U << 20), 0U);
  EXPECT_EQ(load_le<u32>(&other[56]), 0U);
  EXPECT_EQ(load_le<u16>(&other[109]) & 0b100010U, 0b100010U);
}

TEST(Madt, HasX2ApicStructuresForLargeIds) {
  auto machine = pc();
  machine.cpus = {{0}, {254}, {255}, {1000}};
  const auto madt = make_madt(machine);
  std::vector<unsigned> types;
  for (usize at = 44; at < madt.size(); at += madt[at + 1]) types.push_back(madt[at]);
  EXPECT_THAT(types, ElementsAre(0, 0, 9, 9, 1, 2, 2, 4, 10));
  EXPECT_EQ(load_le<u32>(&madt[40]), 1U);  // PCAT_COMPAT
}

TEST(Dsdt, ManyDevicesHaveDifferentNames) {
  auto machine = pc();
  const Device slot = {"virtio", "LNRO0005", 0, "", {{0xfed20000, 0x200}}, {}, {}};
  machine.devices.assign(1500, slot);
  for (u32 i = 0; i < machine.devices.size(); ++i) machine.devices[i].uid = i;
  const auto dsdt = make_dsdt(machine);
  std::set<std::string> names;
  for (usize at = 36; at + 8 < dsdt.size(); ++at) {
    if (dsdt[at] != 0x5b || dsdt[at + 1] != 0x82) continue;
    const usize name = at + 3 + (dsdt[at + 2] >> 6);
    names.emplace(dsdt.begin() + static_cast<std::ptrdiff_t>(name),
                  dsdt.begin() + static_cast<std::ptrdiff_t>(name) + 4);
  }
  EXPECT_EQ(names.size(), 1502U);
  EXPECT_TRUE(names.contains("VIR0"));
  EXPECT_TRUE(names.contains("VIZZ"));
}

TEST(Iasl, HasNothingToSay) {
  if (!solder::testing::have_iasl()) GTEST_SKIP() << "iasl (acpica-tools) is not installed";
  auto machine = pc();
  machine.ecams = {{0xb0000000, 0, 0, 255}};
  EXPECT_EQ(solder::testing::complaints(make_tables(machine, 0xe0000, 0xe0040)), "");
  machine.power.reset();
  machine.hpet.reset();
  machine.console->memory = {0xfed30000, 0x1000};
  machine.console->ports = {};
  machine.cpus = {{0}, {300}};
  machine.events = EventDevice{0xfed10000, {10, Trigger::level, Polarity::high, false, {}}, 1, 2};
  machine.devices.push_back({"8042", "PNP0303", 0, "", {}, {{0x60, 1}, {0x64, 1}}, {}});
  machine.devices.push_back(
      {"far", "LNRO0005", 7, "", {{u64{1} << 40, u64{1} << 33}}, {}, {{17, Trigger::level, Polarity::low, true, {}}}});
  machine.devices.push_back({"ports", "QEMU0002", 0, "", {}, {{0x1000, 600}}, {}});
  EXPECT_EQ(solder::testing::complaints(make_tables(machine, 0xe0000, 0xe0040)), "");
}

TEST(Iasl, WouldSayWhatIsWrong) {
  if (!solder::testing::have_iasl()) GTEST_SKIP() << "iasl (acpica-tools) is not installed";
  auto tables = make_tables(pc(), 0xe0000, 0xe0040);
  for (Table& table : tables) {
    if (table.name != "DSDT") continue;
    table.bytes[40] ^= 0x40;  // within the first name
    EXPECT_NE(solder::testing::judge(table).complaints, "");
  }
}

}  // namespace
}  // namespace solder::boot::acpi
