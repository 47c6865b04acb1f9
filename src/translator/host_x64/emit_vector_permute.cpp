/// Vectors: permutations, pairs, reductions.
#include "translator/host_x64/emitter.h"

namespace solder::host_x64 {

using ir::Lane;
using ir::Op;
using ir::VecAttr;
using ir::Width;

/// The even (or odd) lanes of a, then those of b. Clobbers the third scratch register.
void Emitter::unzip(u8 to, u8 a, u8 b, Lane lane, Width width, bool odd) {
  const auto x = a_.x(to);
  const auto t = a_.x(kXmmScratch2);
  if (lane == Lane::d) {
    if (odd) {
      a_.vpunpckhqdq(x, a_.x(a), a_.x(b));
    } else {
      a_.vpunpcklqdq(x, a_.x(a), a_.x(b));
    }
    return;
  }
  const auto shift_odd = [&](u8 reg, u8 from) {
    switch (lane) {
      case Lane::b:
        a_.vpsrlw(a_.x(reg), a_.x(from), 8);
        break;
      case Lane::h:
        a_.vpsrld(a_.x(reg), a_.x(from), 16);
        break;
      default:
        a_.vpsrlq(a_.x(reg), a_.x(from), 32);
        break;
    }
  };
  if (width == Width::v64) {
    a_.vpunpcklqdq(t, a_.x(a), a_.x(b));
    if (odd) shift_odd(kXmmScratch2, kXmmScratch2);
    even_lanes(to, kXmmScratch2, lane);
    return;
  }
  if (lane == Lane::s) {
    a_.vshufps(x, a_.x(a), a_.x(b), odd ? 0xdd : 0x88);
    return;
  }
  // `to` may be neither a nor b here: results are registers of their own, or scratch.
  if (odd) {
    shift_odd(kXmmScratch2, b);
    even_lanes(kXmmScratch2, kXmmScratch2, lane);
    shift_odd(to, a);
    even_lanes(to, to, lane);
  } else {
    even_lanes(kXmmScratch2, b, lane);
    even_lanes(to, a, lane);
  }
  a_.vpunpcklqdq(x, x, t);
}

bool Emitter::vector_permute(u32 i, VecAttr attr) {
  const Inst& inst = an_.insts[i];
  const Lane lane = attr.lane;
  const auto t = a_.x(kXmmScratch0);
  if (lane == Lane::q || attr.width == Width::scalar) return false;
  switch (inst.op) {
    case Op::v_uzp1:
    case Op::v_uzp2: {
      if (lane == Lane::d && attr.width == Width::v64) return false;
      const u8 a = r_.use_x(inst.a);
      const u8 b = r_.use_x(inst.b);
      unzip(r_.define_x(i), a, b, lane, attr.width, inst.op == Op::v_uzp2);
      return true;
    }
    case Op::v_zip1:
    case Op::v_zip2: {
      if (lane == Lane::d && attr.width == Width::v64) return false;
      const auto a = a_.x(r_.use_x(inst.a));
      const auto b = a_.x(r_.use_x(inst.b));
      const auto to = a_.x(r_.define_x(i));
      const bool half = attr.width == Width::v64;
      const bool upper = inst.op == Op::v_zip2 && !half;
      switch (lane) {
        case Lane::b:
          if (upper) {
            a_.vpunpckhbw(to, a, b);
          } else {
            a_.vpunpcklbw(to, a, b);
          }
          break;
        case Lane::h:
          if (upper) {
            a_.vpunpckhwd(to, a, b);
          } else {
            a_.vpunpcklwd(to, a, b);
          }
          break;
        case Lane::s:
          if (upper) {
            a_.vpunpckhdq(to, a, b);
          } else {
            a_.vpunpckldq(to, a, b);
          }
          break;
        default:
          if (upper) {
            a_.vpunpckhqdq(to, a, b);
          } else {
            a_.vpunpcklqdq(to, a, b);
          }
          break;
      }
      // For 64-bit vectors both results lie in the interleaved lower halves.
      if (half && inst.op == Op::v_zip2) {
        a_.vpsrldq(to, to, 8);
      } else if (half) {
        a_.vmovq(to, to);
      }
      return true;
    }
    case Op::v_trn1:
    case Op::v_trn2: {
      if (lane == Lane::d && attr.width == Width::v64) return false;
      const auto a = a_.x(r_.use_x(inst.a));
      const auto b = a_.x(r_.use_x(inst.b));
      const u8 reg = r_.define_x(i);
      const auto to = a_.x(reg);
      const bool odd = inst.op == Op::v_trn2;
      switch (lane) {
        case Lane::b:
          if (odd) {
            a_.vpsrlw(t, a, 8);
            a_.vmovdqa(to, constant(Const::even_bytes));
            a_.vpandn(to, to, b);
          } else {
            a_.vpand(t, a, constant(Const::even_bytes));
            a_.vpsllw(to, b, 8);
          }
          a_.vpor(to, to, t);
          break;
        case Lane::h:
          if (odd) {
            a_.vpsrld(t, a, 16);
            a_.vpblendw(to, t, b, 0xaa);
          } else {
            a_.vpslld(t, b, 16);
            a_.vpblendw(to, a, t, 0xaa);
          }
          break;
        case Lane::s:
          if (odd) {
            a_.vpsrlq(t, a, 32);
            a_.vpblendd(to, t, b, 0x0a);
          } else {
            a_.vpsllq(t, b, 32);
            a_.vpblendd(to, a, t, 0x0a);
          }
          break;
        default:
          if (odd) {
            a_.vpunpckhqdq(to, a, b);
          } else {
            a_.vpunpcklqdq(to, a, b);
          }
          break;
      }
      trim(reg, attr.width, lane);
      return true;
    }
    case Op::v_ext: {
      const auto a = a_.x(r_.use_x(inst.a));
      const auto b = a_.x(r_.use_x(inst.b));
      const auto to = a_.x(r_.define_x(i));
      if (attr.width == Width::v128) {
        a_.vpalignr(to, b, a, attr.imm);
      } else {
        a_.vpunpcklqdq(to, a, b);
        a_.vpsrldq(to, to, attr.imm);
        a_.vmovq(to, to);
      }
      return true;
    }
    case Op::v_reverse: {
      Const shuffle = Const::count;
      if (lane == Lane::b && attr.imm == 2) shuffle = Const::reverse_16_b;
      if (lane == Lane::b && attr.imm == 4) shuffle = Const::reverse_32_b;
      if (lane == Lane::b && attr.imm == 8) shuffle = Const::reverse_64_b;
      if (lane == Lane::h && attr.imm == 4) shuffle = Const::reverse_32_h;
      if (lane == Lane::h && attr.imm == 8) shuffle = Const::reverse_64_h;
      const bool words = lane == Lane::s && attr.imm == 8;
      if (shuffle == Const::count && !words) return false;
      const auto a = a_.x(r_.use_x(inst.a));
      const u8 reg = r_.define_x(i);
      if (words) {
        a_.vpshufd(a_.x(reg), a, 0xb1);
      } else {
        a_.vpshufb(a_.x(reg), a, constant(shuffle));
      }
      trim(reg, attr.width, lane);
      return true;
    }
    case Op::v_table: {
      const auto a = a_.x(r_.use_x(inst.a));
      const bool two = inst.b != kNone;
      const auto c = a_.x(r_.use_x(inst.c));
      // pshufb gives zero where bit 7 of the index is set: indices from 16 on get it by saturating addition.
      a_.vpaddusb(t, c, constant(Const::beyond));
      if (!two) {
        const u8 reg = r_.define_x(i);
        a_.vpshufb(a_.x(reg), a, t);
        trim(reg, attr.width, lane);
        return true;
      }
      const auto b = a_.x(r_.use_x(inst.b));
      const u8 reg = r_.define_x(i);
      const auto u = a_.x(kXmmScratch1);
      a_.vpsubb(u, c, constant(Const::sixteen));
      a_.vpaddusb(u, u, constant(Const::beyond));
      a_.vpshufb(t, a, t);
      a_.vpshufb(u, b, u);
      a_.vpor(a_.x(reg), t, u);
      trim(reg, attr.width, lane);
      return true;
    }
    default:
      return false;
  }
}

bool Emitter::vector_reduce(u32 i, VecAttr attr) {
  const Inst& inst = an_.insts[i];
  const Lane lane = attr.lane;
  const auto t = a_.x(kXmmScratch0);
  const auto u = a_.x(kXmmScratch1);
  switch (inst.op) {
    case Op::v_pair_add:
    case Op::v_pair_max:
    case Op::v_pair_min: {
      if (lane == Lane::q || attr.width == Width::scalar) return false;
      if (lane == Lane::d && (attr.width == Width::v64 || inst.op != Op::v_pair_add)) return false;
      const u8 a = r_.use_x(inst.a);
      const u8 b = r_.use_x(inst.b);
      const u8 to = r_.define_x(i);
      unzip(kXmmScratch0, a, b, lane, attr.width, false);
      unzip(kXmmScratch1, a, b, lane, attr.width, true);
      lane_wise(inst.op, attr.sign, lane, to, kXmmScratch0, kXmmScratch1);
      return true;
    }
    case Op::v_sum:
    case Op::v_sum_long: {
      // Bytes: sums of eight, then of the two halves.
      if (lane != Lane::b || attr.sign || attr.width == Width::scalar) return false;
      const auto a = a_.x(r_.use_x(inst.a));
      const u8 reg = r_.define_x(i);
      const auto to = a_.x(reg);
      a_.vpxor(t, t, t);
      a_.vpsadbw(to, a, t);
      if (attr.width == Width::v128) {
        a_.vpunpckhqdq(u, to, to);
        a_.vpaddq(to, to, u);
      }
      a_.vpand(to, to, constant(inst.op == Op::v_sum ? Const::low_byte : Const::low_half));
      return true;
    }
    case Op::v_popcount: {
      if (attr.width == Width::scalar) return false;
      const auto a = a_.x(r_.use_x(inst.a));
      const u8 reg = r_.define_x(i);
      const auto to = a_.x(reg);
      a_.vpand(t, a, constant(Const::nibbles));
      a_.vpsrlw(u, a, 4);
      a_.vpand(u, u, constant(Const::nibbles));
      a_.vmovdqa(to, constant(Const::popcounts));
      a_.vpshufb(t, to, t);
      a_.vpshufb(u, to, u);
      a_.vpaddb(to, t, u);
      trim(reg, attr.width, lane);
      return true;
    }
    default:
      return false;
  }
}

}  // namespace solder::host_x64
