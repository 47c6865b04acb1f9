/// Reading and writing integers in memory of any alignment and byte order.
#pragma once

#include <bit>
#include <concepts>
#include <cstring>

#include "base/types.h"

namespace solder {

template <std::unsigned_integral T>
[[nodiscard]] constexpr T byte_swap(T v) {
  if constexpr (sizeof(T) == 1) return v;
  if constexpr (sizeof(T) == 2) return __builtin_bswap16(v);
  if constexpr (sizeof(T) == 4) return __builtin_bswap32(v);
  if constexpr (sizeof(T) == 8) return __builtin_bswap64(v);
}

template <std::unsigned_integral T>
[[nodiscard]] inline T load_le(const void* p) {
  T v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
template <std::unsigned_integral T>
[[nodiscard]] inline T load_be(const void* p) {
  return byte_swap(load_le<T>(p));
}
template <std::unsigned_integral T>
inline void store_le(void* p, T v) {
  std::memcpy(p, &v, sizeof v);
}
template <std::unsigned_integral T>
inline void store_be(void* p, T v) {
  store_le(p, byte_swap(v));
}
static_assert(std::endian::native == std::endian::little, "hosts are little-endian so far (x86-64, arm64)");

}  // namespace solder
