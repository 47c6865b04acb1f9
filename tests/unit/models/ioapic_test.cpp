// The I/O APIC with real local APICs: edges and levels, remote IRR, masks, routes that change, EOIs, saved state.
#include "models/apic/ioapic.h"
#include "apic_fixture.h"

namespace solder::models::apic {
namespace {

class IoApicTest : public ApicMachine {
 protected:
  IoApicTest() : ApicMachine(2) {
    device_ = testing::make_model(io, "intel,ce4100-ioapic");
    ioapic = dynamic_cast<IoApic*>(device_.get());
  }
  void select(u32 index) { io.write(0, index); }
  u32 reg(u32 index) {
    select(index);
    return static_cast<u32>(io.read(0x10));
  }
  void set_reg(u32 index, u32 value) {
    select(index);
    io.write(0x10, value);
  }
  u64 entry(u32 pin) { return reg(0x10 + 2 * pin) | u64{reg(0x11 + 2 * pin)} << 32; }
  void route(u32 pin, u64 value) {
    set_reg(0x11 + 2 * pin, static_cast<u32>(value >> 32));
    set_reg(0x10 + 2 * pin, static_cast<u32>(value));
  }
  void line(u32 pin, bool level) { ioapic->set_level(pin, level); }
  void eoi() { put(kRegEoi, 0); }
  usize targets(u32 pin) {
    usize count = 0;
    for (const auto& r : machine.routes.routes()) count += r.virq == pin;
    return count;
  }

  testing::FakePorts io{machine, "ioapic@0"};
  std::unique_ptr<device::Device> device_;
  IoApic* ioapic = nullptr;
};

TEST_F(IoApicTest, Registers) {
  EXPECT_EQ(reg(1), 0x0017'0020u);
  EXPECT_EQ(entry(0), kEntryMasked);
  set_reg(0, 0xffff'ffff);
  EXPECT_EQ(reg(0), 0x0f00'0000u);
  EXPECT_EQ(reg(2), 0x0f00'0000u);
  route(23, ~u64{0});
  EXPECT_EQ(entry(23), 0xff00'0000'0001'afffu) << "status bits are read-only";
  EXPECT_EQ(reg(0x40), 0u);
  set_reg(0x40, 1);
  EXPECT_EQ(io.read(0x10, 1), 0u);
  select(1);
  EXPECT_EQ(io.read(0x12, 1), 0x17u);
}

TEST_F(IoApicTest, EdgesComeOnceEach) {
  route(4, 0x44);
  line(4, true);
  line(4, true);
  EXPECT_EQ(take(), 0x44);
  EXPECT_EQ(take(), std::nullopt);
  line(4, false);
  line(4, true);
  eoi();
  EXPECT_EQ(take(), 0x44);
  eoi();
  ioapic->set_level(4, false);
  ioapic->pulse(4);
  EXPECT_EQ(take(), 0x44);
  EXPECT_EQ(entry(4) & kEntryRemoteIrr, 0u);
  EXPECT_EQ(machine.routes.count(4), 3u);
}

TEST_F(IoApicTest, LevelsComeAgainAtEoiWhileHigh) {
  route(9, 0x49 | kEntryLevel | kEntryActiveLow);
  line(9, true);
  EXPECT_NE(entry(9) & kEntryRemoteIrr, 0u);
  EXPECT_EQ(take(), 0x49);
  line(9, false);
  line(9, true);
  EXPECT_EQ(take(), std::nullopt) << "remote IRR holds it";
  eoi();
  EXPECT_EQ(take(), 0x49) << "still high";
  line(9, false);
  EXPECT_NE(entry(9) & kEntryRemoteIrr, 0u) << "until its end";
  eoi();
  EXPECT_EQ(entry(9) & kEntryRemoteIrr, 0u);
  EXPECT_FALSE(irq());
}

TEST_F(IoApicTest, TheEoiOfAnotherVectorIsNotThisOnes) {
  route(9, 0x49 | kEntryLevel);
  route(10, 0x5a | kEntryLevel);
  line(9, true);
  line(10, true);
  EXPECT_EQ(take(), 0x5a);
  line(10, false);
  eoi();
  EXPECT_EQ(entry(10) & kEntryRemoteIrr, 0u);
  EXPECT_NE(entry(9) & kEntryRemoteIrr, 0u);
}

TEST_F(IoApicTest, TwoPinsOfOneVectorEndTogether) {
  route(9, 0x49 | kEntryLevel);
  route(10, 0x49 | kEntryLevel);
  line(9, true);
  line(10, true);
  EXPECT_EQ(take(), 0x49);
  line(9, false);
  eoi();
  EXPECT_EQ(take(), 0x49) << "pin 10 is high";
  EXPECT_EQ(entry(9) & kEntryRemoteIrr, 0u);
}

TEST_F(IoApicTest, MasksLoseEdgesAndHoldLevels) {
  route(4, 0x44 | kEntryMasked);
  route(9, 0x49 | kEntryLevel | kEntryMasked);
  EXPECT_EQ(targets(4) + targets(9), 0u);
  line(4, true);
  line(9, true);
  EXPECT_FALSE(irq());
  route(4, 0x44);
  EXPECT_FALSE(irq());
  route(9, 0x49 | kEntryLevel);
  EXPECT_EQ(take(), 0x49);
  EXPECT_EQ(targets(4) + targets(9), 2u);
}

TEST_F(IoApicTest, RoutesChangeWhileTheLevelIsHigh) {
  route(9, 0x49 | kEntryLevel);
  line(9, true);
  EXPECT_EQ(take(), 0x49);
  // As Linux moves an interrupt: mask, write, unmask, all before the EOI.
  route(9, 0x49 | kEntryLevel | kEntryMasked);
  EXPECT_EQ(targets(9), 1u) << "a split irqchip must still see its end";
  eoi();
  EXPECT_EQ(targets(9), 0u);
  EXPECT_FALSE(irq());
  route(9, u64{1} << 56 | 0x59 | kEntryLevel);
  EXPECT_FALSE(irq(0));
  EXPECT_EQ(take(1), 0x59) << "to its new place, not lost";
  line(9, false);
  on(1);
  eoi();
  EXPECT_FALSE(irq(1));
}

// KVM (6.1, split) tells the end of an interrupt only while a route names the CPU that has it.
TEST_F(IoApicTest, TheRouteStaysUntilTheEndOfTheInterrupt) {
  const auto destination = [&] {
    for (const auto& r : machine.routes.routes())
      if (r.virq == 9) return bits(std::get<interrupt::Message>(r.target).address, 19, 12);
    return ~u64{0};
  };
  route(9, 0x49 | kEntryLevel);
  line(9, true);
  EXPECT_EQ(take(), 0x49);
  route(9, u64{1} << 56 | 0x49 | kEntryLevel);
  EXPECT_EQ(destination(), 0u);
  EXPECT_EQ(entry(9) >> 56, 1u) << "the guest reads what it wrote";
  eoi();
  EXPECT_EQ(destination(), 1u);
  EXPECT_EQ(take(1), 0x49);
  line(9, false);
}

TEST_F(IoApicTest, AsAnEdgeThereIsNoRemoteIrr) {
  route(9, 0x49 | kEntryLevel);
  line(9, true);
  route(9, 0x49 | kEntryMasked);
  EXPECT_EQ(entry(9) & kEntryRemoteIrr, 0u) << "how guests clear it without an EOI register";
  route(9, 0x49 | kEntryLevel);
  EXPECT_NE(entry(9) & kEntryRemoteIrr, 0u);
}

// 82093AA, section 3.2.4: remote IRR is set when local APICs accept the interrupt. Else no EOI would clear it.
TEST_F(IoApicTest, ALevelWaitsForALocalApicThatIsEnabled) {
  put(kRegSvr, 0xff);
  route(9, 0x49 | kEntryLevel);
  line(9, true);
  EXPECT_EQ(entry(9) & kEntryRemoteIrr, 0u) << "nobody accepted it";
  put(kRegSvr, 0x1ff);
  EXPECT_FALSE(irq());
  route(9, 0x49 | kEntryLevel);
  EXPECT_NE(entry(9) & kEntryRemoteIrr, 0u);
  EXPECT_EQ(take(), 0x49);
  line(9, false);
  eoi();
  EXPECT_EQ(entry(9) & kEntryRemoteIrr, 0u);
  EXPECT_FALSE(irq());
  // Also masked in between.
  put(kRegSvr, 0xff);
  line(9, true);
  put(kRegSvr, 0x1ff);
  set_reg(0x10 + 2 * 9, 0x49 | kEntryLevel | kEntryMasked);
  EXPECT_FALSE(irq());
  EXPECT_EQ(targets(9), 0u) << "no end is waited for";
  set_reg(0x10 + 2 * 9, 0x49 | kEntryLevel);
  EXPECT_EQ(take(), 0x49);
}

TEST_F(IoApicTest, ALevelWaitsForADestinationThatIsThere) {
  route(9, u64{9} << 56 | 0x49 | kEntryLevel);
  line(9, true);
  EXPECT_EQ(entry(9) & kEntryRemoteIrr, 0u);
  // Unmasked as it is: the upper half alone is enough.
  set_reg(0x11 + 2 * 9, 1u << 24);
  EXPECT_NE(entry(9) & kEntryRemoteIrr, 0u);
  EXPECT_FALSE(irq(0));
  EXPECT_EQ(take(1), 0x49);
  line(9, false);
  on(1);
  eoi();
  EXPECT_EQ(entry(9) & kEntryRemoteIrr, 0u);
  EXPECT_FALSE(irq(1));
  // What has fallen by then is nothing.
  route(9, u64{9} << 56 | 0x49 | kEntryLevel);
  line(9, true);
  line(9, false);
  route(9, u64{1} << 56 | 0x49 | kEntryLevel);
  EXPECT_FALSE(irq(1));
  EXPECT_EQ(entry(9) & kEntryRemoteIrr, 0u);
}

TEST_F(IoApicTest, OneThatAcceptsIsEnough) {
  put(kRegSvr, 0xff);
  for (const u64 delivery : {u64{0}, u64{1} << 8}) {
    route(9, u64{0xff} << 56 | delivery | 0x49 | kEntryLevel);
    line(9, true);
    EXPECT_NE(entry(9) & kEntryRemoteIrr, 0u);
    EXPECT_FALSE(irq(0));
    EXPECT_EQ(take(1), 0x49);
    line(9, false);
    on(1);
    eoi();
    EXPECT_EQ(entry(9) & kEntryRemoteIrr, 0u);
    // And none is not.
    put(kRegSvr, 0xff);
    line(9, true);
    EXPECT_EQ(entry(9) & kEntryRemoteIrr, 0u);
    line(9, false);
    put(kRegSvr, 0x1ff);
  }
}

TEST_F(IoApicTest, ALevelThatNobodyAcceptsAtItsEoiStaysPending) {
  route(9, 0x49 | kEntryLevel);
  line(9, true);
  EXPECT_EQ(take(), 0x49);
  put(kRegSvr, 0xff);
  eoi();
  EXPECT_EQ(entry(9) & kEntryRemoteIrr, 0u);
  put(kRegSvr, 0x1ff);
  route(9, 0x49 | kEntryLevel);
  EXPECT_EQ(take(), 0x49);
}

TEST_F(IoApicTest, AnIllegalVectorIsNotAccepted) {
  route(9, 0x0f | kEntryLevel);
  line(9, true);
  EXPECT_EQ(entry(9) & kEntryRemoteIrr, 0u);
  route(9, 0x49 | kEntryLevel);
  EXPECT_EQ(take(), 0x49);
}

TEST_F(IoApicTest, AnEdgeThatNobodyAcceptsIsLost) {
  put(kRegSvr, 0xff);
  route(4, 0x44);
  ioapic->pulse(4);
  put(kRegSvr, 0x1ff);
  route(4, 0x44);
  EXPECT_FALSE(irq());
}

TEST_F(IoApicTest, StateKeepsALevelThatNobodyAccepted) {
  put(kRegSvr, 0xff);
  route(9, 0x49 | kEntryLevel);
  line(9, true);
  auto saver = device::Archive::saver();
  device_->state(saver);
  device_->reset();
  auto loader = device::Archive::loader(saver.data());
  device_->state(loader);
  ASSERT_TRUE(loader.status().has_value());
  EXPECT_EQ(entry(9) & kEntryRemoteIrr, 0u);
  put(kRegSvr, 0x1ff);
  route(9, 0x49 | kEntryLevel);
  EXPECT_EQ(take(), 0x49);
}

TEST_F(IoApicTest, EoiRegister) {
  route(9, 0x49 | kEntryLevel);
  line(9, true);
  line(9, false);
  io.write(0x40, 0x48);
  EXPECT_NE(entry(9) & kEntryRemoteIrr, 0u);
  io.write(0x40, 0x49);
  EXPECT_EQ(entry(9) & kEntryRemoteIrr, 0u);
}

TEST_F(IoApicTest, SourcesAreAskedAgainAtEoi) {
  u32 asked = 0;
  ioapic->watch_eoi(9, [&] {
    ++asked;
    line(9, false);
  });
  route(9, 0x49 | kEntryLevel);
  line(9, true);
  EXPECT_EQ(take(), 0x49);
  EXPECT_EQ(asked, 0u);
  eoi();
  EXPECT_EQ(asked, 1u);
  EXPECT_FALSE(irq()) << "taken back before it would come again";
  ioapic->watch_eoi(9, {});
  line(9, true);
  take();
  eoi();
  EXPECT_EQ(asked, 1u);
}

TEST_F(IoApicTest, DeliveryModes) {
  on(1);
  put(kRegTpr, 0x30);
  for (u32 cpu = 0; cpu < 2; ++cpu) {
    on(cpu);
    put(kRegLdr, 1u << (24 + cpu));
  }
  route(5, u64{3} << 56 | kEntryLogical | 1u << 8 | 0x45);
  ioapic->pulse(5);
  EXPECT_EQ(take(0), 0x45) << "the CPU with the lower priority";
  EXPECT_FALSE(irq(1));
  route(6, 4u << 8 | kEntryLevel);
  line(6, true);
  EXPECT_EQ(machine.vcpus[0]->nmis, 1u);
  EXPECT_EQ(entry(6) & kEntryRemoteIrr, 0u) << "an NMI has no end";
}

TEST_F(IoApicTest, RoutesArePublishedOnlyWhenTheyChange) {
  u32 publications = 0;
  machine.routes.listen([&](const auto&) { ++publications; });
  route(4, 0x44);
  const u32 once = publications;
  EXPECT_EQ(once, 1u) << "the upper half of a masked entry is no route yet";
  route(4, 0x44);
  set_reg(0, 0);
  route(7, 0x47 | kEntryMasked);
  line(4, true);
  take();
  eoi();
  EXPECT_EQ(publications, once);
}

TEST_F(IoApicTest, StateKeepsWhatIsPending) {
  route(4, 0x44);
  route(9, 0x49 | kEntryLevel);
  line(9, true);
  take();
  line(4, true);
  auto saver = device::Archive::saver();
  device_->state(saver);
  device_->reset();
  EXPECT_EQ(targets(9), 0u);
  auto loader = device::Archive::loader(saver.data());
  device_->state(loader);
  ASSERT_TRUE(loader.status().has_value());
  EXPECT_EQ(targets(9), 1u);
  EXPECT_NE(entry(9) & kEntryRemoteIrr, 0u);
  EXPECT_EQ(take(), std::nullopt) << "the edge at pin 4 was delivered before";
  eoi();
  EXPECT_EQ(take(), 0x49) << "still high";
}

TEST_F(IoApicTest, RequestsOfARecordAreDelivered) {
  // As the in-kernel one may leave it: an edge and a level that nobody has seen.
  IoApicState record;
  record.entries[4] = 0x44;
  record.entries[9] = 0x59 | kEntryLevel;
  record.requests = 1u << 4 | 1u << 9;
  record.levels = record.requests;
  auto saver = device::Archive::saver();
  saver("ioapic", record);
  auto loader = device::Archive::loader(saver.data());
  device_->state(loader);
  EXPECT_EQ(take(), 0x59);
  line(9, false);
  eoi();
  EXPECT_EQ(take(), 0x44);
  eoi();
  EXPECT_FALSE(irq());
}

TEST_F(IoApicTest, OneOfThemOnly) {
  testing::FakePorts other(machine, "ioapic@1");
  const auto made = testing::try_make_model(other, "intel,ce4100-ioapic");
  ASSERT_FALSE(made.has_value());
  EXPECT_NE(made.error().what.find("ioapic@0"), std::string::npos) << made.error().text();
}

TEST_F(IoApicTest, Specifiers) {
  const std::array<u32, 2> good{23, 2}, far{24, 1}, trigger{1, 4};
  EXPECT_EQ(io.controller->input(good, 0)->trigger, interrupt::Controller::Trigger::level_low);
  EXPECT_FALSE(io.controller->input(far, 0).has_value());
  EXPECT_FALSE(io.controller->input(trigger, 0).has_value());
}

}  // namespace
}  // namespace solder::models::apic
