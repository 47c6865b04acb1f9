/// Two ways of running A64 instructions, to be compared: an oracle, and the front end's IR on some engine.
#pragma once

#include <array>
#include <memory>
#include <span>
#include <vector>

#include "base/types.h"
#include "translator/ir/core_state.h"
#include "translator/ir/ir.h"

namespace solder::test {

/// Where test code and data lie, for every executor. Registers that are to be bases point into the data.
inline constexpr u64 kCodeBase = 0x10'0000;
inline constexpr u64 kDataBase = 0x40'0000;
inline constexpr usize kDataSize = 1024;

/// What an instruction can see and change.
struct Machine {
  std::array<u64, 31> x{};
  u64 sp = 0;
  std::array<ir::V128, 32> v{};
  u32 nzcv = 0;  ///< bits 31..28
  u32 fpcr = 0;
  u32 fpsr = 0;
  u64 pc = 0;  ///< relative to the code's start
  std::array<u8, kDataSize> data{};
};

enum class Ended : u8 {
  normally,
  undefined,  ///< the instruction is not allocated
  faulted,    ///< a memory access outside the data, or another exception
};

class Executor {
 public:
  virtual ~Executor() = default;
  /// Runs `code` from its start to its end.
  virtual Ended run(Machine& machine, std::span<const u32> code) = 0;
};

/// Unicorn's "max" CPU at EL1 with the MMU off. Null when Unicorn cannot make one.
std::unique_ptr<Executor> make_unicorn_executor();

/// Something that runs IR: the interpreter or an emitter.
class Engine {
 public:
  virtual ~Engine() = default;
  /// Runs one block at virtual address `pc`. False: a memory access faulted.
  virtual bool run(const ir::Block& block, u64 pc, ir::CoreState& state) = 0;
  /// What the guest's loads and stores see, at kDataBase.
  virtual std::span<u8> data() = 0;
};
std::unique_ptr<Engine> make_interpreter_engine();
/// `slow_memory`: no access goes through the TLB. `fallbacks`: every operation that can calls the interpreter's
/// function.
std::unique_ptr<Engine> make_compiled_engine(bool slow_memory = false, bool fallbacks = false);

/// The arm64 front end on an engine.
std::unique_ptr<Executor> make_front_end_executor(std::unique_ptr<Engine> engine);

}  // namespace solder::test
