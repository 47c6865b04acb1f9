#include "translator/host_x64/compiler.h"

#include <xbyak/xbyak_util.h>

#include <atomic>
#include <mutex>
#include <unordered_map>

#include "base/check.h"
#include "translator/host_x64/code_buffer.h"
#include "translator/host_x64/disassembler.h"
#include "translator/host_x64/emitter.h"

namespace solder::host_x64 {
namespace {

using Xbyak::util::Cpu;

/// What one emission may need at most before the buffer's end is noticed; blocks are a few KiB.
constexpr usize kChunkBytes = 256_KiB;
constexpr usize kThunkBytes = 64_KiB;
constexpr u32 kKillDistance = 10;  ///< the kill exit lies so many bytes before the entry

/// Places one emitter has still free.
struct Worker {
  explicit Worker(const EmitterConfig& config) : emitter(config) {}
  Emitter emitter;
  Chunk chunk;
};

class CompilerImpl final : public Compiler {
 public:
  CompilerImpl(std::unique_ptr<CodeBuffer> buffer, const ir::GuestLayout& layout, std::span<const ir::Helper> helpers,
               const HostFeatures& features, const CompilerOptions& options)
      : buffer_(std::move(buffer)),
        pins_(layout.hot_registers),
        helpers_(helpers.begin(), helpers.end()),
        config_{pins_, thunks_, helpers_, layout.state_size, features, options} {}

  bool write_thunks(const RuntimeHooks& hooks) {
    const Chunk chunk = buffer_->allocate(kThunkBytes);
    if (chunk.begin == nullptr) return false;
    Assembler a;
    a.set_buffer(chunk.begin, chunk.end);
    thunks_ = emit_thunks(a, pins_, hooks);
    buffer_->keep_allocated();
    return true;
  }

  std::unique_ptr<Compiled> compile(const ir::Block& block, u32 page_offset) override {
    SOLDER_CHECK(page_offset < 4096, "a block starts inside its page");
    std::unique_ptr<Worker> worker = borrow();
    std::unique_ptr<Compiled> compiled = compile_with(*worker, block, page_offset);
    give_back(std::move(worker));
    return compiled;
  }

  LeaveInfo enter(ir::CoreState* state, const u8* entry) override {
    using Enter = LeaveResult (*)(ir::CoreState*, const u8*);
    const auto thunk = reinterpret_cast<Enter>(buffer_->executable(const_cast<u8*>(thunks_.enter)));
    const LeaveResult result = thunk(state, entry);
    return {static_cast<Leave>(result.why), result.slot};
  }

  void link(u8* slot, const u8* target) override {
    const std::scoped_lock lock(links_mutex_);
    originals_.try_emplace(slot, patch(slot, static_cast<i32>(target - (slot + 4))));
  }

  void unlink(u8* slot) override {
    const std::scoped_lock lock(links_mutex_);
    const auto found = originals_.find(slot);
    if (found == originals_.end()) return;
    patch(slot, found->second);
  }

  void kill(u8* entry) override {
    // A short jump over the first two bytes of the entry's four-byte compare: a CPU sees the one or the other, and one
    // that is past the compare already does not read those bytes.
    const u16 jump = static_cast<u16>(0xeb | (static_cast<u8>(-static_cast<int>(kKillDistance) - 2) << 8));
    std::atomic_ref<u16>(*reinterpret_cast<u16*>(buffer_->writable(entry))).store(jump, std::memory_order_release);
  }

  void reset() override {
    const std::scoped_lock lock(workers_mutex_, links_mutex_);
    buffer_->reset();
    originals_.clear();
    for (const auto& worker : idle_) worker->chunk = {};
    bytes_used_ = 0;
  }

  [[nodiscard]] u64 bytes_used() const override { return bytes_used_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::string disassemble(const Compiled& compiled) const override;

 private:
  /// Replaces the displacement at `slot`, which a CPU may be about to read, and returns the old one. Its four bytes are
  /// anywhere in an aligned word of eight (Assembler::align_rel32); what else is in there may change meanwhile.
  i32 patch(u8* slot, i32 value) {
    u8* at = buffer_->writable(slot);
    const usize offset = reinterpret_cast<usize>(at) & 7;
    const std::atomic_ref<u64> word(*reinterpret_cast<u64*>(at - offset));
    const u64 mask = u64{0xffffffff} << (8 * offset);
    u64 before = word.load(std::memory_order_relaxed);
    u64 after = 0;
    do {
      after = (before & ~mask) | u64{static_cast<u32>(value)} << (8 * offset);
    } while (!word.compare_exchange_weak(before, after, std::memory_order_release, std::memory_order_relaxed));
    return static_cast<i32>(before >> (8 * offset));
  }

  std::unique_ptr<Worker> borrow() {
    const std::scoped_lock lock(workers_mutex_);
    if (idle_.empty()) return std::make_unique<Worker>(config_);
    std::unique_ptr<Worker> worker = std::move(idle_.back());
    idle_.pop_back();
    return worker;
  }
  void give_back(std::unique_ptr<Worker> worker) {
    const std::scoped_lock lock(workers_mutex_);
    idle_.push_back(std::move(worker));
  }

  std::unique_ptr<Compiled> compile_with(Worker& worker, const ir::Block& block, u32 page_offset) {
    Emitter& emitter = worker.emitter;
    bool interpret = false;
    for (bool fresh = false;;) {
      if (worker.chunk.begin == nullptr) {
        worker.chunk = buffer_->allocate(kChunkBytes);
        if (worker.chunk.begin == nullptr) return nullptr;
        fresh = true;
      }
      try {
        if (interpret) {
          emitter.compile_interpret(page_offset, worker.chunk.begin, worker.chunk.end);
        } else {
          emitter.compile(block, page_offset, worker.chunk.begin, worker.chunk.end);
        }
        break;
      } catch (const TooComplex&) {
        interpret = true;
      } catch (const Xbyak::Error& error) {
        SOLDER_CHECK(static_cast<int>(error) == Xbyak::ERR_CODE_IS_TOO_BIG, error.what());
        // Larger than a chunk: nothing will hold it.
        if (fresh) interpret = true;
        worker.chunk = {};
        fresh = false;
      }
    }
    auto compiled = std::make_unique<Compiled>();
    u8* const entry = worker.chunk.begin + emitter.entry;
    compiled->entry = buffer_->executable(entry);
    compiled->size = emitter.size - emitter.entry;
    compiled->links = emitter.links;
    if (config_.options.record_pcs) compiled->pcs = emitter.pcs;
    const usize taken = (emitter.size + 15) & ~usize{15};
    bytes_used_.fetch_add(taken, std::memory_order_relaxed);
    worker.chunk.begin += taken;
    if (worker.chunk.end - worker.chunk.begin < 64) worker.chunk = {};
    return compiled;
  }

  std::unique_ptr<CodeBuffer> buffer_;
  Pins pins_;
  std::vector<ir::Helper> helpers_;
  Thunks thunks_;
  EmitterConfig config_;
  std::mutex workers_mutex_;
  std::vector<std::unique_ptr<Worker>> idle_;
  std::mutex links_mutex_;
  std::unordered_map<u8*, i32> originals_;  ///< what link slots held before they were linked
  std::atomic<u64> bytes_used_{0};
};

}  // namespace

std::string CompilerImpl::disassemble(const Compiled& compiled) const {
  return disassemble_code(compiled.entry, compiled.size);
}

Result<std::unique_ptr<Compiler>> Compiler::create(const ir::GuestLayout& layout, std::span<const ir::Helper> helpers,
                                                   const RuntimeHooks& hooks, CompilerOptions options) {
  const Cpu cpu;
  const bool level3 = cpu.has(Cpu::tAVX2) && cpu.has(Cpu::tBMI1) && cpu.has(Cpu::tBMI2) && cpu.has(Cpu::tFMA) &&
                      cpu.has(Cpu::tMOVBE) && cpu.has(Cpu::tLZCNT) && cpu.has(Cpu::tPOPCNT) && cpu.has(Cpu::tF16C);
  if (!level3) {
    return fail("translator", "this host CPU has no AVX2, BMI, FMA, MOVBE or F16C, which translated code uses",
                "run with the interpreter, or on a host of x86-64-v3 (Haswell, Zen or later)");
  }
  HostFeatures features;
  features.aes = cpu.has(Cpu::tAESNI);
  features.sha = cpu.has(Cpu::tSHA);
  features.pclmul = cpu.has(Cpu::tPCLMULQDQ);
  features.crc32 = cpu.has(Cpu::tSSE42);
  u32 registers[4] = {};
  Cpu::getCpuid(1, registers);
  features.cmpxchg16b = (registers[2] & (1U << 13)) != 0;
  if (options.buffer_bytes > u64{1} << 30) {
    return fail("translator", "a code buffer of more than 1 GiB is out of reach of relative jumps", "make it smaller");
  }
  auto buffer = SOLDER_TRY(CodeBuffer::create(options.buffer_bytes));
  auto compiler = std::make_unique<CompilerImpl>(std::move(buffer), layout, helpers, features, options);
  if (!compiler->write_thunks(hooks)) {
    return fail("translator", "the code buffer is too small for a single block", "make it 1 MiB or larger");
  }
  return compiler;
}

}  // namespace solder::host_x64
