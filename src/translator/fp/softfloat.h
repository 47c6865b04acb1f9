/// Bit-exact IEEE 754 arithmetic in integers: half, single, double; every rounding mode, flush-to-zero, default NaN,
/// and the NaN and tininess rules of ARM (DDI 0487 A1.5, J1.3), x86 and RISC-V. The oracle for host code, and its slow
/// path.
#pragma once

#include "base/types.h"
#include "translator/ir/core_state.h"
#include "translator/ir/ir.h"

namespace solder::fp {

/// The modes of one operation, and the sticky flags (kFp… of core_state.h) it adds to.
struct Env {
  ir::Round round = ir::Round::nearest_even;
  bool flush = false;
  bool default_nan = false;
  ir::FpRules rules = ir::FpRules::arm;
  bool alternative_half = false;  ///< of conversions: half precision is ARM's format without infinities and NaNs
  u32 flags = 0;
};

/// Formats are told by `lane`: h (16 bits), s (32), d (64); values in the low bits.
u64 add(ir::Lane lane, u64 a, u64 b, Env& env);
u64 sub(ir::Lane lane, u64 a, u64 b, Env& env);
u64 mul(ir::Lane lane, u64 a, u64 b, Env& env);
u64 mulx(ir::Lane lane, u64 a, u64 b, Env& env);
u64 div(ir::Lane lane, u64 a, u64 b, Env& env);
u64 sqrt(ir::Lane lane, u64 a, Env& env);
/// a*b + c with one rounding. NaN priority is the architecture's (ARM: c first, as FPMulAdd's addend).
u64 mul_add(ir::Lane lane, u64 a, u64 b, u64 c, Env& env);
u64 max(ir::Lane lane, u64 a, u64 b, Env& env);
u64 min(ir::Lane lane, u64 a, u64 b, Env& env);
u64 max_num(ir::Lane lane, u64 a, u64 b, Env& env);
u64 min_num(ir::Lane lane, u64 a, u64 b, Env& env);

enum class Order : u8 { less, equal, greater, unordered };
/// `signal_quiet`: quiet NaNs raise invalid too.
Order compare(ir::Lane lane, u64 a, u64 b, bool signal_quiet, Env& env);

/// To an integral value in the same format; `exact`: raise inexact.
u64 round_to_integral(ir::Lane lane, u64 a, bool exact, Env& env);
u64 convert(ir::Lane from, ir::Lane to, u64 a, Env& env);
/// a * 2^fraction_bits to an integer of `bits`, rounded by env.round, saturating with invalid.
u64 to_integer(ir::Lane lane, u64 a, unsigned fraction_bits, unsigned bits, bool is_unsigned, Env& env);
/// value * 2^-fraction_bits
u64 from_integer(ir::Lane lane, u64 value, unsigned fraction_bits, unsigned bits, bool is_unsigned, Env& env);

u64 recip_estimate(ir::Lane lane, u64 a, Env& env);
u64 rsqrt_estimate(ir::Lane lane, u64 a, Env& env);
u64 recip_exponent(ir::Lane lane, u64 a, Env& env);
/// 2 - a*b and (3 - a*b)/2, fused.
u64 recip_step(ir::Lane lane, u64 a, u64 b, Env& env);
u64 rsqrt_step(ir::Lane lane, u64 a, u64 b, Env& env);

}  // namespace solder::fp
