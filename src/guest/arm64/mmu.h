/// The stage 1 translation of EL1&0 (DDI 0487, D8).
#pragma once

#include <expected>

#include "guest/arm64/state.h"
#include "memory/address_space.h"
#include "translator/ir/guest.h"

namespace solder::arm64 {

/// Fault status codes (DDI 0487, ESR_EL1 "ISS encoding for an exception from a Data Abort"); a level is added to most.
namespace fsc {
inline constexpr u32 kAddressSize = 0x00;
inline constexpr u32 kTranslation = 0x04;
inline constexpr u32 kAccessFlag = 0x08;
inline constexpr u32 kPermission = 0x0c;
inline constexpr u32 kExternal = 0x10;
inline constexpr u32 kExternalOnWalk = 0x14;
inline constexpr u32 kAlignment = 0x21;
}  // namespace fsc

/// Bits of MemoryFault::code beside the status code, where ISS has them.
inline constexpr u32 kIssWnr = 1U << 6;
inline constexpr u32 kIssCacheMaintenance = 1U << 8;

/// As whom an access is made.
struct Privilege {
  bool el1 = true;
  bool pan = false;  ///< EL1 may not touch what EL0 may
};

/// What a walk found, with what AT reports.
struct Walk {
  ir::Translation translation;
  u8 attributes = 0;  ///< the MAIR_EL1 byte
  u8 shareability = 0;
  bool global = true;
};

/// Strips the top byte where TCR_EL1 says it is ignored.
[[nodiscard]] u64 strip_tag(const Arm64State& state, u64 va);

/// Walks the tables in `space`; sets access flag and dirty state where TCR_EL1.HA and HD ask for it.
[[nodiscard]] std::expected<Walk, ir::MemoryFault> walk_stage1(const Arm64State& state,
                                                               const memory::AddressSpace& space, u64 va,
                                                               ir::AccessKind kind, const Privilege& privilege);

}  // namespace solder::arm64
