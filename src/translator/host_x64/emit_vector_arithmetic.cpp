/// Vectors: lane-wise arithmetic, comparisons, multiplication.
#include "translator/host_x64/emitter.h"

namespace solder::host_x64 {

using ir::Lane;
using ir::Op;
using ir::VecAttr;
using Xbyak::Xmm;

namespace {

using Three = void (Xbyak::CodeGenerator::*)(const Xmm&, const Xmm&, const Xbyak::Operand&);
using G = Xbyak::CodeGenerator;

constexpr usize index(Lane lane) {
  return static_cast<usize>(lane);
}

constexpr Three kAdd[4] = {&G::vpaddb, &G::vpaddw, &G::vpaddd, &G::vpaddq};
constexpr Three kSub[4] = {&G::vpsubb, &G::vpsubw, &G::vpsubd, &G::vpsubq};
constexpr Three kMaxS[4] = {&G::vpmaxsb, &G::vpmaxsw, &G::vpmaxsd, nullptr};
constexpr Three kMaxU[4] = {&G::vpmaxub, &G::vpmaxuw, &G::vpmaxud, nullptr};
constexpr Three kMinS[4] = {&G::vpminsb, &G::vpminsw, &G::vpminsd, nullptr};
constexpr Three kMinU[4] = {&G::vpminub, &G::vpminuw, &G::vpminud, nullptr};
constexpr Three kEqual[4] = {&G::vpcmpeqb, &G::vpcmpeqw, &G::vpcmpeqd, &G::vpcmpeqq};
constexpr Three kGreater[4] = {&G::vpcmpgtb, &G::vpcmpgtw, &G::vpcmpgtd, &G::vpcmpgtq};

}  // namespace

bool Emitter::lane_wise(Op op, bool sign, Lane lane, u8 to, u8 a, u8 b) {
  if (lane == Lane::q) return false;
  const usize l = index(lane);
  Three f = nullptr;
  switch (op) {
    case Op::v_add:
    case Op::v_pair_add:
      f = kAdd[l];
      break;
    case Op::v_sub:
      f = kSub[l];
      break;
    case Op::v_max:
    case Op::v_pair_max:
      f = sign ? kMaxS[l] : kMaxU[l];
      break;
    case Op::v_min:
    case Op::v_pair_min:
      f = sign ? kMinS[l] : kMinU[l];
      break;
    case Op::v_cmp_eq:
      f = kEqual[l];
      break;
    case Op::v_cmp_gt:
      f = sign ? kGreater[l] : nullptr;
      break;
    default:
      break;
  }
  if (f == nullptr) return false;
  (a_.*f)(a_.x(to), a_.x(a), a_.x(b));
  return true;
}

bool Emitter::vector_arithmetic(u32 i, VecAttr attr) {
  const Inst& inst = an_.insts[i];
  const Lane lane = attr.lane;
  if (lane == Lane::q) return false;
  const usize l = index(lane);
  const auto t = a_.x(kXmmScratch0);
  const auto u = a_.x(kXmmScratch1);
  switch (inst.op) {
    case Op::v_max:
    case Op::v_min:
      if (lane == Lane::d) return false;
      [[fallthrough]];
    case Op::v_add:
    case Op::v_sub: {
      const u8 a = r_.use_x(inst.a);
      const u8 b = r_.use_x(inst.b);
      const u8 to = r_.define_x(i);
      lane_wise(inst.op, attr.sign, lane, to, a, b);
      trim(to, attr.width, lane);
      return true;
    }
    case Op::v_neg: {
      const u8 a = r_.use_x(inst.a);
      const u8 to = r_.define_x(i);
      a_.vpxor(t, t, t);
      (a_.*kSub[l])(a_.x(to), t, a_.x(a));
      trim(to, attr.width, lane);
      return true;
    }
    case Op::v_abs: {
      const auto a = a_.x(r_.use_x(inst.a));
      const u8 to = r_.define_x(i);
      switch (lane) {
        case Lane::b:
          a_.vpabsb(a_.x(to), a);
          break;
        case Lane::h:
          a_.vpabsw(a_.x(to), a);
          break;
        case Lane::s:
          a_.vpabsd(a_.x(to), a);
          break;
        default:
          // (a ^ sign) - sign
          a_.vpxor(t, t, t);
          a_.vpcmpgtq(t, t, a);
          a_.vpxor(a_.x(to), a, t);
          a_.vpsubq(a_.x(to), a_.x(to), t);
          break;
      }
      trim(to, attr.width, lane);
      return true;
    }
    case Op::v_abs_diff: {
      if (lane == Lane::d) return false;
      const auto a = a_.x(r_.use_x(inst.a));
      const auto b = a_.x(r_.use_x(inst.b));
      const u8 to = r_.define_x(i);
      (a_.*(attr.sign ? kMaxS : kMaxU)[l])(t, a, b);
      (a_.*(attr.sign ? kMinS : kMinU)[l])(u, a, b);
      (a_.*kSub[l])(a_.x(to), t, u);
      trim(to, attr.width, lane);
      return true;
    }
    case Op::v_half_add: {
      if (!attr.round || attr.sign || (lane != Lane::b && lane != Lane::h)) return false;
      const auto a = a_.x(r_.use_x(inst.a));
      const auto b = a_.x(r_.use_x(inst.b));
      const u8 to = r_.define_x(i);
      if (lane == Lane::b) {
        a_.vpavgb(a_.x(to), a, b);
      } else {
        a_.vpavgw(a_.x(to), a, b);
      }
      trim(to, attr.width, lane);
      return true;
    }
    default:
      return false;
  }
}

bool Emitter::vector_compare(u32 i, VecAttr attr) {
  const Inst& inst = an_.insts[i];
  const Lane lane = attr.lane;
  if (inst.op != Op::v_cmp_eq && inst.op != Op::v_cmp_gt && inst.op != Op::v_cmp_ge && inst.op != Op::v_test)
    return false;
  if (lane == Lane::q) return false;
  const usize l = index(lane);
  const auto t = a_.x(kXmmScratch0);
  const auto u = a_.x(kXmmScratch1);
  auto a = a_.x(r_.use_x(inst.a));
  auto b = a_.x(r_.use_x(inst.b));
  const u8 reg = r_.define_x(i);
  const auto to = a_.x(reg);
  const auto invert_result = [&] { a_.vpxor(to, to, constant(Const::all_ones)); };
  switch (inst.op) {
    case Op::v_cmp_eq:
      (a_.*kEqual[l])(to, a, b);
      break;
    case Op::v_test:
      a_.vpand(t, a, b);
      a_.vpxor(u, u, u);
      (a_.*kEqual[l])(to, t, u);
      invert_result();
      break;
    default: {
      const bool greater = inst.op == Op::v_cmp_gt;
      if (!attr.sign && lane != Lane::d) {
        // a >= b when max(a, b) is a; a > b when not b >= a.
        (a_.*kMaxU[l])(t, a, b);
        (a_.*kEqual[l])(to, t, greater ? b : a);
        if (greater) invert_result();
        break;
      }
      if (!attr.sign) {
        // Unsigned as signed, with the sign bits flipped.
        a_.vpxor(t, a, constant(Const::sign_d));
        a_.vpxor(u, b, constant(Const::sign_d));
        a = t;
        b = u;
      }
      if (greater) {
        (a_.*kGreater[l])(to, a, b);
      } else {
        (a_.*kGreater[l])(to, b, a);
        invert_result();
      }
      break;
    }
  }
  trim(reg, attr.width, lane);
  return true;
}

void Emitter::widen(u8 to, u8 from, Lane lane, bool sign) {
  const auto x = a_.x(to);
  const auto y = a_.x(from);
  switch (lane) {
    case Lane::b:
      if (sign) {
        a_.vpmovsxbw(x, y);
      } else {
        a_.vpmovzxbw(x, y);
      }
      break;
    case Lane::h:
      if (sign) {
        a_.vpmovsxwd(x, y);
      } else {
        a_.vpmovzxwd(x, y);
      }
      break;
    default:
      if (sign) {
        a_.vpmovsxdq(x, y);
      } else {
        a_.vpmovzxdq(x, y);
      }
      break;
  }
}

bool Emitter::vector_multiply(u32 i, VecAttr attr) {
  const Inst& inst = an_.insts[i];
  const Lane lane = attr.lane;
  const auto t = a_.x(kXmmScratch0);
  const auto u = a_.x(kXmmScratch1);
  if (inst.op == Op::v_mul) {
    if (lane == Lane::d || lane == Lane::q) return false;
    const auto a = a_.x(r_.use_x(inst.a));
    const auto b = a_.x(r_.use_x(inst.b));
    const u8 reg = r_.define_x(i);
    const auto to = a_.x(reg);
    if (lane == Lane::h) {
      a_.vpmullw(to, a, b);
    } else if (lane == Lane::s) {
      a_.vpmulld(to, a, b);
    } else {
      // Even and odd bytes apart.
      a_.vpsrlw(t, a, 8);
      a_.vpsrlw(u, b, 8);
      a_.vpmullw(t, t, u);
      a_.vpsllw(t, t, 8);
      a_.vpmullw(to, a, b);
      a_.vpand(to, to, constant(Const::even_bytes));
      a_.vpor(to, to, t);
    }
    trim(reg, attr.width, lane);
    return true;
  }
  if (inst.op == Op::v_mul_long) {
    if (lane == Lane::d || lane == Lane::q || attr.width == ir::Width::scalar) return false;
    const u8 a = r_.use_x(inst.a);
    const u8 b = r_.use_x(inst.b);
    const u8 reg = r_.define_x(i);
    const auto to = a_.x(reg);
    const auto source = [&](u8 scratch, u8 from) {
      if (attr.high) {
        a_.vpsrldq(a_.x(scratch), a_.x(from), 8);
        widen(scratch, scratch, lane, attr.sign);
      } else {
        widen(scratch, from, lane, attr.sign);
      }
    };
    source(kXmmScratch0, a);
    source(kXmmScratch1, b);
    if (lane == Lane::b) {
      a_.vpmullw(to, t, u);
    } else if (lane == Lane::h) {
      a_.vpmulld(to, t, u);
    } else if (attr.sign) {
      a_.vpmuldq(to, t, u);
    } else {
      a_.vpmuludq(to, t, u);
    }
    return true;
  }
  if (inst.op == Op::v_poly_mul_long && lane == Lane::d && config_.features.pclmul) {
    const auto a = a_.x(r_.use_x(inst.a));
    const auto b = a_.x(r_.use_x(inst.b));
    a_.vpclmulqdq(a_.x(r_.define_x(i)), a, b, attr.high ? 0x11 : 0x00);
    return true;
  }
  return false;
}

}  // namespace solder::host_x64
