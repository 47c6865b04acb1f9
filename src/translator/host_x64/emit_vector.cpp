/// Vectors: dispatch, bitwise operations, and moves between lanes and general registers.
#include "translator/host_x64/emitter.h"
#include "translator/ir/op_info.h"

namespace solder::host_x64 {

using ir::Lane;
using ir::Op;
using ir::Type;
using ir::VecAttr;
using ir::Width;

bool Emitter::vector(u32 i) {
  const Inst& inst = an_.insts[i];
  if (inst.op < Op::v_const || inst.op >= Op::f_add) return false;
  const VecAttr attr = VecAttr::unpack(inst.sub);
  return vector_bitwise(i, attr) || vector_moves(i, attr) || vector_arithmetic(i, attr) || vector_compare(i, attr) ||
         vector_shift(i, attr) || vector_multiply(i, attr) || vector_narrow(i, attr) || vector_permute(i, attr) ||
         vector_reduce(i, attr);
}

void Emitter::trim(u8 reg, Width width, Lane lane) {
  if (width == Width::v128) return;
  if (width == Width::v64 || lane == Lane::d) {
    a_.vmovq(a_.x(reg), a_.x(reg));
  } else if (lane == Lane::s) {
    a_.vinsertps(a_.x(reg), a_.x(reg), a_.x(reg), 0x0e);
  } else if (lane != Lane::q) {
    a_.vpand(a_.x(reg), a_.x(reg), constant(lane == Lane::h ? Const::low_half : Const::low_byte));
  }
}

bool Emitter::vector_bitwise(u32 i, VecAttr attr) {
  const Inst& inst = an_.insts[i];
  const auto t = a_.x(kXmmScratch0);
  switch (inst.op) {
    case Op::v_const: {
      const u64 half = inst.imm_ab();
      const auto to = a_.x(r_.define_x(i));
      if (half == 0) {
        a_.vpxor(to, to, to);
      } else if (half == ~u64{0} && attr.width == Width::v128) {
        a_.vpcmpeqd(to, to, to);
      } else {
        a_.mov(a_.rax, half);
        a_.vmovq(to, a_.rax);
        if (attr.width == Width::v128) a_.vpunpcklqdq(to, to, to);
      }
      return true;
    }
    case Op::v_and:
    case Op::v_or:
    case Op::v_xor:
    case Op::v_and_not:
    case Op::v_or_not: {
      const auto a = a_.x(r_.use_x(inst.a));
      const auto b = a_.x(r_.use_x(inst.b));
      const u8 reg = r_.define_x(i);
      const auto to = a_.x(reg);
      switch (inst.op) {
        case Op::v_and:
          a_.vpand(to, a, b);
          break;
        case Op::v_or:
          a_.vpor(to, a, b);
          break;
        case Op::v_xor:
          a_.vpxor(to, a, b);
          break;
        case Op::v_and_not:
          a_.vpandn(to, b, a);
          break;
        default:
          a_.vpxor(t, b, constant(Const::all_ones));
          a_.vpor(to, a, t);
          break;
      }
      trim(reg, attr.width, attr.lane);
      return true;
    }
    case Op::v_not: {
      const auto a = a_.x(r_.use_x(inst.a));
      const u8 reg = r_.define_x(i);
      a_.vpxor(a_.x(reg), a, constant(Const::all_ones));
      trim(reg, attr.width, attr.lane);
      return true;
    }
    case Op::v_select: {
      const auto a = a_.x(r_.use_x(inst.a));
      const auto b = a_.x(r_.use_x(inst.b));
      const auto c = a_.x(r_.use_x(inst.c));
      const u8 reg = r_.define_x(i);
      a_.vpand(t, a, b);
      a_.vpandn(a_.x(reg), a, c);
      a_.vpor(a_.x(reg), a_.x(reg), t);
      trim(reg, attr.width, attr.lane);
      return true;
    }
    case Op::v_zero_upper: {
      const u8 a = r_.use_x(inst.a);
      const u8 reg = r_.define_x(i);
      if (attr.width == Width::v64 || (attr.width == Width::scalar && attr.lane == Lane::d)) {
        a_.vmovq(a_.x(reg), a_.x(a));
      } else {
        a_.vmovaps(a_.x(reg), a_.x(a));
        trim(reg, attr.width, attr.lane);
      }
      return true;
    }
    default:
      return false;
  }
}

bool Emitter::vector_moves(u32 i, VecAttr attr) {
  const Inst& inst = an_.insts[i];
  const Lane lane = attr.lane;
  if (lane == Lane::q) return false;
  const auto broadcast = [&](u8 to, u8 from) {
    switch (lane) {
      case Lane::b:
        a_.vpbroadcastb(a_.x(to), a_.x(from));
        break;
      case Lane::h:
        a_.vpbroadcastw(a_.x(to), a_.x(from));
        break;
      case Lane::s:
        a_.vpbroadcastd(a_.x(to), a_.x(from));
        break;
      default:
        a_.vpbroadcastq(a_.x(to), a_.x(from));
        break;
    }
    trim(to, attr.width, lane);
  };
  const auto get_lane = [&](u8 from, unsigned index) {
    switch (lane) {
      case Lane::b:
        a_.vpextrb(a_.eax, a_.x(from), static_cast<u8>(index));
        break;
      case Lane::h:
        a_.vpextrw(a_.eax, a_.x(from), static_cast<u8>(index));
        break;
      case Lane::s:
        a_.vpextrd(a_.eax, a_.x(from), static_cast<u8>(index));
        break;
      default:
        a_.vpextrq(a_.rax, a_.x(from), static_cast<u8>(index));
        break;
    }
  };
  const auto set_lane = [&](u8 to, u8 vector, u8 reg, unsigned index) {
    switch (lane) {
      case Lane::b:
        a_.vpinsrb(a_.x(to), a_.x(vector), a_.g32(reg), static_cast<u8>(index));
        break;
      case Lane::h:
        a_.vpinsrw(a_.x(to), a_.x(vector), a_.g32(reg), static_cast<u8>(index));
        break;
      case Lane::s:
        a_.vpinsrd(a_.x(to), a_.x(vector), a_.g32(reg), static_cast<u8>(index));
        break;
      default:
        a_.vpinsrq(a_.x(to), a_.x(vector), a_.g64(reg), static_cast<u8>(index));
        break;
    }
  };
  // A 64-bit lane takes an i32 zero-extended.
  const auto integer = [&](u32 value, u32 original) -> u8 {
    const bool narrow = original_is_i32(original);
    const u8 reg = r_.use(value, lane == Lane::d && !narrow);
    if (lane != Lane::d || !narrow) return reg;
    a_.mov(a_.eax, a_.g32(reg));
    return kRax;
  };
  const unsigned bytes = 1U << static_cast<unsigned>(lane);
  switch (inst.op) {
    case Op::v_dup: {
      const u8 a = integer(inst.a, block_->insts[i].a);
      const u8 to = r_.define_x(i);
      a_.vmovq(a_.x(to), a_.g64(a));
      broadcast(to, to);
      return true;
    }
    case Op::v_dup_lane: {
      const u8 a = r_.use_x(inst.a);
      const u8 to = r_.define_x(i);
      if (attr.imm == 0) {
        broadcast(to, a);
      } else {
        a_.vpsrldq(a_.x(to), a_.x(a), static_cast<u8>(attr.imm * bytes));
        broadcast(to, to);
      }
      return true;
    }
    case Op::v_extract: {
      const u8 a = r_.use_x(inst.a);
      const bool wide = inst.type == Type::i64;
      const u8 to = r_.define(i);
      get_lane(a, attr.imm);
      extend(to, kRax, bytes, attr.sign, wide);
      if (bytes == 8 && !wide) a_.mov(a_.g32(to), a_.g32(to));
      return true;
    }
    case Op::v_insert: {
      const u8 a = r_.use_x(inst.a);
      const u8 b = integer(inst.b, block_->insts[i].b);
      set_lane(r_.define_x(i), a, b, attr.imm);
      return true;
    }
    case Op::v_insert_lane: {
      const u8 a = r_.use_x(inst.a);
      const u8 b = r_.use_x(inst.b);
      const u8 to = r_.define_x(i);
      const unsigned into = attr.imm & 15;
      const unsigned from = attr.imm >> 4;
      if (lane == Lane::s) {
        a_.vinsertps(a_.x(to), a_.x(a), a_.x(b), static_cast<u8>((from << 6) | (into << 4)));
      } else if (lane == Lane::d) {
        // shufpd: the lower half from the first source, the upper from the second.
        if (into == 0) {
          a_.vshufpd(a_.x(to), a_.x(b), a_.x(a), static_cast<u8>(from | 2));
        } else {
          a_.vshufpd(a_.x(to), a_.x(a), a_.x(b), static_cast<u8>(from << 1));
        }
      } else {
        get_lane(b, from);
        set_lane(to, a, kRax, into);
      }
      return true;
    }
    case Op::v_from_pair: {
      const u8 a = r_.use(inst.a, true);
      const u8 b = r_.use(inst.b, true);
      const u8 to = r_.define_x(i);
      a_.vmovq(a_.x(to), a_.g64(a));
      a_.vpinsrq(a_.x(to), a_.x(to), a_.g64(b), 1);
      return true;
    }
    default:
      return false;
  }
}

}  // namespace solder::host_x64
