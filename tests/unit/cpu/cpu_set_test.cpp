#include "cpu/cpu_set.h"

#include <gtest/gtest.h>

#include <future>

namespace solder::cpu {
namespace {

class Control final : public MachineControl {
 public:
  void request_shutdown() override { shutdown.set_value(); }
  void request_reset() override {}
  void report_fault(std::string text) override { fault.set_value(std::move(text)); }
  std::promise<void> shutdown;
  std::promise<std::string> fault;
};

/// Spins "in guest code" until kicked, or plays the script of exits it was given.
class Puppet final : public Vcpu {
 public:
  explicit Puppet(u32 index) : index_(index) {}
  u32 index() const override { return index_; }
  ExitReason run() override {
    inside = true;
    ++runs;
    ExitReason reason = next_exit.exchange(ExitReason::kicked);
    if (reason == ExitReason::kicked) {
      while (!kicked_.exchange(false)) std::this_thread::yield();
    }
    inside = false;
    return reason;
  }
  void kick() override { kicked_ = true; }
  bool has_wake_reason() const override { return wake_reason; }
  void set_line(Line, bool) override {}
  void set_wake(std::function<void()> wake) override { wake_ = std::move(wake); }
  void reset(const EntryState& entry) override { entry_pc = entry.pc; }
  void connect_output(u32, interrupt::LevelWire) override {}
  void add_system_registers(SystemRegisters&) override {}
  void set_firmware(FirmwareCalls*) override {}
  std::vector<RegisterValue> registers() const override { return {}; }
  Status set_register(const RegisterValue&) override { return {}; }
  std::string fault_text() const override { return "it broke"; }

  std::atomic<ExitReason> next_exit{ExitReason::kicked};
  std::atomic<bool> inside{false};
  std::atomic<bool> wake_reason{false};
  std::atomic<u64> runs{0};
  u64 entry_pc = 0;
  std::function<void()> wake_;

 private:
  u32 index_;
  std::atomic<bool> kicked_{false};
};

struct Fixture {
  explicit Fixture(u32 count) {
    for (u32 i = 0; i < count; ++i) {
      auto puppet = std::make_unique<Puppet>(i);
      puppets.push_back(puppet.get());
      set.add(std::move(puppet));
    }
    set.start();
  }
  Control control;
  CpuSet set{control};
  std::vector<Puppet*> puppets;
};

TEST(CpuSet, ACpuRunsOnlyOncePoweredOn) {
  Fixture f(1);
  EXPECT_EQ(f.puppets[0]->runs, 0U);
  EXPECT_TRUE(f.set[0].power_on({.pc = 0x40000000}));
  EXPECT_FALSE(f.set[0].power_on({.pc = 1}));
  EXPECT_EQ(f.puppets[0]->entry_pc, 0x40000000U);
  while (!f.puppets[0]->inside) std::this_thread::yield();
}

TEST(CpuSet, ACpuIsOffOnceItsThreadHasLeftTheGuest) {
  Fixture f(1);
  EXPECT_TRUE(f.set[0].off());
  ASSERT_TRUE(f.set[0].power_on({}));
  EXPECT_FALSE(f.set[0].off());
  while (!f.puppets[0]->inside) std::this_thread::yield();
  f.set[0].power_off();
  EXPECT_FALSE(f.set[0].off()) << "it is still in there";
  EXPECT_FALSE(f.set[0].power_on({}));
  f.puppets[0]->kick();
  while (!f.set[0].off()) std::this_thread::yield();
  EXPECT_TRUE(f.set[0].power_on({})) << "who sees it off may start it";
}

TEST(CpuSet, QueuedWorkRunsInOrderOnTheCpusThread) {
  Fixture f(1);
  f.set[0].power_on({});
  std::vector<int> order;
  f.set[0].post([&] { order.push_back(1); });
  f.set[0].post([&] { order.push_back(2); });
  f.set[0].run_on([&] {
    order.push_back(3);
    f.set[0].run_on([&] { order.push_back(4); });
  });
  EXPECT_EQ(order, (std::vector<int>{1, 2, 3, 4}));
}

TEST(CpuSet, ExclusiveWorkMeetsNobodyInGuestCode) {
  Fixture f(3);
  for (usize i = 0; i < 3; ++i) f.set[i].power_on({});
  for (int round = 0; round < 50; ++round) {
    f.set.exclusive([&] {
      for (const Puppet* p : f.puppets) EXPECT_FALSE(p->inside);
    });
  }
}

TEST(CpuSet, PausesNest) {
  Fixture f(1);
  f.set[0].power_on({});
  f.set.pause();
  f.set.pause();
  f.set.resume();
  EXPECT_FALSE(f.puppets[0]->inside);
  const u64 runs = f.puppets[0]->runs;
  f.set.resume();
  while (f.puppets[0]->runs == runs) std::this_thread::yield();
}

TEST(CpuSet, PostedWorkIsDoneWhilePaused) {
  Fixture f(3);  // the last one stays off
  f.set[0].power_on({});
  f.set[1].power_on({});
  f.set.pause();
  std::atomic<int> done{0};
  f.set[0].post([&] {
    ++done;
    f.set[1].post([&] {
      ++done;
      f.set[2].post([&] {
        ++done;
        f.set[2].power_on({.pc = 0x8000});
      });
      f.set[0].post([&] { ++done; });
    });
  });
  f.set.finish_posted();
  EXPECT_EQ(done, 4) << "and what it posted";
  EXPECT_TRUE(f.set[2].powered());
  EXPECT_EQ(f.puppets[2]->entry_pc, 0x8000U);
  for (const Puppet* p : f.puppets) EXPECT_FALSE(p->inside);
  f.set.resume();
  while (!f.puppets[2]->inside) std::this_thread::yield();
}

TEST(CpuSet, AHaltedCpuSleepsUntilWoken) {
  Fixture f(1);
  f.puppets[0]->next_exit = ExitReason::halted;
  f.set[0].power_on({});
  while (f.puppets[0]->runs == 0 || f.puppets[0]->inside) std::this_thread::yield();
  f.puppets[0]->wake_();
  while (f.puppets[0]->runs < 2) std::this_thread::yield();
}

TEST(CpuSet, TellsTheMachineOfShutdownAndFault) {
  Fixture f(2);
  f.puppets[0]->next_exit = ExitReason::shutdown;
  f.puppets[1]->next_exit = ExitReason::fault;
  f.set[0].power_on({});
  f.set[1].power_on({});
  f.control.shutdown.get_future().wait();
  EXPECT_EQ(f.control.fault.get_future().get(), "it broke");
}

TEST(CpuSet, StopsWhilePaused) {
  Fixture f(2);
  f.set[0].power_on({});
  f.set[1].power_on({});
  f.set.pause();
  f.set.stop();
}

TEST(CpuSet, ADebugExitGoesToTheHandlerAndTheCpuGoesOn) {
  Fixture f(1);
  std::promise<std::string> told;
  f.set.set_debug_handler([&](VcpuThread& thread) { told.set_value(thread.vcpu().fault_text()); });
  f.puppets[0]->next_exit = ExitReason::debug;
  f.set[0].power_on({});
  EXPECT_EQ(told.get_future().get(), "it broke");
  while (f.puppets[0]->runs < 2) std::this_thread::yield();
  EXPECT_TRUE(f.set[0].powered());
}

TEST(CpuSet, ADebugExitThatNobodyWaitsForIsAFault) {
  Fixture f(1);
  f.puppets[0]->next_exit = ExitReason::debug;
  f.set[0].power_on({});
  const std::string text = f.control.fault.get_future().get();
  EXPECT_NE(text.find("debugger"), std::string::npos) << text;
  EXPECT_NE(text.find("it broke"), std::string::npos) << text;
  while (f.set[0].powered()) std::this_thread::yield();
}

TEST(CpuSet, WorkForTheGuestPausesWithTheCpus) {
  Fixture f(1);
  const std::atomic<bool> never{false};
  ASSERT_TRUE(f.set.enter_work(never));
  std::atomic<bool> paused{false};
  std::thread pauser([&] {
    f.set.pause();
    paused = true;
  });
  for (int i = 0; i < 1000; ++i) std::this_thread::yield();
  EXPECT_FALSE(paused) << "it waits for the work";
  f.set.leave_work();
  pauser.join();
  std::atomic<bool> stopping{false};
  std::promise<bool> entered;
  std::thread worker([&] { entered.set_value(f.set.enter_work(stopping)); });
  stopping = true;
  f.set.wake_work();
  EXPECT_FALSE(entered.get_future().get()) << "it does not begin, and can be told to give up";
  worker.join();
  f.set.resume();
  EXPECT_TRUE(f.set.enter_work(never));
  f.set.leave_work();
}

}  // namespace
}  // namespace solder::cpu
