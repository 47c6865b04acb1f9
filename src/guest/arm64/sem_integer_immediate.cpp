// Data processing, immediate (DDI 0487, C4.1.86).
#include <bit>
#include <optional>

#include "guest/arm64/decode.h"
#include "guest/arm64/sem_integer.h"
#include "guest/arm64/translator.h"

namespace solder::arm64::sem {

using ir::Value;

namespace {

/// DecodeBitMasks of J1.1.3: the pattern of a logical immediate; empty when reserved.
std::optional<u64> logical_immediate(bool n, u32 imms, u32 immr) {
  const u32 selector = (u32{n} << 6) | (~imms & 0x3f);
  if (selector == 0) return std::nullopt;
  const unsigned length = static_cast<unsigned>(std::bit_width(selector)) - 1;
  if (length < 1) return std::nullopt;
  const u32 levels = (u32{1} << length) - 1;
  const u32 s = imms & levels;
  const u32 r = immr & levels;
  if (s == levels) return std::nullopt;
  const unsigned size = 1U << length;
  u64 element = mask64(s + 1);
  if (r != 0) element = ((element >> r) | (element << (size - r))) & mask64(size);
  u64 pattern = 0;
  for (unsigned at = 0; at < 64; at += size) pattern |= element << at;
  return pattern;
}

}  // namespace

Value add_sub(Translate& t, bool subtract, bool set_flags, Value a, Value b) {
  const Value result = subtract ? t.ir.sub(a, b) : t.ir.add(a, b);
  if (set_flags) t.set_flags(subtract ? t.ir.flags_sub(a, b) : t.ir.flags_add(a, b));
  return result;
}

void Adr(Translate& t, Insn i) {
  const i64 offset = (i.simm(23, 5) << 2) | i.bits(30, 29);
  t.set_x(i.rd(), t.ir.pc_rel(t.delta() + static_cast<u64>(offset)));
}

void Adrp(Translate& t, Insn i) {
  const i64 pages = (i.simm(23, 5) << 2) | i.bits(30, 29);
  const Value page = t.ir.and_(t.pc(), t.ir.c64(~u64{0xfff}));
  t.set_x(i.rd(), t.ir.add(page, t.ir.c64(static_cast<u64>(pages) << 12)));
}

void AddSubImmediate(Translate& t, Insn i) {
  const u64 imm = u64{i.bits(21, 10)} << (i.bit(22) ? 12 : 0);
  const bool subtract = i.bit(30);
  const Value a = t.r_sp(i.rn(), i.sf());
  const Value result = add_sub(t, subtract, i.bit(29), a, t.imm(i.sf(), imm));
  if (i.bit(29)) {
    t.set_r(i.rd(), result);
  } else if (i.rd() == 31 && i.rn() == 31 && i.sf()) {
    // The frequent move of the stack pointer, which keeps what is known of its alignment.
    t.set_base(31, result, subtract ? -static_cast<i64>(imm) : static_cast<i64>(imm));
  } else {
    t.set_r_sp(i.rd(), result);
  }
}

void LogicalImmediate(Translate& t, Insn i) {
  const auto pattern = logical_immediate(i.bit(22), i.bits(15, 10), i.bits(21, 16));
  if (!pattern || (!i.sf() && i.bit(22))) return t.undefined();
  const Value a = t.r(i.rn(), i.sf());
  const Value b = t.imm(i.sf(), *pattern);
  switch (i.bits(30, 29)) {
    case 0:
      return t.set_r_sp(i.rd(), t.ir.and_(a, b));
    case 1:
      return t.set_r_sp(i.rd(), t.ir.or_(a, b));
    case 2:
      return t.set_r_sp(i.rd(), t.ir.xor_(a, b));
    default:
      break;
  }
  const Value result = t.ir.and_(a, b);
  t.set_flags(t.ir.flags_logic(result));
  t.set_r(i.rd(), result);
}

void MoveWide(Translate& t, Insn i) {
  const unsigned hw = i.bits(22, 21);
  if (!i.sf() && hw >= 2) return t.undefined();
  const unsigned shift = hw * 16;
  const u64 imm = u64{i.bits(20, 5)} << shift;
  switch (i.bits(30, 29)) {
    case 0:
      return t.set_r(i.rd(), t.imm(i.sf(), ~imm));
    case 2:
      return t.set_r(i.rd(), t.imm(i.sf(), imm));
    default:
      break;
  }
  t.set_r(i.rd(), t.ir.insert(t.r(i.rd(), i.sf()), t.imm(i.sf(), i.bits(20, 5)), shift, 16));
}

void Bitfield(Translate& t, Insn i) {
  const unsigned size = i.sf() ? 64 : 32;
  const unsigned r = i.bits(21, 16);
  const unsigned s = i.bits(15, 10);
  if (i.bit(22) != i.sf() || r >= size || s >= size) return t.undefined();
  const Value a = t.r(i.rn(), i.sf());
  const u32 opc = i.bits(30, 29);
  if (s >= r) {  // bits s..r come down to bit 0
    const unsigned width = s - r + 1;
    switch (opc) {
      case 0:
        return t.set_r(i.rd(), t.ir.extract_s(a, r, width));
      case 2:
        return t.set_r(i.rd(), t.ir.extract_u(a, r, width));
      default:
        break;
    }
    const Value field = r == 0 ? a : t.ir.shr_u(a, t.imm(i.sf(), r));
    return t.set_r(i.rd(), t.ir.insert(t.r(i.rd(), i.sf()), field, 0, width));
  }
  // bits s..0 go up to bit size - r
  const unsigned lsb = size - r;
  switch (opc) {
    case 0:
      return t.set_r(i.rd(), t.ir.shl(t.ir.extract_s(a, 0, s + 1), t.imm(i.sf(), lsb)));
    case 2:
      return t.set_r(i.rd(), t.ir.shl(t.ir.extract_u(a, 0, s + 1), t.imm(i.sf(), lsb)));
    default:
      break;
  }
  t.set_r(i.rd(), t.ir.insert(t.r(i.rd(), i.sf()), a, lsb, s + 1));
}

void Extract(Translate& t, Insn i) {
  const unsigned lsb = i.bits(15, 10);
  if (i.bit(22) != i.sf() || (!i.sf() && lsb >= 32)) return t.undefined();
  const Value low = t.r(i.rm(), i.sf());
  const Value high = t.r(i.rn(), i.sf());
  if (lsb == 0) return t.set_r(i.rd(), low);
  if (i.rn() == i.rm()) return t.set_r(i.rd(), t.ir.ror(low, t.imm(i.sf(), lsb)));
  t.set_r(i.rd(), t.ir.extract_pair(high, low, lsb));
}

}  // namespace solder::arm64::sem
