// System instructions and registers: traps from EL0, TLB maintenance, timer, identification.
#include <gtest/gtest.h>

#include <map>

#include "guest/arm64/system_registers.h"
#include "unit/guest_arm64/machine.h"

namespace solder::arm64::test {
namespace {

TEST(SystemRegisters, EncodingsAreUnique) {
  std::map<u16, const char*> seen;
  for (const SystemRegister& reg : system_registers()) {
    EXPECT_TRUE(seen.emplace(reg.encoding, reg.name).second) << reg.name << " and " << seen[reg.encoding];
    EXPECT_EQ(find_system_register(reg.encoding), &reg);
  }
}

TEST(SystemRegisters, EverythingReadableReadsAtEl1) {
  Machine m;
  for (const SystemRegister& reg : system_registers()) {
    m.s().esr_el1 = 0;
    m.run({0xd5300000 | (u32{reg.encoding} << 5 & 0xfffe0) | 3});
    EXPECT_EQ(m.s().core.pc, reg.readable_el1() ? kCode + 4 : kVectors + 0x200) << reg.name;
  }
}

TEST(SystemRegisters, IdentificationSpaceReadsAsZero) {
  Machine m;
  m.s().x[3] = 1;
  m.run({0xd53805a3});
  EXPECT_EQ(m.s().x[3], 0U);
  EXPECT_EQ(m.s().core.pc, kCode + 4);
  m.go_to_el0();
  m.run({0xd53805a3});
  EXPECT_EQ(m.s().esr_el1, 0x02000000U);
}

TEST(SystemRegisters, El0TrapsAndPermissions) {
  Machine m;
  m.go_to_el0();
  m.run({0xd53be043});  // mrs x3, cntvct_el0
  // op0 3, op2 2, op1 3, CRn 14, Rt 3, CRm 0, read
  EXPECT_EQ(m.s().esr_el1, 0x62000000U | (3 << 20) | (2 << 17) | (3 << 14) | (14 << 10) | (3 << 5) | 1);
  m.go_to_el0();
  m.s().cntkctl_el1 = 2;
  m.run({0xd53be043});
  EXPECT_EQ(m.s().core.pc, kCode + 4);
  m.run({0xd5380003});  // mrs x3, midr_el1
  EXPECT_EQ(m.s().esr_el1, 0x02000000U);
  m.go_to_el0();
  m.run({0xd53b0023});  // mrs x3, ctr_el0 without UCT
  EXPECT_EQ(m.exception_class(), 0x18U);
  m.go_to_el0();
  m.s().sctlr_el1 |= 1 << 15;
  m.run({0xd53b0023});
  EXPECT_EQ(m.s().core.pc, kCode + 4);
}

TEST(SystemRegisters, FlagsAndMasks) {
  Machine m;
  m.s().x[3] = 0x90000000;
  m.run({0xd51b4203});
  EXPECT_EQ(m.s().core.flags, ir::kFlagN | ir::kFlagV);
  m.s().x[3] = 0;
  m.run({0xd53b4203});
  EXPECT_EQ(m.s().x[3], 0x90000000U);
  m.s().x[3] = 0x80;
  m.run({0xd51b4223, 0xd53b4223});
  EXPECT_EQ(m.s().daif, 0x80U);
  EXPECT_EQ(m.s().x[3], 0x80U);
  m.run({0xd5384243});
  EXPECT_EQ(m.s().x[3], 4U);
}

TEST(SystemRegisters, FpcrIsPartOfTheKey) {
  Machine m;
  const u64 before = m.cpu().key();
  m.s().x[3] = 0xffffffff;
  m.run({0xd51b4403});
  EXPECT_EQ(m.s().fpcr, kFpcrMask);
  EXPECT_NE(m.cpu().key(), before);
  EXPECT_EQ(m.s().core.host_mxcsr, 0x7f80U);
}

TEST(SystemInstructions, TlbMaintenance) {
  Machine m;
  m.s().x[2] = (u64{7} << 48) | 0x12345;
  m.run({0xd508831f, 0xd5088322, 0xd5088742, 0xd5033f9f});
  const std::vector<std::string> expected = {"all everywhere", "range 305418240+4096 everywhere", "asid 7",
                                             "range 0+36028797018963968 of 65536", "barrier"};
  EXPECT_EQ(m.tlb.calls, expected);
  m.go_to_el0();
  m.run({0xd508831f});
  EXPECT_EQ(m.exception_class(), 0U);
}

TEST(SystemInstructions, ZeroBlock) {
  Machine m;
  for (unsigned n = 0; n < 128; n += 8) m.write(kRam + 0x3000 + n, ~u64{0});
  m.s().x[2] = kRam + 0x3047;
  m.run({0xd50b7422});
  for (unsigned n = 0; n < 128; n += 8) EXPECT_EQ(m.read(kRam + 0x3000 + n), n < 64 ? ~u64{0} : 0) << n;
  m.go_to_el0();
  m.run({0xd50b7422});
  EXPECT_EQ(m.exception_class(), 0x18U);  // SCTLR_EL1.DZE
}

TEST(SystemInstructions, CacheMaintenanceFromEl0) {
  Machine m;
  m.go_to_el0();
  m.s().x[2] = u64{1} << 50;
  m.run({0xd50b7b22});  // dc cvau, x2
  EXPECT_EQ(m.exception_class(), 0x18U);
  m.go_to_el0();
  m.s().sctlr_el1 |= 1 << 26;
  m.run({0xd50b7b22});
  EXPECT_EQ(m.s().esr_el1, 0x92000140U);  // CM, WnR, address size fault
  EXPECT_EQ(m.s().far_el1, u64{1} << 50);
}

TEST(SystemInstructions, StackPointersAreExchanged) {
  Machine m;
  m.s().sp = 0x1000;
  m.s().x[4] = 0x2000;
  m.run({0xd5184104, 0xd5384104});  // msr sp_el0, x4; mrs x4, sp_el0
  EXPECT_EQ(m.s().sp_el0, 0x2000U);
  m.run({0xd50040bf});  // msr spsel, #0
  EXPECT_EQ(m.s().sp, 0x2000U);
  EXPECT_EQ(m.s().sp_el1, 0x1000U);
  m.run({0xd5384104});  // SP_EL0 is the current one: undefined
  EXPECT_EQ(m.exception_class(), 0U);
  EXPECT_EQ(m.s().sp, 0x1000U);
}

class Sink final : public interrupt::Sink {
 public:
  void set_level(u32 pin, bool level) override {
    const std::lock_guard lock(mutex_);
    levels_[pin] = level;
    changed_.notify_all();
  }
  bool wait_for(u32 pin) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(20), [&] { return levels_[pin]; });
  }
  bool level(u32 pin) {
    const std::lock_guard lock(mutex_);
    return levels_[pin];
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<u32, bool> levels_;
};

TEST(Timer, FiresAndStops) {
  time::Clock clock;
  time::TimerQueue queue(clock);
  Sink sink;
  {
    Machine m(&clock, &queue);
    for (u32 n = 0; n < 4; ++n) {
      interrupt::LevelWire wire;
      wire.connect(&sink, n);
      m.cpu().connect_output(n, wire);
    }
    m.s().x[2] = m.cpu().timer().count() + 1000;
    m.run({0xd51be342});  // msr cntv_cval_el0, x2
    m.s().x[2] = 1;
    m.run({0xd51be322});  // msr cntv_ctl_el0, x2
    EXPECT_TRUE(sink.wait_for(2));
    EXPECT_FALSE(sink.level(1));
    m.run({0xd53be323});  // mrs x3, cntv_ctl_el0
    EXPECT_EQ(m.s().x[3], 5U);
    m.s().x[2] = 3;
    m.run({0xd51be322});  // masked
    EXPECT_FALSE(sink.level(2));
    m.run({0xd53be323});
    EXPECT_EQ(m.s().x[3], 7U);
  }
  queue.stop();
}

TEST(Pmu, CycleCounterCountsWhenEnabled) {
  time::Clock clock;
  time::TimerQueue queue(clock);
  Machine m(&clock, &queue);
  m.run({0xd53b9d03});
  EXPECT_EQ(m.s().x[3], 0U);
  m.s().x[2] = 1;
  m.run({0xd51b9c02});
  m.s().x[2] = u64{1} << 31;
  m.run({0xd51b9c22});
  m.run({0xd53b9d03, 0xd53b9d03});
  EXPECT_GT(m.s().x[3], 0U);
  queue.stop();
}

TEST(Pmu, OverflowInterrupts) {
  time::Clock clock;
  time::TimerQueue queue(clock);
  Sink sink;
  {
    Machine m(&clock, &queue);
    interrupt::LevelWire wire;
    wire.connect(&sink, 0);
    m.cpu().connect_output(4, wire);
    Pmu& pmu = m.cpu().pmu();
    pmu.set_cycles(~u64{0} - 1000);
    pmu.enable(Pmu::kCycleBit);
    pmu.enable_interrupts(Pmu::kCycleBit);
    pmu.set_control(0x41);
    EXPECT_TRUE(sink.wait_for(0));
    EXPECT_EQ(pmu.overflow(), Pmu::kCycleBit);
    pmu.clear_overflow(Pmu::kCycleBit);
    EXPECT_FALSE(sink.level(0));
  }
  queue.stop();
}

class Device final : public cpu::SystemRegisters {
 public:
  [[nodiscard]] bool has(u32 encoding) const override { return encoding == sysreg_encoding(3, 0, 12, 12, 0); }
  u64 read(u32, u32) override { return 1023; }
  void write(u32, u32, u64) override {}
};

TEST(SystemRegisters, DevicesRegisters) {
  Machine m;
  m.run({0xd538cc03});
  EXPECT_EQ(m.s().esr_el1, 0x02000000U);
  m.run({0xd5380403});
  EXPECT_EQ(m.s().x[3] >> 24 & 0xf, 0U);
  Device device;
  m.cpu().add_system_registers(device);
  m.run({0xd538cc03});
  EXPECT_EQ(m.s().x[3], 1023U);
  m.run({0xd5380403});
  EXPECT_EQ(m.s().x[3] >> 24 & 0xf, 1U);
}

}  // namespace
}  // namespace solder::arm64::test
