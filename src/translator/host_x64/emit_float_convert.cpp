/// Floating point: conversions between formats and integers, rounding to integral.
#include "translator/host_x64/emitter.h"

namespace solder::host_x64 {

using ir::FpAttr;
using ir::FpRules;
using ir::Lane;
using ir::Op;
using ir::Round;
using ir::Type;
using ir::Width;

namespace {

/// roundsd's immediate; bit 3 keeps it from raising inexact.
constexpr u8 host_round(Round round) {
  switch (round) {
    case Round::up:
      return 2;
    case Round::down:
      return 1;
    case Round::zero:
      return 3;
    default:
      return 0;
  }
}

}  // namespace

bool Emitter::float_convert(u32 i, FpAttr attr) {
  const Inst& inst = an_.insts[i];
  if (attr.round > Round::zero || block_->fp_rules != FpRules::arm) return false;
  const auto r = a_.x(kXmmScratch0);
  if (inst.op == Op::f_round) {
    const bool single = attr.lane == Lane::s;
    const u8 mode = static_cast<u8>(host_round(attr.round) | ((attr.extra & 1) != 0 ? 0 : 8));
    const u8 a_reg = r_.use_x(inst.a);
    const u8 to = r_.define_x(i);
    const auto a = a_.x(participating(kXmmScratch1, a_reg, attr.width));
    if (attr.width == Width::scalar) {
      if (single) {
        a_.vroundss(r, a, a, mode);
      } else {
        a_.vroundsd(r, a, a, mode);
      }
    } else if (single) {
      a_.vroundps(r, a, mode);
    } else {
      a_.vroundpd(r, a, mode);
    }
    deliver(to, kXmmScratch0, attr);
    return true;
  }
  if (inst.op != Op::f_convert) return false;
  const auto into = static_cast<Lane>(attr.extra & 7);
  const bool upper = (attr.extra & 16) != 0;
  if ((attr.extra & 8) != 0) return false;
  if (attr.lane == Lane::s && into == Lane::d) {
    const u8 a_reg = r_.use_x(inst.a);
    const u8 to = r_.define_x(i);
    if (attr.width == Width::scalar) {
      a_.vcvtss2sd(r, a_.x(a_reg), a_.x(a_reg));
      a_.vmovq(a_.x(to), r);
    } else if (upper) {
      a_.vpsrldq(r, a_.x(a_reg), 8);
      a_.vcvtps2pd(a_.x(to), r);
    } else {
      a_.vcvtps2pd(a_.x(to), a_.x(a_reg));
    }
    return true;
  }
  if (attr.lane == Lane::d && into == Lane::s && attr.width == Width::scalar) {
    const u8 a_reg = r_.use_x(inst.a);
    const u8 to = r_.define_x(i);
    a_.vcvtsd2ss(r, a_.x(a_reg), a_.x(a_reg));
    FpAttr result = attr;
    result.lane = Lane::s;
    const Near odd = check_result(kXmmScratch0, result, true);
    deliver(to, kXmmScratch0, result);
    add_fixup(i, odd, to);
    return true;
  }
  return false;
}

bool Emitter::float_integer(u32 i, FpAttr attr) {
  const Inst& inst = an_.insts[i];
  const bool single = attr.lane == Lane::s;
  const bool is_unsigned = (attr.extra & 1) != 0;
  if (inst.b != 0 || attr.round > Round::zero || block_->fp_rules != FpRules::arm) return false;
  const auto r = a_.x(kXmmScratch0);
  const auto from_gpr = [&](bool wide, u8 reg) {
    // The upper lanes come from the second operand: zero.
    a_.vpxor(r, r, r);
    if (single) {
      a_.vcvtsi2ss(r, r, a_.gpr(reg, wide));
    } else {
      a_.vcvtsi2sd(r, r, a_.gpr(reg, wide));
    }
  };
  if (inst.op == Op::f_from_gpr) {
    const bool wide = static_cast<Type>(inst.c) == Type::i64;
    const u8 a = r_.use(inst.a, wide);
    const u8 to = r_.define_x(i);
    if (!is_unsigned) {
      from_gpr(wide, a);
      a_.vmovaps(a_.x(to), r);
      return true;
    }
    if (!wide) {
      a_.mov(a_.eax, a_.g32(a));
      from_gpr(true, kRax);
      a_.vmovaps(a_.x(to), r);
      return true;
    }
    a_.test(a_.g64(a), a_.g64(a));
    const Near large = a_.jcc_near(Cc::s);
    from_gpr(true, a);
    a_.vmovaps(a_.x(to), r);
    add_fixup(i, large, to);
    return true;
  }
  if (inst.op != Op::f_to_gpr || attr.width != Width::scalar) return false;
  const bool wide = inst.type == Type::i64;
  // Rounding may not raise inexact where the result is then found to be out of range.
  if (attr.round != Round::zero && (!wide || is_unsigned)) return false;
  const u8 a_reg = r_.use_x(inst.a);
  const u8 to = r_.define(i);
  const auto a = a_.x(a_reg);
  const auto truncate = [&](const Xbyak::Xmm& from, bool to_wide) {
    if (single) {
      if (to_wide) {
        a_.vcvttss2si(a_.rax, from);
      } else {
        a_.vcvttss2si(a_.eax, from);
      }
    } else if (to_wide) {
      a_.vcvttsd2si(a_.rax, from);
    } else {
      a_.vcvttsd2si(a_.eax, from);
    }
  };
  const auto compare_with = [&](Const s, Const d) {
    if (single) {
      a_.vucomiss(a, constant(s));
    } else {
      a_.vucomisd(a, constant(d));
    }
  };
  if (!is_unsigned) {
    if (attr.round == Round::zero) {
      truncate(a, wide);
    } else {
      if (single) {
        a_.vroundss(r, a, a, host_round(attr.round));
      } else {
        a_.vroundsd(r, a, a, host_round(attr.round));
      }
      truncate(r, true);
    }
    // What does not fit gives the least integer: minus one overflows.
    a_.cmp(a_.gpr(kRax, wide), 1);
    const Near out_of_range = a_.jcc_near(Cc::o);
    a_.mov(a_.gpr(to, wide), a_.gpr(kRax, wide));
    add_fixup(i, out_of_range, to);
    return true;
  }
  // -1 < a < 2^32 or 2^63, else the rare path; unordered counts as not above -1.
  compare_with(Const::minus_one_s, Const::minus_one_d);
  const Near low = a_.jcc_near(Cc::be);
  if (wide) {
    compare_with(Const::two63_s, Const::two63_d);
  } else {
    compare_with(Const::two32_s, Const::two32_d);
  }
  const Near high = a_.jcc_near(Cc::ae);
  truncate(a, true);
  a_.mov(a_.gpr(to, wide), a_.gpr(kRax, wide));
  add_fixup(i, low, to);
  stubs_.back().extra = high;
  return true;
}

}  // namespace solder::host_x64
