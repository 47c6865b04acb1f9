/// Making a block. Folds constants and forwards gets while building; typed convenience for front ends.
#pragma once

#include <array>

#include "base/check.h"
#include "translator/ir/ir.h"

namespace solder::ir {

struct Helper;  // translator/ir/guest.h

/// Appends instructions to a block. Methods are named after operations; see SOLDER_IR_OPS for their meaning.
/// The type of an integer operation is its operands'.
class Builder {
 public:
  /// Without knowledge of the helpers every call forgets what is known about the state.
  explicit Builder(Block& block) : block_(block) {}
  /// Only calls of helpers with kWritesState do. `helpers` are the guest's, numbered as `call` numbers them.
  Builder(Block& block, const Helper* helpers, usize helper_count)
      : block_(block), helpers_(helpers), helper_count_(helper_count) {}
  [[nodiscard]] Block& block() { return block_; }
  [[nodiscard]] Type type(Value v) const { return block_.insts[v.id].type; }

  // structure
  void insn_start(u64 delta);
  Value constant(Type type, u64 value);
  Value c32(u32 value) { return constant(Type::i32, value); }
  Value c64(u64 value) { return constant(Type::i64, value); }
  Value pc_rel(u64 delta);
  Value get(Type type, u32 offset);
  void put(u32 offset, Value value);
  /// The value of a constant, if it is one.
  [[nodiscard]] bool is_constant(Value v, u64& value) const;

  // integers: result has a's type
  Value binary(Op op, Value a, Value b);
  Value unary(Op op, Value a);
  Value add(Value a, Value b) { return binary(Op::add, a, b); }
  Value sub(Value a, Value b) { return binary(Op::sub, a, b); }
  Value and_(Value a, Value b) { return binary(Op::and_, a, b); }
  Value or_(Value a, Value b) { return binary(Op::or_, a, b); }
  Value xor_(Value a, Value b) { return binary(Op::xor_, a, b); }
  Value shl(Value a, Value b) { return binary(Op::shl, a, b); }
  Value shr_u(Value a, Value b) { return binary(Op::shr_u, a, b); }
  Value shr_s(Value a, Value b) { return binary(Op::shr_s, a, b); }
  Value ror(Value a, Value b) { return binary(Op::ror, a, b); }
  Value mul(Value a, Value b) { return binary(Op::mul, a, b); }
  Value zext32(Value a);
  Value sext32(Value a);
  Value trunc(Value a);
  Value extract_u(Value a, unsigned lsb, unsigned width);
  Value extract_s(Value a, unsigned lsb, unsigned width);
  Value insert(Value a, Value b, unsigned lsb, unsigned width);
  Value extract_pair(Value high, Value low, unsigned lsb);
  Value crc32(Value accumulator, Value data, unsigned bytes, bool castagnoli);

  // flags
  Value adc(Value a, Value b, Value flags);
  Value sbc(Value a, Value b, Value flags);
  Value flags_add(Value a, Value b);
  Value flags_sub(Value a, Value b);
  Value flags_adc(Value a, Value b, Value flags);
  Value flags_sbc(Value a, Value b, Value flags);
  Value flags_logic(Value a);
  Value flags_pack(Value nzcv);
  Value flags_unpack(Value flags);
  Value flags_select(Cond cond, Value tested, Value if_true, Value if_false);
  Value select(Cond cond, Value flags, Value if_true, Value if_false);
  Value select_nz(Value test, Value if_nonzero, Value if_zero);

  // memory
  Value load(Type type, Value address, MemAttr attr, i32 offset = 0);
  void store(Value address, Value value, MemAttr attr, i32 offset = 0);
  Value load_ex(Type type, Value address, MemAttr attr);
  Value store_ex(Value address, Value value, MemAttr attr);
  Value cas(Type type, Value address, Value expected, Value desired, MemAttr attr);
  Value atomic(Type type, Rmw op, Value address, Value operand, MemAttr attr);
  void fence(Order order);

  // calls and leaving
  Value call(Type type, u16 helper, Value a = {}, Value b = {}, Value c = {});
  void exit_if(Cond cond, Value flags, u64 target_delta);
  void exit_if(ExitTest test, Value v, u64 target_delta, u8 bit = 0);
  void exit_direct(u64 target_delta);
  void exit_indirect(Value pc, ExitHint hint);
  void exit_dispatch();
  void exit_interpret(u64 delta);
  void push_return(u64 delta);

  // vectors
  Value v_const(u64 half, Width width = Width::v128);
  Value v(Op op, VecAttr attr, Value a, Value b = {}, Value c = {});
  Value v_extract(Type type, Value a, Lane lane, u8 index, bool sign = false);
  Value v_insert(Value a, Lane lane, u8 index, Value scalar);
  Value v_insert_lane(Value a, Lane lane, u8 to, Value b, u8 from);
  Value v_from_pair(Value low, Value high);
  Value f(Op op, FpAttr attr, Value a, Value b = {}, Value c = {});
  Value f_compare(FpAttr attr, Value a, Value b);
  /// For f_to_int, f_from_int: `fraction_bits` in b; f_to_gpr, f_from_gpr: the same.
  Value f_fixed(Op op, Type type, FpAttr attr, Value a, u8 fraction_bits);

  /// Appends as it is.
  Value emit(Inst inst);

 private:
  /// What is known about an 8-byte piece of the state: since `epoch` it belongs to `value`, which was read from or
  /// written to `offset`.
  struct Known {
    u32 epoch = 0;
    u32 offset = 0;
    u32 value = 0;
  };
  static constexpr usize kKnownPieces = 128;

  [[nodiscard]] const Inst& inst(Value v) const { return block_.insts[v.id]; }
  [[nodiscard]] bool is_zero(Value v) const;
  [[nodiscard]] bool is_all_ones(Value v) const;
  /// Made by the current guest instruction, so not the home of a guest register yet.
  [[nodiscard]] bool is_fresh(Value v) const { return v.id >= insn_first_; }
  [[nodiscard]] Value known(Type type, u32 offset) const;
  void remember(u32 offset, Type type, Value value);
  Value simplify_binary(Op op, Value a, Value b);
  /// Moves constant parts of a fresh address into the access's offset.
  void fold_address(Value& address, i32& offset) const;

  Block& block_;
  const Helper* helpers_ = nullptr;
  usize helper_count_ = 0;
  u32 insn_first_ = 0;  ///< index of the current guest instruction's insn_start
  u32 epoch_ = 1;       ///< counted up to forget everything
  std::array<Known, kKnownPieces> known_{};
};

}  // namespace solder::ir
