#include "translator/ir/ir.h"

#include <fmt/core.h>

#include <iterator>

#include "translator/ir/op_info.h"

namespace solder::ir {
namespace {

constexpr const char* kNames[] = {
#define SOLDER_IR_NAME(name) #name,
    SOLDER_IR_OPS(SOLDER_IR_NAME)
#undef SOLDER_IR_NAME
};

const char* name(Type type) {
  switch (type) {
    case Type::none:
      return "none";
    case Type::i32:
      return "i32";
    case Type::i64:
      return "i64";
    case Type::v128:
      return "v128";
    case Type::flags:
      return "flags";
  }
  return "?";
}

const char* name(Cond cond) {
  static constexpr const char* kConds[] = {"eq", "ne", "cs", "cc", "mi", "pl", "vs", "vc",
                                           "hi", "ls", "ge", "lt", "gt", "le", "al", "nv"};
  return kConds[static_cast<u8>(cond) & 15];
}

void append_operand(std::string& out, Operand operand, u32 field) {
  if (operand == Operand::none) return;
  if (!is_value(operand)) {
    out += fmt::format(" #{:#x}", field);
  } else if (field != ~u32{0}) {
    out += fmt::format(" %{}", field);
  } else {
    out += " -";
  }
}

void append_vec_attr(std::string& out, u16 sub) {
  const VecAttr attr = VecAttr::unpack(sub);
  static constexpr const char* kWidths[] = {"v128", "v64", "scalar", "?"};
  out +=
      fmt::format(" .{}.{}{}{}{} imm={}", "bhsdq???"[static_cast<u8>(attr.lane)], kWidths[static_cast<u8>(attr.width)],
                  attr.sign ? ".sign" : "", attr.round ? ".round" : "", attr.high ? ".high" : "", attr.imm);
}

void append_fp_attr(std::string& out, u16 sub) {
  const FpAttr attr = FpAttr::unpack(sub);
  static constexpr const char* kWidths[] = {"v128", "v64", "scalar", "?"};
  static constexpr const char* kRounds[] = {"ne", "up", "down", "zero", "na", "odd", "?", "?"};
  out += fmt::format(" .{}.{}.{}{}{} extra={}", "bhsdq???"[static_cast<u8>(attr.lane)],
                     kWidths[static_cast<u8>(attr.width)], kRounds[static_cast<u8>(attr.round)],
                     attr.flush ? ".fz" : "", attr.default_nan ? ".dn" : "", attr.extra);
}

void append_mem_attr(std::string& out, u16 sub) {
  const MemAttr attr = MemAttr::unpack(sub);
  static constexpr const char* kOrders[] = {"", ".acq", ".rel", ".acq_rel"};
  out += fmt::format(" .{}{}{}{}{}{}", attr.bytes() * 8, attr.sign ? ".sign" : "", attr.big_endian ? ".be" : "",
                     kOrders[static_cast<u8>(attr.order)], attr.align == Align::natural ? ".aligned" : "",
                     attr.mmu == MmuIndex::unprivileged ? ".user" : "");
}

/// The line's operands and attributes.
void append_rest(std::string& out, const Inst& inst) {
  const OpInfo& op = info(inst.op);
  switch (inst.op) {
    case Op::constant:
    case Op::insn_start:
    case Op::pc_rel:
    case Op::exit_direct:
    case Op::exit_interpret:
    case Op::push_return:
    case Op::v_const:
      out += fmt::format(" {:#x}", inst.imm_ab());
      break;
    case Op::exit_if: {
      const u8 test = inst.sub & 0xff;
      if (test <= static_cast<u8>(ExitTest::flags_last)) {
        out += fmt::format(" {}", name(static_cast<Cond>(test)));
      } else {
        static constexpr const char* kTests[] = {"zero32", "zero64", "nonzero32", "nonzero64", "bit_clear", "bit_set"};
        const unsigned index = test - static_cast<unsigned>(ExitTest::zero32);
        out += fmt::format(" {} {}", index < std::size(kTests) ? kTests[index] : "?", inst.sub >> 8);
      }
      out += fmt::format(" %{} -> {:#x}", inst.a, inst.imm_bc());
      break;
    }
    case Op::load:
    case Op::store:
      out += fmt::format(" [%{}{:+}]", inst.a, static_cast<i32>(inst.b));
      if (inst.op == Op::store) out += fmt::format(" %{}", inst.c);
      break;
    default:
      append_operand(out, op.a, inst.a);
      append_operand(out, op.b, inst.b);
      append_operand(out, op.c, inst.c);
      break;
  }
  if ((op.traits & kVecAttr) != 0) {
    append_vec_attr(out, inst.sub);
  } else if ((op.traits & kFpAttr) != 0) {
    append_fp_attr(out, inst.sub);
  } else if ((op.traits & kMemAttr) != 0) {
    append_mem_attr(out, inst.sub);
  } else if (inst.op == Op::select || inst.op == Op::flags_select) {
    out += fmt::format(" {}", name(static_cast<Cond>(inst.sub & 15)));
  } else if (inst.op == Op::extract_u || inst.op == Op::extract_s || inst.op == Op::insert) {
    out += fmt::format(" lsb={} width={}", inst.sub & 0xff, inst.sub >> 8);
  } else if (inst.sub != 0 && inst.op != Op::exit_if) {
    out += fmt::format(" sub={}", inst.sub);
  }
}

}  // namespace

const char* name(Op op) {
  const auto index = static_cast<usize>(op);
  return index < std::size(kNames) ? kNames[index] : "?";
}

std::string print(const Block& block) {
  std::string out;
  for (usize i = 0; i < block.insts.size(); ++i) {
    const Inst& inst = block.insts[i];
    if (inst.type == Type::none) {
      out += fmt::format("{:>6}   {:5} {}", "", "", name(inst.op));
    } else {
      out += fmt::format("{:>6} = {:5} {}", fmt::format("%{}", i), name(inst.type), name(inst.op));
    }
    append_rest(out, inst);
    out += '\n';
  }
  return out;
}

}  // namespace solder::ir
