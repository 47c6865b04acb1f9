/// The IR interpreter: the oracle of the emitters, the way of rare instructions, and a complete (slow) execution
/// engine.
#pragma once

#include <span>
#include <vector>

#include "base/types.h"
#include "translator/ir/guest.h"
#include "translator/ir/ir.h"

namespace solder::interpreter {

/// How a block ended.
enum class End : u8 {
  next,       ///< state.pc is set; any block may follow
  dispatch,   ///< state.pc is set; mode or interrupts may have changed
  exception,  ///< a memory access or helper raised; state is the handler's
  interpret,  ///< exit_interpret: state.pc is at an instruction that the front end gave up on
};

/// Runs one block whose first instruction lies at virtual address `block_pc` on `state`.
/// `helpers` are the guest's. Reusable scratch is in the object, so keep one per vCPU.
class Interpreter {
 public:
  Interpreter(std::span<const ir::Helper> helpers, ir::MemoryPort& memory) : helpers_(helpers), memory_(memory) {}
  End run(const ir::Block& block, u64 block_pc, ir::CoreState& state);

 private:
  std::span<const ir::Helper> helpers_;
  ir::MemoryPort& memory_;
  std::vector<ir::V128> values_;
};

/// The meaning of a pure operation (no memory, no state but fp_status, no exits): what the interpreter and emitters'
/// fallbacks call. Integers are in the low bits of a V128, zero-extended to d[0] (d[1] is neither read nor written);
/// flags in the image of core_state.h in s[0]. Operands that the operation does not have may be any object. `result`
/// may be the same object as an operand.
using PureFunction = void (*)(const ir::Inst& inst, ir::FpRules rules, const ir::V128& a, const ir::V128& b,
                              const ir::V128& c, u32& fp_status, ir::V128& result);
/// Null for operations that are not pure, and for nop, pc_rel and get.
[[nodiscard]] PureFunction pure_function(ir::Op op);

}  // namespace solder::interpreter
