#include <unicorn/unicorn.h>

#include <cstring>

#include "differential/arm64/executor.h"

namespace solder::test {
namespace {

constexpr u64 kCodeSize = 0x10'0000;
constexpr u64 kDataMapped = 0x1000;

class UnicornExecutor final : public Executor {
 public:
  ~UnicornExecutor() override {
    if (engine_ != nullptr) uc_close(engine_);
  }

  bool open() {
    if (uc_open(UC_ARCH_ARM64, UC_MODE_ARM, &engine_) != UC_ERR_OK) return false;
    uc_ctl_set_cpu_model(engine_, UC_CPU_ARM64_MAX);
    if (uc_mem_map(engine_, kCodeBase, kCodeSize, UC_PROT_ALL) != UC_ERR_OK) return false;
    if (uc_mem_map(engine_, kDataBase, kDataMapped, UC_PROT_READ | UC_PROT_WRITE) != UC_ERR_OK) return false;
    for (int n = 0; n <= 28; ++n) ids_.push_back(UC_ARM64_REG_X0 + n);
    ids_.push_back(UC_ARM64_REG_X29);
    ids_.push_back(UC_ARM64_REG_X30);
    ids_.push_back(UC_ARM64_REG_SP);
    for (int n = 0; n < 32; ++n) ids_.push_back(UC_ARM64_REG_V0 + n);
    ids_.push_back(UC_ARM64_REG_NZCV);
    ids_.push_back(UC_ARM64_REG_FPCR);
    ids_.push_back(UC_ARM64_REG_FPSR);
    return true;
  }

  Ended run(Machine& m, std::span<const u32> code) override {
    // The same code stays where it is; other code gets a fresh place, so that nothing translated is stale.
    if (!std::equal(code.begin(), code.end(), last_.begin(), last_.end())) {
      next_ += last_.size() * 4;
      if (next_ + code.size_bytes() > kCodeSize) {
        uc_ctl_remove_cache(engine_, kCodeBase, kCodeBase + kCodeSize);
        next_ = 0;
      }
      last_.assign(code.begin(), code.end());
      uc_mem_write(engine_, kCodeBase + next_, code.data(), code.size_bytes());
    }
    u64 nzcv = m.nzcv;
    u64 fpcr = m.fpcr;
    u64 fpsr = m.fpsr;
    std::vector<void*> values;
    for (u64& x : m.x) values.push_back(&x);
    values.push_back(&m.sp);
    for (ir::V128& v : m.v) values.push_back(&v);
    for (u64* value : {&nzcv, &fpcr, &fpsr}) values.push_back(value);

    uc_mem_write(engine_, kDataBase, m.data.data(), m.data.size());
    uc_reg_write_batch(engine_, ids_.data(), values.data(), static_cast<int>(ids_.size()));
    const u64 start = kCodeBase + next_;
    const uc_err error = uc_emu_start(engine_, start, start + code.size_bytes(), 0, 0);
    uc_reg_read_batch(engine_, ids_.data(), values.data(), static_cast<int>(ids_.size()));
    uc_mem_read(engine_, kDataBase, m.data.data(), m.data.size());
    u64 pc = 0;
    uc_reg_read(engine_, UC_ARM64_REG_PC, &pc);
    m.pc = pc - start;
    m.nzcv = static_cast<u32>(nzcv) & 0xf0000000;
    m.fpcr = static_cast<u32>(fpcr);
    m.fpsr = static_cast<u32>(fpsr);
    if (error == UC_ERR_OK) return Ended::normally;
    return error == UC_ERR_EXCEPTION || error == UC_ERR_INSN_INVALID ? Ended::undefined : Ended::faulted;
  }

 private:
  uc_engine* engine_ = nullptr;
  std::vector<int> ids_;
  std::vector<u32> last_;
  u64 next_ = 0;
};

}  // namespace

std::unique_ptr<Executor> make_unicorn_executor() {
  auto executor = std::make_unique<UnicornExecutor>();
  if (!executor->open()) return nullptr;
  return executor;
}

}  // namespace solder::test
