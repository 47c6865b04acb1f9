#include <fmt/core.h>

#include "translator/ir/ir.h"
#include "translator/ir/op_info.h"

namespace solder::ir {
namespace {

constexpr bool is_integer(Type type) {
  return type == Type::i32 || type == Type::i64;
}

bool fits(Result result, Type type) {
  switch (result) {
    case Result::none:
      return type == Type::none;
    case Result::i32:
      return type == Type::i32;
    case Result::i64:
      return type == Type::i64;
    case Result::integer:
      return is_integer(type);
    case Result::v128:
      return type == Type::v128;
    case Result::flags:
      return type == Type::flags;
    case Result::any:
      return type != Type::none;
    case Result::any_or_none:
      return true;
  }
  return false;
}

/// Bits of a lane; q: 128.
constexpr unsigned lane_bits(Lane lane) {
  return 8U << static_cast<unsigned>(lane);
}

class Verifier {
 public:
  explicit Verifier(const Block& block) : block_(block) {}

  std::string run() {
    const usize count = block_.insts.size();
    if (count == 0) return "the block is empty";
    for (usize i = 0; i < count; ++i) {
      const Inst& inst = block_.insts[i];
      if (inst.op >= Op::count) return fmt::format("%{}: no such operation: {}", i, static_cast<unsigned>(inst.op));
      std::string why = check(i, inst);
      if (why.empty() && ((info(inst.op).traits & kEnds) != 0) != (i + 1 == count)) {
        why = i + 1 == count ? "the last instruction must leave the block" : "nothing can follow a final exit";
      }
      if (!why.empty()) return fmt::format("%{} {}: {}", i, name(inst.op), why);
    }
    return {};
  }

 private:
  std::string check(usize index, const Inst& inst) const {
    const OpInfo& op = info(inst.op);
    if (!fits(op.result, inst.type)) return "wrong result type";
    std::string why = operand(index, inst, op.a, inst.a, 'a');
    if (why.empty()) why = operand(index, inst, op.b, inst.b, 'b');
    if (why.empty()) why = operand(index, inst, op.c, inst.c, 'c');
    if (!why.empty()) return why;
    if ((op.traits & kVecAttr) != 0) return vector_attributes(inst, VecAttr::unpack(inst.sub));
    if ((op.traits & kFpAttr) != 0) return fp_attributes(inst, FpAttr::unpack(inst.sub));
    if ((op.traits & kMemAttr) != 0) return access(inst, MemAttr::unpack(inst.sub));
    return scalar_attributes(inst);
  }

  std::string operand(usize index, const Inst& inst, Operand kind, u32 field, char which) const {
    if (!is_value(kind)) return {};
    if (field == ~u32{0}) {
      if (kind == Operand::optional || kind == Operand::optional_v128) return {};
      return fmt::format("operand {} is missing", which);
    }
    if (field >= index) return fmt::format("operand {} uses %{} before its definition", which, field);
    const Type type = block_.insts[field].type;
    bool good = type != Type::none;
    switch (kind) {
      case Operand::none:
      case Operand::immediate:
      case Operand::any:
      case Operand::optional:
        break;
      case Operand::same:
        good = type == inst.type;
        break;
      case Operand::i32:
        good = type == Type::i32;
        break;
      case Operand::i64:
        good = type == Type::i64;
        break;
      case Operand::integer:
        good = is_integer(type);
        break;
      case Operand::by_sub:
        good = is_integer(type) && inst.sub == static_cast<u16>(type);
        break;
      case Operand::v128:
      case Operand::optional_v128:
        good = type == Type::v128;
        break;
      case Operand::flags:
        good = type == Type::flags;
        break;
      case Operand::test:
        return exit_test(inst, type);
    }
    return good ? std::string{} : fmt::format("operand {} (%{}) has the wrong type", which, field);
  }

  static std::string exit_test(const Inst& inst, Type type) {
    const unsigned test = inst.sub & 0xffU;
    const unsigned bit = inst.sub >> 8;
    bool good = false;
    if (test <= static_cast<unsigned>(ExitTest::flags_last)) {
      good = type == Type::flags;
    } else {
      switch (static_cast<ExitTest>(test)) {
        case ExitTest::zero32:
        case ExitTest::nonzero32:
          good = type == Type::i32;
          break;
        case ExitTest::zero64:
        case ExitTest::nonzero64:
          good = type == Type::i64;
          break;
        case ExitTest::bit_clear:
        case ExitTest::bit_set:
          good = is_integer(type) && bit < (type == Type::i32 ? 32U : 64U);
          break;
        default:
          return "no such exit test";
      }
    }
    return good ? std::string{} : "the exit test does not fit the operand's type";
  }

  std::string scalar_attributes(const Inst& inst) const {
    const unsigned size = inst.type == Type::i32 ? 32 : 64;
    switch (inst.op) {
      case Op::constant:
        if (inst.type == Type::i32 && inst.b != 0) return "an i32 constant must be zero-extended";
        break;
      case Op::extract_u:
      case Op::extract_s:
      case Op::insert: {
        const unsigned lsb = inst.sub & 0xffU;
        const unsigned width = inst.sub >> 8;
        if (width == 0 || lsb + width > size) return "the bit field does not fit";
        break;
      }
      case Op::extract_pair:
        if (inst.sub >= size) return "the shift does not fit";
        break;
      case Op::crc32: {
        const unsigned bytes = inst.sub & 15U;
        const bool wide = block_.insts[inst.b].type == Type::i64;
        if (bytes != 1 && bytes != 2 && bytes != 4 && bytes != 8) return "crc32 takes 1, 2, 4 or 8 bytes";
        if ((bytes == 8) && !wide) return "crc32 of 8 bytes needs an i64";
        break;
      }
      case Op::byte_swap32:
        if (inst.type != Type::i64) return "byte_swap32 is for i64";
        break;
      case Op::select:
      case Op::flags_select:
        if (inst.sub > 15) return "no such condition";
        break;
      case Op::exit_indirect:
        if (inst.sub > static_cast<u16>(ExitHint::ret)) return "no such hint";
        break;
      default:
        break;
    }
    return {};
  }

  std::string access(const Inst& inst, const MemAttr attr) const {
    if (attr.size_log2 > 4) return "accesses have 1 to 16 bytes";
    Type moved = inst.type;
    if (inst.op == Op::store || inst.op == Op::store_ex) moved = block_.insts[inst.c].type;
    if (moved == Type::flags) return "flags are not a memory format";
    if (moved != Type::v128 && attr.bytes() > state_bytes(moved)) return "the access is wider than the value";
    if (inst.op == Op::cas && moved == Type::v128 && attr.size_log2 != 4) return "a narrow cas takes integers";
    if (inst.op == Op::atomic && inst.c > static_cast<u32>(Rmw::swap)) return "no such read-modify-write operation";
    return {};
  }

  static std::string vector_attributes(const Inst& inst, const VecAttr attr) {
    if (attr.lane > Lane::q || attr.width > Width::scalar) return "bad lane or width";
    const unsigned bits = lane_bits(attr.lane);
    const unsigned lanes = 128 / bits;
    switch (inst.op) {
      case Op::v_shl:
      case Op::v_shl_sat:
      case Op::v_shl_sat_su:
        return attr.imm < bits ? std::string{} : "left shifts are 0..lane bits - 1";
      case Op::v_shr:
        return attr.imm >= 1 && attr.imm <= bits ? std::string{} : "right shifts are 1..lane bits";
      case Op::v_dup_lane:
      case Op::v_extract:
      case Op::v_insert:
        return attr.imm < lanes ? std::string{} : "no such lane";
      case Op::v_insert_lane:
        return (attr.imm & 15U) < lanes && (attr.imm >> 4U) < lanes ? std::string{} : "no such lane";
      case Op::v_ext:
        return attr.imm < (attr.width == Width::v128 ? 16 : 8) ? std::string{} : "the byte offset is too big";
      case Op::v_reverse:
        return (attr.imm == 2 || attr.imm == 4 || attr.imm == 8) && attr.imm * 8U >= bits
                   ? std::string{}
                   : "containers have 2, 4 or 8 bytes and at least one lane";
      case Op::v_poly_mul_long:
        return attr.lane == Lane::b || attr.lane == Lane::d ? std::string{} : "polynomials have 8 or 64 bits";
      case Op::v_narrow:
      case Op::v_narrow_sat:
      case Op::v_narrow_sat_su:
        if (attr.high && inst.b == ~u32{0}) return "the upper half needs the lower one in b";
        [[fallthrough]];
      case Op::v_widen:
      case Op::v_mul_long:
      case Op::v_pair_add_long:
      case Op::v_sum_long:
        return attr.lane <= Lane::s ? std::string{} : "the narrow lane has at most 32 bits";
      case Op::v_mul_double_long:
      case Op::v_mul_double_high:
      case Op::v_mul_double_high_acc:
        return attr.lane == Lane::h || attr.lane == Lane::s ? std::string{} : "lanes have 16 or 32 bits";
      case Op::v_and:
      case Op::v_or:
      case Op::v_xor:
      case Op::v_and_not:
      case Op::v_or_not:
      case Op::v_not:
      case Op::v_select:
      case Op::v_const:
      case Op::v_zero_upper:
      case Op::v_table:
        return {};
      default:
        return attr.lane <= Lane::d ? std::string{} : "lanes have at most 64 bits";
    }
  }

  static std::string fp_attributes(const Inst& inst, const FpAttr attr) {
    if (attr.lane < Lane::h || attr.lane > Lane::d) return "floating-point lanes are h, s or d";
    if (attr.width > Width::scalar || attr.round > Round::odd) return "bad width or rounding mode";
    const unsigned bits = lane_bits(attr.lane);
    switch (inst.op) {
      case Op::f_convert: {
        const auto to = static_cast<Lane>(attr.extra & 7);
        if (to < Lane::h || to > Lane::d || to == attr.lane) return "conversion to a format that does not exist";
        if ((attr.extra & 16) != 0 && to < attr.lane && inst.b == ~u32{0})
          return "the upper half needs the lower one in b";
        break;
      }
      case Op::f_to_int:
      case Op::f_from_int:
        return inst.b <= bits ? std::string{} : "too many fraction bits";
      case Op::f_to_gpr:
        return inst.b <= (inst.type == Type::i32 ? 32U : 64U) ? std::string{} : "too many fraction bits";
      case Op::f_from_gpr:
        if (inst.c != static_cast<u32>(Type::i32) && inst.c != static_cast<u32>(Type::i64)) return "c must be a's type";
        return inst.b <= 64 ? std::string{} : "too many fraction bits";
      default:
        break;
    }
    return {};
  }

  const Block& block_;
};

}  // namespace

std::string verify(const Block& block) {
  return Verifier(block).run();
}

}  // namespace solder::ir
