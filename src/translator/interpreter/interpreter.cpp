#include "translator/interpreter/interpreter.h"

#include <cstring>

#include "base/bits.h"
#include "base/check.h"
#include "translator/interpreter/scalar.h"
#include "translator/ir/op_info.h"

namespace solder::interpreter {
namespace {

using ir::Inst;
using ir::MemAttr;
using ir::Op;
using ir::Type;
using ir::V128;

// Indexed by Type: the bits of an integer result.
constexpr u64 kMask[] = {0, 0xffffffffU, ~u64{0}, 0, 0};
constexpr u64 mask(const Inst& inst) {
  return kMask[static_cast<u8>(inst.type)];
}

/// What `load` put into the low bytes, as the result's type wants it.
void finish_load(const Inst& inst, MemAttr attr, V128& value) {
  if (attr.sign && attr.size_log2 < 3) {
    value.d[0] = static_cast<u64>(sign_extend(value.d[0], attr.bytes() * 8)) & mask(inst);
  } else if (inst.type == Type::v128 && attr.size_log2 < 4) {
    value.d[1] = 0;
  }
}

/// The low bytes that the access is about; the rest zero.
V128 low_bytes(const V128& value, MemAttr attr) {
  if (attr.size_log2 == 4) return value;
  V128 low{};
  low.d[0] = value.d[0] & mask64(attr.bytes() * 8);
  return low;
}

bool taken(const Inst& inst, const V128& value) {
  const unsigned test = inst.sub & 0xff;
  if (test <= static_cast<unsigned>(ir::ExitTest::flags_last)) return holds(static_cast<ir::Cond>(test), value.s[0]);
  switch (static_cast<ir::ExitTest>(test)) {
    case ir::ExitTest::zero32:
    case ir::ExitTest::zero64:
      return value.d[0] == 0;
    case ir::ExitTest::nonzero32:
    case ir::ExitTest::nonzero64:
      return value.d[0] != 0;
    case ir::ExitTest::bit_clear:
      return !bit(value.d[0], inst.sub >> 8);
    case ir::ExitTest::bit_set:
      return bit(value.d[0], inst.sub >> 8);
    default:
      return false;
  }
}

/// load_ex: loads, then arms the monitor. False: a fault.
bool load_exclusive(const Inst& inst, ir::MemoryPort& memory, ir::CoreState& state, u64 address, V128& out) {
  const MemAttr attr = MemAttr::unpack(inst.sub);
  V128 value{};
  if (!memory.load(address, attr, value)) return false;
  value = low_bytes(value, attr);
  state.monitor_address = address;
  state.monitor_size = attr.bytes();
  state.monitor_value = value;
  out = value;
  finish_load(inst, attr, out);
  return true;
}

/// store_ex: stores if the monitor covers exactly this access and memory has not changed. The monitor is open
/// afterwards, also after a fault. False: a fault.
bool store_exclusive(const Inst& inst, ir::MemoryPort& memory, ir::CoreState& state, u64 address, const V128& desired,
                     V128& out) {
  const MemAttr attr = MemAttr::unpack(inst.sub);
  const bool armed = state.monitor_address == address && state.monitor_size == attr.bytes();
  state.monitor_address = ir::kNoMonitor;
  out.d[0] = 1;
  if (!armed) return true;
  V128 old{};
  const V128 expected = state.monitor_value;
  if (!memory.compare_exchange(address, attr, expected, low_bytes(desired, attr), old)) return false;
  old = low_bytes(old, attr);
  out.d[0] = old.d == expected.d ? 0 : 1;
  return true;
}

bool compare_and_swap(const Inst& inst, ir::MemoryPort& memory, u64 address, const V128& expected, const V128& desired,
                      V128& out) {
  const MemAttr attr = MemAttr::unpack(inst.sub);
  V128 old{};
  if (!memory.compare_exchange(address, attr, low_bytes(expected, attr), low_bytes(desired, attr), old)) return false;
  out = low_bytes(old, attr);
  return true;
}

bool read_modify_write(const Inst& inst, ir::MemoryPort& memory, u64 address, const V128& operand, V128& out) {
  const MemAttr attr = MemAttr::unpack(inst.sub);
  u64 old = 0;
  const u64 value = operand.d[0] & mask64(attr.bytes() * 8);
  if (!memory.read_modify_write(address, attr, static_cast<ir::Rmw>(inst.c), value, old)) return false;
  out.d[0] = old & mask64(attr.bytes() * 8);
  return true;
}

}  // namespace

End Interpreter::run(const ir::Block& block, u64 block_pc, ir::CoreState& state) {
  const usize count = block.insts.size();
  // Never shrinks and is not cleared: every value is written before it is read.
  if (values_.size() < count) values_.resize(count * 2);
  V128* const values = values_.data();
  const Inst* const insts = block.insts.data();
  auto* const bytes = reinterpret_cast<std::byte*>(&state);
  static constexpr V128 kNone{};

  for (usize i = 0; i < count; ++i) {
    const Inst& inst = insts[i];
    V128& out = values[i];
    switch (inst.op) {
      case Op::nop:
      case Op::push_return:
        break;
      case Op::insn_start:
        state.pc = block_pc + inst.imm_ab();
        break;
      case Op::constant:
        out.d[0] = inst.imm_ab();
        break;
      case Op::pc_rel:
        out.d[0] = block_pc + inst.imm_ab();
        break;
      case Op::get:
        if (inst.type == Type::i64) {
          std::memcpy(&out.d[0], bytes + inst.a, 8);
        } else if (inst.type == Type::v128) {
          std::memcpy(&out, bytes + inst.a, 16);
        } else {
          u32 value = 0;
          std::memcpy(&value, bytes + inst.a, 4);
          out.d[0] = value;
        }
        break;
      case Op::put: {
        const Type type = insts[inst.b].type;
        const V128& value = values[inst.b];
        if (type == Type::i64) {
          std::memcpy(bytes + inst.a, &value.d[0], 8);
        } else if (type == Type::v128) {
          std::memcpy(bytes + inst.a, &value, 16);
        } else {
          std::memcpy(bytes + inst.a, &value.s[0], 4);
        }
        break;
      }

      case Op::add:
        out.d[0] = (values[inst.a].d[0] + values[inst.b].d[0]) & mask(inst);
        break;
      case Op::sub:
        out.d[0] = (values[inst.a].d[0] - values[inst.b].d[0]) & mask(inst);
        break;
      case Op::and_:
        out.d[0] = values[inst.a].d[0] & values[inst.b].d[0];
        break;
      case Op::or_:
        out.d[0] = values[inst.a].d[0] | values[inst.b].d[0];
        break;
      case Op::xor_:
        out.d[0] = values[inst.a].d[0] ^ values[inst.b].d[0];
        break;
      case Op::and_not:
        out.d[0] = values[inst.a].d[0] & ~values[inst.b].d[0];
        break;
      case Op::or_not:
        out.d[0] = (values[inst.a].d[0] | ~values[inst.b].d[0]) & mask(inst);
        break;
      case Op::not_:
        out.d[0] = ~values[inst.a].d[0] & mask(inst);
        break;
      case Op::neg:
        out.d[0] = (0 - values[inst.a].d[0]) & mask(inst);
        break;
      case Op::mul:
        out.d[0] = (values[inst.a].d[0] * values[inst.b].d[0]) & mask(inst);
        break;
      case Op::shl:
        out.d[0] = (values[inst.a].d[0] << (values[inst.b].d[0] & (scalar::bits_of(inst.type) - 1))) & mask(inst);
        break;
      case Op::shr_u:
        out.d[0] = values[inst.a].d[0] >> (values[inst.b].d[0] & (scalar::bits_of(inst.type) - 1));
        break;
      case Op::shr_s:
        out.d[0] = scalar::shift_right_signed(inst.type, values[inst.a].d[0], values[inst.b].d[0]);
        break;
      case Op::zext32:
      case Op::trunc:
        out.d[0] = values[inst.a].s[0];
        break;
      case Op::sext32:
        out.d[0] = static_cast<u64>(i64{static_cast<i32>(values[inst.a].s[0])});
        break;
      case Op::extract_u:
        out.d[0] = (values[inst.a].d[0] >> (inst.sub & 0xff)) & mask64(inst.sub >> 8);
        break;
      case Op::extract_s:
        out.d[0] = scalar::extract_signed(inst.type, values[inst.a].d[0], inst.sub & 0xff, inst.sub >> 8);
        break;
      case Op::insert:
        out.d[0] = scalar::insert(values[inst.a].d[0], values[inst.b].d[0], inst.sub & 0xff, inst.sub >> 8);
        break;

      case Op::flags_add:
        out.d[0] = scalar::flags_add(static_cast<Type>(inst.sub), values[inst.a].d[0], values[inst.b].d[0], false);
        break;
      case Op::flags_sub:
        out.d[0] = scalar::flags_sub(static_cast<Type>(inst.sub), values[inst.a].d[0], values[inst.b].d[0], true);
        break;
      case Op::flags_logic:
        out.d[0] = scalar::flags_nz(static_cast<Type>(inst.sub), values[inst.a].d[0]);
        break;
      case Op::select: {
        const V128& chosen = values[holds(static_cast<ir::Cond>(inst.sub), values[inst.a].s[0]) ? inst.b : inst.c];
        out.d[0] = chosen.d[0];
        if (inst.type == Type::v128) out.d[1] = chosen.d[1];
        break;
      }

      case Op::load: {
        const MemAttr attr = MemAttr::unpack(inst.sub);
        const u64 address = values[inst.a].d[0] + static_cast<u64>(i64{static_cast<i32>(inst.b)});
        if (!memory_.load(address, attr, out)) return End::exception;
        finish_load(inst, attr, out);
        break;
      }
      case Op::store: {
        const u64 address = values[inst.a].d[0] + static_cast<u64>(i64{static_cast<i32>(inst.b)});
        if (!memory_.store(address, MemAttr::unpack(inst.sub), values[inst.c])) return End::exception;
        break;
      }
      case Op::load_ex:
        if (!load_exclusive(inst, memory_, state, values[inst.a].d[0], out)) return End::exception;
        break;
      case Op::store_ex:
        if (!store_exclusive(inst, memory_, state, values[inst.a].d[0], values[inst.c], out)) return End::exception;
        break;
      case Op::cas:
        if (!compare_and_swap(inst, memory_, values[inst.a].d[0], values[inst.b], values[inst.c], out)) {
          return End::exception;
        }
        break;
      case Op::atomic:
        if (!read_modify_write(inst, memory_, values[inst.a].d[0], values[inst.b], out)) return End::exception;
        break;
      case Op::fence:
        memory_.fence(static_cast<ir::Order>(inst.sub));
        break;

      case Op::call: {
        const ir::Helper& helper = helpers_[inst.sub];
        const auto argument = [&](u32 id) { return id != ~u32{0} ? values[id].d[0] : 0; };
        const u64 value = helper.function(&state, argument(inst.a), argument(inst.b), argument(inst.c));
        if (value != 0 && (helper.effects & ir::kMayExit) != 0) return End::exception;
        out.d[0] = inst.type == Type::i64 ? value : static_cast<u32>(value);
        if (inst.type == Type::v128) out.d = {value, 0};
        break;
      }

      case Op::exit_if:
        if (taken(inst, values[inst.a])) {
          state.pc = block_pc + inst.imm_bc();
          return End::next;
        }
        break;
      case Op::exit_direct:
        state.pc = block_pc + inst.imm_ab();
        return End::next;
      case Op::exit_indirect:
        state.pc = values[inst.a].d[0];
        return End::next;
      case Op::exit_dispatch:
        return End::dispatch;
      case Op::exit_interpret:
        state.pc = block_pc + inst.imm_ab();
        return End::interpret;

      default: {
        // Fields that are not values are either all ones or small numbers: any object will do for them.
        const auto operand = [&](u32 id) -> const V128& { return id < i ? values[id] : kNone; };
        pure_function(inst.op)(inst, block.fp_rules, operand(inst.a), operand(inst.b), operand(inst.c), state.fp_status,
                               out);
        break;
      }
    }
  }
  SOLDER_CHECK(false, "a block must end with an exit");
}

}  // namespace solder::interpreter
