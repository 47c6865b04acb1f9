// Interrupt controllers in KVM: which combinations there are, and one saved state with the models in this process.
#include "irqchip_fixture.h"

namespace solder::accel::kvm::x86 {
namespace {

using models::apic::kEntryLevel;
using models::apic::kEntryRemoteIrr;

TEST(IrqchipModes, TheKernelWithoutAWish) {
  SOLDER_NEEDS_IRQCHIP();
  Board board;
  const Status chosen = board.choose();
  ASSERT_TRUE(chosen) << chosen.error().text();
  EXPECT_EQ(board.mode(), IrqchipMode::kernel);
  for (const auto& candidate : board.candidates) EXPECT_TRUE(candidate.in_kernel) << candidate.node->path();
  EXPECT_EQ(board.candidates[0].reason, "kernel: KVM_CREATE_IRQCHIP");
  EXPECT_EQ(board.candidates[3].reason, "kernel: KVM_CREATE_PIT2");
  EXPECT_TRUE(board.kvm->parks_cpus());
}

TEST(IrqchipModes, Split) {
  SOLDER_NEEDS_IRQCHIP();
  Board board(kSplit);
  ASSERT_TRUE(board.choose());
  EXPECT_EQ(board.mode(), IrqchipMode::split);
  EXPECT_TRUE(board.candidates[0].in_kernel);
  for (u32 i = 1; i < 4; ++i) EXPECT_FALSE(board.candidates[i].in_kernel) << i;
  EXPECT_TRUE(board.kvm->parks_cpus());
}

TEST(IrqchipModes, User) {
  SOLDER_NEEDS_IRQCHIP();
  Board board(kUser);
  ASSERT_TRUE(board.choose());
  EXPECT_EQ(board.mode(), IrqchipMode::user);
  for (const auto& candidate : board.candidates) EXPECT_FALSE(candidate.in_kernel);
  EXPECT_FALSE(board.kvm->parks_cpus());
}

TEST(IrqchipModes, ListsAreTriedTogether) {
  SOLDER_NEEDS_IRQCHIP();
  // The APIC would rather be here, but the others must be in the kernel.
  Board board(R"(&lapic { solder,backend = "user", "kernel"; }; &pic { solder,backend = "kernel"; };)");
  ASSERT_TRUE(board.choose());
  EXPECT_EQ(board.mode(), IrqchipMode::kernel);
  Board other(R"(&lapic { solder,backend = "kernel", "user"; }; &pic { solder,backend = "user"; };)");
  ASSERT_TRUE(other.choose());
  EXPECT_EQ(other.mode(), IrqchipMode::split);
}

TEST(IrqchipModes, OtherCombinationsAreErrors) {
  SOLDER_NEEDS_IRQCHIP();
  Board board(R"(&ioapic { solder,backend = "kernel"; }; &pic { solder,backend = "user"; };)");
  const Status chosen = board.choose();
  ASSERT_FALSE(chosen);
  const std::string text = chosen.error().text();
  EXPECT_NE(text.find("overlay.dts"), std::string::npos) << text;
  EXPECT_NE(text.find("solder,backend"), std::string::npos) << text;
  EXPECT_NE(text.find("/ioapic@fec00000: kernel, /isa/pic@i20: user"), std::string::npos) << text;
}

TEST(IrqchipModes, PlacesThatKvmDoesNotHave) {
  SOLDER_NEEDS_IRQCHIP();
  Board memory(R"(&ioapic { reg = <0x0 0xfec10000 0x0 0x1000>; };)");
  Status chosen = memory.choose();
  ASSERT_FALSE(chosen);
  EXPECT_NE(chosen.error().text().find("/ioapic@fec00000: reg"), std::string::npos) << chosen.error().text();
  EXPECT_NE(chosen.error().text().find("0xfec10000"), std::string::npos) << chosen.error().text();
  Board ports(R"(&pic { reg = <1 0x30 2>, <1 0xa0 2>, <1 0x4d0 2>; };)");
  EXPECT_FALSE(ports.choose());
  Board here(std::string(kUser) + R"(&ioapic { reg = <0x0 0xfec10000 0x0 0x1000>; };)");
  EXPECT_TRUE(here.choose()) << "the models go anywhere";
}

TEST(IrqchipModes, TheTimersInterruptIsKvmsNumberZero) {
  SOLDER_NEEDS_IRQCHIP();
  Board board;
  board.build();
  EXPECT_EQ(board.gsi(0).virq, 0u);
  EXPECT_EQ(board.gsi(20).virq, 20u);
  board.pit().ports.specifiers = {{5, 3}};
  const Status started = board.pit().device->start();
  ASSERT_FALSE(started);
  EXPECT_NE(started.error().what.find("interrupt 5"), std::string::npos) << started.error().text();
}

// Interrupts in every stage: at the pins, between the controllers, at the CPU.
void make_pending(Board& board) {
  board.enable_apics();
  board.program(9, 0x59 | kEntryLevel);
  board.program(4, u64{1} << 56 | 0x44);
  board.program(17, 0x61 | kEntryLevel | models::apic::kEntryMasked);
  const auto nine = board.gsi(9);
  nine.sink->set_level(nine.pin, true);
  const auto four = board.gsi(4);
  four.sink->pulse(four.pin);
  const auto seventeen = board.gsi(17);
  seventeen.sink->set_level(seventeen.pin, true);
}

void expect_pending(Board& board) {
  EXPECT_TRUE(board.requested(0x59, 0));
  EXPECT_NE(board.apic(0).trigger_mode[0x59 / 32] & 1u << 0x59 % 32, 0u);
  EXPECT_TRUE(board.requested(0x44, 1)) << "the edge, at CPU 1";
  const auto pins = board.pins();
  EXPECT_NE(pins.entries[9] & kEntryRemoteIrr, 0u);
  EXPECT_NE(pins.requests & 1u << 9, 0u);
  EXPECT_NE(pins.requests & 1u << 17, 0u) << "masked, and still there";
  const auto pair = Board::record<models::pic::PairState>(board.pic(), "pic");
  EXPECT_EQ(pair.chips[0].requests, 1u << 4 | 1u << 2) << "and the slave's";
  EXPECT_EQ(pair.chips[1].requests, 1u << 1);
}

TEST(IrqchipState, FromKvmAndBackIsTheSame) {
  SOLDER_NEEDS_IRQCHIP();
  Board board;
  board.build();
  make_pending(board);
  expect_pending(board);
  const auto lapic = Board::save(board.lapic());
  const auto ioapic = Board::save(board.ioapic());
  const auto pic = Board::save(board.pic());
  for (auto* part : {&board.lapic(), &board.ioapic(), &board.pic()}) part->device->reset();
  EXPECT_FALSE(board.requested(0x59, 0));
  EXPECT_EQ(board.pins().requests, 0u);
  Board::load(board.ioapic(), ioapic);
  Board::load(board.pic(), pic);
  Board::load(board.lapic(), lapic);
  EXPECT_EQ(Board::save(board.lapic()), lapic);
  EXPECT_EQ(Board::save(board.ioapic()), ioapic);
  EXPECT_EQ(Board::save(board.pic()), pic);
  expect_pending(board);
}

TEST(IrqchipState, MovesThroughAllModesWithoutLosingAnInterrupt) {
  SOLDER_NEEDS_IRQCHIP();
  auto move = [](Board& from, Board& to) {
    Board::load(to.lapic(), Board::save(from.lapic()));
    Board::load(to.ioapic(), Board::save(from.ioapic()));
    Board::load(to.pic(), Board::save(from.pic()));
    Board::load(to.pit(), Board::save(from.pit()));
  };
  Board kernel;
  kernel.build();
  make_pending(kernel);
  Board user(kUser);
  user.build();
  move(kernel, user);
  {
    SCOPED_TRACE("kernel to user");
    expect_pending(user);
  }
  Board split(kSplit);
  split.build();
  move(user, split);
  {
    SCOPED_TRACE("user to split");
    expect_pending(split);
  }
  Board again;
  again.build();
  move(split, again);
  {
    SCOPED_TRACE("split to kernel");
    expect_pending(again);
  }
  EXPECT_EQ(Board::save(again.lapic()), Board::save(kernel.lapic()));
  EXPECT_EQ(Board::save(again.ioapic()), Board::save(kernel.ioapic()));
  EXPECT_EQ(Board::save(again.pic()), Board::save(kernel.pic()));
}

TEST(IrqchipState, TheTimerKeepsItsProgramming) {
  SOLDER_NEEDS_IRQCHIP();
  Board board;
  board.build();
  models::timer::PitState record;
  record.channels[0].count = 11932;
  record.channels[0].mode = 2;
  record.channels[0].counting = 1;
  record.channels[2].count = 0x1234;
  record.channels[2].gate = 0;
  record.speaker_data = 1;
  auto archive = device::Archive::saver();
  record.state(archive);
  Board::load(board.pit(), archive.data());
  kvm_pit_state2 pit{};
  ASSERT_TRUE(board.kvm->vm().call(SOLDER_KVM(KVM_GET_PIT2), &pit));
  EXPECT_EQ(pit.channels[0].count, 11932u);
  EXPECT_EQ(pit.channels[0].mode, 2);
  EXPECT_EQ(pit.channels[1].mode, 0xff) << "never programmed";
  EXPECT_NE(pit.flags & KVM_PIT_FLAGS_SPEAKER_DATA_ON, 0u);
  auto saved = device::Archive::loader(Board::save(board.pit()));
  models::timer::PitState back;
  back.state(saved);
  EXPECT_EQ(back.channels[0].count, 11932u);
  EXPECT_EQ(back.channels[0].counting, 1);
  EXPECT_EQ(back.channels[1].counting, 0);
  EXPECT_EQ(back.speaker_data, 1);
}

TEST(IrqchipState, ARunningTimerAndItsDeadlineAreKept) {
  SOLDER_NEEDS_IRQCHIP();
  Board board;
  board.build();
  models::apic::LapicState state = board.apic(0);
  state.spurious = 0x1ff;
  state.lvt[models::apic::kLvtTimer] = 0x41 | 1u << 17;
  state.initial_count = 4'000'000'000;
  state.current_count = 3'000'000'000;
  state.divide = 0xb;
  state.task_priority = 0x20;
  auto archive = device::Archive::saver();
  models::apic::LapicState other = board.apic(1);
  archive("apic", state)("apic", other);
  Board::load(board.lapic(), archive.data());
  const auto back = board.apic(0);
  EXPECT_EQ(back.initial_count, state.initial_count);
  EXPECT_LE(back.current_count, state.current_count);
  EXPECT_GT(back.current_count, 2'000'000'000u) << "it goes on from where it was";
  EXPECT_EQ(back.task_priority, 0x20u);
  EXPECT_TRUE(board.apic(1).waits_for_startup);
  EXPECT_FALSE(back.waits_for_startup);
}

}  // namespace
}  // namespace solder::accel::kvm::x86
