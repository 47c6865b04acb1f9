#include "model_fixture.h"

namespace solder::models::serial {
namespace {

class UartTest : public ::testing::Test {
 protected:
  UartTest() { ports.chardev_backend = &host; }
  testing::FakeMachine machine;
  testing::FakePorts ports{machine, "uart@0"};
  testing::FakeCharDevice host;
};

// PL011.
constexpr u64 kDr = 0x00, kFr = 0x18, kLcr = 0x2c, kCr = 0x30, kIfls = 0x34, kImsc = 0x38, kRis = 0x3c, kMis = 0x40;
constexpr u64 kIcr = 0x44;

class Pl011Test : public UartTest {
 protected:
  Pl011Test() : uart(testing::make_model(ports, "arm,pl011")) {
    ports.write(kLcr, 0x70);
    ports.write(kCr, 0x301);
  }
  std::unique_ptr<device::Device> uart;
};

TEST_F(Pl011Test, IdentifiesItself) {
  const u32 expected[8] = {0x11, 0x10, 0x34, 0x00, 0x0d, 0xf0, 0x05, 0xb1};
  for (u32 i = 0; i < 8; ++i) EXPECT_EQ(ports.read(0xfe0 + 4 * i), expected[i]) << i;
}

TEST_F(Pl011Test, OutputReachesTheHost) {
  for (const char c : std::string("hi\n")) ports.write(kDr, static_cast<u8>(c), 1);
  EXPECT_EQ(host.output, "hi\n");
  EXPECT_EQ(ports.read(kFr) & 0xb8, 0x90u) << "empty both ways, not busy, not full";
}

TEST_F(Pl011Test, TransmitInterruptComesAfterAByteAndIsCleared) {
  ports.write(kImsc, 1 << 5);
  EXPECT_FALSE(ports.irq());
  ports.write(kDr, 'x');
  EXPECT_TRUE(ports.irq());
  EXPECT_EQ(ports.read(kMis), 1u << 5);
  ports.write(kIcr, 1 << 5);
  EXPECT_FALSE(ports.irq());
}

TEST_F(Pl011Test, ReceiveTriggerTimeoutAndOrder) {
  ports.write(kImsc, 0x50);
  ports.write(kIfls, 2 << 3);  // half: 16
  EXPECT_EQ(host.type("abc"), 3u);
  EXPECT_TRUE(ports.irq());
  EXPECT_EQ(ports.read(kRis) & 0x50, 0x40u) << "below the trigger level: the timeout";
  EXPECT_EQ(host.type("0123456789012"), 13u);
  EXPECT_EQ(ports.read(kRis) & 0x10, 0x10u);
  EXPECT_EQ(ports.read(kDr), static_cast<u8>('a'));
  EXPECT_EQ(ports.read(kRis) & 0x50, 0x40u) << "the rest is announced by the timeout";
  for (int i = 0; i < 15; ++i) ports.read(kDr);
  EXPECT_FALSE(ports.irq());
  EXPECT_NE(ports.read(kFr) & 0x10, 0u);
}

TEST_F(Pl011Test, FullFifoHoldsTheHostBack) {
  EXPECT_EQ(host.type(std::string(40, 'x')), 32u);
  EXPECT_NE(ports.read(kFr) & 0x40, 0u);
  EXPECT_EQ(host.ready_calls, 0u);
  ports.read(kDr);
  EXPECT_EQ(host.ready_calls, 1u);
  ports.read(kDr);
  EXPECT_EQ(host.ready_calls, 1u) << "asked once until something is refused again";
}

TEST_F(Pl011Test, WithoutFifosOneByteFits) {
  ports.write(kLcr, 0x60);
  EXPECT_EQ(host.type("ab"), 1u);
  EXPECT_EQ(ports.read(kRis) & 0x10, 0x10u);
}

TEST_F(Pl011Test, InputWaitsUntilTheReceiverIsOn) {
  ports.write(kCr, 0x300);
  EXPECT_EQ(host.type("early"), 0u);
  ports.write(kCr, 0x301);
  EXPECT_EQ(host.ready_calls, 1u);
  EXPECT_EQ(host.type("early"), 5u);
}

TEST_F(Pl011Test, LoopbackReturnsBytesAndModemLines) {
  ports.write(kCr, 0x381 | 1 << 11);
  ports.write(kDr, 'z');
  EXPECT_EQ(host.output, "");
  EXPECT_EQ(ports.read(kDr), static_cast<u8>('z'));
  EXPECT_EQ(ports.read(kFr) & 7, 1u) << "RTS is CTS";
}

TEST_F(Pl011Test, StateSurvivesSaveAndLoad) {
  ports.write(kImsc, 0x50);
  host.type("abc");
  auto saver = device::Archive::saver();
  uart->state(saver);
  uart->reset();
  EXPECT_FALSE(ports.irq());
  auto loader = device::Archive::loader(saver.data());
  uart->state(loader);
  ASSERT_TRUE(loader.status().has_value());
  EXPECT_TRUE(ports.irq());
  EXPECT_EQ(ports.read(kDr), static_cast<u8>('a'));
}

TEST_F(UartTest, SbsaUartNeedsNoSetup) {
  const auto uart = testing::make_model(ports, "arm,sbsa-uart");
  EXPECT_EQ(host.type("x"), 1u);
  EXPECT_EQ(ports.read(kDr), static_cast<u8>('x'));
  ports.write(kCr, 0);
  EXPECT_EQ(ports.read(kCr), 0u) << "it has no control register";
}

// 16550.
constexpr u64 kData = 0, kIer = 1, kIir = 2, kFcr = 2, kLine = 3, kMcr = 4, kLsr = 5, kMsr = 6, kScratch = 7;

class Ns16550Test : public UartTest {
 protected:
  void make(const std::string& compatible = "ns16550a") { uart = testing::make_model(ports, compatible); }
  u64 get(u64 index) { return ports.read(index, 1); }
  void put(u64 index, u8 value) { ports.write(index, value, 1); }
  std::unique_ptr<device::Device> uart;
};

TEST_F(Ns16550Test, ProbesAsA16550A) {
  make();
  put(kIer, 0);
  EXPECT_EQ(get(kIer), 0u);
  put(kIer, 0xff);
  EXPECT_EQ(get(kIer), 0x0fu);
  put(kIer, 0);
  put(kMcr, 0x1a);
  EXPECT_EQ(get(kMsr) & 0xf0, 0x90u) << "loopback: OUT2 is DCD, RTS is CTS";
  put(kMcr, 0);
  put(kFcr, 1);
  EXPECT_EQ(get(kIir), 0xc1u);
  put(kScratch, 0x5a);
  EXPECT_EQ(get(kScratch), 0x5au);
}

TEST_F(Ns16550Test, WithoutFifosProbesAsOne) {
  make("ns16450");
  put(kFcr, 1);
  EXPECT_EQ(get(kIir), 0x01u);
}

TEST_F(Ns16550Test, TransmitterEmptyInterrupt) {
  make();
  put(kIer, 2);
  EXPECT_TRUE(ports.irq()) << "enabling it while empty raises it";
  EXPECT_EQ(get(kIir), 0x02u);
  EXPECT_FALSE(ports.irq());
  EXPECT_EQ(get(kIir), 0x01u);
  put(kIer, 0);
  put(kIer, 2);
  EXPECT_EQ(get(kIir), 0x02u) << "and again";
  put(kData, 'x');
  EXPECT_EQ(host.output, "x");
  EXPECT_TRUE(ports.irq());
  EXPECT_EQ(get(kLsr) & 0x60, 0x60u);
}

TEST_F(Ns16550Test, ReceiveTriggerAndTimeout) {
  make();
  put(kFcr, 0x81);  // trigger 8
  put(kIer, 1);
  EXPECT_EQ(host.type("abc"), 3u);
  EXPECT_EQ(get(kIir), 0xccu);
  EXPECT_EQ(host.type("defgh"), 5u);
  EXPECT_EQ(get(kIir), 0xc4u);
  EXPECT_EQ(host.type(std::string(20, '.')), 8u);
  for (const char c : std::string("abcdefgh")) {
    EXPECT_NE(get(kLsr) & 1, 0u);
    EXPECT_EQ(get(kData), static_cast<u8>(c));
  }
  EXPECT_GE(host.ready_calls, 1u);
  put(kFcr, 0x83);
  EXPECT_EQ(get(kLsr) & 1, 0u);
  EXPECT_FALSE(ports.irq());
}

TEST_F(Ns16550Test, DivisorLatchHidesDataAndEnable) {
  make();
  put(kIer, 5);
  put(kLine, 0x83);
  put(kData, 0x34);
  put(kIer, 0x12);
  EXPECT_EQ(get(kData), 0x34u);
  EXPECT_EQ(get(kIer), 0x12u);
  put(kLine, 0x03);
  EXPECT_EQ(get(kIer), 5u);
  EXPECT_EQ(host.output, "");
}

TEST_F(Ns16550Test, LoopbackDataOverrunAndModemDeltas) {
  make();
  put(kMcr, 0x10);
  put(kIer, 0xc);
  get(kMsr);
  put(kMcr, 0x12);
  EXPECT_EQ(get(kIir) & 0xf, 0u) << "modem status";
  EXPECT_EQ(get(kMsr), 0x11u);
  EXPECT_FALSE(ports.irq());
  put(kData, 1);
  put(kData, 2);
  EXPECT_EQ(get(kIir), 6u) << "line status: an overrun without FIFOs";
  EXPECT_EQ(get(kLsr), 0x63u);
  EXPECT_EQ(get(kData), 1u);
  EXPECT_EQ(host.output, "");
}

TEST_F(Ns16550Test, RegistersApartAndShifted) {
  ports.mutable_node().set_u32("reg-shift", 2);
  ports.mutable_node().set_u32("reg-io-width", 4);
  ports.mutable_node().set_u32("reg-offset", 0x100);
  make();
  ports.write(0x100 + 7 * 4, 0x77, 4);
  EXPECT_EQ(ports.read(0x100 + 7 * 4, 4), 0x77u);
  EXPECT_EQ(ports.read(0x100 + 7 * 4, 1), 0x77u);
  EXPECT_EQ(ports.read(7, 1), 0u);
}

// COM1: eight ports, and an interrupt of an edge-triggered controller, which each new cause has to raise again.
TEST_F(Ns16550Test, AsPortsWithAnEdgeTriggeredInterrupt) {
  testing::FakeSink controller;
  ports.window_sizes = {8};
  make();
  ports.level_wire(0).connect(&controller, 4);
  EXPECT_EQ(ports.read(0, 4), 0x01'0000u) << "a wide access is split over its registers";
  put(kScratch, 0x5a);
  EXPECT_EQ(ports.read(6, 2) >> 8, 0x5au);
  put(kIer, 2);
  EXPECT_EQ(controller.rises[4], 1u);
  EXPECT_EQ(get(kIir), 0x02u);
  EXPECT_FALSE(controller.levels[4]) << "acknowledged";
  put(kData, 'a');
  EXPECT_EQ(controller.rises[4], 2u);
  put(kIer, 3);
  get(kIir);
  EXPECT_EQ(host.type("x"), 1u);
  EXPECT_EQ(controller.rises[4], 3u);
  // Both causes at once: the line stays high while one is left, and no edge is lost for who reads IIR until it says so.
  put(kData, 'b');
  EXPECT_EQ(get(kIir) & 0xf, 0x4u);
  EXPECT_EQ(get(kData), static_cast<u8>('x'));
  EXPECT_TRUE(controller.levels[4]);
  EXPECT_EQ(get(kIir) & 0xf, 0x2u);
  EXPECT_FALSE(controller.levels[4]);
  EXPECT_EQ(host.output, "ab");
}

TEST_F(Ns16550Test, DesignwareExtras) {
  ports.mutable_node().set_u32("reg-shift", 2);
  ports.mutable_node().set_u32("reg-io-width", 4);
  make("snps,dw-apb-uart");
  EXPECT_EQ(ports.read(0x7c) & 0x7, 6u) << "not busy, transmitter empty";
  EXPECT_EQ(ports.read(0xf4) >> 16 & 0xff, 1u) << "16 bytes of FIFO";
  EXPECT_NE(ports.read(0xf8), 0u);
}

TEST_F(Ns16550Test, TiRegistersBehindTheLineControl) {
  make("ti,am654-uart");
  ports.write(2 << 2, 1);     // FIFOs on
  ports.write(3 << 2, 0xbf);  // EFR and XON/XOFF
  ports.write(2 << 2, 0x10);
  EXPECT_EQ(ports.read(2 << 2), 0x10u);
  ports.write(3 << 2, 3);
  EXPECT_EQ(ports.read(2 << 2), 0xc1u) << "the FIFO control was not touched";
  ports.write(0x20, 7);
  EXPECT_EQ(ports.read(0x20), 7u);
  EXPECT_EQ(ports.read(0x58), 1u) << "reset is done";
  EXPECT_EQ(host.type(std::string(80, 'x')), 64u);
}

TEST_F(Ns16550Test, Errors) {
  ports.mutable_node().set_u32("reg-shift", 9);
  EXPECT_FALSE(testing::try_make_model(ports, "ns16550a").has_value());
  ports.mutable_node().set_u32("reg-shift", 2);
  ports.window_sizes = {0x10};
  const auto made = testing::try_make_model(ports, "ns16550a");
  ASSERT_FALSE(made.has_value());
  EXPECT_NE(made.error().text().find("too few"), std::string::npos);
}

}  // namespace
}  // namespace solder::models::serial
