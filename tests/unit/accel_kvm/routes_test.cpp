// The routing table's half in KVM: pins, messages, eventfds, and a split irqchip's I/O APIC here.
#include <sys/eventfd.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "irqchip_fixture.h"

namespace solder::accel::kvm::x86 {
namespace {

using models::apic::kEntryLevel;
using models::apic::kEntryRemoteIrr;

/// KVM delivers what an eventfd says on a thread of its own.
template <class Condition>
bool soon(Condition condition) {
  for (int i = 0; i < 2000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return false;
}

void signal(int fd) {
  const u64 one = 1;
  ASSERT_EQ(::write(fd, &one, sizeof one), static_cast<ssize_t>(sizeof one));
}

TEST(KernelRoutes, AnInterruptReachesBothControllers) {
  SOLDER_NEEDS_IRQCHIP();
  Board board;
  board.build();
  board.enable_apics();
  board.program(5, 0x45 | kEntryLevel);
  const auto input = board.gsi(5);
  EXPECT_FALSE(input.in_kernel) << "the fan-out itself is here";
  input.sink->set_level(input.pin, true);
  kvm_irqchip chip{};
  chip.chip_id = KVM_IRQCHIP_IOAPIC;
  ASSERT_TRUE(board.kvm->vm().call(SOLDER_KVM(KVM_GET_IRQCHIP), &chip));
  EXPECT_NE(chip.chip.ioapic.irr & 1u << 5, 0u);
  EXPECT_EQ(chip.chip.ioapic.redirtbl[5].fields.remote_irr, 1);
  chip = {};
  chip.chip_id = KVM_IRQCHIP_PIC_MASTER;
  ASSERT_TRUE(board.kvm->vm().call(SOLDER_KVM(KVM_GET_IRQCHIP), &chip));
  EXPECT_EQ(chip.chip.pic.irr, 1u << 5);
  EXPECT_TRUE(board.requested(0x45));
  input.sink->set_level(input.pin, false);
  EXPECT_EQ(board.pins().requests, 0u);
}

TEST(KernelRoutes, AWireToAPinOfItsOwn) {
  SOLDER_NEEDS_IRQCHIP();
  Board board;
  board.build();
  board.enable_apics();
  board.program(22, 0x72);
  const std::array<u32, 2> cells{22, 3};
  auto input = board.ioapic().ports.controller->input(cells, 0);
  ASSERT_TRUE(input.has_value());
  EXPECT_TRUE(input->in_kernel);
  input->sink->pulse(input->pin);
  EXPECT_TRUE(board.requested(0x72));
  // The slave's pins are the i8259's 8 to 15.
  const std::array<u32, 2> slave{11, 3};
  auto eleven = board.pic().ports.controller->input(slave, 0);
  ASSERT_TRUE(eleven.has_value());
  eleven->sink->set_level(eleven->pin, true);
  const auto pair = Board::record<models::pic::PairState>(board.pic(), "pic");
  EXPECT_EQ(pair.chips[1].requests, 1u << 3);
}

TEST(KernelRoutes, MessagesAreDelivered) {
  SOLDER_NEEDS_IRQCHIP();
  for (const char* overlay : {"", kSplit}) {
    SCOPED_TRACE(overlay);
    Board board(overlay);
    board.build();
    board.enable_apics();
    auto* target = board.machine.routes.message_target();
    ASSERT_NE(target, nullptr);
    EXPECT_TRUE(target->deliver({.address = 0xfee0'1000, .data = 0x51}));
    EXPECT_TRUE(board.requested(0x51, 1));
    EXPECT_FALSE(board.requested(0x51, 0));
    EXPECT_FALSE(target->deliver({.address = 0xfed0'1000, .data = 0x51}));
    const auto virq = board.machine.routes.allocate("a test's message");
    board.machine.routes.set(virq, {interrupt::Message{.address = 0xfee0'0000, .data = 0x62}});
    board.machine.routes.raise(virq);
    EXPECT_TRUE(board.requested(0x62, 0));
  }
}

TEST(KernelRoutes, EventfdsWithoutThisProcess) {
  SOLDER_NEEDS_IRQCHIP();
  Board board;
  board.build();
  board.enable_apics();
  board.program(18, 0x68);
  const auto virq = board.gsi(18).virq.value();
  const UniqueFd fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  const Status attached = board.machine.routes.attach_eventfd(virq, fd.get());
  ASSERT_TRUE(attached) << attached.error().text();
  for (const auto& line : board.machine.routes.report()) EXPECT_EQ(line.events_in_kernel, line.virq == virq);
  signal(fd.get());
  EXPECT_TRUE(soon([&] { return board.requested(0x68); }));
  EXPECT_EQ(board.machine.routes.count(virq), 0u) << "nothing came this way";
  board.machine.routes.detach_eventfd(virq, fd.get());
  board.enable_apics();
  u64 left = 0;
  signal(fd.get());
  EXPECT_EQ(::read(fd.get(), &left, sizeof left), static_cast<ssize_t>(sizeof left)) << "nobody takes it any more";
}

TEST(KernelRoutes, ResampledLevels) {
  SOLDER_NEEDS_IRQCHIP();
  Board board;
  board.build();
  board.enable_apics();
  board.program(18, 0x68 | kEntryLevel);
  const auto virq = board.gsi(18).virq.value();
  const UniqueFd fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  const UniqueFd resample(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  const Status attached = board.machine.routes.attach_eventfd(virq, fd.get(), resample.get());
  ASSERT_TRUE(attached) << attached.error().text();
  signal(fd.get());
  EXPECT_TRUE(soon([&] { return (board.pins().entries[18] & kEntryRemoteIrr) != 0; }));
  EXPECT_NE(board.pins().requests & 1u << 18, 0u) << "the level stays";
  u64 events = 0;
  EXPECT_LT(::read(resample.get(), &events, sizeof events), 0) << "no end yet";
  board.machine.routes.detach_eventfd(virq, fd.get());
}

TEST(KernelRoutes, EntriesOfASplitIoApicAreRoutes) {
  SOLDER_NEEDS_IRQCHIP();
  Board board(kSplit);
  board.build();
  board.enable_apics();
  auto& io = board.ioapic().ports;
  auto write = [&io](u32 index, u32 value) {
    io.write(0, index);
    io.write(0x10, value);
  };
  write(0x11 + 2 * 9, 1u << 24);
  write(0x10 + 2 * 9, 0x59 | kEntryLevel);
  const auto input = board.gsi(9);
  EXPECT_GE(input.virq.value(), models::apic::kIoApicPins) << "0 to 23 are the pins'";
  input.sink->set_level(input.pin, true);
  EXPECT_TRUE(board.requested(0x59, 1));
  EXPECT_NE(board.apic(1).trigger_mode[0x59 / 32] & 1u << 0x59 % 32, 0u) << "KVM knows that it is level-triggered";
  EXPECT_NE(board.pins().entries[9] & kEntryRemoteIrr, 0u);
  // What KVM_EXIT_IOAPIC_EOI says arrives at the I/O APIC.
  input.sink->set_level(input.pin, false);
  board.kvm->vm().end_of_interrupt(0x59);
  EXPECT_EQ(board.pins().entries[9] & kEntryRemoteIrr, 0u);
}

TEST(KernelRoutes, TheI8259OfASplitIrqchipInterruptsTheBootCpu) {
  SOLDER_NEEDS_IRQCHIP();
  Board board(kSplit);
  board.build();
  EXPECT_EQ(board.machine.vcpus[0]->cpu_interface, board.machine.legacy_controller);
  const std::array<u32, 2> lint0{0, 1};
  auto input = board.lapic().ports.controller->input(lint0, 0);
  ASSERT_TRUE(input.has_value());
  input->sink->set_level(input->pin, true);
  EXPECT_TRUE(board.machine.vcpus[0]->irq());
  input->sink->set_level(input->pin, false);
  EXPECT_FALSE(board.machine.vcpus[0]->irq());
}

}  // namespace
}  // namespace solder::accel::kvm::x86
