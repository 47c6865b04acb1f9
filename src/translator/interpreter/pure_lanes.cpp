/// Operations that change lane sizes or cross lanes: narrowing, widening, pairs, reductions, bit counts, estimates.
#include <bit>

#include "translator/interpreter/pure.h"

namespace solder::interpreter::pure {
namespace {

/// Narrows the Doubled<T> lanes of a into one 64-bit half; `convert` maps one wide lane to T.
template <class T, class Convert>
V128 narrow_lanes(const Inst& inst, VecAttr attr, const V128& a, const V128& b, Convert&& convert) {
  V128 out{};
  unsigned first = 0;
  if (attr.high && inst.b != ~u32{0}) {
    out.d[0] = b.d[0];
    first = 8 / sizeof(T);
  }
  const unsigned count = attr.width == Width::scalar ? 1 : 8 / sizeof(T);
  for (unsigned i = 0; i < count; ++i) set_lane<T>(out, first + i, convert(lane_of<Doubled<T>>(a, i)));
  return out;
}

/// Widened lanes: convert(lane index in the source) for each result lane.
template <class T, class Convert>
V128 widen_lanes(VecAttr attr, Convert&& convert) {
  V128 out{};
  const unsigned first = attr.high ? 8 / sizeof(T) : 0;
  const unsigned count = attr.width == Width::scalar ? 1 : 8 / sizeof(T);
  for (unsigned i = 0; i < count; ++i) set_lane<Doubled<T>>(out, i, convert(first + i));
  return out;
}

/// Pairs of neighbours of a, then of b. Scalar: a's first two lanes.
template <class Fn>
void map_pairs(VecAttr attr, const V128& a, const V128& b, V128& result, Fn&& fn) {
  V128 out{};
  with_lane(attr.lane, attr.sign, [&](auto zero) {
    using T = decltype(zero);
    const auto pair = [&](const V128& v, unsigned i) {
      return static_cast<T>(fn(Wide<T>{lane_of<T>(v, i)}, Wide<T>{lane_of<T>(v, i + 1)}));
    };
    if (attr.width == Width::scalar) {
      set_lane<T>(out, 0, pair(a, 0));
      return;
    }
    const unsigned half = lane_count<T>(attr.width) / 2;
    for (unsigned i = 0; i < half; ++i) {
      set_lane<T>(out, i, pair(a, 2 * i));
      set_lane<T>(out, half + i, pair(b, 2 * i));
    }
    if (half == 0) set_lane<T>(out, 0, pair(a, 0));
  });
  result = out;
}

template <class Fn>
void reduce(VecAttr attr, const V128& a, V128& result, Fn&& fn) {
  V128 out{};
  with_lane(attr.lane, attr.sign, [&](auto zero) {
    using T = decltype(zero);
    T total = lane_of<T>(a, 0);
    for (unsigned i = 1; i < lane_count<T>(attr.width); ++i) {
      total = static_cast<T>(fn(Wide<T>{total}, Wide<T>{lane_of<T>(a, i)}));
    }
    set_lane<T>(out, 0, total);
  });
  result = out;
}

/// Carry-less product.
u128 poly_multiply(u64 x, u64 y, unsigned bits) {
  u128 product = 0;
  for (unsigned i = 0; i < bits; ++i) {
    if (bit(y, i)) product ^= u128{x} << i;
  }
  return product;
}

template <class W>
unsigned leading_zeros(W x, unsigned bits) {
  return static_cast<unsigned>(std::countl_zero(static_cast<u64>(x))) - (64 - bits);
}

/// RecipEstimate() of DDI 0487: 256 <= x < 512, 0.5 <= x/512 < 1; result 256..511, 1/x in units of 1/256.
u32 recip_table(u32 x) {
  x = x * 2 + 1;
  const u32 b = (u32{1} << 19) / x;
  return (b + 1) / 2;
}

/// RecipSqrtEstimate(): 128 <= x < 512.
u32 rsqrt_table(u32 x) {
  x = x < 256 ? x * 2 + 1 : ((x >> 1 << 1) + 1) * 2;
  u32 b = 512;
  while (u64{x} * (b + 1) * (b + 1) < (u64{1} << 28)) ++b;
  return (b + 1) / 2;
}

}  // namespace

SOLDER_PURE(v_narrow) {
  const VecAttr attr = VecAttr::unpack(inst.sub);
  with_narrow_lane(attr.lane, false, [&](auto zero) {
    using T = decltype(zero);
    result = narrow_lanes<T>(inst, attr, a, b, [](auto x) { return static_cast<T>(x); });
  });
}
SOLDER_PURE(v_narrow_sat) {
  const VecAttr attr = VecAttr::unpack(inst.sub);
  with_narrow_lane(attr.lane, attr.sign, [&](auto zero) {
    using T = decltype(zero);
    result = narrow_lanes<T>(inst, attr, a, b, [&](auto x) { return saturate<T>(i128{x}, fp_status); });
  });
}
SOLDER_PURE(v_narrow_sat_su) {
  const VecAttr attr = VecAttr::unpack(inst.sub);
  with_narrow_lane(attr.lane, true, [&](auto zero) {
    using T = decltype(zero);
    result = narrow_lanes<T>(inst, attr, a, b, [&](auto x) {
      return static_cast<T>(saturate<std::make_unsigned_t<T>>(i128{x}, fp_status));
    });
  });
}
SOLDER_PURE(v_widen) {
  const VecAttr attr = VecAttr::unpack(inst.sub);
  with_narrow_lane(attr.lane, attr.sign, [&](auto zero) {
    using T = decltype(zero);
    result = widen_lanes<T>(attr, [&](unsigned i) { return Doubled<T>{lane_of<T>(a, i)}; });
  });
}
SOLDER_PURE(v_mul_long) {
  const VecAttr attr = VecAttr::unpack(inst.sub);
  with_narrow_lane(attr.lane, attr.sign, [&](auto zero) {
    using T = decltype(zero);
    using D = Doubled<T>;
    result =
        widen_lanes<T>(attr, [&](unsigned i) { return static_cast<D>(Wide<D>{lane_of<T>(a, i)} * lane_of<T>(b, i)); });
  });
}

SOLDER_PURE(v_poly_mul) {
  map_lanes(VecAttr::unpack(inst.sub), false, a, b, result, [](auto zero, auto x, auto y) {
    return poly_multiply(static_cast<u64>(x), static_cast<u64>(y), sizeof(zero) * 8);
  });
}
SOLDER_PURE(v_poly_mul_long) {
  const VecAttr attr = VecAttr::unpack(inst.sub);
  V128 out{};
  if (attr.lane == Lane::b) {
    for (unsigned i = 0; i < 8; ++i) {
      const unsigned from = i + (attr.high ? 8 : 0);
      out.h[i] = static_cast<u16>(poly_multiply(a.b[from], b.b[from], 8));
    }
  } else {
    const unsigned from = attr.high ? 1 : 0;
    const u128 product = poly_multiply(a.d[from], b.d[from], 64);
    out.d = {static_cast<u64>(product), static_cast<u64>(product >> 64)};
  }
  result = out;
}

SOLDER_PURE(v_pair_add) {
  map_pairs(VecAttr::unpack(inst.sub), a, b, result, [](auto x, auto y) { return x + y; });
}
SOLDER_PURE(v_pair_max) {
  map_pairs(VecAttr::unpack(inst.sub), a, b, result, [](auto x, auto y) { return x > y ? x : y; });
}
SOLDER_PURE(v_pair_min) {
  map_pairs(VecAttr::unpack(inst.sub), a, b, result, [](auto x, auto y) { return x < y ? x : y; });
}
SOLDER_PURE(v_pair_add_long) {
  const VecAttr attr = VecAttr::unpack(inst.sub);
  V128 out{};
  with_narrow_lane(attr.lane, attr.sign, [&](auto zero) {
    using T = decltype(zero);
    using D = Doubled<T>;
    for (unsigned i = 0; i < lane_count<D>(attr.width); ++i) {
      set_lane<D>(out, i, static_cast<D>(Wide<T>{lane_of<T>(a, 2 * i)} + lane_of<T>(a, 2 * i + 1)));
    }
  });
  result = out;
}

SOLDER_PURE(v_sum) {
  reduce(VecAttr::unpack(inst.sub), a, result, [](auto x, auto y) { return x + y; });
}
SOLDER_PURE(v_sum_long) {
  const VecAttr attr = VecAttr::unpack(inst.sub);
  V128 out{};
  with_narrow_lane(attr.lane, attr.sign, [&](auto zero) {
    using T = decltype(zero);
    i64 total = 0;
    for (unsigned i = 0; i < lane_count<T>(attr.width); ++i) total += lane_of<T>(a, i);
    set_lane<Doubled<T>>(out, 0, static_cast<Doubled<T>>(total));
  });
  result = out;
}
SOLDER_PURE(v_max_across) {
  reduce(VecAttr::unpack(inst.sub), a, result, [](auto x, auto y) { return x > y ? x : y; });
}
SOLDER_PURE(v_min_across) {
  reduce(VecAttr::unpack(inst.sub), a, result, [](auto x, auto y) { return x < y ? x : y; });
}

SOLDER_PURE(v_popcount) {
  map_lanes(VecAttr::unpack(inst.sub), false, a, result,
            [](auto, auto x) { return std::popcount(static_cast<u64>(x)); });
}
SOLDER_PURE(v_clz) {
  map_lanes(VecAttr::unpack(inst.sub), false, a, result,
            [](auto zero, auto x) { return leading_zeros(x, sizeof(zero) * 8); });
}
SOLDER_PURE(v_cls) {
  map_lanes(VecAttr::unpack(inst.sub), true, a, result, [](auto zero, auto x) {
    // Leading bits equal to the sign, not counting it: leading zeros of x or ~x, minus one.
    const auto folded = x < 0 ? ~x : x;
    return leading_zeros(folded, sizeof(zero) * 8) - 1;
  });
}
SOLDER_PURE(v_bit_reverse) {
  V128 out = a;
  for (u8& byte : out.b) {
    u8 reversed = 0;
    for (unsigned i = 0; i < 8; ++i) reversed = static_cast<u8>(reversed | (((byte >> i) & 1U) << (7 - i)));
    byte = reversed;
  }
  zero_upper(VecAttr::unpack(inst.sub), out);
  result = out;
}

SOLDER_PURE(v_recip_est_u) {
  VecAttr attr = VecAttr::unpack(inst.sub);
  map_lanes(attr, false, a, result, [](auto, auto x) {
    const auto value = static_cast<u32>(x);
    return value < 0x80000000U ? 0xffffffffU : recip_table(value >> 23) << 23;
  });
}
SOLDER_PURE(v_rsqrt_est_u) {
  VecAttr attr = VecAttr::unpack(inst.sub);
  map_lanes(attr, false, a, result, [](auto, auto x) {
    const auto value = static_cast<u32>(x);
    return value < 0x40000000U ? 0xffffffffU : rsqrt_table(value >> 23) << 23;
  });
}

}  // namespace solder::interpreter::pure
