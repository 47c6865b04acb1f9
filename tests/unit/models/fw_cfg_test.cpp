// fw_cfg in both forms, by bytes and by DMA, against its description in QEMU's docs/specs/fw_cfg.
#include <cstdio>
#include <fstream>

#include "base/bytes.h"
#include "pc_fixture.h"

namespace solder::models::firmware {
namespace {

using device::FirmwareItem;

constexpr u32 kError = 1, kRead = 2, kSkip = 4, kSelect = 8, kWrite = 16;
constexpr Gpa kDescriptor = testing::FakeMachine::kRamBase;
constexpr Gpa kBuffer = kDescriptor + 0x1000;

class FwCfgTest : public testing::PcTest {
 protected:
  FwCfgTest() {
    tree::Node& memory = machine.tree.root().add_child("memory@0");
    machine.tree.root().set_u32("#address-cells", 2);
    machine.tree.root().set_u32("#size-cells", 2);
    memory.set_string("device_type", "memory");
    memory.set_cells("reg", std::vector<u32>{0, 0, 0, 0x4000'0000, 1, 0, 0, 0x1000'0000});
    ports.window_sizes = {12};
  }
  void make() { device = testing::make_model(ports, "qemu,fw-cfg-io"); }
  void select(u16 key) { ports.write(0, key, 2); }
  std::string bytes(usize count) {
    std::string out;
    for (usize i = 0; i < count; ++i) out += static_cast<char>(in(1));
    return out;
  }
  u64 number(FirmwareItem item, usize size) {
    select(static_cast<u16>(item));
    u64 value = 0;
    for (usize i = 0; i < size; ++i) value |= in(1) << (8 * i);
    return value;
  }
  /// Runs a descriptor; returns its control word afterwards.
  u32 transfer(u32 control, u32 length, u64 buffer) {
    u8 descriptor[16];
    store_be(descriptor, control);
    store_be(descriptor + 4, length);
    store_be(descriptor + 8, buffer);
    machine.space.write(kDescriptor, descriptor, sizeof descriptor);
    ports.write(4, byte_swap(static_cast<u32>(kDescriptor >> 32)), 4);
    ports.write(8, byte_swap(static_cast<u32>(kDescriptor)), 4);
    machine.space.read(kDescriptor, descriptor, 4);
    return load_be<u32>(descriptor);
  }
  std::string memory(Gpa address, usize size) {
    std::string out(size, '?');
    machine.space.read(address, out.data(), size);
    return out;
  }
  static std::vector<u8> content(std::string_view text) { return {text.begin(), text.end()}; }
  /// The selector of a file, by the directory; 0: there is none.
  u16 key_of(std::string_view name, u32* size = nullptr) {
    select(0x19);
    const std::string head = bytes(4);
    for (u32 i = 0; i < load_be<u32>(head.data()); ++i) {
      const std::string entry = bytes(64);
      if (std::string_view(entry.data() + 8) != name) continue;
      if (size != nullptr) *size = load_be<u32>(entry.data());
      return load_be<u16>(entry.data() + 4);
    }
    return 0;
  }
  std::unique_ptr<device::Device> device;
};

TEST_F(FwCfgTest, SignatureAndFixedItems) {
  make();
  select(0);
  EXPECT_EQ(bytes(4), "QEMU");
  EXPECT_EQ(bytes(2), std::string(2, '\0')) << "past the end";
  EXPECT_EQ(number(FirmwareItem::id, 4), 3u);
  EXPECT_EQ(number(FirmwareItem::ram_size, 8), 0x5000'0000u);
  EXPECT_EQ(number(FirmwareItem::cpu_count, 2), 1u);
  EXPECT_EQ(number(FirmwareItem::max_cpus, 2), 1u);
  select(0x1234);
  EXPECT_EQ(bytes(1), std::string(1, '\0'));
  EXPECT_EQ(ports.read(4, 4), 0x554d4551u) << "\"QEMU CFG\" where the DMA address goes";
  EXPECT_EQ(ports.read(8, 4), 0x47464320u);
}

TEST_F(FwCfgTest, MemoryMap) {
  make();
  u32 size = 0;
  const u16 key = key_of("etc/e820", &size);
  EXPECT_GE(key, 0x20u);
  EXPECT_EQ(size, 40u);
  select(key);
  const std::string map = bytes(40);
  EXPECT_EQ(load_le<u64>(&map[0]), 0u);
  EXPECT_EQ(load_le<u64>(&map[8]), 0x4000'0000u);
  EXPECT_EQ(load_le<u32>(&map[16]), 1u);
  EXPECT_EQ(load_le<u64>(&map[20]), 0x1'0000'0000u);
  EXPECT_EQ(load_le<u64>(&map[28]), 0x1000'0000u);
}

TEST_F(FwCfgTest, WhoBootsFillsItIn) {
  make();
  ASSERT_NE(ports.firmware_files, nullptr);
  ports.firmware_files->set_item(FirmwareItem::kernel_data, content("kernel"));
  select(0x11);
  EXPECT_EQ(bytes(6), "kernel");
  ASSERT_TRUE(ports.firmware_files->add("etc/one", content("first")).has_value());
  ASSERT_TRUE(ports.firmware_files->add("etc/two", content("second")).has_value());
  ASSERT_TRUE(ports.firmware_files->add("etc/one", content("again")).has_value());
  u32 size = 0;
  select(key_of("etc/one", &size));
  EXPECT_EQ(bytes(size), "again");
  select(key_of("etc/two", &size));
  EXPECT_EQ(bytes(size), "second");
  EXPECT_EQ(key_of("etc/three"), 0u);
  EXPECT_FALSE(ports.firmware_files->add("", {}).has_value());
  EXPECT_FALSE(ports.firmware_files->add(std::string(56, 'x'), {}).has_value());
  EXPECT_TRUE(ports.firmware_files->add(std::string(55, 'x'), {}).has_value());
  EXPECT_NE(key_of(std::string(55, 'x')), 0u);
}

TEST_F(FwCfgTest, DmaReadsSkipsAndSelects) {
  make();
  ports.firmware_files->set_item(FirmwareItem::kernel_data, content("0123456789"));
  EXPECT_EQ(transfer(0x11 << 16 | kSelect | kRead, 4, kBuffer), 0u);
  EXPECT_EQ(memory(kBuffer, 4), "0123");
  EXPECT_EQ(transfer(kSkip, 2, 0), 0u);
  EXPECT_EQ(transfer(kRead, 8, kBuffer), 0u);
  EXPECT_EQ(memory(kBuffer, 8), std::string("6789\0\0\0\0", 8));
  EXPECT_EQ(transfer(0x11 << 16 | kSelect | kSkip, 0xffff'ffff, 0), 0u);
  EXPECT_EQ(bytes(1), std::string(1, '\0'));
  EXPECT_EQ(transfer(0x11 << 16 | kSelect, 0, 0), 0u);
  EXPECT_EQ(bytes(2), "01") << "both ways share the position";
}

TEST_F(FwCfgTest, DmaAsASingleAccess) {
  ports.window_sizes = {24};
  device = testing::make_model(ports, "qemu,fw-cfg-mmio");
  u8 descriptor[16];
  store_be(descriptor, u32{kSelect | kRead});
  store_be(descriptor + 4, u32{4});
  store_be(descriptor + 8, u64{kBuffer});
  machine.space.write(kDescriptor, descriptor, sizeof descriptor);
  ports.write(16, byte_swap(u64{kDescriptor}), 8);
  EXPECT_EQ(memory(kBuffer, 4), "QEMU");
  EXPECT_EQ(ports.read(16, 8), byte_swap(u64{0x5145'4d55'2043'4647}));
  // The selector is big-endian here, and data comes in up to eight bytes.
  ports.write(8, byte_swap(static_cast<u16>(3)), 2);
  EXPECT_EQ(ports.read(0, 8), 0x5000'0000u);
  ports.write(8, 0, 2);
  EXPECT_EQ(ports.read(0, 2), 0x4551u);
  EXPECT_EQ(ports.read(0, 1), 0x4du);
}

TEST_F(FwCfgTest, DmaWritesOnlyWhereAllowed) {
  make();
  std::string seen;
  ASSERT_TRUE(
      ports.firmware_files
          ->add("etc/table", content("........"), [&](std::span<const u8> now) { seen.assign(now.begin(), now.end()); })
          .has_value());
  const u32 key = key_of("etc/table");
  machine.space.write(kBuffer, "abcd", 4);
  EXPECT_EQ(transfer(key << 16 | kSelect | kSkip, 2, 0), 0u);
  EXPECT_EQ(transfer(kWrite, 4, kBuffer), 0u);
  EXPECT_EQ(seen, "..abcd..");
  EXPECT_EQ(transfer(kWrite, 3, kBuffer), kError) << "past the end";
  EXPECT_EQ(seen, "..abcd..");
  EXPECT_EQ(transfer(u32{0} << 16 | kSelect | kWrite, 1, kBuffer), kError) << "the signature";
  select(0);
  EXPECT_EQ(bytes(4), "QEMU");
  EXPECT_EQ(transfer(u32{0x7777} << 16 | kSelect | kWrite, 1, kBuffer), kError) << "no such item";
  // What was written is part of the state.
  select(static_cast<u16>(key));
  bytes(3);
  auto saver = device::Archive::saver();
  device->state(saver);
  transfer(key << 16 | kSelect | kWrite, 4, kBuffer);
  auto loader = device::Archive::loader(saver.data());
  device->state(loader);
  EXPECT_TRUE(loader.status().has_value());
  EXPECT_EQ(bytes(5), "bcd..");
}

TEST_F(FwCfgTest, HostileDescriptors) {
  make();
  EXPECT_EQ(transfer(kSelect | kRead, 4, 0x10), kError) << "no memory there";
  EXPECT_EQ(transfer(kSelect | kRead, 4, ~u64{0} - 1), kError) << "around the end of memory";
  EXPECT_EQ(transfer(kSelect | kRead, 0xffff'ffff, kBuffer), kError) << "a length that nobody needs";
  EXPECT_EQ(transfer(u32{0x7777} << 16 | kSelect | kRead, 0x2000, kBuffer + (1 << 20) - 0x2000), kError)
      << "zeroes past the end of memory";
  EXPECT_EQ(transfer(0xffff'ffff & ~kError, 4, kBuffer), 0u) << "reads come before writes";
  // A descriptor over itself, and one that is nowhere.
  EXPECT_EQ(transfer(kSelect | kRead, 4, kDescriptor), 0u);
  ports.write(4, ~u64{0}, 4);
  ports.write(8, ~u64{0}, 4);
  select(0);
  EXPECT_EQ(bytes(4), "QEMU");
}

TEST_F(FwCfgTest, FilesOfTheUser) {
  const std::string path = ::testing::TempDir() + "fw_cfg_test_file";
  std::ofstream(path, std::ios::binary) << std::string("from\0disk", 9);
  tree::Node& text = ports.mutable_node().add_child("solder,file-a");
  text.set_string("solder,name", "opt/text");
  text.set_string("solder,string", "hello");
  tree::Node& file = ports.mutable_node().add_child("solder,file-b");
  file.set_string("solder,name", "opt/file");
  file.set_string("solder,path", path);
  make();
  u32 size = 0;
  select(key_of("opt/text", &size));
  EXPECT_EQ(bytes(size), "hello");
  select(key_of("opt/file", &size));
  EXPECT_EQ(bytes(size), std::string("from\0disk", 9));
  std::remove(path.c_str());
}

TEST_F(FwCfgTest, FilesThatCannotBeAreRefused) {
  tree::Node& file = ports.mutable_node().add_child("solder,file");
  EXPECT_FALSE(testing::try_make_model(ports, "qemu,fw-cfg-io").has_value()) << "no name";
  file.set_string("solder,name", "opt/x");
  EXPECT_FALSE(testing::try_make_model(ports, "qemu,fw-cfg-io").has_value()) << "no content";
  file.set_string("solder,path", "/nowhere/at/all");
  const auto made = testing::try_make_model(ports, "qemu,fw-cfg-io");
  ASSERT_FALSE(made.has_value());
  EXPECT_NE(made.error().text().find("/nowhere/at/all"), std::string::npos);
  file.set_string("solder,path", "/");
  EXPECT_FALSE(testing::try_make_model(ports, "qemu,fw-cfg-io").has_value()) << "a directory";
  file.remove_property("solder,path");
  file.set_string("solder,string", "x");
  EXPECT_TRUE(testing::try_make_model(ports, "qemu,fw-cfg-io").has_value());
  ports.window_sizes = {8};
  EXPECT_FALSE(testing::try_make_model(ports, "qemu,fw-cfg-io").has_value());
}

}  // namespace
}  // namespace solder::models::firmware
