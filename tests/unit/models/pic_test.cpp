// The i8259 pair: initialisation, priorities, rotation, the kinds of EOI, poll, spurious interrupts, ELCR.
#include "model_fixture.h"
#include "models/pic/pic_state.h"

namespace solder::models::pic {
namespace {

constexpr u32 kMaster = 0, kSlave = 1, kElcr = 2;
constexpr u8 kEoi = 0x20, kReadIrr = 0x0a, kReadIsr = 0x0b, kPoll = 0x0c;

class PicTest : public ::testing::Test {
 protected:
  PicTest() {
    ports.window_sizes = {2, 2, 2};
    device = testing::make_model(ports, "intel,i8259");
    init();
  }
  void init(u8 icw4 = 0x01) {
    for (const u32 chip : {kMaster, kSlave}) {
      out(chip, 0, 0x11);
      out(chip, 1, chip == kMaster ? 0x20 : 0x28);
      out(chip, 1, chip == kMaster ? 0x04 : 0x02);
      out(chip, 1, icw4);
    }
  }
  void out(u32 window, u64 offset, u8 value) { ports.write(offset, value, 1, window); }
  u8 in(u32 window, u64 offset) { return static_cast<u8>(ports.read(offset, 1, window)); }
  u8 isr(u32 chip) {
    out(chip, 0, kReadIsr);
    return in(chip, 0);
  }
  u8 irr(u32 chip) {
    out(chip, 0, kReadIrr);
    return in(chip, 0);
  }
  void line(u32 pin, bool level) {
    const std::array<u32, 2> cells{pin, 3};
    auto input = ports.controller->input(cells, 0);
    ASSERT_TRUE(input.has_value());
    input->sink->set_level(input->pin, level);
  }
  void pulse(u32 pin) {
    line(pin, true);
    line(pin, false);
  }
  bool intr() { return ports.irq(); }
  u8 ack() { return machine.legacy_controller->acknowledge().value(); }

  testing::FakeMachine machine;
  testing::FakePorts ports{machine, "pic@20"};
  std::unique_ptr<device::Device> device;
};

TEST_F(PicTest, LowerNumbersNest) {
  pulse(3);
  EXPECT_TRUE(intr());
  EXPECT_EQ(ack(), 0x23);
  EXPECT_FALSE(intr());
  EXPECT_EQ(isr(kMaster), 1u << 3);
  pulse(4);
  EXPECT_FALSE(intr());
  pulse(1);
  EXPECT_TRUE(intr());
  EXPECT_EQ(ack(), 0x21);
  out(kMaster, 0, kEoi);
  EXPECT_EQ(isr(kMaster), 1u << 3) << "the highest ends first";
  EXPECT_FALSE(intr());
  out(kMaster, 0, kEoi);
  EXPECT_EQ(ack(), 0x24);
}

TEST_F(PicTest, TheSlaveIsInput2) {
  pulse(8);
  EXPECT_TRUE(intr());
  EXPECT_EQ(ack(), 0x28);
  EXPECT_EQ(isr(kMaster), 1u << 2);
  EXPECT_EQ(isr(kSlave), 1u);
  pulse(3);
  EXPECT_FALSE(intr());
  pulse(1);
  EXPECT_EQ(ack(), 0x21);
  out(kMaster, 0, kEoi);
  pulse(15);
  EXPECT_FALSE(intr()) << "behind 8";
  out(kSlave, 0, kEoi);
  out(kMaster, 0, kEoi);
  EXPECT_EQ(ack(), 0x2f);
}

TEST_F(PicTest, MasksHoldEdgesBack) {
  out(kMaster, 1, 0x10);
  EXPECT_EQ(in(kMaster, 1), 0x10);
  pulse(4);
  EXPECT_FALSE(intr());
  EXPECT_EQ(irr(kMaster), 0x10);
  out(kMaster, 1, 0);
  EXPECT_EQ(ack(), 0x24);
}

TEST_F(PicTest, SpuriousSeven) {
  out(kElcr, 0, 0x20);
  line(5, true);
  EXPECT_TRUE(intr());
  line(5, false);
  EXPECT_FALSE(intr());
  EXPECT_EQ(ack(), 0x27) << "the CPU was on its way";
  EXPECT_EQ(isr(kMaster), 0) << "which is not in service";
  // Also when the request is masked under way.
  pulse(4);
  out(kMaster, 1, 0x10);
  EXPECT_EQ(ack(), 0x27);
}

TEST_F(PicTest, SpuriousFifteen) {
  out(kElcr, 1, 0x08);
  line(11, true);
  EXPECT_TRUE(intr());
  line(11, false);
  EXPECT_EQ(ack(), 0x2f);
  EXPECT_EQ(isr(kSlave), 0);
  EXPECT_EQ(isr(kMaster), 1u << 2) << "the master does not know; its EOI is due";
}

TEST_F(PicTest, LevelsComeAgainUntilTheyFall) {
  out(kElcr, 0, 0xff);
  EXPECT_EQ(in(kElcr, 0), 0xf8) << "timer, keyboard and cascade stay edges";
  out(kElcr, 1, 0xff);
  EXPECT_EQ(in(kElcr, 1), 0xde);
  line(5, true);
  EXPECT_EQ(ack(), 0x25);
  EXPECT_FALSE(intr());
  out(kMaster, 0, kEoi);
  EXPECT_EQ(ack(), 0x25);
  line(5, false);
  out(kMaster, 0, kEoi);
  EXPECT_FALSE(intr());
  // A high line that becomes level-triggered asks.
  out(kElcr, 0, 0);
  line(6, true);
  EXPECT_EQ(ack(), 0x26);
  out(kMaster, 0, kEoi);
  EXPECT_FALSE(intr());
  out(kElcr, 0, 0x40);
  EXPECT_TRUE(intr());
}

TEST_F(PicTest, AutomaticEoi) {
  init(0x03);
  pulse(3);
  EXPECT_EQ(ack(), 0x23);
  EXPECT_EQ(isr(kMaster), 0);
  pulse(4);
  EXPECT_EQ(ack(), 0x24);
  // With rotation the one that was taken comes last.
  out(kMaster, 0, 0x80);
  pulse(3);
  EXPECT_EQ(ack(), 0x23);
  pulse(3);
  pulse(4);
  EXPECT_EQ(ack(), 0x24);
  EXPECT_EQ(ack(), 0x23);
  out(kMaster, 0, 0x00);
}

TEST_F(PicTest, Rotation) {
  pulse(3);
  ack();
  out(kMaster, 0, 0xa0);  // rotate on EOI: 3 is the lowest now
  pulse(3);
  pulse(4);
  EXPECT_EQ(ack(), 0x24);
  out(kMaster, 0, 0x64);  // specific EOI of 4
  EXPECT_EQ(ack(), 0x23);
  out(kMaster, 0, 0x63);
  out(kMaster, 0, 0xc5);  // 5 is the lowest: 6 the highest
  pulse(0);
  pulse(6);
  EXPECT_EQ(ack(), 0x26);
  out(kMaster, 0, 0xe6);  // rotate on specific EOI
  pulse(7);
  EXPECT_EQ(ack(), 0x27);
  EXPECT_EQ(isr(kMaster), 0x80);
}

TEST_F(PicTest, SpecificEoiEndsThatOne) {
  pulse(5);
  ack();
  pulse(2 + 1);
  ack();
  out(kMaster, 0, 0x65);
  EXPECT_EQ(isr(kMaster), 1u << 3);
}

TEST_F(PicTest, SpecialMaskModeLetsLowerOnesThrough) {
  pulse(3);
  ack();
  pulse(6);
  EXPECT_FALSE(intr());
  out(kMaster, 1, 1u << 3);
  EXPECT_FALSE(intr());
  out(kMaster, 0, 0x68);
  EXPECT_TRUE(intr());
  EXPECT_EQ(ack(), 0x26);
  out(kMaster, 0, kEoi);
  EXPECT_EQ(isr(kMaster), 1u << 3) << "the masked one is not ended by a plain EOI";
  out(kMaster, 0, 0x48);
  out(kMaster, 0, kEoi);
  EXPECT_EQ(isr(kMaster), 0);
}

TEST_F(PicTest, SpecialFullyNestedMode) {
  pulse(12);
  EXPECT_EQ(ack(), 0x2c);
  pulse(8);
  EXPECT_FALSE(intr()) << "the master holds its input 2 back";
  init(0x11);
  pulse(12);
  EXPECT_EQ(ack(), 0x2c);
  pulse(8);
  EXPECT_TRUE(intr());
  EXPECT_EQ(ack(), 0x28);
}

// 8259A, special fully nested mode: higher inputs of the slave in service come through at the master, and nothing else.
TEST_F(PicTest, SpecialFullyNestedModeKeepsTheMastersOrder) {
  init(0x11);
  pulse(12);
  EXPECT_EQ(ack(), 0x2c);
  pulse(3);
  EXPECT_FALSE(intr()) << "behind the slave's handler";
  pulse(13);
  EXPECT_FALSE(intr()) << "behind 12";
  pulse(1);
  EXPECT_EQ(ack(), 0x21);
  pulse(8);
  EXPECT_FALSE(intr()) << "behind 1";
  out(kMaster, 0, kEoi);
  EXPECT_TRUE(intr());
  EXPECT_EQ(ack(), 0x28);
  EXPECT_EQ(isr(kMaster), 1u << 2);
  EXPECT_EQ(isr(kSlave), 1u | 1u << 4);
  out(kSlave, 0, kEoi);
  EXPECT_FALSE(intr());
  out(kSlave, 0, kEoi);
  EXPECT_TRUE(intr()) << "13, though the master is told of no end";
  EXPECT_EQ(ack(), 0x2d);
  out(kSlave, 0, kEoi);
  EXPECT_FALSE(intr());
  out(kMaster, 0, kEoi);
  EXPECT_EQ(ack(), 0x23);
}

TEST_F(PicTest, OnTheSlaveInput2IsNoCascade) {
  init(0x11);
  pulse(10);
  EXPECT_EQ(ack(), 0x2a);
  pulse(10);
  EXPECT_FALSE(intr()) << "it is in service";
  pulse(11);
  EXPECT_FALSE(intr()) << "behind it";
  pulse(9);
  EXPECT_EQ(ack(), 0x29);
  EXPECT_EQ(isr(kSlave), 1u << 1 | 1u << 2);
}

TEST_F(PicTest, Poll) {
  out(kMaster, 0, kPoll);
  EXPECT_EQ(in(kMaster, 0), 0);
  pulse(5);
  out(kMaster, 0, kPoll);
  EXPECT_EQ(in(kMaster, 0), 0x85);
  EXPECT_FALSE(intr()) << "a poll is an acknowledgement";
  EXPECT_EQ(isr(kMaster), 1u << 5);
  pulse(9);
  out(kMaster, 0, kPoll);
  EXPECT_EQ(in(kMaster, 0), 0x82);
  out(kSlave, 0, kPoll);
  EXPECT_EQ(in(kSlave, 0), 0x81);
}

TEST_F(PicTest, InitialisationForgets) {
  out(kMaster, 1, 0xff);
  pulse(3);
  out(kMaster, 0, 0x11);
  EXPECT_EQ(irr(kMaster), 0);
  out(kMaster, 1, 0x47);
  out(kMaster, 1, 0x04);
  out(kMaster, 1, 0x01);
  EXPECT_EQ(in(kMaster, 1), 0);
  pulse(1);
  EXPECT_EQ(ack(), 0x41) << "the low bits of ICW2 are the input's";
  // Without ICW4, and alone: ICW2 is the last word.
  out(kMaster, 0, 0x12);
  out(kMaster, 1, 0x50);
  out(kMaster, 1, 0xfd);
  EXPECT_EQ(in(kMaster, 1), 0xfd);
  pulse(8);
  EXPECT_FALSE(intr()) << "no slave";
  pulse(1);
  EXPECT_EQ(ack(), 0x51);
}

// The end of an interrupt is told once, before the CPU hears of the next one, and may take the level back.
TEST_F(PicTest, WhoWatchesIsToldOfEnds) {
  out(kElcr, 0, 1u << 6);
  out(kElcr, 1, 1u << 3);
  u32 told = 0;
  bool asks = true;
  bool automatic = false;
  const std::array<u32, 2> cells{11, 3};
  auto input = ports.controller->input(cells, 0);
  ASSERT_TRUE(input.has_value());
  input->sink->watch_eoi(input->pin, [&] {
    ++told;
    EXPECT_TRUE(automatic || !intr());
    line(11, false);
    if (asks) line(11, true);
  });
  line(11, true);
  EXPECT_EQ(ack(), 0x2b);
  EXPECT_EQ(told, 0u);
  out(kSlave, 0, kEoi);
  EXPECT_EQ(told, 1u);
  out(kMaster, 0, kEoi);
  EXPECT_EQ(told, 1u) << "the cascade is nobody's input";
  EXPECT_TRUE(intr()) << "it asks on";
  asks = false;
  EXPECT_EQ(ack(), 0x2b);
  out(kSlave, 0, 0x60 | 3);  // specific
  out(kMaster, 0, kEoi);
  EXPECT_EQ(told, 2u);
  EXPECT_FALSE(intr());
  line(6, true);
  EXPECT_EQ(ack(), 0x26);
  out(kMaster, 0, kEoi);
  EXPECT_EQ(told, 2u) << "another input's";
  EXPECT_TRUE(intr());
  line(6, false);
  // A new initialisation ends what is in service; automatic EOI ends it at once, a poll's too.
  line(11, true);
  EXPECT_EQ(ack(), 0x2b);
  init(0x03);
  EXPECT_EQ(told, 3u);
  automatic = true;
  line(11, true);
  EXPECT_EQ(ack(), 0x2b);
  EXPECT_EQ(told, 4u);
  line(11, true);
  out(kSlave, 0, kPoll);
  EXPECT_EQ(in(kSlave, 0), 0x80 | 3);
  EXPECT_EQ(told, 5u);
  input->sink->watch_eoi(input->pin, {});
  line(11, true);
  EXPECT_EQ(ack(), 0x2b);
  EXPECT_EQ(told, 5u);
}

TEST_F(PicTest, StateKeepsWhatIsPending) {
  pulse(3);
  ack();
  pulse(1);
  pulse(9);
  line(6, true);
  auto saver = device::Archive::saver();
  device->state(saver);
  device->reset();
  EXPECT_FALSE(intr());
  auto loader = device::Archive::loader(saver.data());
  device->state(loader);
  ASSERT_TRUE(loader.status().has_value());
  EXPECT_TRUE(intr());
  EXPECT_EQ(ack(), 0x21);
  out(kMaster, 0, kEoi);
  EXPECT_EQ(ack(), 0x29);
  out(kSlave, 0, kEoi);
  out(kMaster, 0, kEoi);
  out(kMaster, 0, kEoi);
  EXPECT_EQ(ack(), 0x26);
  out(kMaster, 0, kEoi);
  line(6, true);
  EXPECT_FALSE(intr()) << "it was high before: no edge";
}

TEST_F(PicTest, Specifiers) {
  const std::array<u32, 2> cascade{2, 3}, far{16, 3};
  EXPECT_FALSE(ports.controller->input(cascade, 0).has_value());
  EXPECT_FALSE(ports.controller->input(far, 0).has_value());
}

}  // namespace
}  // namespace solder::models::pic
