/// The test accelerator: CPUs that exist and never run, and commands that stand in for them. What a CPU would do to the
/// machine (accesses, interrupts taken, time that passes) scripts and fuzzers do.
#pragma once

#include <array>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "cpu/vcpu.h"

namespace solder::accel::test {

/// Of all CPUs: a change of any line.
struct Lines {
  std::mutex mutex;
  std::condition_variable changed;
};

/// Remembers what the machine does to a CPU.
class TestVcpu final : public cpu::Vcpu {
 public:
  /// `started` is called when the CPU is first started.
  TestVcpu(u32 index, std::shared_ptr<Lines> lines, std::function<void()> started)
      : index_(index), lines_(std::move(lines)), started_(std::move(started)) {}

  [[nodiscard]] u32 index() const override { return index_; }
  cpu::ExitReason run() override { return cpu::ExitReason::halted; }
  void kick() override {}
  [[nodiscard]] bool has_wake_reason() const override { return false; }
  void set_line(cpu::Line line, bool level) override;
  void set_wake(std::function<void()> wake) override { (void)wake; }
  void reset(const cpu::EntryState& entry) override;
  void connect_output(u32 index, interrupt::LevelWire wire) override;
  void add_system_registers(cpu::SystemRegisters& registers) override { systems_.push_back(&registers); }
  void set_firmware(cpu::FirmwareCalls* firmware) override { firmware_ = firmware; }
  void set_cpu_interface(interrupt::CpuInterface* interface) override { interface_ = interface; }
  void raise_nmi() override;
  [[nodiscard]] std::vector<cpu::RegisterValue> registers() const override { return {}; }
  [[nodiscard]] Status set_register(const cpu::RegisterValue& value) override;
  [[nodiscard]] std::string fault_text() const override { return {}; }

  [[nodiscard]] bool line(cpu::Line line) const;
  [[nodiscard]] u64 nmis() const;
  /// How often the CPU was started, and where it would run.
  [[nodiscard]] u64 starts() const;
  [[nodiscard]] u64 entry() const;
  /// Null: no such output.
  [[nodiscard]] interrupt::LevelWire* output(u32 index);
  /// Null: nobody has it.
  [[nodiscard]] cpu::SystemRegisters* system_registers(u32 encoding) const;
  [[nodiscard]] cpu::FirmwareCalls* firmware() const { return firmware_; }
  [[nodiscard]] interrupt::CpuInterface* cpu_interface() const { return interface_; }

 private:
  u32 index_;
  std::shared_ptr<Lines> lines_;  // its mutex guards the state
  std::function<void()> started_;
  std::array<bool, static_cast<usize>(cpu::Line::count)> levels_{};
  u64 nmis_ = 0;
  u64 starts_ = 0;
  u64 entry_ = 0;
  std::vector<interrupt::LevelWire> outputs_;
  std::vector<cpu::SystemRegisters*> systems_;
  cpu::FirmwareCalls* firmware_ = nullptr;
  interrupt::CpuInterface* interface_ = nullptr;
};

class TestBench;

/// Who gives a bench its commands.
class Commander {
 public:
  virtual ~Commander() = default;
  /// The machine is complete.
  virtual void bench_starts(TestBench& bench) = 0;
  /// No command runs when this returns, and none comes any more.
  virtual void bench_stops(TestBench& bench) = 0;
};

/// One machine without running CPUs, and its commands. Not for several threads at once.
class TestBench final : public cpu::Accelerator {
 public:
  explicit TestBench(std::shared_ptr<Commander> commander = nullptr);
  ~TestBench() override;

  // cpu::Accelerator
  [[nodiscard]] std::string name() const override { return "test"; }
  [[nodiscard]] Result<std::unique_ptr<cpu::Vcpu>> create_vcpu(const cpu::CpuRequest& request) override;
  [[nodiscard]] bool runs_code() const override { return false; }
  void machine_stops() override;

  /// Carries out one command (docs/control.md) and returns "OK", "OK value" or "ERR text".
  [[nodiscard]] std::string execute(std::string_view command);
  /// Whether a command asked for the machine's end or reset: it takes no other.
  [[nodiscard]] bool ending() const { return ending_; }
  /// Lets a wait in `execute` end at once, from another thread.
  void interrupt_wait();

  // What the commands do, for fuzzers in the same process.
  [[nodiscard]] const std::vector<TestVcpu*>& cpus() const { return cpus_; }
  /// Lets machine time pass; timers fire at their times. Errors: they fire without end.
  [[nodiscard]] Result<time::Nanoseconds> step(time::Nanoseconds by);

 private:
  struct Words;
  using Answer = Result<std::string>;
  Answer dispatch(Words& words);
  Answer access(std::string_view verb, bool write, unsigned size, bool port, Words& words);
  Answer memory_read(Words& words);
  Answer memory_write(Words& words);
  Answer clock_step(Words& words);
  Answer clock_set(Words& words);
  Answer lines(Words& words);
  Answer wait_line(Words& words);
  Answer system_read(Words& words);
  Answer system_write(Words& words);
  Answer firmware_call(Words& words);
  Answer acknowledge(Words& words);
  Answer output(Words& words);
  Answer cpu_state(Words& words);
  Result<TestVcpu*> cpu(Words& words);

  std::shared_ptr<Commander> commander_;  // null: whoever made the bench
  std::shared_ptr<Lines> lines_;
  std::vector<TestVcpu*> cpus_;  // owned by the machine
  memory::AddressSpace* memory_ = nullptr;
  memory::AddressSpace* ports_ = nullptr;
  time::Clock* clock_ = nullptr;
  time::TimerQueue* timers_ = nullptr;
  cpu::MachineControl* control_ = nullptr;
  bool ending_ = false;
  bool interrupted_ = false;  // under the lines' mutex
};

}  // namespace solder::accel::test
