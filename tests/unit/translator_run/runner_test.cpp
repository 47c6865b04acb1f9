#include "translator/run/runner.h"

#include <gtest/gtest.h>

#include <cstring>
#include <thread>

#include "unit/translator_run/toy_guest.h"

namespace solder::run {
namespace {

using toy::Insn;
using toy::word;

constexpr u64 kRamSize = 0x40000;
constexpr u64 kRom = 0x60000;
constexpr u64 kDevice = 0x70000;

class Echo final : public memory::MmioHandler {
 public:
  u64 read(u64 offset, unsigned size) override { return offset << 8 | size; }
  void write(u64 offset, unsigned size, u64 value) override { written.push_back({offset, size, value}); }
  std::vector<std::array<u64, 3>> written;
};

/// A machine with as many toy CPUs as a test wants; run once for each way of running and each stress switch.
class RunnerTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    ram_ = *memory::Ram::create("ram", kRamSize);
    rom_ = *memory::Ram::create("rom", 0x1000);
    ASSERT_TRUE(space_.add({.name = "ram", .start = 0, .size = kRamSize, .ram = ram_.get()}));
    ASSERT_TRUE(space_.add({.name = "rom", .start = kRom, .size = 0x1000, .ram = rom_.get(), .read_only = true}));
    ASSERT_TRUE(space_.add({.name = "device", .start = kDevice, .size = 0x200, .handler = &device_}));
    make_cpu();
  }
  Runner& make_cpu() {
    auto guest = std::make_unique<toy::ToyGuest>(space_);
    if (!engine_) {
      engine_ = *Engine::create(*guest, space_, *parse_options(GetParam()));
    }
    runners_.push_back(std::make_unique<Runner>(*engine_, std::move(guest), static_cast<u32>(runners_.size())));
    return *runners_.back();
  }
  toy::ToyGuest& guest(usize n = 0) { return static_cast<toy::ToyGuest&>(runners_[n]->guest()); }
  std::array<u64, 8>& r(usize n = 0) { return guest(n).toy.r; }
  void code(u64 at, std::initializer_list<u32> words) {
    // Another CPU may be running: as atomic as its own accesses are.
    for (const u32 w : words) {
      std::atomic_ref(*reinterpret_cast<u32*>(ram_->host() + at)).store(w, std::memory_order_relaxed);
      at += 4;
    }
  }
  void map(u64 index, u64 physical, u64 flags, u64 asid = 0) {
    set_memory(toy::kTable + asid * 512 + index * 8, physical | flags);
  }
  u64 memory(u64 at) {
    u64 value = 0;
    if (at % 8 == 0) return std::atomic_ref(*reinterpret_cast<u64*>(ram_->host() + at)).load(std::memory_order_relaxed);
    std::memcpy(&value, ram_->host() + at, 8);
    return value;
  }
  void set_memory(u64 at, u64 value) {
    std::atomic_ref(*reinterpret_cast<u64*>(ram_->host() + at)).store(value, std::memory_order_relaxed);
  }
  cpu::ExitReason run(u64 pc, usize n = 0) {
    guest(n).toy.core.pc = pc;
    return runners_[n]->run();
  }

  Echo device_;
  std::unique_ptr<memory::Ram> ram_;
  std::unique_ptr<memory::Ram> rom_;
  memory::AddressSpace space_{"memory"};
  std::unique_ptr<Engine> engine_;
  std::vector<std::unique_ptr<Runner>> runners_;
};

TEST_P(RunnerTest, LoopsAndStops) {
  code(0x1000, {word(Insn::li, 0, 100), word(Insn::add_imm, 1, 1, 3), word(Insn::add_imm, 0, 0, -1),
                word(Insn::jump_nz, 0, 0, -2), word(Insn::stop)});
  EXPECT_EQ(run(0x1000), cpu::ExitReason::kicked);
  EXPECT_EQ(r()[1], 300U);
  EXPECT_EQ(guest().toy.core.pc, 0x1014U);
}

TEST_P(RunnerTest, KickBeforeRunIsKept) {
  code(0x1000, {word(Insn::jump, 0, 0, 0)});
  runners_[0]->kick();
  EXPECT_EQ(run(0x1000), cpu::ExitReason::kicked);
}

TEST_P(RunnerTest, HaltsUntilTheLineRises) {
  guest().irq_handler = 0x2000;
  code(0x1000, {word(Insn::halt), word(Insn::jump, 0, 0, 0)});
  code(0x2000, {word(Insn::li, 1, 9), word(Insn::stop)});
  EXPECT_EQ(run(0x1000), cpu::ExitReason::halted);
  EXPECT_EQ(runners_[0]->run(), cpu::ExitReason::halted);
  guest().set_line(cpu::Line::irq, true);
  EXPECT_EQ(runners_[0]->run(), cpu::ExitReason::kicked);
  EXPECT_EQ(r()[1], 9U);
  ASSERT_EQ(guest().irq_pcs.size(), 1U);
  EXPECT_EQ(guest().irq_pcs[0], 0x1004U);
}

TEST_P(RunnerTest, AnInterruptLeavesAnEndlessLoop) {
  guest().irq_handler = 0x2000;
  code(0x1000, {word(Insn::add_imm, 0, 0, 1), word(Insn::jump, 0, 0, -1)});
  code(0x2000, {word(Insn::stop)});
  std::thread other([this] { guest().set_line(cpu::Line::irq, true); });
  EXPECT_EQ(run(0x1000), cpu::ExitReason::kicked);
  other.join();
}

TEST_P(RunnerTest, AStoreToTheNextInstructionOfTheBlockTakesEffect) {
  // The block overwrites its own next instruction, in a loop, with another one each time.
  code(0x1000,
       {word(Insn::li, 0, 5),          // counter
        word(Insn::load, 2, 3, 0),     // r2 = li r1, #n
        word(Insn::store32, 2, 4, 0),  // to 0x100c
        word(Insn::li, 1, 0xdead),     // 0x100c
        word(Insn::add, 5, 1),         // r5 += r1
        word(Insn::add_imm, 3, 3, 8), word(Insn::add_imm, 0, 0, -1), word(Insn::jump_nz, 0, 0, -6), word(Insn::stop)});
  for (u32 i = 0; i < 5; ++i) {
    const u64 insn = word(Insn::li, 1, 10 + i);
    std::memcpy(ram_->host() + 0x3000 + i * 8, &insn, 8);
  }
  r()[3] = 0x3000;
  r()[4] = 0x100c;
  EXPECT_EQ(run(0x1000), cpu::ExitReason::kicked);
  EXPECT_EQ(r()[5], 10U + 11 + 12 + 13 + 14);
}

TEST_P(RunnerTest, AStoreToAnotherPagesCodeTakesEffect) {
  code(0x1000, {word(Insn::li, 0, 4), word(Insn::load, 2, 3, 0), word(Insn::store32, 2, 4, 0),
                word(Insn::li, 6, 0x1014), word(Insn::jump_reg, 4), /* 0x1014 */ word(Insn::add_imm, 3, 3, 8),
                word(Insn::add_imm, 0, 0, -1), word(Insn::jump_nz, 0, 0, -6), word(Insn::stop)});
  code(0x2000, {word(Insn::li, 1, 0xdead), word(Insn::add, 5, 1), word(Insn::jump_reg, 6)});
  for (u32 i = 0; i < 4; ++i) {
    const u64 insn = word(Insn::li, 1, 20 + i);
    std::memcpy(ram_->host() + 0x3000 + i * 8, &insn, 8);
  }
  r()[3] = 0x3000;
  r()[4] = 0x2000;
  EXPECT_EQ(run(0x1000), cpu::ExitReason::kicked);
  EXPECT_EQ(r()[5], 20U + 21 + 22 + 23);
}

TEST_P(RunnerTest, DataNextToCodeKillsNothing) {
  code(0x1000, {word(Insn::li, 0, 50), word(Insn::store, 0, 4, 0), word(Insn::add_imm, 0, 0, -1),
                word(Insn::jump_nz, 0, 0, -2), word(Insn::stop)});
  r()[4] = 0x1200;
  EXPECT_EQ(run(0x1000), cpu::ExitReason::kicked);
  EXPECT_EQ(memory(0x1200), 1U);
  EXPECT_EQ(engine_->code().counts().kills.load(), 0U);
}

TEST_P(RunnerTest, DeviceWritesToCodeTakeEffect) {
  code(0x1000, {word(Insn::li, 1, 1), word(Insn::stop)});
  EXPECT_EQ(run(0x1000), cpu::ExitReason::kicked);
  EXPECT_EQ(r()[1], 1U);
  code(0x1000, {word(Insn::li, 1, 2)});
  ram_->mark_written(0x1000, 4);
  EXPECT_EQ(run(0x1000), cpu::ExitReason::kicked);
  EXPECT_EQ(r()[1], 2U);
}

TEST_P(RunnerTest, AStoreAcrossPagesFaultsBeforeItWrites) {
  map(0, 0x10000, toy::kValid | toy::kWritable);
  guest().handler = 0x2000;
  code(0x2000, {word(Insn::stop)});
  code(0x1000, {word(Insn::add_imm, 1, 1, 1), word(Insn::store, 0, 4, 0), word(Insn::stop)});
  r()[0] = ~u64{0};
  r()[4] = toy::kMapped + 0xffc;
  EXPECT_EQ(run(0x1000), cpu::ExitReason::kicked);
  ASSERT_EQ(guest().faults.size(), 1U);
  EXPECT_EQ(guest().faults[0].address, toy::kMapped + 0x1000);
  EXPECT_EQ(guest().faults[0].kind, ir::AccessKind::write);
  EXPECT_EQ(guest().fault_pcs[0], 0x1004U);
  EXPECT_EQ(memory(0x10ff8), 0U);
  EXPECT_EQ(r()[1], 1U);
}

TEST_P(RunnerTest, AccessesAcrossTwoMappedPages) {
  map(0, 0x10000, toy::kValid | toy::kWritable);
  map(1, 0x12000, toy::kValid | toy::kWritable);
  code(0x1000, {word(Insn::store, 0, 4, 0), word(Insn::load, 1, 4, 0), word(Insn::stop)});
  r()[0] = 0x1122'3344'5566'7788;
  r()[4] = toy::kMapped + 0xffd;
  EXPECT_EQ(run(0x1000), cpu::ExitReason::kicked);
  EXPECT_EQ(r()[1], 0x1122'3344'5566'7788U);
  EXPECT_EQ(memory(0x10ffd) & 0xffffff, 0x667788U);
  EXPECT_EQ(memory(0x12000), 0x11'2233'4455U);
}

TEST_P(RunnerTest, AFaultInThePairsSecondHalfIsPrecise) {
  map(0, 0x10000, toy::kValid | toy::kWritable);
  guest().handler = 0x2000;
  code(0x2000, {word(Insn::stop)});
  code(0x1000, {word(Insn::store_pair, 0, 1, 4), word(Insn::stop)});
  r()[4] = toy::kMapped + 0xff8;
  EXPECT_EQ(run(0x1000), cpu::ExitReason::kicked);
  EXPECT_EQ(guest().fault_pcs[0], 0x1000U);
  EXPECT_EQ(r()[4], toy::kMapped + 0xff8);  // no write-back
}

TEST_P(RunnerTest, ReadOnlyPagesFaultOnStoresAfterLoads) {
  map(0, 0x10000, toy::kValid);
  guest().handler = 0x2000;
  code(0x2000, {word(Insn::stop)});
  code(0x1000, {word(Insn::load, 0, 4, 0), word(Insn::store, 0, 4, 0), word(Insn::stop)});
  r()[4] = toy::kMapped;
  EXPECT_EQ(run(0x1000), cpu::ExitReason::kicked);
  ASSERT_EQ(guest().faults.size(), 1U);
  EXPECT_EQ(guest().fault_pcs[0], 0x1004U);
}

TEST_P(RunnerTest, DevicesRomAndHoles) {
  guest().handler = 0x2000;
  code(0x2000, {word(Insn::stop)});
  code(0x1000, {word(Insn::load, 0, 4, 16), word(Insn::store32, 4, 4, 32), word(Insn::store, 4, 5, 0),
                word(Insn::load, 1, 6, 0), word(Insn::stop)});
  r()[4] = kDevice;
  r()[5] = kRom;
  r()[6] = 0x900000;
  EXPECT_EQ(run(0x1000), cpu::ExitReason::kicked);
  EXPECT_EQ(r()[0], 16U << 8 | 8);
  ASSERT_EQ(device_.written.size(), 1U);
  EXPECT_EQ(device_.written[0], (std::array<u64, 3>{32, 4, kDevice}));
  EXPECT_EQ(*reinterpret_cast<u64*>(rom_->host()), 0U);
  ASSERT_EQ(guest().faults.size(), 1U);
  EXPECT_EQ(guest().faults[0].code, 16U);
  EXPECT_EQ(guest().fault_pcs[0], 0x100cU);
}

TEST_P(RunnerTest, AsidsHaveTheirOwnTranslations) {
  map(0, 0x10000, toy::kValid | toy::kWritable, 0);
  map(0, 0x11000, toy::kValid | toy::kWritable, 1);
  code(0x1000, {word(Insn::store, 0, 4, 0), word(Insn::set_asid, 1), word(Insn::store, 1, 4, 0),
                word(Insn::set_asid, 0), word(Insn::load, 2, 4, 0), word(Insn::stop)});
  r()[0] = 5;
  r()[1] = 6;
  r()[4] = toy::kMapped;
  EXPECT_EQ(run(0x1000), cpu::ExitReason::kicked);
  EXPECT_EQ(memory(0x10000), 5U);
  EXPECT_EQ(memory(0x11000), 6U);
  EXPECT_EQ(r()[2], 5U);
}

TEST_P(RunnerTest, ARemappedPageIsSeenAfterItsFlush) {
  map(0, 0x10000, toy::kValid | toy::kWritable);
  set_memory(0x10000, 1);
  set_memory(0x11000, 2);
  code(0x1000, {word(Insn::load, 0, 4, 0), word(Insn::store, 5, 6, 0), word(Insn::flush, 4), word(Insn::barrier),
                word(Insn::load, 1, 4, 0), word(Insn::stop)});
  r()[4] = toy::kMapped;
  r()[5] = 0x11000 | toy::kValid;
  r()[6] = toy::kTable;
  EXPECT_EQ(run(0x1000), cpu::ExitReason::kicked);
  EXPECT_EQ(r()[0], 1U);
  EXPECT_EQ(r()[1], 2U);
}

TEST_P(RunnerTest, RemappedCodeRunsTheNewPage) {
  map(0, 0x10000, toy::kValid);
  code(0x10000, {word(Insn::add_imm, 1, 1, 1), word(Insn::jump_reg, 7)});
  code(0x11000, {word(Insn::add_imm, 1, 1, 100), word(Insn::jump_reg, 7)});
  code(0x1000, {word(Insn::li, 7, 0x1008), word(Insn::jump_reg, 4), word(Insn::store, 5, 6, 0), word(Insn::flush, 4),
                word(Insn::barrier), word(Insn::li, 7, 0x101c), word(Insn::jump_reg, 4), word(Insn::stop)});
  r()[4] = toy::kMapped;
  r()[5] = 0x11000 | toy::kValid;
  r()[6] = toy::kTable;
  EXPECT_EQ(run(0x1000), cpu::ExitReason::kicked);
  EXPECT_EQ(r()[1], 101U);
}

TEST_P(RunnerTest, ShootdownReachesOtherCpusBeforeTheBarrierEnds) {
  // CPU 1 copies [mapped] to [0x20000] for ever. CPU 0 remaps the page, flushes, waits, and changes the old page: CPU 1
  // must not show the change.
  make_cpu();
  map(0, 0x10000, toy::kValid | toy::kWritable);
  map(1, 0x11000, toy::kValid | toy::kWritable);
  set_memory(0x11000, 1);
  code(0x5000, {word(Insn::load, 0, 4, 0), word(Insn::store, 0, 5, 0), word(Insn::jump, 0, 0, -2)});
  code(0x1000, {word(Insn::store, 5, 6, 0), word(Insn::flush, 4), word(Insn::barrier), word(Insn::store, 1, 7, 0),
                word(Insn::stop)});
  r(1)[4] = toy::kMapped;
  r(1)[5] = 0x20000;
  std::thread other([this] { run(0x5000, 1); });
  for (int round = 0; round < 200; ++round) {
    // Old page 0x10000 with 0, then mapped to 0x11000 with 1, and 0x10000 becomes poison.
    set_memory(0x10000, 0);
    map(0, 0x10000, toy::kValid | toy::kWritable);
    r()[4] = toy::kMapped;
    r()[5] = 0x11000 | toy::kValid;
    r()[6] = toy::kTable;
    r()[7] = 0x10000;
    r()[1] = 0xbad;
    code(0x1100, {word(Insn::flush, 4), word(Insn::barrier), word(Insn::stop)});
    run(0x1100);
    run(0x1000);
    for (int i = 0; i < 20; ++i) ASSERT_NE(memory(0x20000), 0xbadU);
  }
  runners_[1]->kick();
  other.join();
}

TEST_P(RunnerTest, AtomicsAddUpBetweenCpus) {
  make_cpu();
  code(0x1000, {word(Insn::atomic_add, 0, 4, 3), word(Insn::add_imm, 1, 1, -1), word(Insn::jump_nz, 1, 0, -2),
                word(Insn::stop)});
  for (usize n = 0; n < 2; ++n) {
    r(n)[1] = 20000;
    r(n)[3] = 1;
    r(n)[4] = 0x20000;
  }
  std::thread other([this] { run(0x1000, 1); });
  run(0x1000);
  other.join();
  EXPECT_EQ(memory(0x20000), 40000U);
}

TEST_P(RunnerTest, CodeWrittenByAnotherCpuIsSeenAfterItsBarrier) {
  // CPU 1 has a write tag for the page before CPU 0 makes it a code page. Then CPU 1 writes code and says so through
  // memory; CPU 0 must run the new one.
  make_cpu();
  code(0x5000, {word(Insn::store32, 0, 4, 0), word(Insn::barrier), word(Insn::store, 1, 5, 0), word(Insn::stop)});
  code(0x1000, {word(Insn::jump_reg, 4), /* 0x1004 */ word(Insn::stop)});
  r()[4] = 0x2000;
  r()[7] = 0x1004;
  r(1)[4] = 0x2000;
  r(1)[5] = 0x20000;
  code(0x2000, {word(Insn::li, 1, 0), word(Insn::jump_reg, 7)});
  for (u32 round = 1; round < 100; ++round) {
    r(1)[0] = word(Insn::li, 1, round);
    r(1)[1] = round;
    std::thread other([this] { run(0x5000, 1); });
    run(0x1000);  // races with the store: either value
    other.join();
    ASSERT_EQ(memory(0x20000), round);
    run(0x1000);
    ASSERT_EQ(r()[1], round);
  }
}

TEST_P(RunnerTest, TrackingThatStartsMeetsStoresThatWereFast) {
  // Both CPUs store to a page of their own, over and over, through tags that they got before anybody tracked.
  make_cpu();
  code(0x1000, {word(Insn::add_imm, 0, 0, 1), word(Insn::store, 0, 4, 0), word(Insn::jump, 0, 0, -2)});
  r(0)[4] = 0x20000;
  r(1)[4] = 0x21000;
  std::vector<std::thread> threads;
  for (usize n = 0; n < 2; ++n) threads.emplace_back([this, n] { EXPECT_EQ(run(0x1000, n), cpu::ExitReason::kicked); });
  const auto let_them_store = [&] {
    for (const u64 at : {0x20000, 0x21000}) {
      const std::atomic_ref<u64> word(*reinterpret_cast<u64*>(ram_->host() + at));
      for (const u64 before = word.load(); word.load() - before < 2;) std::this_thread::yield();
    }
  };
  let_them_store();
  ASSERT_TRUE(ram_->start_tracking(memory::DirtyClient::watch));
  for (int round = 0; round < 3; ++round) {
    ram_->take_dirty(memory::DirtyClient::watch, 0);
    let_them_store();
    ASSERT_TRUE(ram_->collect_dirty());
    EXPECT_EQ(ram_->take_dirty(memory::DirtyClient::watch, 0), u64{3} << 0x20) << "round " << round;
  }
  ram_->stop_tracking(memory::DirtyClient::watch);
  let_them_store();
  ASSERT_TRUE(ram_->start_tracking(memory::DirtyClient::watch)) << "a second time";
  let_them_store();
  EXPECT_EQ(ram_->take_dirty(memory::DirtyClient::watch, 0), u64{3} << 0x20);
  for (usize n = 0; n < 2; ++n) {
    runners_[n]->kick();
    threads[n].join();
  }
}

TEST_P(RunnerTest, BlocksFollowALongProgram) {
  // Several pages of straight code, then back to the start; more blocks than a flush interval.
  for (u32 i = 0; i < 2000; ++i) code(0x20000 + i * 4, {word(Insn::add_imm, 1, 1, 1)});
  code(0x20000 + 2000 * 4,
       {word(Insn::add_imm, 0, 0, -1), word(Insn::jump_nz, 0, 0, 2), word(Insn::stop), word(Insn::jump_reg, 4)});
  r()[0] = 3;
  r()[4] = 0x20000;
  EXPECT_EQ(run(0x20000), cpu::ExitReason::kicked);
  EXPECT_EQ(r()[1], 6000U);
}

INSTANTIATE_TEST_SUITE_P(Interpreter, RunnerTest,
                         testing::Values("interpreter", "interpreter,one-insn", "interpreter,one-tlb",
                                         "interpreter,flush=1", "interpreter,random-irq=3"));
INSTANTIATE_TEST_SUITE_P(HostCode, RunnerTest,
                         testing::Values("fast", "one-insn", "one-tlb", "flush=1", "no-link", "slow-memory",
                                         "random-irq=5", "one-insn,one-tlb,flush=2"));

}  // namespace
}  // namespace solder::run
