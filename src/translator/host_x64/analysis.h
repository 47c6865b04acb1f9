/// What is found out about a block before code is emitted: aliases, next uses, dead writes, places to compute into.
#pragma once

#include <vector>

#include "base/types.h"
#include "translator/host_x64/abi.h"
#include "translator/ir/ir.h"

namespace solder::host_x64 {

inline constexpr u32 kNone = ~u32{0};

/// Reused from block to block: no allocation once warm.
struct Analysis {
  /// The block's instructions with values that need no code replaced by what they are copies of. A put's `type` is that
  /// of the value it was given.
  std::vector<ir::Inst> insts;
  /// By instruction and operand field: the next instruction that uses the same value, or kNone.
  std::vector<std::array<u32, 3>> next_use;
  /// By value: the first use, the last use, the number of uses.
  std::vector<u32> first_use;
  std::vector<u32> last_use;
  std::vector<u32> uses;
  /// By instruction: nothing is to be emitted.
  std::vector<u8> skip;
  /// By value: the pinned home to compute into (index of Pins), or -1, and the put that it anticipates.
  std::vector<i8> pin_hint;
  std::vector<u32> pin_put;

  void run(const ir::Block& block, u32 page_offset, const Pins& pins, usize state_size);

 private:
  void resolve(const ir::Block& block, u32 page_offset);
  void fold_pc_relative(ir::Inst& inst, u32 page_offset) const;
  void walk_back(const Pins& pins);

  std::vector<u32> alias_;
  // By 8-byte piece of state: the put that will overwrite it before anybody looks, as a generation.
  std::vector<u32> overwritten_;
  u32 generation_ = 0;
};

}  // namespace solder::host_x64
