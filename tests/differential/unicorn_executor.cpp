#include <unicorn/unicorn.h>

#include <stdexcept>

#include "differential/executors.h"

namespace solder::differential {
namespace {

/// Unicorn's arm64 "max" CPU. Every case has its own address, so that Unicorn's code cache is never stale; when the
/// code region is full, a new engine takes over.
class UnicornExecutor final : public Executor {
 public:
  UnicornExecutor() { open(); }
  ~UnicornExecutor() override { uc_close(engine_); }
  UnicornExecutor(const UnicornExecutor&) = delete;
  UnicornExecutor& operator=(const UnicornExecutor&) = delete;

  void fill(const std::vector<u8>& data) override { check(uc_mem_write(engine_, kDataBase, data.data(), data.size())); }
  std::vector<u8> data() override {
    std::vector<u8> bytes(kDataSize);
    check(uc_mem_read(engine_, kDataBase, bytes.data(), bytes.size()));
    return bytes;
  }

  Outcome run(const Case& test) override {
    if (test.registers.pc < next_) {
      const std::vector<u8> kept = data();
      uc_close(engine_);
      open();
      fill(kept);
    }
    next_ = test.registers.pc + 4;
    check(uc_mem_write(engine_, test.registers.pc, &test.word, 4));
    Registers r = test.registers;
    transfer(r, true);
    const uc_err error = uc_emu_start(engine_, r.pc, ~u64{0}, 0, 1);
    Outcome outcome;
    outcome.exception = error != UC_ERR_OK;
    outcome.registers = r;
    transfer(outcome.registers, false);
    return outcome;
  }

 private:
  static void check(uc_err error) {
    if (error != UC_ERR_OK) throw std::runtime_error(uc_strerror(error));
  }

  void open() {
    check(uc_open(UC_ARCH_ARM64, UC_MODE_ARM, &engine_));
    check(uc_ctl_set_cpu_model(engine_, UC_CPU_ARM64_MAX));
    check(uc_mem_map(engine_, kCodeBase, kCodeSize, UC_PROT_ALL));
    check(uc_mem_map(engine_, kDataBase, kDataSize, UC_PROT_READ | UC_PROT_WRITE));
    u64 cpacr = u64{3} << 20;
    check(uc_reg_write(engine_, UC_ARM64_REG_CPACR_EL1, &cpacr));
    next_ = 0;
  }

  void transfer(Registers& r, bool write) {
    u64 nzcv = r.nzcv;
    u64 fpcr = r.fpcr;
    u64 fpsr = r.fpsr;
    const auto one = [&](int id, void* value) {
      check(write ? uc_reg_write(engine_, id, value) : uc_reg_read(engine_, id, value));
    };
    for (int n = 0; n < 29; ++n) one(UC_ARM64_REG_X0 + n, &r.x[static_cast<usize>(n)]);
    one(UC_ARM64_REG_X29, &r.x[29]);
    one(UC_ARM64_REG_X30, &r.x[30]);
    one(UC_ARM64_REG_SP, &r.sp);
    if (!write) one(UC_ARM64_REG_PC, &r.pc);
    one(UC_ARM64_REG_NZCV, &nzcv);
    one(UC_ARM64_REG_FPCR, &fpcr);
    one(UC_ARM64_REG_FPSR, &fpsr);
    for (int n = 0; n < 32; ++n) one(UC_ARM64_REG_V0 + n, &r.v[static_cast<usize>(n)]);
    r.nzcv = static_cast<u32>(nzcv);
    r.fpcr = static_cast<u32>(fpcr);
    r.fpsr = static_cast<u32>(fpsr);
  }

  uc_engine* engine_ = nullptr;
  u64 next_ = 0;
};

}  // namespace

std::unique_ptr<Executor> make_unicorn() {
  return std::make_unique<UnicornExecutor>();
}

}  // namespace solder::differential
