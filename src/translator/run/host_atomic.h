/// Atomic operations on guest RAM through host atomics.
#pragma once

#include <cstring>
#include <type_traits>

#include "translator/ir/ir.h"

namespace solder::run {

/// The low `size` bytes in the other order.
inline u64 byte_swap(u64 value, unsigned size) {
  return __builtin_bswap64(value) >> (64 - size * 8);
}

/// One read-modify-write of a T; sequentially consistent, as the host's are.
template <class T>
u64 modify(u8* host, ir::Rmw operation, u64 operand, bool big_endian) {
  T* p = reinterpret_cast<T*>(host);
  const T b = static_cast<T>(operand);
  using S = std::make_signed_t<T>;
  const auto in_order = [big_endian](T v) { return big_endian ? static_cast<T>(byte_swap(v, sizeof(T))) : v; };
  switch (big_endian ? ir::Rmw::umax : operation) {
    case ir::Rmw::add:
      return __atomic_fetch_add(p, b, __ATOMIC_SEQ_CST);
    case ir::Rmw::clear:
      return __atomic_fetch_and(p, static_cast<T>(~b), __ATOMIC_SEQ_CST);
    case ir::Rmw::exclusive_or:
      return __atomic_fetch_xor(p, b, __ATOMIC_SEQ_CST);
    case ir::Rmw::set:
      return __atomic_fetch_or(p, b, __ATOMIC_SEQ_CST);
    case ir::Rmw::swap:
      return __atomic_exchange_n(p, b, __ATOMIC_SEQ_CST);
    default:
      break;
  }
  T raw = __atomic_load_n(p, __ATOMIC_RELAXED);
  for (;;) {
    const T old = in_order(raw);
    T fresh = b;
    switch (operation) {
      case ir::Rmw::add:
        fresh = static_cast<T>(old + b);
        break;
      case ir::Rmw::clear:
        fresh = static_cast<T>(old & ~b);
        break;
      case ir::Rmw::exclusive_or:
        fresh = static_cast<T>(old ^ b);
        break;
      case ir::Rmw::set:
        fresh = static_cast<T>(old | b);
        break;
      case ir::Rmw::swap:
        break;
      case ir::Rmw::smax:
        fresh = static_cast<S>(old) >= static_cast<S>(b) ? old : b;
        break;
      case ir::Rmw::smin:
        fresh = static_cast<S>(old) <= static_cast<S>(b) ? old : b;
        break;
      case ir::Rmw::umax:
        fresh = old >= b ? old : b;
        break;
      case ir::Rmw::umin:
        fresh = old <= b ? old : b;
        break;
    }
    if (__atomic_compare_exchange_n(p, &raw, in_order(fresh), false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED)) return old;
  }
}

template <class T>
u64 exchange_if_equal(u8* host, u64 expected, u64 desired) {
  T old = static_cast<T>(expected);
  __atomic_compare_exchange_n(reinterpret_cast<T*>(host), &old, static_cast<T>(desired), false, __ATOMIC_SEQ_CST,
                              __ATOMIC_SEQ_CST);
  return old;
}

/// 16 aligned bytes. CMPXCHG16B by name: compilers call a library for a 16-byte builtin, or not, as their flags say.
inline ir::V128 exchange_if_equal_16(u8* host, const ir::V128& expected, const ir::V128& desired) {
  ir::V128 old = expected;
  asm volatile("lock cmpxchg16b %[memory]"
               : [memory] "+m"(*reinterpret_cast<ir::V128*>(host)), "+a"(old.d[0]), "+d"(old.d[1])
               : "b"(desired.d[0]), "c"(desired.d[1])
               : "cc", "memory");
  return old;
}

}  // namespace solder::run
