/// What the identification registers say: the features that this CPU has, nothing else (DDI 0487, D17.2).
/// A v8.2-class core: FP, SIMD, AES, PMULL, SHA1, SHA2, CRC32, LSE, RDM, RCpc, PAN2, UAO, HAFDBS, E0PD, CSV2_3.
#pragma once

#include "base/types.h"
#include "guest/arm64/state.h"

namespace solder::arm64::id {

/// Implementer 0, "reserved for software use": no operating system knows errata of it. Architecture 0xf: see ID
/// registers.
inline constexpr u64 kMidr = 0x000f'0010;

/// AArch64 at EL0 and EL1, no EL2 and EL3, FP and SIMD without half precision arithmetic; branch targets, branch
/// history and data loaded under speculation cannot be exploited across contexts (CSV2 = 3, CSV3 = 1): nothing here
/// speculates for the guest.
inline constexpr u64 kPfr0 = 0x1300'0000'0000'0011;
inline constexpr u64 kPfr0Gic = u64{1} << 24;  ///< GIC CPU interface by system registers

/// Debug architecture v8, PMUv3, no trace.
inline constexpr u64 kDfr0 = 0x6 | (u64{1} << 8) | (u64{kBreakpoints - 1} << 12) | (u64{kWatchpoints - 1} << 20);

inline constexpr u64 kIsar0 = (u64{2} << 4) |   // AES and PMULL
                              (u64{1} << 8) |   // SHA1
                              (u64{1} << 12) |  // SHA256
                              (u64{1} << 16) |  // CRC32
                              (u64{2} << 20) |  // LSE
                              (u64{1} << 28);   // RDM
inline constexpr u64 kIsar1 = u64{1} << 20;     // LRCPC

inline constexpr unsigned kPhysicalBits = 44;
inline constexpr u64 kMmfr0 = 4 |              // 44 bits of physical address
                              (u64{2} << 4) |  // 16 bits of ASID
                              (u64{1} << 20);  // 16K granule; 4K and 64K are 0 for "supported"
inline constexpr u64 kMmfr1 = 2 |              // hardware access flag and dirty state
                              (u64{2} << 20);  // PAN and AT S1E1RP, AT S1E1WP
inline constexpr u64 kMmfr2 = (u64{1} << 4) |  // UAO
                              (u64{1} << 60);  // E0PD, so that nobody needs two sets of page tables

/// Lines of 64 bytes; IDC and DIC: no cache maintenance is needed for coherence of instructions with data.
inline constexpr u64 kCtr = (u64{1} << 31) | (u64{1} << 29) | (u64{1} << 28) | (u64{4} << 24) | (u64{4} << 20) |
                            (u64{4} << 16) | (u64{3} << 14) | 4;
/// Separate first-level caches and a unified second level; coherent at level 2, unified for free (IDC).
inline constexpr u64 kClidr = 0x3 | (u64{4} << 3) | (u64{2} << 24);
/// DC ZVA writes 16 words.
inline constexpr u64 kDczid = 4;
inline constexpr unsigned kZeroBlock = 64;

/// CPU_CYCLES, event 0x11.
inline constexpr u64 kPmceid0 = u64{1} << 0x11;

}  // namespace solder::arm64::id
