/// The pure operations, one function each, named after the operation: `pure::add` … Defined in pure_*.cpp by subject.
#pragma once

#include <cstring>
#include <type_traits>

#include "base/bits.h"
#include "translator/interpreter/interpreter.h"
#include "translator/ir/core_state.h"
#include "translator/ir/ir.h"

namespace solder::interpreter::pure {

using ir::FpAttr;
using ir::FpRules;
using ir::Inst;
using ir::Lane;
using ir::Type;
using ir::V128;
using ir::VecAttr;
using ir::Width;

/// Declares or defines one operation.
#define SOLDER_PURE(name)                                                                                      \
  void name([[maybe_unused]] const Inst& inst, [[maybe_unused]] FpRules rules, [[maybe_unused]] const V128& a, \
            [[maybe_unused]] const V128& b, [[maybe_unused]] const V128& c, [[maybe_unused]] u32& fp_status,   \
            [[maybe_unused]] V128& result)

// Operations that are not pure are declared too, but never defined.
#define SOLDER_PURE_DECLARE(name) SOLDER_PURE(name);
SOLDER_IR_OPS(SOLDER_PURE_DECLARE)
#undef SOLDER_PURE_DECLARE

// ---- lanes ----

template <class T>
[[nodiscard]] inline T lane_of(const V128& v, unsigned index) {
  T value;
  std::memcpy(&value, v.b.data() + index * sizeof(T), sizeof(T));
  return value;
}

template <class T>
inline void set_lane(V128& v, unsigned index, T value) {
  std::memcpy(v.b.data() + index * sizeof(T), &value, sizeof(T));
}

/// How many lanes of type T take part.
template <class T>
[[nodiscard]] constexpr unsigned lane_count(Width width) {
  if (width == Width::scalar) return 1;
  return (width == Width::v64 ? 8U : 16U) / sizeof(T);
}

/// A signed type in which sums, differences, and one shift by a lane's size of T's values do not overflow.
template <class T>
using Wide = std::conditional_t<(sizeof(T) <= 4), i64, i128>;

/// The lane type twice as wide, of the same signedness.
template <class T>
struct DoubledType;
template <>
struct DoubledType<u8> {
  using type = u16;
};
template <>
struct DoubledType<u16> {
  using type = u32;
};
template <>
struct DoubledType<u32> {
  using type = u64;
};
template <>
struct DoubledType<i8> {
  using type = i16;
};
template <>
struct DoubledType<i16> {
  using type = i32;
};
template <>
struct DoubledType<i32> {
  using type = i64;
};
template <class T>
using Doubled = typename DoubledType<T>::type;

/// Calls `fn` with a zero of the lane's type.
template <class Fn>
inline void with_lane(Lane lane, bool sign, Fn&& fn) {
  switch (lane) {
    case Lane::b:
      return sign ? fn(i8{}) : fn(u8{});
    case Lane::h:
      return sign ? fn(i16{}) : fn(u16{});
    case Lane::s:
      return sign ? fn(i32{}) : fn(u32{});
    case Lane::d:
    case Lane::q:
      return sign ? fn(i64{}) : fn(u64{});
  }
}

/// The same for lanes that have a wider neighbour: 8, 16, 32 bits.
template <class Fn>
inline void with_narrow_lane(Lane lane, bool sign, Fn&& fn) {
  switch (lane) {
    case Lane::b:
      return sign ? fn(i8{}) : fn(u8{});
    case Lane::h:
      return sign ? fn(i16{}) : fn(u16{});
    default:
      return sign ? fn(i32{}) : fn(u32{});
  }
}

/// result lane = fn(zero of the lane type, a's lane), lanes as Wide.
template <class Fn>
inline void map_lanes(VecAttr attr, bool sign, const V128& a, V128& result, Fn&& fn) {
  V128 out{};
  with_lane(attr.lane, sign, [&](auto zero) {
    using T = decltype(zero);
    const unsigned count = lane_count<T>(attr.width);
    for (unsigned i = 0; i < count; ++i) set_lane<T>(out, i, static_cast<T>(fn(zero, Wide<T>{lane_of<T>(a, i)})));
  });
  result = out;
}

/// result lane = fn(zero of the lane type, a's lane, b's lane), lanes as Wide.
template <class Fn>
inline void map_lanes(VecAttr attr, bool sign, const V128& a, const V128& b, V128& result, Fn&& fn) {
  V128 out{};
  with_lane(attr.lane, sign, [&](auto zero) {
    using T = decltype(zero);
    const unsigned count = lane_count<T>(attr.width);
    for (unsigned i = 0; i < count; ++i) {
      set_lane<T>(out, i, static_cast<T>(fn(zero, Wide<T>{lane_of<T>(a, i)}, Wide<T>{lane_of<T>(b, i)})));
    }
  });
  result = out;
}

/// `value` in T's range; sets the sticky saturation flag when it was not.
template <class T, class W>
[[nodiscard]] inline T saturate(W value, u32& fp_status) {
  constexpr unsigned kBits = sizeof(T) * 8;
  constexpr W kMax = (W{1} << (kBits - (std::is_signed_v<T> ? 1 : 0))) - 1;
  constexpr W kMin = std::is_signed_v<T> ? -kMax - 1 : 0;
  if (value >= kMin && value <= kMax) return static_cast<T>(value);
  fp_status |= ir::kFpSaturated;
  return static_cast<T>(value < kMin ? kMin : kMax);
}

/// Zeroes the lanes that do not take part.
inline void zero_upper(VecAttr attr, V128& v) {
  if (attr.width == Width::v128) return;
  v.d[1] = 0;
  if (attr.width == Width::scalar && attr.lane < Lane::d) v.d[0] &= mask64(8U << static_cast<unsigned>(attr.lane));
}

}  // namespace solder::interpreter::pure
