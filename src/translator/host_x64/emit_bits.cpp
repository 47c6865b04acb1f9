/// Bit counts, bit fields, byte swaps and CRC32.
#include <cstddef>

#include "base/bits.h"
#include "translator/host_x64/emitter.h"

namespace solder::host_x64 {

using ir::Op;
using ir::Type;

bool Emitter::bits(u32 i) {
  const Inst& inst = an_.insts[i];
  const bool wide = inst.type == Type::i64;
  switch (inst.op) {
    case Op::clz:
    case Op::ctz:
    case Op::popcount: {
      const u8 a = r_.use(inst.a, wide);
      const u8 to = r_.define_like(i, inst.a);
      const auto target = a_.gpr(to, wide);
      const auto source = a_.gpr(a, wide);
      if (inst.op == Op::clz) {
        a_.lzcnt(target, source);
      } else if (inst.op == Op::ctz) {
        a_.tzcnt(target, source);
      } else {
        a_.popcnt(target, source);
      }
      return true;
    }
    case Op::cls:
      count_leading_sign(i);
      return true;
    case Op::bit_reverse:
      bit_reverse(i);
      return true;
    case Op::byte_swap: {
      const u8 a = r_.use(inst.a, wide);
      const u8 to = r_.define_like(i, inst.a);
      if (to != a) a_.mov(a_.gpr(to, wide), a_.gpr(a, wide));
      a_.bswap(a_.gpr(to, wide));
      return true;
    }
    case Op::byte_swap16:
    case Op::byte_swap32:
      swap_units(i);
      return true;
    case Op::extract_u:
    case Op::extract_s:
      extract(i);
      return true;
    case Op::insert:
      insert(i);
      return true;
    case Op::extract_pair:
      extract_pair(i);
      return true;
    case Op::crc32:
      if (((inst.sub & 16) == 0) || !config_.features.crc32) return false;
      crc32(i);
      return true;
    default:
      return false;
  }
}

void Emitter::count_leading_sign(u32 i) {
  // Leading bits equal to the sign, not counting it: clz(a ^ (a >> 1 signed)) - 1.
  const Inst& inst = an_.insts[i];
  const bool wide = inst.type == Type::i64;
  const u8 a = r_.use(inst.a, wide);
  const auto t = a_.gpr(kRax, wide);
  a_.mov(t, a_.gpr(a, wide));
  a_.sar(t, 1);
  a_.xor_(t, a_.gpr(a, wide));
  const auto target = a_.gpr(r_.define_like(i, inst.a), wide);
  a_.lzcnt(target, t);
  a_.dec(target);
}

void Emitter::bit_reverse(u32 i) {
  // Swap bytes, then nibbles, pairs and single bits inside them.
  const Inst& inst = an_.insts[i];
  const bool wide = inst.type == Type::i64;
  const u8 a = r_.use(inst.a, wide);
  const u8 mask = r_.temporary();
  const auto t = a_.gpr(kRax, wide);
  const auto u = a_.gpr(kRcx, wide);
  const auto m = a_.gpr(mask, wide);
  a_.mov(t, a_.gpr(a, wide));
  a_.bswap(t);
  static constexpr struct {
    u8 shift;
    u64 mask;
  } kSteps[] = {{4, 0x0f0f0f0f0f0f0f0f}, {2, 0x3333333333333333}, {1, 0x5555555555555555}};
  for (const auto& step : kSteps) {
    if (wide) {
      a_.mov(a_.g64(mask), step.mask);
    } else {
      a_.mov(a_.g32(mask), static_cast<u32>(step.mask));
    }
    a_.mov(u, t);
    a_.shr(u, step.shift);
    a_.and_(t, m);
    a_.and_(u, m);
    a_.shl(t, step.shift);
    a_.or_(t, u);
  }
  a_.mov(a_.gpr(r_.define(i), wide), t);
}

void Emitter::swap_units(u32 i) {
  const Inst& inst = an_.insts[i];
  const bool wide = inst.type == Type::i64;
  const u8 a = r_.use(inst.a, wide);
  const auto t = a_.gpr(kRax, wide);
  if (inst.op == Op::byte_swap32) {
    // All eight bytes, then the halves back to their places.
    a_.mov(t, a_.gpr(a, wide));
    a_.bswap(t);
    if (wide) a_.ror(t, 32);
  } else {
    // Bytes up and down by eight bits.
    const auto u = a_.gpr(kRcx, wide);
    const u8 mask = r_.temporary();
    if (wide) {
      a_.mov(a_.g64(mask), u64{0x00ff00ff00ff00ff});
    } else {
      a_.mov(a_.g32(mask), 0x00ff00ff);
    }
    a_.mov(t, a_.gpr(a, wide));
    a_.mov(u, t);
    a_.shr(u, 8);
    a_.and_(u, a_.gpr(mask, wide));
    a_.and_(t, a_.gpr(mask, wide));
    a_.shl(t, 8);
    a_.or_(t, u);
  }
  a_.mov(a_.gpr(r_.define(i), wide), t);
}

void Emitter::extract(u32 i) {
  const Inst& inst = an_.insts[i];
  const bool wide = inst.type == Type::i64;
  const unsigned lsb = inst.sub & 0xff;
  const unsigned width = inst.sub >> 8;
  const unsigned size_bits = wide ? 64 : 32;
  const bool is_signed = inst.op == Op::extract_s;
  const u8 a = r_.use(inst.a, wide);
  const u8 to = r_.define_like(i, inst.a);
  const auto target = a_.gpr(to, wide);
  const auto source = a_.gpr(a, wide);
  if (lsb == 0 && (width == 8 || width == 16 || width == 32)) {
    if (width == size_bits) {
      if (to != a || !wide) a_.mov(target, source);
    } else if (!is_signed) {
      if (width == 8) {
        a_.movzx(a_.g32(to), a_.g8(a));
      } else if (width == 16) {
        a_.movzx(a_.g32(to), a_.g16(a));
      } else {
        a_.mov(a_.g32(to), a_.g32(a));
      }
    } else if (width == 8) {
      a_.movsx(target, a_.g8(a));
    } else if (width == 16) {
      a_.movsx(target, a_.g16(a));
    } else {
      a_.movsxd(a_.g64(to), a_.g32(a));
    }
    return;
  }
  if (lsb + width == size_bits) {
    if (to != a) a_.mov(target, source);
    if (lsb == 0) {
      if (to == a && !wide) a_.mov(target, target);
    } else if (is_signed) {
      a_.sar(target, static_cast<int>(lsb));
    } else {
      a_.shr(target, static_cast<int>(lsb));
    }
    return;
  }
  if (!is_signed) {
    if (width <= 31) {
      if (lsb == 0) {
        if (to != a) a_.mov(a_.g32(to), a_.g32(a));
      } else if (to != a && lsb + width <= 32) {
        a_.mov(a_.g32(to), a_.g32(a));
        a_.shr(a_.g32(to), static_cast<int>(lsb));
      } else {
        if (to != a) a_.mov(target, source);
        a_.shr(target, static_cast<int>(lsb));
      }
      a_.and_(a_.g32(to), static_cast<u32>(mask64(width)));
      return;
    }
    if (to != a) a_.mov(target, source);
    a_.shl(target, static_cast<int>(size_bits - lsb - width));
    a_.shr(target, static_cast<int>(size_bits - width));
    return;
  }
  if (to != a) a_.mov(target, source);
  a_.shl(target, static_cast<int>(size_bits - lsb - width));
  a_.sar(target, static_cast<int>(size_bits - width));
}

void Emitter::insert(u32 i) {
  // (a & ~(mask << lsb)) | ((b & mask) << lsb)
  const Inst& inst = an_.insts[i];
  const bool wide = inst.type == Type::i64;
  const unsigned lsb = inst.sub & 0xff;
  const unsigned width = inst.sub >> 8;
  const unsigned size_bits = wide ? 64 : 32;
  const u64 field = mask64(width) << lsb;
  const auto t = a_.gpr(kRax, wide);
  if (width == size_bits) {
    const u8 b = r_.use(inst.b, wide);
    const u8 to = r_.define_like(i, inst.b);
    a_.mov(a_.gpr(to, wide), a_.gpr(b, wide));
    return;
  }
  const u8 a = r_.use(inst.a, wide);
  r_.load_into(kRax, inst.b, wide);
  if (width <= 31) {
    a_.and_(a_.eax, static_cast<u32>(mask64(width)));
    if (lsb != 0) a_.shl(t, static_cast<int>(lsb));
  } else {
    a_.shl(t, static_cast<int>(size_bits - width));
    if (lsb + width != size_bits) a_.shr(t, static_cast<int>(size_bits - width - lsb));
  }
  const u64 keep = ~field;
  const bool fits = !wide || static_cast<i64>(keep) == static_cast<i32>(keep);
  if (!fits) a_.mov(a_.rcx, keep);
  const u8 to = r_.define_like(i, inst.a);
  if (to != a) a_.mov(a_.gpr(to, wide), a_.gpr(a, wide));
  if (fits) {
    a_.and_(a_.gpr(to, wide), static_cast<u32>(keep));
  } else {
    a_.and_(a_.gpr(to, wide), a_.rcx);
  }
  a_.or_(a_.gpr(to, wide), t);
}

void Emitter::extract_pair(u32 i) {
  const Inst& inst = an_.insts[i];
  const bool wide = inst.type == Type::i64;
  const u8 amount = static_cast<u8>(inst.sub & (wide ? 63 : 31));
  const u8 high = r_.use(inst.a, wide);
  r_.load_into(kRax, inst.b, wide);
  if (amount != 0) a_.shrd(a_.gpr(kRax, wide), a_.gpr(high, wide), amount);
  a_.mov(a_.gpr(r_.define(i), wide), a_.gpr(kRax, wide));
}

void Emitter::crc32(u32 i) {
  const Inst& inst = an_.insts[i];
  const unsigned bytes = inst.sub & 15;
  const u8 data = r_.use(inst.b, bytes == 8);
  r_.load_into(kRax, inst.a, false);
  switch (bytes) {
    case 1:
      a_.crc32(a_.eax, a_.g8(data));
      break;
    case 2:
      a_.crc32(a_.eax, a_.g16(data));
      break;
    case 4:
      a_.crc32(a_.eax, a_.g32(data));
      break;
    default:
      a_.crc32(a_.rax, a_.g64(data));
      break;
  }
  a_.mov(a_.g32(r_.define(i)), a_.eax);
}

}  // namespace solder::host_x64
