/// Floating point: arithmetic, comparisons, rounding. The host computes; where its rules differ from the guest's (NaN
/// results; tininess found after rounding, not before), a rare path calls the exact function.
#include <cstddef>

#include "translator/host_x64/emitter.h"
#include "translator/ir/op_info.h"

namespace solder::host_x64 {

using ir::FpAttr;
using ir::FpRules;
using ir::Lane;
using ir::Op;
using ir::Round;
using ir::Width;

namespace {

/// vcmpps predicates (Intel SDM 2A, CMPPD table 3-1).
constexpr u8 kEqualQuiet = 0, kLessSignalling = 1, kLessEqualSignalling = 2, kUnorderedQuiet = 3, kEqualOrUnordered = 8;

}  // namespace

bool Emitter::floating(u32 i) {
  const Inst& inst = an_.insts[i];
  if (inst.op < Op::f_add || inst.op >= Op::aes_e) return false;
  const FpAttr attr = FpAttr::unpack(inst.sub);
  if (attr.lane != Lane::s && attr.lane != Lane::d) return false;
  if (attr.width == Width::v64 && attr.lane == Lane::d) return false;
  switch (inst.op) {
    case Op::f_neg:
    case Op::f_abs: {
      const bool single = attr.lane == Lane::s;
      const auto a = a_.x(r_.use_x(inst.a));
      const u8 to = r_.define_x(i);
      if (inst.op == Op::f_neg) {
        a_.vpxor(a_.x(to), a, constant(single ? Const::sign_s : Const::sign_d));
      } else {
        a_.vpand(a_.x(to), a, constant(single ? Const::abs_s : Const::abs_d));
      }
      trim(to, attr.width, attr.lane);
      return true;
    }
    default:
      break;
  }
  // FZ and FZ16 have no exact host counterpart (the host's flushes outputs after rounding).
  if (attr.flush) return false;
  switch (inst.op) {
    case Op::f_cmp_eq:
    case Op::f_cmp_ge:
    case Op::f_cmp_gt:
    case Op::f_compare:
      return float_compare(i, attr);
    default:
      break;
  }
  if (attr.default_nan || block_->fp_rules == FpRules::riscv) return false;
  return float_arithmetic(i, attr) || float_minmax(i, attr) || float_convert(i, attr) || float_integer(i, attr);
}

/// Both 64-bit halves of the scratch register = the lower of `from`: so that lanes which take no part do what those
/// that do did, and raise nothing else.
u8 Emitter::participating(u8 scratch, u8 from, Width width) {
  if (width != Width::v64) return from;
  a_.vpunpcklqdq(a_.x(scratch), a_.x(from), a_.x(from));
  return scratch;
}

Near Emitter::check_result(u8 result, FpAttr attr, bool may_be_tiny) {
  const bool single = attr.lane == Lane::s;
  const auto r = a_.x(result);
  const auto t = a_.x(kXmmScratch1);
  // Tiny before rounding, not after (DDI 0487, FPRound; Intel SDM 1, 4.9.1.5): only when the result is the least
  // normal.
  const bool tiny = may_be_tiny && block_->fp_rules == FpRules::arm;
  const auto magnitude = [&] { a_.vandps(t, r, constant(single ? Const::abs_s : Const::abs_d)); };
  const auto least = constant(single ? Const::min_normal_s : Const::min_normal_d);
  if (attr.width == Width::scalar) {
    if (!tiny) {
      if (single) {
        a_.vucomiss(r, r);
      } else {
        a_.vucomisd(r, r);
      }
      return a_.jcc_near(Cc::p);
    }
    magnitude();
    if (single) {
      a_.vucomiss(t, least);
    } else {
      a_.vucomisd(t, least);
    }
    // Equal or unordered.
    return a_.jcc_near(Cc::e);
  }
  if (tiny) {
    magnitude();
    if (single) {
      a_.vcmpps(t, t, least, kEqualOrUnordered);
    } else {
      a_.vcmppd(t, t, least, kEqualOrUnordered);
    }
  } else if (single) {
    a_.vcmpps(t, r, r, kUnorderedQuiet);
  } else {
    a_.vcmppd(t, r, r, kUnorderedQuiet);
  }
  a_.vptest(t, t);
  return a_.jcc_near(Cc::ne);
}

void Emitter::deliver(u8 to, u8 from, FpAttr attr) {
  if (attr.width == Width::v128) {
    a_.vmovaps(a_.x(to), a_.x(from));
  } else if (attr.width == Width::scalar && attr.lane == Lane::s) {
    a_.vinsertps(a_.x(to), a_.x(from), a_.x(from), 0x0e);
  } else {
    a_.vmovq(a_.x(to), a_.x(from));
  }
}

void Emitter::add_fixup(u32 i, Near from, u8 result) {
  const Inst& inst = an_.insts[i];
  const ir::OpInfo& info = ir::info(inst.op);
  Stub& stub = add_stub(&Emitter::float_fixup, from);
  stub.back = a_.position();
  const auto reg = [&](ir::Operand kind, u32 value) {
    return ir::is_value(kind) && value != kNone ? static_cast<u32>(r_.current(value)) : kNone;
  };
  stub.p = {i, reg(info.a, inst.a), reg(info.b, inst.b), reg(info.c, inst.c), result};
}

void Emitter::float_fixup(const Stub& stub) {
  const Inst& original = block_->insts[stub.p[0]];
  if (stub.extra.at != 0) a_.bind(stub.extra);
  for (u32 k = 0; k < 3; ++k) {
    if (stub.p[k + 1] == kNone) continue;
    const auto at = a_.frame(offsetof(Frame, argument) + k * sizeof(ir::V128));
    const u8 reg = static_cast<u8>(stub.p[k + 1]);
    const u32 operand = k == 0 ? original.a : (k == 1 ? original.b : original.c);
    const ir::Type type = block_->insts[operand].type;
    if (type == ir::Type::v128) {
      a_.vmovaps(a_.ptr[at], a_.x(reg));
    } else {
      a_.mov(a_.gpr(kRax, type == ir::Type::i64), a_.gpr(reg, type == ir::Type::i64));
      a_.mov(a_.qword[at], a_.rax);
    }
  }
  call_pure(original, true);
  const auto result = a_.frame(offsetof(Frame, result));
  const u8 to = static_cast<u8>(stub.p[4]);
  if (original.type == ir::Type::v128) {
    a_.vmovaps(a_.x(to), a_.ptr[result]);
  } else if (original.type == ir::Type::i64) {
    a_.mov(a_.g64(to), a_.qword[result]);
  } else {
    a_.mov(a_.g32(to), a_.dword[result]);
  }
  a_.jmp_to(stub.back);
}

bool Emitter::float_arithmetic(u32 i, FpAttr attr) {
  const Inst& inst = an_.insts[i];
  const bool scalar = attr.width == Width::scalar;
  const bool single = attr.lane == Lane::s;
  if (attr.round > Round::zero) return false;
  bool may_be_tiny = true;
  switch (inst.op) {
    case Op::f_add:
    case Op::f_sub:
    case Op::f_sqrt:
      may_be_tiny = false;
      break;  // exact when tiny; never tiny
    case Op::f_mul:
    case Op::f_div:
    case Op::f_mul_add:
      break;
    default:
      return false;
  }
  const u8 a_reg = r_.use_x(inst.a);
  const u8 b_reg = inst.op == Op::f_sqrt ? a_reg : r_.use_x(inst.b);
  const u8 c_reg = inst.op == Op::f_mul_add ? r_.use_x(inst.c) : 0;
  const u8 to = r_.define_x(i);
  const auto r = a_.x(kXmmScratch0);
  const auto a = a_.x(participating(kXmmScratch1, a_reg, attr.width));
  const auto b = a_.x(inst.op == Op::f_sqrt ? a.getIdx() : participating(kXmmScratch2, b_reg, attr.width));
  const auto pick = [&](auto ss, auto sd, auto ps, auto pd) {
    (a_.*(scalar ? (single ? ss : sd) : (single ? ps : pd)))(r, a, b);
  };
  using G = Xbyak::CodeGenerator;
  using Three = void (G::*)(const Xbyak::Xmm&, const Xbyak::Xmm&, const Xbyak::Operand&);
  using Plain = void (G::*)(const Xbyak::Xmm&, const Xbyak::Operand&, const Xbyak::Operand&);
  const auto plain = [](Plain f) { return f; };
  const auto fused = [](Three f) { return f; };
  switch (inst.op) {
    case Op::f_add:
      pick(plain(&G::vaddss), plain(&G::vaddsd), plain(&G::vaddps), plain(&G::vaddpd));
      break;
    case Op::f_sub:
      pick(plain(&G::vsubss), plain(&G::vsubsd), plain(&G::vsubps), plain(&G::vsubpd));
      break;
    case Op::f_mul:
      pick(plain(&G::vmulss), plain(&G::vmulsd), plain(&G::vmulps), plain(&G::vmulpd));
      break;
    case Op::f_div:
      pick(plain(&G::vdivss), plain(&G::vdivsd), plain(&G::vdivps), plain(&G::vdivpd));
      break;
    case Op::f_sqrt:
      if (scalar) {
        if (single) {
          a_.vsqrtss(r, a, a);
        } else {
          a_.vsqrtsd(r, a, a);
        }
      } else if (single) {
        a_.vsqrtps(r, a);
      } else {
        a_.vsqrtpd(r, a);
      }
      break;
    default: {
      if (attr.width == Width::v64) {
        a_.vpunpcklqdq(r, a_.x(c_reg), a_.x(c_reg));
      } else {
        a_.vmovaps(r, a_.x(c_reg));
      }
      // r = ±(a * b) ± r
      switch (attr.extra & 3) {
        case 0:
          pick(fused(&G::vfmadd231ss), fused(&G::vfmadd231sd), fused(&G::vfmadd231ps), fused(&G::vfmadd231pd));
          break;
        case 1:
          pick(fused(&G::vfnmadd231ss), fused(&G::vfnmadd231sd), fused(&G::vfnmadd231ps), fused(&G::vfnmadd231pd));
          break;
        case 2:
          pick(fused(&G::vfmsub231ss), fused(&G::vfmsub231sd), fused(&G::vfmsub231ps), fused(&G::vfmsub231pd));
          break;
        default:
          pick(fused(&G::vfnmsub231ss), fused(&G::vfnmsub231sd), fused(&G::vfnmsub231ps), fused(&G::vfnmsub231pd));
          break;
      }
      break;
    }
  }
  if (block_->fp_rules == FpRules::x86) {
    deliver(to, kXmmScratch0, attr);
    return true;
  }
  const Near odd = check_result(kXmmScratch0, attr, may_be_tiny);
  deliver(to, kXmmScratch0, attr);
  add_fixup(i, odd, to);
  return true;
}

bool Emitter::float_minmax(u32 i, FpAttr attr) {
  const Inst& inst = an_.insts[i];
  if (inst.op != Op::f_max && inst.op != Op::f_min && inst.op != Op::f_max_num && inst.op != Op::f_min_num)
    return false;
  if (block_->fp_rules != FpRules::arm) return false;
  const bool single = attr.lane == Lane::s;
  const bool maximum = inst.op == Op::f_max || inst.op == Op::f_max_num;
  const u8 a_reg = r_.use_x(inst.a);
  const u8 b_reg = r_.use_x(inst.b);
  const u8 to = r_.define_x(i);
  const auto a = a_.x(participating(kXmmScratch1, a_reg, attr.width));
  const auto b = a_.x(participating(kXmmScratch2, b_reg, attr.width));
  const auto r = a_.x(kXmmScratch0);
  Near unordered{};
  if (attr.width == Width::scalar) {
    if (single) {
      a_.vucomiss(a, b);
    } else {
      a_.vucomisd(a, b);
    }
    unordered = a_.jcc_near(Cc::p);
  } else {
    if (single) {
      a_.vcmpps(r, a, b, kUnorderedQuiet);
    } else {
      a_.vcmppd(r, a, b, kUnorderedQuiet);
    }
    a_.vptest(r, r);
    unordered = a_.jcc_near(Cc::ne);
  }
  // The host gives the second operand when both are zero: both ways round, and the signs combined. The packed forms
  // serve scalars too when the other lanes cannot raise anything, so scalars use the scalar ones.
  const auto s = a_.x(to);
  const bool scalar = attr.width == Width::scalar;
  const auto both_ways = [&](auto f) {
    (a_.*f)(r, a, b);
    (a_.*f)(s, b, a);
  };
  using G = Xbyak::CodeGenerator;
  using Three = void (G::*)(const Xbyak::Xmm&, const Xbyak::Operand&, const Xbyak::Operand&);
  if (maximum) {
    both_ways(scalar ? (single ? Three{&G::vmaxss} : Three{&G::vmaxsd})
                     : (single ? Three{&G::vmaxps} : Three{&G::vmaxpd}));
    a_.vandps(r, r, s);
  } else {
    both_ways(scalar ? (single ? Three{&G::vminss} : Three{&G::vminsd})
                     : (single ? Three{&G::vminps} : Three{&G::vminpd}));
    a_.vorps(r, r, s);
  }
  deliver(to, kXmmScratch0, attr);
  add_fixup(i, unordered, to);
  return true;
}

bool Emitter::float_compare(u32 i, FpAttr attr) {
  const Inst& inst = an_.insts[i];
  const bool single = attr.lane == Lane::s;
  if (inst.op == Op::f_compare) {
    const auto a = a_.x(r_.use_x(inst.a));
    const auto b = a_.x(r_.use_x(inst.b));
    const bool signalling = (attr.extra & 1) != 0;
    if (single) {
      if (signalling) {
        a_.vcomiss(a, b);
      } else {
        a_.vucomiss(a, b);
      }
    } else if (signalling) {
      a_.vcomisd(a, b);
    } else {
      a_.vucomisd(a, b);
    }
    r_.mark_defined(i);
    produce_flags(i, FlagsKind::fp);
    return true;
  }
  const u8 a_reg = r_.use_x(inst.a);
  const u8 b_reg = r_.use_x(inst.b);
  const u8 to = r_.define_x(i);
  auto a = a_.x(participating(kXmmScratch1, a_reg, attr.width));
  auto b = a_.x(participating(kXmmScratch2, b_reg, attr.width));
  if ((attr.extra & 1) != 0) {
    const Const mask = single ? Const::abs_s : Const::abs_d;
    a_.vandps(a_.x(kXmmScratch1), a, constant(mask));
    a_.vandps(a_.x(kXmmScratch2), b, constant(mask));
    a = a_.x(kXmmScratch1);
    b = a_.x(kXmmScratch2);
  }
  u8 predicate = kEqualQuiet;
  if (inst.op == Op::f_cmp_ge) predicate = kLessEqualSignalling;
  if (inst.op == Op::f_cmp_gt) predicate = kLessSignalling;
  if (inst.op != Op::f_cmp_eq) std::swap(a, b);
  const auto r = a_.x(kXmmScratch0);
  if (attr.width == Width::scalar) {
    if (single) {
      a_.vcmpss(r, a, b, predicate);
    } else {
      a_.vcmpsd(r, a, b, predicate);
    }
  } else if (single) {
    a_.vcmpps(r, a, b, predicate);
  } else {
    a_.vcmppd(r, a, b, predicate);
  }
  deliver(to, kXmmScratch0, attr);
  return true;
}

}  // namespace solder::host_x64
