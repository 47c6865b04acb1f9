#include <cstring>

#include "differential/arm64/executor.h"
#include "guest/arm64/cpu.h"
#include "guest/arm64/helpers.h"
#include "support/flat_memory.h"
#include "time/clock.h"
#include "translator/interpreter/interpreter.h"

namespace solder::test {
namespace {

using ir::CoreState;

class InterpreterEngine final : public Engine {
 public:
  bool run(const ir::Block& block, u64 pc, CoreState& state) override {
    memory_.clear_fault();
    interpreter_.run(block, pc, state);
    return !memory_.faulted();
  }
  std::span<u8> data() override { return memory_.bytes(); }

 private:
  FlatMemory memory_{kDataBase, kDataSize};
  interpreter::Interpreter interpreter_{arm64::helper_table(), memory_};
};

struct Flag {
  u32 nzcv;
  u32 image;
};
constexpr Flag kFlags[] = {
    {1U << 31, ir::kFlagN}, {1U << 30, ir::kFlagZ}, {1U << 29, ir::kFlagC}, {1U << 28, ir::kFlagV}};

class FrontEndExecutor final : public Executor {
 public:
  explicit FrontEndExecutor(std::unique_ptr<Engine> engine) : engine_(std::move(engine)) {}

  Ended run(Machine& m, std::span<const u32> code) override {
    arm64::Arm64State& s = cpu_.arch();
    s.cpacr_el1 = 3U << 20;  // FP and SIMD do not trap
    s.esr_el1 = kNoException;
    s.x = m.x;
    s.sp = m.sp;
    s.v = m.v;
    s.fpcr = m.fpcr & arm64::kFpcrMask;
    s.core.fp_status = m.fpsr;
    s.core.flags = 0;
    for (const Flag& f : kFlags)
      if ((m.nzcv & f.nzcv) != 0) s.core.flags |= f.image;
    s.core.pc = kCodeBase;
    s.core.pc_page = kCodeBase;
    cpu_.mode_changed();
    std::copy(m.data.begin(), m.data.end(), engine_->data().begin());

    const std::span<const u8> bytes(reinterpret_cast<const u8*>(code.data()), code.size_bytes());
    bool memory_good = true;
    while (memory_good && s.esr_el1 == kNoException && s.core.pc - kCodeBase < code.size_bytes()) {
      const u64 delta = s.core.pc - kCodeBase;
      cpu_.translate({.pc = s.core.pc, .code = bytes.subspan(delta), .key = cpu_.key()}, block_);
      memory_good = engine_->run(block_, s.core.pc, s.core);
    }

    m.x = s.x;
    m.sp = s.sp;
    m.v = s.v;
    m.fpsr = s.core.fp_status;
    m.nzcv = 0;
    for (const Flag& f : kFlags)
      if ((s.core.flags & f.image) != 0) m.nzcv |= f.nzcv;
    m.pc = s.core.pc - kCodeBase;
    std::copy(engine_->data().begin(), engine_->data().end(), m.data.begin());
    if (!memory_good) return Ended::faulted;
    if (s.esr_el1 == kNoException) return Ended::normally;
    return (s.esr_el1 >> 26) == 0 ? Ended::undefined : Ended::faulted;
  }

 private:
  static constexpr u64 kNoException = ~u64{0};
  static cpu::CpuRequest request(time::Clock& clock, time::TimerQueue& timers) {
    cpu::CpuRequest r;
    r.clock = &clock;
    r.timers = &timers;
    return r;
  }
  time::Clock clock_;
  time::TimerQueue timers_{clock_};
  arm64::Arm64Cpu cpu_{request(clock_, timers_)};
  std::unique_ptr<Engine> engine_;
  ir::Block block_;
};

}  // namespace

std::unique_ptr<Engine> make_interpreter_engine() {
  return std::make_unique<InterpreterEngine>();
}

std::unique_ptr<Executor> make_front_end_executor(std::unique_ptr<Engine> engine) {
  return std::make_unique<FrontEndExecutor>(std::move(engine));
}

}  // namespace solder::test
