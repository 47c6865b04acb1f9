#include "differential/executors.h"
#include "guest/arm64/cpu.h"
#include "guest/arm64/exception_bits.h"
#include "support/flat_memory.h"
#include "translator/interpreter/interpreter.h"

namespace solder::differential {
namespace {

/// Decode table → Builder → IR interpreter, at EL1 with the MMU out of the way.
class InterpreterExecutor final : public Executor {
 public:
  InterpreterExecutor() : cpu_(cpu::CpuRequest{}), memory_(kDataBase, kDataSize) {}

  void fill(const std::vector<u8>& data) override { memory_.bytes() = data; }
  std::vector<u8> data() override { return memory_.bytes(); }

  Outcome run(const Case& test) override {
    arm64::Arm64State& s = cpu_.arch();
    const Registers& r = test.registers;
    s.cpacr_el1 = u64{3} << 20;
    s.el = 1;
    s.sp_sel = 1;
    s.x = r.x;
    s.sp = r.sp;
    s.v = r.v;
    s.fpcr = r.fpcr;
    s.core.fp_status = r.fpsr;
    s.core.flags = arm64::flags_of(r.nzcv);
    s.core.pc = r.pc;
    cpu_.mode_changed();

    const u8 code[4] = {static_cast<u8>(test.word), static_cast<u8>(test.word >> 8), static_cast<u8>(test.word >> 16),
                        static_cast<u8>(test.word >> 24)};
    ir::TranslateRequest request;
    request.pc = r.pc;
    request.code = code;
    request.key = cpu_.key();
    request.single = true;
    cpu_.translate(request, block_);
    if (const std::string wrong = ir::verify(block_); !wrong.empty())
      throw std::runtime_error(wrong + "\n" + ir::print(block_));
    memory_.clear_fault();
    interpreter::Interpreter interpreter(cpu_.helpers(), memory_);
    const interpreter::End end = interpreter.run(block_, r.pc, s.core);

    Outcome outcome;
    outcome.exception = end == interpreter::End::exception;
    outcome.registers = {s.x, s.sp, s.core.pc, static_cast<u32>(arm64::nzcv_of(s.core.flags)), s.fpcr, s.core.fp_status,
                         s.v};
    return outcome;
  }

 private:
  arm64::Arm64Cpu cpu_;
  test::FlatMemory memory_;
  ir::Block block_;
};

}  // namespace

std::unique_ptr<Executor> make_interpreter() {
  return std::make_unique<InterpreterExecutor>();
}

}  // namespace solder::differential
