/// Accesses to guest RAM through its host mapping, next to CPUs that read and write it at the same time.
#pragma once

#include <cstdint>
#include <cstring>

#include "base/types.h"

namespace solder::memory {

/// One access of 1, 2, 4 or 8 bytes; single-copy atomic when aligned.
inline u64 read_host(const u8* host, unsigned size) {
  switch (size) {
    case 1:
      return __atomic_load_n(host, __ATOMIC_ACQUIRE);
    case 2:
      return __atomic_load_n(reinterpret_cast<const u16*>(host), __ATOMIC_ACQUIRE);
    case 4:
      return __atomic_load_n(reinterpret_cast<const u32*>(host), __ATOMIC_ACQUIRE);
    default:
      return __atomic_load_n(reinterpret_cast<const u64*>(host), __ATOMIC_ACQUIRE);
  }
}
inline void write_host(u8* host, unsigned size, u64 value) {
  switch (size) {
    case 1:
      __atomic_store_n(host, static_cast<u8>(value), __ATOMIC_RELEASE);
      return;
    case 2:
      __atomic_store_n(reinterpret_cast<u16*>(host), static_cast<u16>(value), __ATOMIC_RELEASE);
      return;
    case 4:
      __atomic_store_n(reinterpret_cast<u32*>(host), static_cast<u32>(value), __ATOMIC_RELEASE);
      return;
    default:
      __atomic_store_n(reinterpret_cast<u64*>(host), value, __ATOMIC_RELEASE);
      return;
  }
}

/// Whether [host, host+size) is what read_host and write_host do in one piece: a field of a ring, a table's entry.
inline bool is_one_piece(const u8* host, u64 size) {
  return (size == 1 || size == 2 || size == 4 || size == 8) &&
         (reinterpret_cast<std::uintptr_t>(host) & (size - 1)) == 0;
}

/// Copies out of guest RAM; in one piece where it can be (little-endian host).
inline void copy_from_host(void* out, const u8* host, u64 size) {
  if (is_one_piece(host, size)) {
    const u64 value = read_host(host, static_cast<unsigned>(size));
    std::memcpy(out, &value, size);
  } else {
    std::memcpy(out, host, size);
  }
}
/// Copies into guest RAM, likewise.
inline void copy_to_host(u8* host, const void* in, u64 size) {
  if (is_one_piece(host, size)) {
    u64 value = 0;
    std::memcpy(&value, in, size);
    write_host(host, static_cast<unsigned>(size), value);
  } else {
    std::memcpy(host, in, size);
  }
}

}  // namespace solder::memory
