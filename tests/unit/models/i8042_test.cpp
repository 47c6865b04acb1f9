// The keyboard controller as Linux probes it, and its reset line.
#include "pc_fixture.h"

namespace solder::models::input {
namespace {

class I8042Test : public testing::PcTest {
 protected:
  I8042Test() {
    ports.window_sizes = {1, 1};
    controller = testing::make_model(ports, "intel,i8042");
  }
  u64 status() { return in(0, 1); }
  void command(u8 value) { out(0, value, 1); }
  void data(u8 value) { out(0, value, 0); }
  /// All bytes that wait, those of the mouse with 0x100 added.
  std::vector<u64> answers() {
    std::vector<u64> out;
    for (u64 s = status(); (s & 1) != 0; s = status()) out.push_back(in(0, 0) | (s & 0x20) << 3);
    return out;
  }
  void mouse(u8 value) {
    command(0xd4);
    data(value);
  }
  using Bytes = std::vector<u64>;
  std::unique_ptr<device::Device> controller;
};

TEST_F(I8042Test, ControllerTests) {
  EXPECT_EQ(status() & 0x13, 0x10u) << "empty, not locked";
  command(0xaa);
  EXPECT_EQ(status() & 0x0f, 0x0du);
  EXPECT_EQ(answers(), Bytes{0x55});
  command(0xab);
  EXPECT_EQ(answers(), Bytes{0x00});
  command(0xa9);
  EXPECT_EQ(answers(), Bytes{0x00});
  command(0xd3);
  data(0x5a);
  EXPECT_EQ(answers(), Bytes{0x15a}) << "the loop to the mouse's side";
  command(0xd2);
  data(0xa5);
  EXPECT_EQ(answers(), Bytes{0xa5});
  command(0xc0);
  EXPECT_EQ(answers(), Bytes{0x80});
}

TEST_F(I8042Test, CommandByteAndInterfaces) {
  command(0x60);
  data(0x34);
  command(0x20);
  EXPECT_EQ(answers(), Bytes{0x34});
  command(0xae);
  command(0xa8);
  command(0x20);
  EXPECT_EQ(answers(), Bytes{0x04});
  command(0xad);
  command(0xa7);
  command(0x20);
  EXPECT_EQ(answers(), Bytes{0x34});
  command(0x65);
  data(0x99);
  command(0x25);
  EXPECT_EQ(answers(), Bytes{0x99}) << "its memory";
}

TEST_F(I8042Test, KeyboardAnswers) {
  data(0xff);
  EXPECT_EQ(answers(), (Bytes{0xfa, 0xaa}));
  data(0xf2);
  EXPECT_EQ(answers(), (Bytes{0xfa, 0xab, 0x83}));
  data(0xed);
  data(0x07);
  EXPECT_EQ(answers(), (Bytes{0xfa, 0xfa}));
  data(0xf0);
  data(0x00);
  EXPECT_EQ(answers(), (Bytes{0xfa, 0xfa, 0x02}));
  data(0xf3);
  data(0x20);
  data(0xf4);
  data(0xf5);
  data(0xee);
  EXPECT_EQ(answers(), (Bytes{0xfa, 0xfa, 0xfa, 0xfa, 0xee}));
  data(0xfe);
  EXPECT_EQ(answers(), Bytes{0xee}) << "the last byte again";
  data(0x01);
  EXPECT_EQ(answers(), Bytes{0xfe}) << "no such command";
}

TEST_F(I8042Test, MouseAnswers) {
  mouse(0xff);
  EXPECT_EQ(answers(), (Bytes{0x1fa, 0x1aa, 0x100}));
  mouse(0xf2);
  EXPECT_EQ(answers(), (Bytes{0x1fa, 0x100}));
  mouse(0xe8);
  mouse(0x03);
  mouse(0xf3);
  mouse(0x64);
  mouse(0xf4);
  mouse(0xe7);
  mouse(0xe9);
  EXPECT_EQ(answers(), (Bytes{0x1fa, 0x1fa, 0x1fa, 0x1fa, 0x1fa, 0x1fa, 0x1fa, 0x130, 0x103, 0x164}));
  mouse(0xeb);
  EXPECT_EQ(answers(), (Bytes{0x1fa, 0x108, 0x100, 0x100}));
  mouse(0xee);
  mouse(0x12);
  mouse(0xec);
  EXPECT_EQ(answers(), (Bytes{0x1fa, 0x112, 0x1fa})) << "wrap mode";
  mouse(0xe1);
  EXPECT_EQ(answers(), Bytes{0x1fe});
}

TEST_F(I8042Test, InterruptsOneForEachByte) {
  command(0x60);
  data(0x47);
  data(0xf2);
  EXPECT_TRUE(ports.irq(0));
  EXPECT_EQ(rises(0), 1u);
  in(0, 0);
  EXPECT_TRUE(ports.irq(0));
  EXPECT_EQ(rises(0), 2u);
  in(0, 0);
  in(0, 0);
  EXPECT_FALSE(ports.irq(0));
  EXPECT_EQ(rises(0), 3u);
  EXPECT_EQ(rises(1), 0u);
  mouse(0xf4);
  EXPECT_TRUE(ports.irq(1));
  EXPECT_FALSE(ports.irq(0));
  command(0x60);
  data(0x45);
  EXPECT_FALSE(ports.irq(1)) << "its interrupt is off";
  EXPECT_EQ(answers(), Bytes{0x1fa});
}

TEST_F(I8042Test, DisabledInterfacesHoldTheirBytes) {
  mouse(0xf4);
  mouse(0xf4);
  command(0xa7);
  EXPECT_EQ(answers(), Bytes{0x1fa}) << "one was in the buffer already";
  command(0xa8);
  EXPECT_EQ(answers(), Bytes{0x1fa});
}

TEST_F(I8042Test, ResetLine) {
  command(0xfe);
  EXPECT_EQ(machine.control.resets, 1u);
  command(0xff);
  EXPECT_EQ(machine.control.resets, 1u) << "no bit is pulsed";
  command(0xd1);
  data(0x03);
  EXPECT_EQ(machine.control.resets, 1u);
  command(0xd1);
  data(0x02);
  EXPECT_EQ(machine.control.resets, 2u) << "bit 0 of the output port";
}

TEST_F(I8042Test, A20IsKept) {
  command(0xd1);
  data(0x01);
  command(0xd0);
  EXPECT_EQ(answers(), Bytes{0x01});
  command(0xdf);
  command(0xd0);
  EXPECT_EQ(answers(), Bytes{0x03});
  command(0xdd);
  command(0xd0);
  EXPECT_EQ(answers(), Bytes{0x01});
}

TEST_F(I8042Test, WhoDoesNotReadLosesBytes) {
  for (int i = 0; i < 1000; ++i) data(0xee);
  for (int i = 0; i < 1000; ++i) command(0xaa);
  EXPECT_LE(answers().size(), 40u);
  data(0xee);
  EXPECT_EQ(answers(), Bytes{0xee});
}

TEST_F(I8042Test, StateSurvivesSaveAndLoad) {
  command(0x60);
  data(0x03);
  data(0xf2);
  mouse(0xe8);
  save_and_load(*controller);
  EXPECT_TRUE(ports.irq(0));
  EXPECT_EQ(answers(), (Bytes{0xfa, 0xab, 0x83, 0x1fa}));
  mouse(0x03);
  EXPECT_EQ(answers(), Bytes{0x1fa}) << "it was an argument";
  controller->reset();
  EXPECT_TRUE(answers().empty());
}

}  // namespace
}  // namespace solder::models::input
