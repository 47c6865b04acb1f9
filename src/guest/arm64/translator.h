/// What the semantics files translate with: one block being made, and the instruction at hand.
///
/// Who owns which instructions:
///   decode_integer.inc, decode_branch_system.inc  integer data processing, branches, exceptions, system
///   decode_memory.inc    all loads and stores with a general addressing mode, of general AND of SIMD&FP registers
///                        (LDR, STR, LDUR, STUR, LDP, STP, LDNP, STNP, literal), exclusives, atomics
///   decode_fp_simd.inc   FP, SIMD, cryptography, and the structure loads and stores (LD1..LD4, LD1R.., ST1..)
#pragma once

#include "guest/arm64/helpers.h"
#include "guest/arm64/insn.h"
#include "guest/arm64/state.h"
#include "translator/ir/builder.h"
#include "translator/ir/guest.h"

namespace solder::arm64 {

/// One block in the making. Handlers get it with each instruction; they end the block by an exit, or simply return to
/// go on with the next instruction.
class Translate {
 public:
  Translate(ir::Builder& builder, const ir::TranslateRequest& request) : ir(builder), request_(request) {}

  ir::Builder& ir;  // NOLINT: the whole point of the class is to hand it around

  // -- what is being translated
  [[nodiscard]] u64 key() const { return request_.key; }
  [[nodiscard]] bool el1() const { return (request_.key & key::kEl1) != 0; }
  [[nodiscard]] bool has_key(u64 bits) const { return (request_.key & bits) != 0; }
  /// The address of the current instruction, relative to the block's start.
  [[nodiscard]] u64 delta() const { return delta_; }
  /// The virtual address of the current instruction, as a value (never bake an absolute address in).
  [[nodiscard]] ir::Value pc() { return ir.pc_rel(delta_); }

  // -- general registers: n = 31 reads as zero and ignores writes, or is SP in the _sp forms
  ir::Value x(unsigned n) { return n == 31 ? ir.c64(0) : ir.get(ir::Type::i64, x_offset(n)); }
  ir::Value w(unsigned n) { return n == 31 ? ir.c32(0) : ir.trunc(x(n)); }
  ir::Value x_sp(unsigned n) { return n == 31 ? ir.get(ir::Type::i64, kSpOffset) : x(n); }
  ir::Value w_sp(unsigned n) { return ir.trunc(x_sp(n)); }
  /// X or W by the instruction's size bit.
  ir::Value r(unsigned n, bool sf) { return sf ? x(n) : w(n); }
  ir::Value r_sp(unsigned n, bool sf) { return sf ? x_sp(n) : w_sp(n); }
  void set_x(unsigned n, ir::Value v) {
    if (n != 31) ir.put(x_offset(n), v);
  }
  void set_x_sp(unsigned n, ir::Value v) {
    if (n == 31) sp_aligned_ = false;
    ir.put(n == 31 ? kSpOffset : x_offset(n), v);
  }
  /// `v` is an i32; the upper half becomes zero.
  void set_w(unsigned n, ir::Value v) {
    if (n != 31) ir.put(x_offset(n), ir.zext32(v));
  }
  /// The type of `v` says whether X or W is written.
  void set_r(unsigned n, ir::Value v) { ir.type(v) == ir::Type::i32 ? set_w(n, v) : set_x(n, v); }
  void set_r_sp(unsigned n, ir::Value v) { set_x_sp(n, ir.type(v) == ir::Type::i32 ? ir.zext32(v) : v); }
  ir::Value imm(bool sf, u64 value) { return sf ? ir.c64(value) : ir.c32(static_cast<u32>(value)); }

  ir::Value flags() { return ir.get(ir::Type::flags, kFlagsOffset); }
  void set_flags(ir::Value f) { ir.put(kFlagsOffset, f); }

  // -- SIMD and FP registers
  ir::Value v(unsigned n) { return ir.get(ir::Type::v128, v_offset(n)); }
  /// Writes all 128 bits; operations of width v64 and scalar leave the upper ones zero as A64 wants.
  void set_v(unsigned n, ir::Value value) { ir.put(v_offset(n), value); }
  /// Attributes of an FP operation in the current FPCR's modes.
  [[nodiscard]] ir::FpAttr fp(ir::Lane lane, ir::Width width = ir::Width::scalar, u8 extra = 0) const {
    return {lane,
            width,
            static_cast<ir::Round>((request_.key >> key::kRoundShift) & 3),
            (request_.key & key::kFlushToZero) != 0,
            (request_.key & key::kDefaultNan) != 0,
            extra};
  }
  /// First thing of every FP or SIMD handler: `if (!t.fp_access_check()) return;`. False: the block ends in the trap.
  bool fp_access_check();

  // -- memory
  /// Attributes of a plain access of 2^size_log2 bytes.
  [[nodiscard]] ir::MemAttr memory(unsigned size_log2, bool sign = false) const {
    ir::MemAttr attr;
    attr.size_log2 = static_cast<u8>(size_log2);
    attr.sign = sign;
    if ((request_.key & key::kAlignCheck) != 0) attr.align = ir::Align::natural;
    return attr;
  }
  /// Rn|SP as the base of an access: with the SP alignment check where it applies. Use it once per instruction.
  ir::Value base(unsigned n);
  /// Writes an updated base back; `step` is what was added to it. Only after all accesses that may fault.
  void set_base(unsigned n, ir::Value v, i64 step);

  // -- calls
  /// Arguments are values; `may_exit` helpers leave the block when they return nonzero.
  ir::Value helper(ir::Type type, HelperId id, ir::Value a = {}, ir::Value b = {}, ir::Value c = {}) {
    return ir.call(type, static_cast<u16>(id), a, b, c);
  }

  // -- ending the block
  /// UNDEFINED: exception class 0. Ends the block.
  void undefined();
  /// Takes an exception with this syndrome (ESR_EL1, all of it). ELR = this instruction + `return_offset`. Ends the
  /// block.
  void raise(u32 esr, u64 return_offset = 0);
  /// After what may have unmasked interrupts or changed the mode: pc = next instruction, to the dispatcher.
  void end_dispatch();
  /// The block ends here and goes on at the next instruction.
  void end_direct();
  /// The handler emitted the final exit itself.
  void ended_by_exit() { ended_ = true; }
  /// An unconditional direct branch to `target` (relative to the block's start): followed if near, else an exit.
  void jump(u64 target);
  [[nodiscard]] bool ended() const { return ended_; }

  /// Translates the whole request: what GuestCpu::translate calls.
  void run();

 private:
  const ir::TranslateRequest& request_;
  u64 delta_ = 0;
  u64 next_ = 0;
  bool ended_ = false;
  bool sp_aligned_ = false;  // SP was checked in this block and stayed a multiple of 16
};

/// Syndromes (DDI 0487, ESR_EL1): EC in bits 31..26, IL in 25.
[[nodiscard]] constexpr u32 syndrome(u32 exception_class, u32 iss) {
  return (exception_class << 26) | (1U << 25) | (iss & 0x1ffffff);
}

}  // namespace solder::arm64
