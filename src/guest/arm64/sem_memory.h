/// Addressing modes, shared by the loads and stores of general and of SIMD&FP registers.
#pragma once

#include "guest/arm64/translator.h"

namespace solder::arm64::sem {

/// Where an access goes, and what happens to the base register after it.
struct Address {
  ir::Value base;
  i32 offset = 0;  ///< of the access from `base`
  bool write_back = false;
  i64 step = 0;  ///< what the base register grows by
};

Address unsigned_address(Translate& t, Insn i, unsigned size_log2);
Address unscaled_address(Translate& t, Insn i);
Address post_index_address(Translate& t, Insn i);
Address pre_index_address(Translate& t, Insn i);
Address register_address(Translate& t, Insn i, unsigned size_log2);
/// LDP and STP: imm7 scaled by the size of one register.
Address pair_address(Translate& t, Insn i, unsigned size_log2);

/// After the accesses: updates Rn where the mode says so.
void write_back(Translate& t, Insn i, const Address& address);

/// Rm extended as bits 15..13 say and shifted left.
ir::Value extended_offset(Translate& t, Insn i, unsigned shift);

}  // namespace solder::arm64::sem
