/// Whole-register logic and moving lanes about.
#include "translator/interpreter/pure.h"

namespace solder::interpreter::pure {
namespace {

template <class Fn>
void bitwise(const Inst& inst, const V128& a, const V128& b, V128& result, Fn&& fn) {
  V128 out;
  out.d = {fn(a.d[0], b.d[0]), fn(a.d[1], b.d[1])};
  zero_upper(VecAttr::unpack(inst.sub), out);
  result = out;
}

/// result lane i = select(i, lane count): an index into a's lanes, or count + an index into b's.
template <class Select>
void permute(const Inst& inst, const V128& a, const V128& b, V128& result, Select&& select) {
  const VecAttr attr = VecAttr::unpack(inst.sub);
  V128 out{};
  with_lane(attr.lane, false, [&](auto zero) {
    using T = decltype(zero);
    const unsigned count = lane_count<T>(attr.width);
    for (unsigned i = 0; i < count; ++i) {
      const unsigned from = select(i, count);
      set_lane<T>(out, i, from < count ? lane_of<T>(a, from) : lane_of<T>(b, from - count));
    }
  });
  result = out;
}

}  // namespace

SOLDER_PURE(v_const) {
  const u64 half = inst.imm_ab();
  result.d = {half, VecAttr::unpack(inst.sub).width == Width::v128 ? half : 0};
}

SOLDER_PURE(v_and) {
  bitwise(inst, a, b, result, [](u64 x, u64 y) { return x & y; });
}
SOLDER_PURE(v_or) {
  bitwise(inst, a, b, result, [](u64 x, u64 y) { return x | y; });
}
SOLDER_PURE(v_xor) {
  bitwise(inst, a, b, result, [](u64 x, u64 y) { return x ^ y; });
}
SOLDER_PURE(v_and_not) {
  bitwise(inst, a, b, result, [](u64 x, u64 y) { return x & ~y; });
}
SOLDER_PURE(v_or_not) {
  bitwise(inst, a, b, result, [](u64 x, u64 y) { return x | ~y; });
}
SOLDER_PURE(v_not) {
  bitwise(inst, a, a, result, [](u64 x, u64) { return ~x; });
}
SOLDER_PURE(v_select) {
  V128 out;
  for (unsigned i = 0; i < 2; ++i) out.d[i] = (a.d[i] & b.d[i]) | (~a.d[i] & c.d[i]);
  zero_upper(VecAttr::unpack(inst.sub), out);
  result = out;
}
SOLDER_PURE(v_zero_upper) {
  result = a;
  zero_upper(VecAttr::unpack(inst.sub), result);
}

// ---- between lanes and integers ----

SOLDER_PURE(v_dup) {
  map_lanes(VecAttr::unpack(inst.sub), false, a, result,
            [value = a.d[0]](auto zero, auto) { return static_cast<decltype(zero)>(value); });
}
SOLDER_PURE(v_dup_lane) {
  const VecAttr attr = VecAttr::unpack(inst.sub);
  V128 out{};
  with_lane(attr.lane, false, [&](auto zero) {
    using T = decltype(zero);
    for (unsigned i = 0; i < lane_count<T>(attr.width); ++i) set_lane<T>(out, i, lane_of<T>(a, attr.imm));
  });
  result = out;
}
SOLDER_PURE(v_extract) {
  const VecAttr attr = VecAttr::unpack(inst.sub);
  with_lane(attr.lane, attr.sign, [&](auto zero) {
    result.d[0] = static_cast<u64>(i64{static_cast<i64>(lane_of<decltype(zero)>(a, attr.imm))});
  });
  if (inst.type == Type::i32) result.d[0] = static_cast<u32>(result.d[0]);
}
SOLDER_PURE(v_insert) {
  const VecAttr attr = VecAttr::unpack(inst.sub);
  V128 out = a;
  with_lane(attr.lane, false, [&](auto zero) { set_lane(out, attr.imm, static_cast<decltype(zero)>(b.d[0])); });
  result = out;
}
SOLDER_PURE(v_insert_lane) {
  const VecAttr attr = VecAttr::unpack(inst.sub);
  V128 out = a;
  with_lane(attr.lane, false,
            [&](auto zero) { set_lane(out, attr.imm & 15U, lane_of<decltype(zero)>(b, attr.imm >> 4U)); });
  result = out;
}
SOLDER_PURE(v_from_pair) {
  const u64 low = a.d[0];
  result.d = {low, b.d[0]};
}

// ---- permutations ----

SOLDER_PURE(v_uzp1) {
  permute(inst, a, b, result, [](unsigned i, unsigned) { return 2 * i; });
}
SOLDER_PURE(v_uzp2) {
  permute(inst, a, b, result, [](unsigned i, unsigned) { return 2 * i + 1; });
}
SOLDER_PURE(v_zip1) {
  permute(inst, a, b, result, [](unsigned i, unsigned n) { return i / 2 + (i % 2) * n; });
}
SOLDER_PURE(v_zip2) {
  permute(inst, a, b, result, [](unsigned i, unsigned n) { return n / 2 + i / 2 + (i % 2) * n; });
}
SOLDER_PURE(v_trn1) {
  permute(inst, a, b, result, [](unsigned i, unsigned n) { return i % 2 == 0 ? i : n + i - 1; });
}
SOLDER_PURE(v_trn2) {
  permute(inst, a, b, result, [](unsigned i, unsigned n) { return i % 2 == 0 ? i + 1 : n + i; });
}
SOLDER_PURE(v_ext) {
  const VecAttr attr = VecAttr::unpack(inst.sub);
  const unsigned size = attr.width == Width::v128 ? 16 : 8;
  V128 out{};
  for (unsigned i = 0; i < size; ++i) {
    const unsigned from = i + attr.imm;
    out.b[i] = from < size ? a.b[from] : b.b[from - size];
  }
  result = out;
}
SOLDER_PURE(v_reverse) {
  const unsigned container = VecAttr::unpack(inst.sub).imm;
  const unsigned lane_bytes = 1U << static_cast<unsigned>(VecAttr::unpack(inst.sub).lane);
  const unsigned per = container / lane_bytes;
  permute(inst, a, a, result, [per](unsigned i, unsigned) { return i / per * per + (per - 1 - i % per); });
}
SOLDER_PURE(v_table) {
  const VecAttr attr = VecAttr::unpack(inst.sub);
  const unsigned size = inst.b != ~u32{0} ? 32 : 16;
  V128 out{};
  for (unsigned i = 0; i < lane_count<u8>(attr.width == Width::v128 ? Width::v128 : Width::v64); ++i) {
    const unsigned index = c.b[i];
    if (index < size) out.b[i] = index < 16 ? a.b[index] : b.b[index - 16];
  }
  result = out;
}

}  // namespace solder::interpreter::pure
