#include "translator/ir/builder.h"

#include "base/bits.h"
#include "translator/ir/core_state.h"
#include "translator/ir/fold.h"
#include "translator/ir/guest.h"
#include "translator/ir/op_info.h"

namespace solder::ir {
namespace {

constexpr unsigned type_bits(Type type) {
  return type == Type::i32 ? 32 : 64;
}

constexpr bool commutes(Op op) {
  return op == Op::add || op == Op::and_ || op == Op::or_ || op == Op::xor_ || op == Op::mul || op == Op::xor_not;
}

/// Other fields of CoreState change behind the IR's back (other threads, sticky flags, the monitor, insn_start).
constexpr bool forwardable(u32 offset) {
  return offset == offsetof(CoreState, flags) || offset >= sizeof(CoreState);
}

}  // namespace

Value Builder::emit(Inst inst) {
  block_.insts.push_back(inst);
  return {static_cast<u32>(block_.insts.size() - 1)};
}

// ---- structure ----

void Builder::insn_start(u64 delta) {
  const Value v = emit({Op::insn_start, Type::none, 0, static_cast<u32>(delta), static_cast<u32>(delta >> 32)});
  insn_first_ = v.id;
}

Value Builder::constant(Type type, u64 value) {
  SOLDER_CHECK(type == Type::i32 || type == Type::i64, "constants are integers");
  if (type == Type::i32) value = static_cast<u32>(value);
  return emit({Op::constant, type, 0, static_cast<u32>(value), static_cast<u32>(value >> 32)});
}

Value Builder::pc_rel(u64 delta) {
  return emit({Op::pc_rel, Type::i64, 0, static_cast<u32>(delta), static_cast<u32>(delta >> 32)});
}

bool Builder::is_constant(Value v, u64& value) const {
  if (!v.valid() || inst(v).op != Op::constant) return false;
  value = inst(v).imm_ab();
  return true;
}

bool Builder::is_zero(Value v) const {
  u64 value = 1;
  return is_constant(v, value) && value == 0;
}

bool Builder::is_all_ones(Value v) const {
  u64 value = 0;
  return is_constant(v, value) && value == mask64(type_bits(type(v)));
}

Value Builder::known(Type wanted, u32 offset) const {
  const u32 first = offset / 8;
  const Known& piece = known_[first % kKnownPieces];
  if (piece.epoch != epoch_ || piece.offset != offset) return {};
  const Type type_known = block_.insts[piece.value].type;
  if (state_bytes(type_known) < state_bytes(wanted)) return {};
  for (u32 i = first + 1; i <= (offset + state_bytes(type_known) - 1) / 8; ++i) {
    const Known& rest = known_[i % kKnownPieces];
    if (rest.epoch != epoch_ || rest.offset != offset || rest.value != piece.value) return {};
  }
  return {piece.value};
}

void Builder::remember(u32 offset, Type type_written, Value value) {
  // Every piece touched now belongs to this value; what was known about its other bytes is forgotten.
  for (u32 i = offset / 8; i <= (offset + state_bytes(type_written) - 1) / 8; ++i) {
    known_[i % kKnownPieces] = {forwardable(offset) ? epoch_ : 0, offset, value.id};
  }
}

Value Builder::get(Type wanted, u32 offset) {
  if (const Value v = known(wanted, offset); v.valid()) {
    if (type(v) == wanted) return v;
    if (wanted == Type::i32 && type(v) == Type::i64) return trunc(v);
  }
  const Value v = emit({Op::get, wanted, 0, offset});
  // A narrower read must not hide what is known about the whole.
  const Known& piece = known_[offset / 8 % kKnownPieces];
  if (piece.epoch != epoch_ || wanted != Type::i32) remember(offset, wanted, v);
  return v;
}

void Builder::put(u32 offset, Value value) {
  emit({Op::put, Type::none, 0, offset, value.id});
  remember(offset, type(value), value);
}

// ---- integers ----

Value Builder::simplify_binary(Op op, Value a, Value b) {
  const Type t = type(a);
  const bool b_zero = is_zero(b);
  switch (op) {
    case Op::add:
      if (b_zero) return a;
      if (u64 delta = 0; inst(a).op == Op::pc_rel && is_constant(b, delta)) return pc_rel(inst(a).imm_ab() + delta);
      break;
    case Op::sub:
      if (b_zero) return a;
      if (a == b) return constant(t, 0);
      break;
    case Op::or_:
      if (b_zero || a == b) return a;
      if (is_zero(a)) return b;
      break;
    case Op::xor_:
      if (b_zero) return a;
      if (a == b) return constant(t, 0);
      if (is_all_ones(b)) return unary(Op::not_, a);
      break;
    case Op::and_:
      if (b_zero) return b;
      if (is_all_ones(b) || a == b) return a;
      break;
    case Op::and_not:
      if (b_zero) return a;
      if (a == b || is_zero(a)) return constant(t, 0);
      break;
    case Op::or_not:
      if (is_zero(a)) return unary(Op::not_, b);
      break;
    case Op::mul:
      if (b_zero) return b;
      if (u64 factor = 0; is_constant(b, factor) && factor == 1) return a;
      break;
    case Op::shl:
    case Op::shr_u:
    case Op::shr_s:
    case Op::ror:
      if (u64 amount = 0; is_constant(b, amount) && amount % type_bits(t) == 0) return a;
      break;
    default:
      break;
  }
  return {};
}

Value Builder::binary(Op op, Value a, Value b) {
  u64 x = 0;
  u64 y = 0;
  const bool a_constant = is_constant(a, x);
  const bool b_constant = is_constant(b, y);
  if (a_constant && b_constant) {
    if (const auto folded = fold_binary(op, type(a), x, y)) return constant(type(a), *folded);
  }
  if (a_constant && !b_constant && commutes(op)) std::swap(a, b);
  if (const Value v = simplify_binary(op, a, b); v.valid()) return v;
  return emit({op, type(a), 0, a.id, b.id});
}

Value Builder::unary(Op op, Value a) {
  u64 x = 0;
  if (is_constant(a, x)) {
    if (const auto folded = fold_unary(op, type(a), x)) return constant(type(a), *folded);
  }
  if ((op == Op::not_ || op == Op::neg) && inst(a).op == op) return {inst(a).a};
  return emit({op, type(a), 0, a.id});
}

Value Builder::zext32(Value a) {
  if (u64 x = 0; is_constant(a, x)) return constant(Type::i64, x);
  return emit({Op::zext32, Type::i64, 0, a.id});
}

Value Builder::sext32(Value a) {
  if (u64 x = 0; is_constant(a, x)) return constant(Type::i64, static_cast<u64>(sign_extend(x, 32)));
  return emit({Op::sext32, Type::i64, 0, a.id});
}

Value Builder::trunc(Value a) {
  if (u64 x = 0; is_constant(a, x)) return constant(Type::i32, x);
  if (inst(a).op == Op::zext32 || inst(a).op == Op::sext32) return {inst(a).a};
  return emit({Op::trunc, Type::i32, 0, a.id});
}

Value Builder::extract_u(Value a, unsigned lsb, unsigned width) {
  if (lsb == 0 && width == type_bits(type(a))) return a;
  if (u64 x = 0; is_constant(a, x)) return constant(type(a), (x >> lsb) & mask64(width));
  return emit({Op::extract_u, type(a), static_cast<u16>(lsb | (width << 8)), a.id});
}

Value Builder::extract_s(Value a, unsigned lsb, unsigned width) {
  if (lsb == 0 && width == type_bits(type(a))) return a;
  if (u64 x = 0; is_constant(a, x)) return constant(type(a), static_cast<u64>(sign_extend(x >> lsb, width)));
  return emit({Op::extract_s, type(a), static_cast<u16>(lsb | (width << 8)), a.id});
}

Value Builder::insert(Value a, Value b, unsigned lsb, unsigned width) {
  if (lsb == 0 && width == type_bits(type(a))) return b;
  u64 x = 0;
  u64 y = 0;
  if (is_constant(a, x) && is_constant(b, y)) {
    const u64 mask = mask64(width) << lsb;
    return constant(type(a), (x & ~mask) | ((y << lsb) & mask));
  }
  return emit({Op::insert, type(a), static_cast<u16>(lsb | (width << 8)), a.id, b.id});
}

Value Builder::extract_pair(Value high, Value low, unsigned lsb) {
  if (lsb == 0) return low;
  return emit({Op::extract_pair, type(high), static_cast<u16>(lsb), high.id, low.id});
}

Value Builder::crc32(Value accumulator, Value data, unsigned bytes, bool castagnoli) {
  return emit({Op::crc32, Type::i32, static_cast<u16>(bytes | (castagnoli ? 16U : 0U)), accumulator.id, data.id});
}

// ---- flags ----

Value Builder::adc(Value a, Value b, Value flags) {
  return emit({Op::adc, type(a), 0, a.id, b.id, flags.id});
}
Value Builder::sbc(Value a, Value b, Value flags) {
  return emit({Op::sbc, type(a), 0, a.id, b.id, flags.id});
}

Value Builder::flags_add(Value a, Value b) {
  return emit({Op::flags_add, Type::flags, static_cast<u16>(type(a)), a.id, b.id});
}
Value Builder::flags_sub(Value a, Value b) {
  return emit({Op::flags_sub, Type::flags, static_cast<u16>(type(a)), a.id, b.id});
}
Value Builder::flags_adc(Value a, Value b, Value flags) {
  return emit({Op::flags_adc, Type::flags, static_cast<u16>(type(a)), a.id, b.id, flags.id});
}
Value Builder::flags_sbc(Value a, Value b, Value flags) {
  return emit({Op::flags_sbc, Type::flags, static_cast<u16>(type(a)), a.id, b.id, flags.id});
}
Value Builder::flags_logic(Value a) {
  return emit({Op::flags_logic, Type::flags, static_cast<u16>(type(a)), a.id});
}
Value Builder::flags_pack(Value nzcv) {
  return emit({Op::flags_pack, Type::flags, 0, nzcv.id});
}
Value Builder::flags_unpack(Value flags) {
  return emit({Op::flags_unpack, Type::i32, 0, flags.id});
}

Value Builder::flags_select(Cond cond, Value tested, Value if_true, Value if_false) {
  if (if_true == if_false || cond >= Cond::al) return if_true;
  return emit({Op::flags_select, Type::flags, static_cast<u16>(cond), tested.id, if_true.id, if_false.id});
}

Value Builder::select(Cond cond, Value flags, Value if_true, Value if_false) {
  if (if_true == if_false || cond >= Cond::al) return if_true;
  return emit({Op::select, type(if_true), static_cast<u16>(cond), flags.id, if_true.id, if_false.id});
}

Value Builder::select_nz(Value test, Value if_nonzero, Value if_zero) {
  if (if_nonzero == if_zero) return if_zero;
  if (u64 x = 0; is_constant(test, x)) return x != 0 ? if_nonzero : if_zero;
  return emit({Op::select_nz, type(if_zero), static_cast<u16>(type(test)), test.id, if_nonzero.id, if_zero.id});
}

// ---- memory ----

void Builder::fold_address(Value& address, i32& offset) const {
  // Only sums of this guest instruction: an older one is a guest register's new value by now, and folding it would
  // keep the register's old value alive beside the new one.
  while (is_fresh(address) && (inst(address).op == Op::add || inst(address).op == Op::sub)) {
    u64 delta = 0;
    if (!is_constant({inst(address).b}, delta)) return;
    if (inst(address).op == Op::sub) delta = -delta;
    const i64 sum = static_cast<i64>(static_cast<u64>(i64{offset}) + delta);
    if (sum != static_cast<i32>(sum)) return;
    offset = static_cast<i32>(sum);
    address = {inst(address).a};
  }
}

Value Builder::load(Type result, Value address, MemAttr attr, i32 offset) {
  fold_address(address, offset);
  return emit({Op::load, result, attr.pack(), address.id, static_cast<u32>(offset)});
}

void Builder::store(Value address, Value value, MemAttr attr, i32 offset) {
  fold_address(address, offset);
  emit({Op::store, Type::none, attr.pack(), address.id, static_cast<u32>(offset), value.id});
}

Value Builder::load_ex(Type result, Value address, MemAttr attr) {
  return emit({Op::load_ex, result, attr.pack(), address.id});
}

Value Builder::store_ex(Value address, Value value, MemAttr attr) {
  return emit({Op::store_ex, Type::i32, attr.pack(), address.id, ~u32{0}, value.id});
}

Value Builder::cas(Type result, Value address, Value expected, Value desired, MemAttr attr) {
  return emit({Op::cas, result, attr.pack(), address.id, expected.id, desired.id});
}

Value Builder::atomic(Type result, Rmw op, Value address, Value operand, MemAttr attr) {
  return emit({Op::atomic, result, attr.pack(), address.id, operand.id, static_cast<u32>(op)});
}

void Builder::fence(Order order) {
  emit({Op::fence, Type::none, static_cast<u16>(order)});
}

// ---- calls and leaving ----

Value Builder::call(Type result, u16 helper, Value a, Value b, Value c) {
  const Value v = emit({Op::call, result, helper, a.id, b.id, c.id});
  if (helper >= helper_count_ || (helpers_[helper].effects & kWritesState) != 0) ++epoch_;
  return v;
}

void Builder::exit_if(Cond cond, Value flags, u64 target_delta) {
  emit({Op::exit_if, Type::none, static_cast<u16>(cond), flags.id, static_cast<u32>(target_delta),
        static_cast<u32>(target_delta >> 32)});
}

void Builder::exit_if(ExitTest test, Value v, u64 target_delta, u8 bit) {
  emit({Op::exit_if, Type::none, static_cast<u16>(static_cast<unsigned>(test) | (unsigned{bit} << 8)), v.id,
        static_cast<u32>(target_delta), static_cast<u32>(target_delta >> 32)});
}

void Builder::exit_direct(u64 target_delta) {
  emit({Op::exit_direct, Type::none, 0, static_cast<u32>(target_delta), static_cast<u32>(target_delta >> 32)});
}

void Builder::exit_indirect(Value pc, ExitHint hint) {
  emit({Op::exit_indirect, Type::none, static_cast<u16>(hint), pc.id});
}

void Builder::exit_dispatch() {
  emit({Op::exit_dispatch, Type::none, 0});
}

void Builder::exit_interpret(u64 delta) {
  emit({Op::exit_interpret, Type::none, 0, static_cast<u32>(delta), static_cast<u32>(delta >> 32)});
}

void Builder::push_return(u64 delta) {
  emit({Op::push_return, Type::none, 0, static_cast<u32>(delta), static_cast<u32>(delta >> 32)});
}

// ---- vectors ----

Value Builder::v_const(u64 half, Width width) {
  const VecAttr attr{.lane = Lane::d, .width = width};
  return emit({Op::v_const, Type::v128, attr.pack(), static_cast<u32>(half), static_cast<u32>(half >> 32)});
}

Value Builder::v(Op op, VecAttr attr, Value a, Value b, Value c) {
  if ((op == Op::v_or || op == Op::v_and) && a == b) {
    if (attr.width == Width::v128) return a;
    return v(Op::v_zero_upper, attr, a);
  }
  return emit({op, Type::v128, attr.pack(), a.id, b.id, c.id});
}

Value Builder::v_extract(Type result, Value a, Lane lane, u8 index, bool sign) {
  const VecAttr attr{.lane = lane, .sign = sign, .imm = index};
  return emit({Op::v_extract, result, attr.pack(), a.id});
}

Value Builder::v_insert(Value a, Lane lane, u8 index, Value scalar) {
  const VecAttr attr{.lane = lane, .imm = index};
  return emit({Op::v_insert, Type::v128, attr.pack(), a.id, scalar.id});
}

Value Builder::v_insert_lane(Value a, Lane lane, u8 to, Value b, u8 from) {
  const VecAttr attr{.lane = lane, .imm = static_cast<u8>(to | (from << 4))};
  return emit({Op::v_insert_lane, Type::v128, attr.pack(), a.id, b.id});
}

Value Builder::v_from_pair(Value low, Value high) {
  return emit({Op::v_from_pair, Type::v128, 0, low.id, high.id});
}

Value Builder::f(Op op, FpAttr attr, Value a, Value b, Value c) {
  return emit({op, Type::v128, attr.pack(), a.id, b.id, c.id});
}

Value Builder::f_compare(FpAttr attr, Value a, Value b) {
  return emit({Op::f_compare, Type::flags, attr.pack(), a.id, b.id});
}

Value Builder::f_fixed(Op op, Type result, FpAttr attr, Value a, u8 fraction_bits) {
  switch (op) {
    case Op::f_to_gpr:
      return emit({op, result, attr.pack(), a.id, fraction_bits});
    case Op::f_from_gpr:
      return emit({op, Type::v128, attr.pack(), a.id, fraction_bits, static_cast<u32>(type(a))});
    default:
      return emit({op, Type::v128, attr.pack(), a.id, fraction_bits});
  }
}

}  // namespace solder::ir
