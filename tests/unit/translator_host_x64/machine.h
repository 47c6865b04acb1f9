/// Runs blocks on the emitter the way the run time would: a compiler, a context whose TLB knows one array, hooks to it.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "support/flat_memory.h"
#include "support/random_ir.h"
#include "translator/host_x64/compiler.h"
#include "translator/interpreter/interpreter.h"
#include "translator/ir/context.h"

namespace solder::test {

/// A TestState's memory for the hooks, which get nothing but the state.
inline thread_local FlatMemory* hook_memory = nullptr;

class HostMachine {
 public:
  explicit HostMachine(host_x64::CompilerOptions options = {}, unsigned pins = ~0U, u64 arena = 0x40000000,
                       usize arena_bytes = 0x4000)
      : memory(arena, arena_bytes), context(std::make_unique<ir::Context>()) {
    options.buffer_bytes = u64{16} << 20;
    ir::GuestLayout layout = test_layout();
    layout.hot_registers = layout.hot_registers.first(std::min<usize>(pins, layout.hot_registers.size()));
    const host_x64::RuntimeHooks hooks{
        .load = [](ir::CoreState*, u64 address, u32 attr, ir::V128* value) -> u64 {
          return hook_memory->load(address, ir::MemAttr::unpack(static_cast<u16>(attr)), *value) ? 0 : 1;
        },
        .store = [](ir::CoreState*, u64 address, u32 attr, const ir::V128* value) -> u64 {
          return hook_memory->store(address, ir::MemAttr::unpack(static_cast<u16>(attr)), *value) ? 0 : 1;
        },
        .compare_exchange = [](ir::CoreState*, u64 address, u32 attr, const ir::V128* expected, const ir::V128* desired,
                               ir::V128* old) -> u64 {
          return hook_memory->compare_exchange(address, ir::MemAttr::unpack(static_cast<u16>(attr)), *expected,
                                               *desired, *old)
                     ? 0
                     : 1;
        },
        .read_modify_write = [](ir::CoreState*, u64 address, u32 attr, u64 operand, u64* old) -> u64 {
          return hook_memory->read_modify_write(address, ir::MemAttr::unpack(static_cast<u16>(attr)),
                                                static_cast<ir::Rmw>(attr >> 16), operand, *old)
                     ? 0
                     : 1;
        }};
    auto made = host_x64::Compiler::create(layout, test_helpers(), hooks, options);
    EXPECT_TRUE(made.has_value()) << (made ? "" : made.error().text());
    compiler = std::move(*made);
  }

  /// Every page of the array into the TLB; the last one only for reading, so that stores to it go slow.
  void fill_tlb() {
    for (u64 at = 0; at < memory.bytes().size(); at += 4096) {
      const u64 page = memory.base() + at;
      ir::TlbEntry& entry = context->tlb[ir::Context::tlb_index(page)];
      entry.read_tag = page;
      if (at + 4096 < memory.bytes().size()) entry.write_tag = page;
      entry.addend = reinterpret_cast<u64>(memory.bytes().data()) - memory.base();
    }
  }

  host_x64::LeaveInfo run(const host_x64::Compiled& compiled, TestState& state, u64 pc) {
    state.pc = pc;
    state.context = state.unprivileged = context.get();
    hook_memory = &memory;
    return compiler->enter(&state, compiled.entry);
  }

  FlatMemory memory;
  std::unique_ptr<ir::Context> context;
  std::unique_ptr<host_x64::Compiler> compiler;
};

}  // namespace solder::test
