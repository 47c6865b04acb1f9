/// One translation regime's software TLB and jump caches. Owned, read and written by one vCPU's thread only; the layout
/// is known to the emitter.
#pragma once

#include <array>

#include "base/types.h"

namespace solder::ir {

inline constexpr unsigned kTlbBits = 12;     ///< 4096 entries
inline constexpr unsigned kJumpBits = 12;    ///< 4096 entries
inline constexpr unsigned kReturnBits = 4;   ///< 16 entries
inline constexpr u64 kTagInvalid = ~u64{0};  ///< never equals a page address

/// A page's translation. A tag equals the page's virtual address when the access may go straight to host memory:
/// never for devices, watched or (for writes) clean or code pages; those take the slow path every time.
struct TlbEntry {
  u64 read_tag = kTagInvalid;
  u64 write_tag = kTagInvalid;
  u64 exec_tag = kTagInvalid;  ///< for the run time's own fetches
  u64 addend = 0;              ///< host address = virtual address + addend
};
static_assert(sizeof(TlbEntry) == 32);

/// Virtual pc to host code. Empty: pc = ~0.
struct JumpEntry {
  u64 pc = kTagInvalid;
  const void* host = nullptr;
};

/// Context: index of an entry = (va >> 12) & (2^kTlbBits - 1), direct-mapped.
struct alignas(64) Context {
  std::array<TlbEntry, usize{1} << kTlbBits> tlb;
  std::array<JumpEntry, usize{1} << kJumpBits> jumps;  ///< index = (pc >> 2 ^ pc >> 14) & mask
  std::array<JumpEntry, usize{1} << kReturnBits> returns;
  u32 return_top = 0;

  [[nodiscard]] static constexpr usize tlb_index(u64 va) { return (va >> 12) & ((u64{1} << kTlbBits) - 1); }
  [[nodiscard]] static constexpr usize jump_index(u64 pc) {
    return ((pc >> 2) ^ (pc >> 14)) & ((u64{1} << kJumpBits) - 1);
  }
};

}  // namespace solder::ir
