#include <gtest/gtest.h>

#include <random>

#include "device/registry.h"
#include "models/virtio/function.h"
#include "support/virtio_driver.h"

namespace solder::models::virtio {
namespace {

using testing::Buffer;
using testing::DriverRing;
using testing::FakeCharDevice;
using testing::FakeMachine;
using testing::FakePorts;
using testing::MmioDriver;

constexpr u64 kBase = FakeMachine::kRamBase;
constexpr u64 kData = kBase + 0x40000;

/// A disk in memory that finishes requests at once.
struct MemoryDisk final : host::Disk {
  explicit MemoryDisk(u64 bytes) : data(bytes) {}
  u64 size() const override { return data.size(); }
  u32 block_size() const override { return 512; }
  bool read_only() const override { return false; }
  bool can_discard() const override { return true; }
  void submit(host::DiskRequest r) override { waiting.push_back(std::move(r)); }
  /// Carries out what was submitted, as the backend's thread would.
  void work() {
    auto all = std::exchange(waiting, {});
    for (auto& r : all) {
      u64 at = r.offset;
      for (const iovec& piece : r.pieces) {
        if (r.operation == host::DiskOperation::read) std::memcpy(piece.iov_base, &data[at], piece.iov_len);
        if (r.operation == host::DiskOperation::write) std::memcpy(&data[at], piece.iov_base, piece.iov_len);
        at += piece.iov_len;
      }
      if (r.operation == host::DiskOperation::discard || r.operation == host::DiskOperation::write_zeroes) {
        std::memset(&data[r.offset], 0, r.length);
      }
      if (r.operation == host::DiskOperation::flush) ++flushes;
      r.done(0);
    }
  }
  void drain() override { work(); }
  std::string describe() const override { return "memory"; }
  std::vector<u8> data;
  std::vector<host::DiskRequest> waiting;
  u32 flushes = 0;
};

struct FakeNetwork final : host::Network {
  void send(std::span<const u8> frame) override { sent.emplace_back(frame.begin(), frame.end()); }
  void set_receiver(Receiver r) override { receiver = std::move(r); }
  void ready() override { ++ready_calls; }
  std::string describe() const override { return "fake"; }
  std::vector<std::vector<u8>> sent;
  Receiver receiver;
  u32 ready_calls = 0;
};

struct Fixture {
  explicit Fixture(const char* kind) : ports(machine, "virtio_mmio@0"), driver(ports) {
    ports.window_sizes = {0x200};
    if (kind != nullptr) ports.mutable_node().set_string("solder,virtio", kind);
  }
  void build() {
    const std::string name = "virtio,mmio";
    const device::ModelInfo* info = device::find_model(std::span(&name, 1));
    ASSERT_NE(info, nullptr);
    auto made = info->factory(ports);
    ASSERT_TRUE(made) << made.error().text();
    device = std::move(*made);
  }
  void bring_up(bool packed, u32 queues, u64 extra = 0) {
    build();
    ASSERT_TRUE(driver.negotiate(kVersion1 | kIndirectDescriptors | (packed ? kPackedRing : 0) | extra));
    for (u32 i = 0; i < queues; ++i) {
      rings.push_back(std::make_unique<DriverRing>(machine.space, kBase + 0x8000 * i, 8, packed));
      driver.add_queue(i, *rings.back(), 8);
    }
    driver.go();
  }
  FakeMachine machine;
  FakePorts ports;
  MmioDriver driver;
  std::unique_ptr<device::Device> device;
  std::vector<std::unique_ptr<DriverRing>> rings;
};

TEST(VirtioMmio, AnEmptySlotHasNoDevice) {
  Fixture f(nullptr);
  f.build();
  EXPECT_EQ(f.ports.read(0x00), 0x74726976U);
  EXPECT_EQ(f.ports.read(0x04), 2U);
  EXPECT_EQ(f.ports.read(0x08), 0U);
}

TEST(VirtioMmio, QueueNotifyIsADoorbellForEachQueue) {
  FakeMachine machine;
  FakePorts ports(machine);
  ports.mutable_node().set_string("solder,virtio", "console");
  const auto info = device::find_model(std::vector<std::string>{"virtio,mmio"});
  const auto made = info->factory(ports);
  ASSERT_TRUE(made) << made.error().text();
  const memory::WriteHints* hints = ports.handler(0)->write_hints();
  ASSERT_NE(hints, nullptr);
  std::vector<memory::Doorbell> want;
  for (u64 queue = 0; queue < 4; ++queue) want.push_back({0x50, 4, queue});  // 4.2.2: 32 bits, a queue's number
  EXPECT_EQ(hints->doorbells, want);
}

TEST(VirtioMmio, RefusesFeaturesItDidNotOfferAndLegacyDrivers) {
  Fixture f("rng");
  f.build();
  EXPECT_FALSE(f.driver.negotiate(kVersion1 | (u64{1} << 40)));
  EXPECT_FALSE(f.driver.negotiate(0));
  EXPECT_TRUE(f.driver.negotiate(kVersion1));
}

TEST(VirtioMmio, AnUnknownKindIsAnErrorThatListsTheKnown) {
  Fixture f("floppy");
  const std::string name = "virtio,mmio";
  const auto made = device::find_model(std::span(&name, 1))->factory(f.ports);
  ASSERT_FALSE(made);
  EXPECT_NE(made.error().fix.find("block"), std::string::npos);
}

class VirtioTest : public ::testing::TestWithParam<bool> {};

TEST_P(VirtioTest, BlockReadsAndWrites) {
  MemoryDisk disk(1 << 20);
  Fixture f("block");
  f.ports.disk_backend = &disk;
  f.bring_up(GetParam(), 1);
  EXPECT_EQ(f.ports.read(0x100, 4), (1U << 20) / 512);
  auto& ring = *f.rings[0];
  const auto request = [&](u32 type, u64 sector, std::vector<Buffer> data) {
    ring.put<u32>(kData, type);
    ring.put<u64>(kData + 8, sector);
    ring.put<u8>(kData + 0x100, 0xff);
    std::vector<Buffer> all{{kData, 16, false}};
    all.insert(all.end(), data.begin(), data.end());
    all.push_back({kData + 0x100, 1, true});
    ring.add(all);
    f.driver.notify(0);
    disk.work();
    u32 id = 0;
    u32 written = 0;
    EXPECT_TRUE(ring.take(id, written));
    EXPECT_EQ(f.driver.take_interrupt(), 1U);
    EXPECT_FALSE(f.ports.irq());
    return std::pair<u32, u32>(ring.get<u8>(kData + 0x100), written);
  };
  ring.put<u32>(kData + 0x1000, 0xdecafbad);
  EXPECT_EQ(request(1, 3, {{kData + 0x1000, 512, false}}).first, 0U);
  EXPECT_EQ(disk.data[3 * 512], 0xad);
  EXPECT_EQ(request(0, 3, {{kData + 0x2000, 256, true}, {kData + 0x3000, 256, true}}), (std::pair<u32, u32>{0, 513}));
  EXPECT_EQ(ring.get<u32>(kData + 0x2000), 0xdecafbadU);
  EXPECT_EQ(request(4, 0, {}).first, 0U);
  EXPECT_EQ(disk.flushes, 1U);
  EXPECT_EQ(request(0, 2048, {{kData + 0x2000, 512, true}}).first, 1U);  // past the end
  EXPECT_EQ(request(0, 0, {{kData + 0x2000, 100, true}}).first, 1U);     // not whole sectors
  EXPECT_EQ(request(0, ~u64{0}, {{kData + 0x2000, 512, true}}).first, 1U);
  EXPECT_EQ(request(1, 0, {{0x1000, 512, false}}).first, 1U);  // no memory there
  EXPECT_EQ(request(77, 0, {}).first, 2U);
  EXPECT_EQ(request(8, 0, {{kData + 0x2000, 20, true}}).first, 0U);
  // One range of write-zeroes over sector 3.
  ring.put<u64>(kData + 0x1000, 3);
  ring.put<u32>(kData + 0x1008, 1);
  ring.put<u32>(kData + 0x100c, 1);
  EXPECT_EQ(request(13, 0, {{kData + 0x1000, 16, false}}).first, 0U);
  EXPECT_EQ(disk.data[3 * 512], 0);
  ring.put<u32>(kData + 0x100c, 8);
  EXPECT_EQ(request(13, 0, {{kData + 0x1000, 16, false}}).first, 2U);
}

TEST_P(VirtioTest, BlockResetWaitsForRequestsInFlight) {
  MemoryDisk disk(1 << 20);
  Fixture f("block");
  f.ports.disk_backend = &disk;
  f.bring_up(GetParam(), 1);
  f.rings[0]->put<u32>(kData, 4);
  f.rings[0]->add({{kData, 16, false}, {kData + 0x100, 1, true}});
  f.driver.notify(0);
  EXPECT_EQ(disk.waiting.size(), 1U);
  f.ports.write(0x70, 0);
  EXPECT_TRUE(disk.waiting.empty());
  EXPECT_EQ(f.driver.status(), 0U);
  EXPECT_FALSE(f.ports.irq());
}

TEST_P(VirtioTest, NetSendsAndReceivesWithItsHeader) {
  FakeNetwork network;
  Fixture f("net");
  f.ports.network_backend = &network;
  f.bring_up(GetParam(), 2, u64{1} << 5);
  auto& receive = *f.rings[0];
  auto& transmit = *f.rings[1];
  transmit.put<u8>(kData + 12, 0xab);
  transmit.add({{kData, 12, false}, {kData + 12, 60, false}});
  f.driver.notify(1);
  ASSERT_EQ(network.sent.size(), 1U);
  EXPECT_EQ(network.sent[0].size(), 60U);
  EXPECT_EQ(network.sent[0][0], 0xab);
  const std::vector<u8> frame(64, 0x5a);
  EXPECT_FALSE(network.receiver(frame));
  receive.add({{kData + 0x1000, 1526, true}});
  f.driver.notify(0);
  EXPECT_EQ(network.ready_calls, 1U);
  EXPECT_TRUE(network.receiver(frame));
  u32 id = 0;
  u32 written = 0;
  ASSERT_TRUE(receive.take(id, written));
  EXPECT_EQ(written, 76U);
  EXPECT_EQ(receive.get<u16>(kData + 0x1000 + 10), 1U);
  EXPECT_EQ(receive.get<u8>(kData + 0x1000 + 12), 0x5a);
}

TEST_P(VirtioTest, RngFillsBuffers) {
  Fixture f("rng");
  f.bring_up(GetParam(), 1);
  f.rings[0]->add({{kData, 64, true}});
  f.driver.notify(0);
  u32 id = 0;
  u32 written = 0;
  ASSERT_TRUE(f.rings[0]->take(id, written));
  EXPECT_EQ(written, 64U);
  EXPECT_NE(f.rings[0]->get<u64>(kData), 0U);
}

TEST_P(VirtioTest, ConsoleOpensItsPortAndCarriesBytes) {
  FakeCharDevice chardev;
  Fixture f("console");
  f.ports.chardev_backend = &chardev;
  f.bring_up(GetParam(), 4, u64{1} << 1);
  const auto control = [&](u32 port, u16 event, u16 value) {
    f.rings[3]->put<u32>(kData, port);
    f.rings[3]->put<u16>(kData + 4, event);
    f.rings[3]->put<u16>(kData + 6, value);
    f.rings[3]->add({{kData, 8, false}});
    f.driver.notify(3);
  };
  const auto event = [&] {
    u32 id = 0;
    u32 written = 0;
    f.rings[2]->add({{kData + 0x100, 64, true}});
    f.driver.notify(2);
    EXPECT_TRUE(f.rings[2]->take(id, written));
    return f.rings[2]->get<u16>(kData + 0x104);
  };
  control(0xffffffff, 0, 1);
  EXPECT_EQ(event(), 1U);  // add
  control(0, 3, 1);
  EXPECT_EQ(event(), 4U);  // console
  EXPECT_EQ(event(), 6U);  // open
  EXPECT_EQ(chardev.type("early"), 0U);
  control(0, 6, 1);
  f.rings[0]->add({{kData + 0x200, 3, true}});
  EXPECT_EQ(chardev.type("hello"), 3U);
  f.machine.space.write(kData + 0x300, "out", 3);
  f.rings[1]->add({{kData + 0x300, 3, false}});
  f.driver.notify(1);
  EXPECT_EQ(chardev.output, "out");
}

TEST_P(VirtioTest, ABrokenRingAsksForResetAndResetMends) {
  Fixture f("rng");
  f.bring_up(GetParam(), 1);
  f.rings[0]->add({{kData, 16, true}, {kData, 16, false}});
  f.driver.notify(0);
  EXPECT_EQ(f.driver.status() & 64, 64U);
  EXPECT_EQ(f.driver.take_interrupt() & 2, 2U);
  EXPECT_TRUE(f.driver.negotiate(kVersion1));
  EXPECT_EQ(f.driver.status() & 64, 0U);
}

INSTANTIATE_TEST_SUITE_P(Rings, VirtioTest, ::testing::Bool(),
                         [](const auto& param) { return param.param ? "packed" : "split"; });

TEST(VirtioMmio, RandomRegisterAccessesBreakNothing) {
  for (const char* kind : {"block", "net", "console", "rng"}) {
    MemoryDisk disk(1 << 16);
    FakeNetwork network;
    FakeCharDevice chardev;
    Fixture f(kind);
    f.ports.disk_backend = &disk;
    f.ports.network_backend = &network;
    f.ports.chardev_backend = &chardev;
    f.build();
    std::mt19937_64 random(7);
    for (u32 i = 0; i < 20000; ++i) {
      const unsigned size = 1U << (random() % 4);
      const u64 offset = random() % (0x200 - size + 1) & ~u64{size - 1};
      if (random() % 8 == 0) disk.work();
      u64 value = random();
      if (random() % 2 == 0) value = kBase + (value & 0xfffff);
      if (offset == 0x38) value &= 0xff;
      if (random() % 3 == 0) {
        f.ports.read(offset, size);
      } else {
        f.ports.write(offset, value, size);
      }
    }
  }
}

}  // namespace
}  // namespace solder::models::virtio
