/// Vectors: shifts by constants, narrowing and widening.
#include "translator/host_x64/emitter.h"

namespace solder::host_x64 {

using ir::Lane;
using ir::Op;
using ir::VecAttr;
using ir::Width;

bool Emitter::vector_shift(u32 i, VecAttr attr) {
  const Inst& inst = an_.insts[i];
  if (inst.op != Op::v_shl && inst.op != Op::v_shr) return false;
  const Lane lane = attr.lane;
  if (lane == Lane::q || attr.round) return false;
  const unsigned bits = 8U << static_cast<unsigned>(lane);
  const auto t = a_.x(kXmmScratch0);
  const auto a = a_.x(r_.use_x(inst.a));
  const u8 reg = r_.define_x(i);
  const auto to = a_.x(reg);
  // The same byte in every lane of t.
  const auto byte_mask = [&](u32 byte) {
    a_.mov(a_.eax, byte);
    a_.vmovd(t, a_.eax);
    a_.vpbroadcastb(t, t);
  };
  unsigned amount = attr.imm;
  if (inst.op == Op::v_shl) {
    switch (lane) {
      case Lane::b:
        a_.vpsllw(to, a, static_cast<u8>(amount));
        byte_mask((0xffU << amount) & 0xff);
        a_.vpand(to, to, t);
        break;
      case Lane::h:
        a_.vpsllw(to, a, static_cast<u8>(amount));
        break;
      case Lane::s:
        a_.vpslld(to, a, static_cast<u8>(amount));
        break;
      default:
        a_.vpsllq(to, a, static_cast<u8>(amount));
        break;
    }
  } else if (!attr.sign) {
    switch (lane) {
      case Lane::b:
        a_.vpsrlw(to, a, static_cast<u8>(amount));
        byte_mask(0xffU >> amount);
        a_.vpand(to, to, t);
        break;
      case Lane::h:
        a_.vpsrlw(to, a, static_cast<u8>(amount));
        break;
      case Lane::s:
        a_.vpsrld(to, a, static_cast<u8>(amount));
        break;
      default:
        a_.vpsrlq(to, a, static_cast<u8>(amount));
        break;
    }
  } else {
    if (amount == bits) amount = bits - 1;
    switch (lane) {
      case Lane::b:
        // Logical, then the sign spread: (x ^ m) - m, m being where the sign bit went.
        a_.vpsrlw(to, a, static_cast<u8>(amount));
        byte_mask(0xffU >> amount);
        a_.vpand(to, to, t);
        byte_mask(0x80U >> amount);
        a_.vpxor(to, to, t);
        a_.vpsubb(to, to, t);
        break;
      case Lane::h:
        a_.vpsraw(to, a, static_cast<u8>(amount));
        break;
      case Lane::s:
        a_.vpsrad(to, a, static_cast<u8>(amount));
        break;
      default:
        a_.vpsrlq(to, a, static_cast<u8>(amount));
        a_.vpsrlq(t, constant_in(kXmmScratch0, Const::sign_d), static_cast<u8>(amount));
        a_.vpxor(to, to, t);
        a_.vpsubq(to, to, t);
        break;
    }
  }
  trim(reg, attr.width, lane);
  return true;
}

bool Emitter::vector_narrow(u32 i, VecAttr attr) {
  const Inst& inst = an_.insts[i];
  const Lane lane = attr.lane;
  if (lane >= Lane::d || attr.width == Width::scalar) return false;
  if (inst.op == Op::v_widen) {
    const u8 a = r_.use_x(inst.a);
    const u8 to = r_.define_x(i);
    if (attr.high) {
      a_.vpsrldq(a_.x(to), a_.x(a), 8);
      widen(to, to, lane, attr.sign);
    } else {
      widen(to, a, lane, attr.sign);
    }
    return true;
  }
  if (inst.op != Op::v_narrow) return false;
  if (attr.high && inst.b == kNone) return false;
  const u8 a = r_.use_x(inst.a);
  const u8 b = attr.high ? r_.use_x(inst.b) : 0;
  const u8 to = r_.define_x(i);
  even_lanes(to, a, lane);
  if (attr.high) a_.vpunpcklqdq(a_.x(to), a_.x(b), a_.x(to));
  return true;
}

/// The even lanes to the lower half; the upper half is zero.
void Emitter::even_lanes(u8 to, u8 from, Lane lane) {
  if (lane == Lane::s) {
    a_.vpshufd(a_.x(to), a_.x(from), 0x08);
    a_.vmovq(a_.x(to), a_.x(to));
  } else {
    a_.vpshufb(a_.x(to), a_.x(from), constant(lane == Lane::b ? Const::pack_bytes : Const::pack_halves));
  }
}

}  // namespace solder::host_x64
