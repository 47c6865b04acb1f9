#include <stdexcept>

#include "differential/arm64/executor.h"
#include "guest/arm64/cpu.h"
#include "guest/arm64/helpers.h"
#include "support/flat_memory.h"
#include "translator/host_x64/compiler.h"
#include "translator/ir/context.h"

namespace solder::test {
namespace {

using ir::CoreState;
using ir::MemAttr;

/// The memory of the engine that runs on this thread: hooks get nothing but the state.
thread_local FlatMemory* hook_memory = nullptr;

MemAttr attr_of(u32 packed) {
  return MemAttr::unpack(static_cast<u16>(packed));
}

constexpr host_x64::RuntimeHooks kHooks{
    .load = [](CoreState*, u64 address, u32 attr, ir::V128* value) -> u64 {
      return hook_memory->load(address, attr_of(attr), *value) ? 0 : 1;
    },
    .store = [](CoreState*, u64 address, u32 attr, const ir::V128* value) -> u64 {
      return hook_memory->store(address, attr_of(attr), *value) ? 0 : 1;
    },
    .compare_exchange = [](CoreState*, u64 address, u32 attr, const ir::V128* expected, const ir::V128* desired,
                           ir::V128* old) -> u64 {
      return hook_memory->compare_exchange(address, attr_of(attr), *expected, *desired, *old) ? 0 : 1;
    },
    .read_modify_write = [](CoreState*, u64 address, u32 attr, u64 operand, u64* old) -> u64 {
      return hook_memory->read_modify_write(address, attr_of(attr), static_cast<ir::Rmw>(attr >> 16), operand, *old)
                 ? 0
                 : 1;
    }};

class CompiledEngine final : public Engine {
 public:
  CompiledEngine(bool slow_memory, bool fallbacks) {
    host_x64::CompilerOptions options;
    options.buffer_bytes = u64{16} << 20;
    options.force_slow_memory = slow_memory;
    options.force_fallback = fallbacks;
    const arm64::Arm64Cpu cpu{cpu::CpuRequest{}};
    auto made = host_x64::Compiler::create(cpu.layout(), arm64::helper_table(), kHooks, options);
    if (!made) throw std::runtime_error(made.error().text());
    compiler_ = std::move(*made);
    ir::TlbEntry& entry = context_->tlb[ir::Context::tlb_index(kDataBase)];
    entry.read_tag = entry.write_tag = kDataBase;
    entry.addend = reinterpret_cast<u64>(memory_.bytes().data()) - kDataBase;
  }

  bool run(const ir::Block& block, u64 pc, CoreState& state) override {
    hook_memory = &memory_;
    memory_.clear_fault();
    auto compiled = compiler_->compile(block, static_cast<u32>(pc & 4095));
    if (compiled == nullptr) {
      compiler_->reset();
      compiled = compiler_->compile(block, static_cast<u32>(pc & 4095));
    }
    state.context = state.unprivileged = context_.get();
    const host_x64::LeaveInfo left = compiler_->enter(&state, compiled->entry);
    if (left.why == host_x64::Leave::interpret)
      throw std::runtime_error("the emitter left an instruction to the interpreter");
    return !memory_.faulted();
  }
  std::span<u8> data() override { return std::span(memory_.bytes()).first(kDataSize); }

 private:
  FlatMemory memory_{kDataBase, 4096};
  std::unique_ptr<ir::Context> context_ = std::make_unique<ir::Context>();
  std::unique_ptr<host_x64::Compiler> compiler_;
};

}  // namespace

std::unique_ptr<Engine> make_compiled_engine(bool slow_memory, bool fallbacks) {
  return std::make_unique<CompiledEngine>(slow_memory, fallbacks);
}

}  // namespace solder::test
