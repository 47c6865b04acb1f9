// Loads and stores of structures, LD1..LD4 and ST1..ST4 (DDI 0487, C4.1.94).
//
// Registers are only written after every access of the instruction: any of them may fault.
#include <array>

#include "guest/arm64/sem_simd.h"

namespace solder::arm64::sem {
namespace {

using ir::MemAttr;

constexpr VecAttr kBytes{.lane = Lane::b};

unsigned reg(Insn i, unsigned n) {
  return (i.rt() + n) % 32;
}
bool is_load(Insn i) {
  return i.bit(22);
}

/// Base register += bytes, or += Rm. Bit 23 tells the post-index forms.
void post_index(Translate& t, Insn i, Value base, u64 bytes) {
  if (!i.bit(23)) return;
  if (i.rm() == 31) {
    t.set_base(i.rn(), t.ir.add(base, t.ir.c64(bytes)), static_cast<i64>(bytes));
  } else {
    t.set_base(i.rn(), t.ir.add(base, t.x(i.rm())), 1);  // unknown: not a multiple of 16
  }
}

/// A stretch of memory as 16-byte pieces, the last one perhaps of 8.
struct Stretch {
  Value base;
  unsigned bytes = 0;
  unsigned element_log2 = 0;

  [[nodiscard]] unsigned pieces() const { return (bytes + 15) / 16; }
  [[nodiscard]] unsigned piece_bytes(unsigned n) const { return bytes - n * 16 >= 16 ? 16 : 8; }
};

/// Alignment is checked by element, and big pieces would be checked as a whole: element by element then.
bool by_element(Translate& t) {
  return t.has_key(key::kAlignCheck);
}

Value load_piece(Translate& t, const Stretch& s, unsigned n) {
  const unsigned bytes = s.piece_bytes(n);
  const i32 offset = static_cast<i32>(n * 16);
  if (!by_element(t)) return t.ir.load(Type::v128, s.base, t.memory(bytes == 16 ? 4 : 3), offset);
  Value v = t.ir.v_const(0);
  for (unsigned e = 0; e < bytes >> s.element_log2; ++e) {
    const Value x = t.ir.load(s.element_log2 == 3 ? Type::i64 : Type::i32, s.base, t.memory(s.element_log2),
                              offset + static_cast<i32>(e << s.element_log2));
    v = t.ir.v_insert(v, lane(s.element_log2), static_cast<u8>(e), x);
  }
  return v;
}

void store_piece(Translate& t, const Stretch& s, unsigned n, Value v) {
  const unsigned bytes = s.piece_bytes(n);
  const i32 offset = static_cast<i32>(n * 16);
  if (!by_element(t)) return t.ir.store(s.base, v, t.memory(bytes == 16 ? 4 : 3), offset);
  for (unsigned e = 0; e < bytes >> s.element_log2; ++e) {
    const Value x =
        t.ir.v_extract(s.element_log2 == 3 ? Type::i64 : Type::i32, v, lane(s.element_log2), static_cast<u8>(e));
    t.ir.store(s.base, x, t.memory(s.element_log2), offset + static_cast<i32>(e << s.element_log2));
  }
}

Value bytes_constant(Translate& t, const std::array<u8, 16>& bytes) {
  std::array<u64, 2> halves{};
  for (unsigned n = 0; n < 16; ++n) halves[n / 8] |= u64{bytes[n]} << (n % 8 * 8);
  return t.ir.v_from_pair(t.ir.c64(halves[0]), t.ir.c64(halves[1]));
}

/// Bytes of three registers in a row, chosen by 48-byte indices; 0xff gives zero.
Value choose3(Translate& t, const std::array<Value, 4>& from, const std::array<u8, 16>& index) {
  std::array<u8, 16> rest = index;
  bool uses_third = false;
  for (u8& n : rest) {
    if (n >= 32 && n < 48) uses_third = true;
    n = n >= 32 && n < 48 ? static_cast<u8>(n - 32) : 0xff;
  }
  const Value first = t.ir.v(Op::v_table, kBytes, from[0], from[1], bytes_constant(t, index));
  if (!uses_third) return first;
  return t.ir.v(Op::v_or, kBytes, first, t.ir.v(Op::v_table, kBytes, from[2], Value{}, bytes_constant(t, rest)));
}

using Registers = std::array<Value, 4>;

/// Memory pieces to registers, for `count` registers of 8 or 16 bytes.
Registers deinterleave(Translate& t, const Registers& m, unsigned count, Lane l, bool full) {
  const VecAttr attr{.lane = l};
  const Value zero = full ? Value{} : t.ir.v_const(0);
  const auto even = [&](Value a, Value b) { return t.ir.v(Op::v_uzp1, attr, a, b); };
  const auto odd = [&](Value a, Value b) { return t.ir.v(Op::v_uzp2, attr, a, b); };
  if (count == 2) {
    const Value b = full ? m[1] : zero;
    return {even(m[0], b), odd(m[0], b)};
  }
  if (count == 4) {
    const Value ac = even(m[0], m[1]);
    const Value bd = odd(m[0], m[1]);
    const Value ac2 = full ? even(m[2], m[3]) : zero;
    const Value bd2 = full ? odd(m[2], m[3]) : zero;
    return {even(ac, ac2), even(bd, bd2), odd(ac, ac2), odd(bd, bd2)};
  }
  Registers result;
  const unsigned bytes = lane_bits(l) / 8;
  for (unsigned r = 0; r < 3; ++r) {
    std::array<u8, 16> index;
    index.fill(0xff);
    for (unsigned n = 0; n < (full ? 16U : 8U); ++n)
      index[n] = static_cast<u8>((n / bytes * 3 + r) * bytes + n % bytes);
    result[r] = choose3(t, m, index);
  }
  return result;
}

Registers interleave(Translate& t, const Registers& r, unsigned count, Lane l, bool full) {
  const VecAttr attr{.lane = l};
  const auto low = [&](Value a, Value b) { return t.ir.v(Op::v_zip1, attr, a, b); };
  const auto high = [&](Value a, Value b) { return t.ir.v(Op::v_zip2, attr, a, b); };
  if (count == 2) return {low(r[0], r[1]), full ? high(r[0], r[1]) : Value{}};
  if (count == 4) {
    const Value ac = low(r[0], r[2]);
    const Value bd = low(r[1], r[3]);
    if (!full) return {low(ac, bd), high(ac, bd)};
    const Value ac2 = high(r[0], r[2]);
    const Value bd2 = high(r[1], r[3]);
    return {low(ac, bd), high(ac, bd), low(ac2, bd2), high(ac2, bd2)};
  }
  Registers result;
  const unsigned bytes = lane_bits(l) / 8;
  const unsigned total = full ? 48 : 24;
  for (unsigned piece = 0; piece * 16 < total; ++piece) {
    std::array<u8, 16> index;
    index.fill(0xff);
    for (unsigned n = 0; n < 16 && piece * 16 + n < total; ++n) {
      const unsigned at = piece * 16 + n;
      index[n] = static_cast<u8>((at / bytes % 3) * 16 + at / bytes / 3 * bytes + at % bytes);
    }
    result[piece] = choose3(t, r, index);
  }
  return result;
}

/// Element of a single-structure access: size and index from opcode, Q, S and size.
struct Element {
  bool allocated = false;
  unsigned log2 = 0;
  u8 index = 0;
};
Element single_element(Insn i) {
  const unsigned scale = i.bits(15, 14);
  const unsigned position = (i.bit(30) ? 8U : 0U) | i.bits(12, 10);  // Q:S:size
  const unsigned low = i.bits(11, 10);
  if (scale == 0) return {true, 0, static_cast<u8>(position)};
  if (scale == 1) return {(low & 1) == 0, 1, static_cast<u8>(position >> 1)};
  if (low == 0) return {true, 2, static_cast<u8>(position >> 2)};
  return {low == 1 && !i.bit(12), 3, static_cast<u8>(position >> 3)};
}
/// Registers of a single-structure access: bit 13 and R.
unsigned single_count(Insn i) {
  return 1 + (i.bit(13) ? 2 : 0) + (i.bit(21) ? 1 : 0);
}

}  // namespace

void StructuresInterleaved(Translate& t, Insn i) {
  const unsigned log2 = i.bits(11, 10);
  const bool full = q(i);
  if (!begin(t, log2 != 3 || full)) return;
  const unsigned count = i.bits(15, 12) == 0 ? 4 : i.bits(15, 12) == 4 ? 3 : 2;
  const Stretch s{t.base(i.rn()), count * (full ? 16 : 8), log2};
  Registers v;
  if (is_load(i)) {
    for (unsigned n = 0; n < s.pieces(); ++n) v[n] = load_piece(t, s, n);
    // Three 8-byte registers take two pieces, which is all that choose3 then looks at.
    const Registers r = deinterleave(t, v, count, lane(log2), full);
    for (unsigned n = 0; n < count; ++n) t.set_v(reg(i, n), r[n]);
  } else {
    for (unsigned n = 0; n < count; ++n) v[n] = t.v(reg(i, n));
    const Registers m = interleave(t, v, count, lane(log2), full);
    for (unsigned n = 0; n < s.pieces(); ++n) store_piece(t, s, n, m[n]);
  }
  post_index(t, i, s.base, s.bytes);
}

void StructuresPlain(Translate& t, Insn i) {
  if (!begin(t)) return;
  const unsigned opcode = i.bits(15, 12);
  const unsigned count = opcode == 7 ? 1 : opcode == 10 ? 2 : opcode == 6 ? 3 : 4;
  const unsigned bytes = q(i) ? 16 : 8;
  const Value base = t.base(i.rn());
  const auto stretch = [&](unsigned n) {
    return Stretch{n == 0 ? base : t.ir.add(base, t.ir.c64(u64{n} * bytes)), bytes, i.bits(11, 10)};
  };
  if (is_load(i)) {
    Registers v;
    for (unsigned n = 0; n < count; ++n) v[n] = load_piece(t, stretch(n), 0);
    for (unsigned n = 0; n < count; ++n) t.set_v(reg(i, n), v[n]);
  } else {
    for (unsigned n = 0; n < count; ++n) store_piece(t, stretch(n), 0, t.v(reg(i, n)));
  }
  post_index(t, i, base, u64{count} * bytes);
}

void StructureLane(Translate& t, Insn i) {
  const Element e = single_element(i);
  if (!begin(t, e.allocated)) return;
  const unsigned count = single_count(i);
  const Value base = t.base(i.rn());
  const Type type = e.log2 == 3 ? Type::i64 : Type::i32;
  const MemAttr attr = t.memory(e.log2);
  if (is_load(i)) {
    Registers v;
    for (unsigned n = 0; n < count; ++n) v[n] = t.ir.load(type, base, attr, static_cast<i32>(n << e.log2));
    for (unsigned n = 0; n < count; ++n) t.set_v(reg(i, n), t.ir.v_insert(t.v(reg(i, n)), lane(e.log2), e.index, v[n]));
  } else {
    for (unsigned n = 0; n < count; ++n) {
      const Value x = t.ir.v_extract(type, t.v(reg(i, n)), lane(e.log2), e.index);
      t.ir.store(base, x, attr, static_cast<i32>(n << e.log2));
    }
  }
  post_index(t, i, base, u64{count} << e.log2);
}

void StructureReplicate(Translate& t, Insn i) {
  if (!begin(t)) return;
  const unsigned log2 = i.bits(11, 10);
  const unsigned count = single_count(i);
  const Value base = t.base(i.rn());
  Registers v;
  for (unsigned n = 0; n < count; ++n)
    v[n] = t.ir.load(log2 == 3 ? Type::i64 : Type::i32, base, t.memory(log2), static_cast<i32>(n << log2));
  for (unsigned n = 0; n < count; ++n)
    t.set_v(reg(i, n), t.ir.v(Op::v_dup, shape_of(lane(log2), q(i) ? Width::v128 : Width::v64), v[n]));
  post_index(t, i, base, u64{count} << log2);
}

}  // namespace solder::arm64::sem
