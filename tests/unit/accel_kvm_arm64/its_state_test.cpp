// The ITS in KVM: what the guest mapped and what is pending comes into another machine with the record and the RAM.
#include "accel/kvm/arm64/its_state.h"

#include <array>

#include "unit/accel_kvm_arm64/board.h"

namespace solder::accel::kvm {
namespace {

using arm64::ItsRecord;

constexpr u32 kCpus = 2;
constexpr u32 kDevice = 5;
constexpr u32 kEvent = 3;
constexpr u32 kLpi = 8192 + 40;
constexpr u64 kValid = u64{1} << 63;

// Where the guest would have put its tables.
constexpr Gpa kRam = 0x40000000;
constexpr Gpa kCommands = kRam;
constexpr Gpa kDeviceTable = kRam + 0x10000;
constexpr Gpa kCollections = kRam + 0x20000;
constexpr Gpa kTranslations = kRam + 0x30000;
constexpr Gpa kProperties = kRam + 0x40000;
constexpr Gpa kPending = kRam + 0x50000;  // 64 KiB for each CPU
constexpr u64 kEnd = 0x70000;

using Command = std::array<u64, 4>;
// IHI 0069, 5.3: collection 1 is CPU 1's, the device's event is the LPI there, and it has happened.
constexpr std::array<Command, 4> kQueue = {{{0x09, 0, kValid | 1 << 16 | 1, 0},
                                            {0x08 | u64{kDevice} << 32, 4, kValid | kTranslations, 0},
                                            {0x0a | u64{kDevice} << 32, u64{kLpi} << 32 | kEvent, 1, 0},
                                            {0x03 | u64{kDevice} << 32, kEvent, 0, 0}}};

ItsRecord saved(device::Device& its) {
  auto saver = device::Archive::saver();
  its.state(saver);
  auto loader = device::Archive::loader(saver.data());
  ItsRecord record;
  record.cpus.resize(kCpus);
  record.state(loader);
  EXPECT_TRUE(loader.status().has_value()) << loader.status().error().text();
  return record;
}

void load(device::Device& its, ItsRecord record) {
  auto saver = device::Archive::saver();
  record.state(saver);
  auto loader = device::Archive::loader(saver.data());
  its.state(loader);
  EXPECT_TRUE(loader.status().has_value()) << loader.status().error().text();
}

u8 pending_byte(memory::AddressSpace& memory) {
  u8 byte = 0;
  memory.read(kPending + 0x10000 + kLpi / 8, &byte, 1);
  return byte;
}

TEST(KvmItsState, MappingsAndPendingLpisMove) {
  SOLDER_NEEDS_KVM();
  auto first = Board::build(kTwoCpus);
  if (!first && first.error().text().find("no GICv3") != std::string::npos) {
    GTEST_SKIP() << "needs a host with a GICv3: " << first.error().text();
  }
  ASSERT_TRUE(first.has_value()) << first.error().text();
  memory::AddressSpace& memory = (*first)->memory();
  memory.write(kCommands, kQueue.data(), sizeof kQueue);
  const u8 enabled = 0xa0 | 1;
  memory.write(kProperties + kLpi - 8192, &enabled, 1);

  // The state of a guest that has set everything up and whose commands wait.
  ItsRecord record = saved((*first)->its());
  record.control = 1;
  record.commands = kValid | kCommands;
  record.writer = sizeof kQueue;
  record.tables[0] = kValid | kDeviceTable | 2 << 8;  // pages of 64 KiB
  record.tables[1] = kValid | kCollections | 2 << 8;
  for (u32 i = 0; i < kCpus; ++i) {
    record.cpus[i] = {.properties = kProperties | 15, .pending = kPending + 0x10000 * i, .enabled = true};
  }
  load((*first)->its(), record);
  record = saved((*first)->its());
  EXPECT_EQ(record.reader, sizeof kQueue) << "the commands were carried out";
  EXPECT_EQ(record.control & 1, 1U);
  EXPECT_EQ(pending_byte(memory), 1U << kLpi % 8);

  auto second = Board::build(kTwoCpus);
  ASSERT_TRUE(second.has_value()) << second.error().text();
  memory::AddressSpace& copy = (*second)->memory();
  std::vector<u8> content(kEnd);
  memory.read(kRam, content.data(), kEnd);
  copy.write(kRam, content.data(), kEnd);
  load((*second)->its(), record);
  // What the first wrote is forgotten: the second must know it itself.
  const std::vector<u8> nothing(0x20000);
  copy.write(kPending, nothing.data(), nothing.size());
  copy.write(kTranslations, nothing.data(), 0x10000);
  const ItsRecord again = saved((*second)->its());
  EXPECT_EQ(again.tables, record.tables);
  EXPECT_EQ(again.commands, record.commands);
  EXPECT_EQ(again.writer, record.writer);
  EXPECT_EQ(again.reader, record.reader);
  EXPECT_EQ(again.control, record.control);
  for (u32 i = 0; i < kCpus; ++i) {
    EXPECT_EQ(again.cpus[i].properties, record.cpus[i].properties);
    EXPECT_EQ(again.cpus[i].enabled, record.cpus[i].enabled);
  }
  EXPECT_EQ(pending_byte(copy), 1U << kLpi % 8);
  std::vector<u8> before(0x10000);
  std::vector<u8> after(0x10000);
  memory.read(kTranslations, before.data(), before.size());
  copy.read(kTranslations, after.data(), after.size());
  EXPECT_EQ(before, after);
  EXPECT_NE(before, std::vector<u8>(0x10000));
}

}  // namespace
}  // namespace solder::accel::kvm
