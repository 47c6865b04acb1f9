/// Integer lanes: arithmetic, comparison, shifts. Semantics: DDI 0487 C7.2, the instructions that SOLDER_IR_OPS names.
#include "translator/interpreter/pure.h"

namespace solder::interpreter::pure {
namespace {

/// x >> n for 1 <= n, rounding to nearest when asked (half up). n may exceed the lane.
template <class T, class W>
W shift_right(W x, unsigned n, bool round) {
  constexpr unsigned kBits = sizeof(T) * 8;
  if (round) return n > kBits ? 0 : (x + (W{1} << (n - 1))) >> n;
  return x >> (n >= kBits ? kBits : n);  // kBits fill bits are enough: W is wider than T
}

/// x << n modulo the lane.
template <class T, class W>
W shift_left(W x, unsigned n) {
  if (n >= sizeof(T) * 8) return 0;
  return static_cast<W>(static_cast<std::make_unsigned_t<T>>(static_cast<u64>(x) << n));
}

/// x << n saturated to `To`.
template <class To, class W>
To shift_left_saturate(W x, unsigned n, u32& fp_status) {
  constexpr unsigned kBits = sizeof(To) * 8;
  if (n >= kBits && x != 0) {  // every value overflows; keep its sign
    x = x < 0 ? W{-1} << (kBits + 1) : W{1} << (kBits + 1);
    return saturate<To>(x, fp_status);
  }
  return x == 0 ? To{0} : saturate<To>(x * (W{1} << n), fp_status);
}

/// Amount of a shift by register: the signed low byte of the lane.
template <class W>
int shift_amount(W lane) {
  return static_cast<i8>(static_cast<u8>(lane & 0xff));
}

template <class W>
W magnitude(W x) {
  return x < 0 ? -x : x;
}

}  // namespace

SOLDER_PURE(v_add) {
  map_lanes(VecAttr::unpack(inst.sub), false, a, b, result, [](auto, auto x, auto y) { return x + y; });
}
SOLDER_PURE(v_sub) {
  map_lanes(VecAttr::unpack(inst.sub), false, a, b, result, [](auto, auto x, auto y) { return x - y; });
}
SOLDER_PURE(v_mul) {
  map_lanes(VecAttr::unpack(inst.sub), false, a, b, result,
            [](auto, auto x, auto y) { return static_cast<u64>(x) * static_cast<u64>(y); });
}
SOLDER_PURE(v_neg) {
  map_lanes(VecAttr::unpack(inst.sub), false, a, result, [](auto, auto x) { return -x; });
}
SOLDER_PURE(v_abs) {
  map_lanes(VecAttr::unpack(inst.sub), true, a, result, [](auto, auto x) { return magnitude(x); });
}

SOLDER_PURE(v_add_sat) {
  const VecAttr attr = VecAttr::unpack(inst.sub);
  map_lanes(attr, attr.sign, a, b, result,
            [&](auto zero, auto x, auto y) { return saturate<decltype(zero)>(x + y, fp_status); });
}
SOLDER_PURE(v_sub_sat) {
  const VecAttr attr = VecAttr::unpack(inst.sub);
  map_lanes(attr, attr.sign, a, b, result,
            [&](auto zero, auto x, auto y) { return saturate<decltype(zero)>(x - y, fp_status); });
}
SOLDER_PURE(v_add_sat_mixed) {
  const VecAttr attr = VecAttr::unpack(inst.sub);
  map_lanes(attr, attr.sign, a, b, result, [&](auto zero, auto x, auto y) {
    using T = decltype(zero);
    using Other = std::conditional_t<std::is_signed_v<T>, std::make_unsigned_t<T>, std::make_signed_t<T>>;
    return saturate<T>(x + Wide<T>{static_cast<Other>(y)}, fp_status);
  });
}
SOLDER_PURE(v_abs_sat) {
  map_lanes(VecAttr::unpack(inst.sub), true, a, result,
            [&](auto zero, auto x) { return saturate<decltype(zero)>(magnitude(x), fp_status); });
}
SOLDER_PURE(v_neg_sat) {
  map_lanes(VecAttr::unpack(inst.sub), true, a, result,
            [&](auto zero, auto x) { return saturate<decltype(zero)>(-x, fp_status); });
}

SOLDER_PURE(v_half_add) {
  const VecAttr attr = VecAttr::unpack(inst.sub);
  map_lanes(attr, attr.sign, a, b, result, [&](auto, auto x, auto y) { return (x + y + (attr.round ? 1 : 0)) >> 1; });
}
SOLDER_PURE(v_half_sub) {
  const VecAttr attr = VecAttr::unpack(inst.sub);
  map_lanes(attr, attr.sign, a, b, result, [&](auto, auto x, auto y) { return (x - y + (attr.round ? 1 : 0)) >> 1; });
}
SOLDER_PURE(v_max) {
  const VecAttr attr = VecAttr::unpack(inst.sub);
  map_lanes(attr, attr.sign, a, b, result, [](auto, auto x, auto y) { return x > y ? x : y; });
}
SOLDER_PURE(v_min) {
  const VecAttr attr = VecAttr::unpack(inst.sub);
  map_lanes(attr, attr.sign, a, b, result, [](auto, auto x, auto y) { return x < y ? x : y; });
}
SOLDER_PURE(v_abs_diff) {
  const VecAttr attr = VecAttr::unpack(inst.sub);
  map_lanes(attr, attr.sign, a, b, result, [](auto, auto x, auto y) { return magnitude(x - y); });
}

SOLDER_PURE(v_cmp_eq) {
  map_lanes(VecAttr::unpack(inst.sub), false, a, b, result, [](auto, auto x, auto y) { return x == y ? -1 : 0; });
}
SOLDER_PURE(v_cmp_gt) {
  const VecAttr attr = VecAttr::unpack(inst.sub);
  map_lanes(attr, attr.sign, a, b, result, [](auto, auto x, auto y) { return x > y ? -1 : 0; });
}
SOLDER_PURE(v_cmp_ge) {
  const VecAttr attr = VecAttr::unpack(inst.sub);
  map_lanes(attr, attr.sign, a, b, result, [](auto, auto x, auto y) { return x >= y ? -1 : 0; });
}
SOLDER_PURE(v_test) {
  map_lanes(VecAttr::unpack(inst.sub), false, a, b, result, [](auto, auto x, auto y) { return (x & y) != 0 ? -1 : 0; });
}

// ---- shifts ----

SOLDER_PURE(v_shl) {
  const VecAttr attr = VecAttr::unpack(inst.sub);
  map_lanes(attr, false, a, result, [&](auto zero, auto x) { return shift_left<decltype(zero)>(x, attr.imm); });
}
SOLDER_PURE(v_shr) {
  const VecAttr attr = VecAttr::unpack(inst.sub);
  map_lanes(attr, attr.sign, a, result,
            [&](auto zero, auto x) { return shift_right<decltype(zero)>(x, attr.imm, attr.round); });
}
SOLDER_PURE(v_shl_var) {
  const VecAttr attr = VecAttr::unpack(inst.sub);
  map_lanes(attr, attr.sign, a, b, result, [&](auto zero, auto x, auto y) {
    using T = decltype(zero);
    const int n = shift_amount(y);
    return n >= 0 ? shift_left<T>(x, static_cast<unsigned>(n))
                  : shift_right<T>(x, static_cast<unsigned>(-n), attr.round);
  });
}
SOLDER_PURE(v_shl_var_sat) {
  const VecAttr attr = VecAttr::unpack(inst.sub);
  map_lanes(attr, attr.sign, a, b, result, [&](auto zero, auto x, auto y) {
    using T = decltype(zero);
    const int n = shift_amount(y);
    return n >= 0 ? shift_left_saturate<T>(x, static_cast<unsigned>(n), fp_status)
                  : static_cast<T>(shift_right<T>(x, static_cast<unsigned>(-n), attr.round));
  });
}
SOLDER_PURE(v_shl_sat) {
  const VecAttr attr = VecAttr::unpack(inst.sub);
  map_lanes(attr, attr.sign, a, result,
            [&](auto zero, auto x) { return shift_left_saturate<decltype(zero)>(x, attr.imm, fp_status); });
}
SOLDER_PURE(v_shl_sat_su) {
  const VecAttr attr = VecAttr::unpack(inst.sub);
  map_lanes(attr, true, a, result, [&](auto zero, auto x) {
    using Unsigned = std::make_unsigned_t<decltype(zero)>;
    return static_cast<decltype(zero)>(shift_left_saturate<Unsigned>(x, attr.imm, fp_status));
  });
}

// ---- saturating doubling multiplications ----

SOLDER_PURE(v_mul_double_high) {
  const VecAttr attr = VecAttr::unpack(inst.sub);
  map_lanes(attr, true, a, b, result, [&](auto zero, auto x, auto y) {
    using T = decltype(zero);
    constexpr unsigned kBits = sizeof(T) * 8;
    const i128 product = i128{x} * y * 2 + (attr.round ? i128{1} << (kBits - 1) : 0);
    return saturate<T>(product >> kBits, fp_status);
  });
}

SOLDER_PURE(v_mul_double_high_acc) {
  const VecAttr attr = VecAttr::unpack(inst.sub);
  V128 out{};
  with_narrow_lane(attr.lane, true, [&](auto zero) {
    using T = decltype(zero);
    constexpr unsigned kBits = sizeof(T) * 8;
    for (unsigned i = 0; i < lane_count<T>(attr.width); ++i) {
      const i128 product = i128{lane_of<T>(b, i)} * lane_of<T>(c, i) * 2;
      const i128 accumulator = i128{lane_of<T>(a, i)} * (i128{1} << kBits);
      const i128 sum = accumulator + (attr.imm == 1 ? -product : product) + (i128{1} << (kBits - 1));
      set_lane<T>(out, i, saturate<T>(sum >> kBits, fp_status));
    }
  });
  result = out;
}

SOLDER_PURE(v_mul_double_long) {
  const VecAttr attr = VecAttr::unpack(inst.sub);
  V128 out{};
  with_narrow_lane(attr.lane, true, [&](auto zero) {
    using T = decltype(zero);
    const unsigned first = attr.high ? 8 / sizeof(T) : 0;
    const unsigned count = attr.width == Width::scalar ? 1 : 8 / sizeof(T);
    for (unsigned i = 0; i < count; ++i) {
      const i128 product = i128{lane_of<T>(a, first + i)} * lane_of<T>(b, first + i) * 2;
      set_lane<Doubled<T>>(out, i, saturate<Doubled<T>>(product, fp_status));
    }
  });
  result = out;
}

}  // namespace solder::interpreter::pure
