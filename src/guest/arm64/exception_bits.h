/// Where SPSR_EL1 keeps PSTATE, and the way between NZCV and the translator's flags image.
#pragma once

#include "base/types.h"
#include "translator/ir/core_state.h"

namespace solder::arm64 {

namespace spsr {
inline constexpr u64 kIllegal = 1U << 20;
inline constexpr u64 kSoftwareStep = 1U << 21;
inline constexpr u64 kPan = 1U << 22;
inline constexpr u64 kUao = 1U << 23;
}  // namespace spsr

[[nodiscard]] constexpr u64 nzcv_of(u32 flags) {
  return ((flags & ir::kFlagN) != 0 ? u64{1} << 31 : 0) | ((flags & ir::kFlagZ) != 0 ? u64{1} << 30 : 0) |
         ((flags & ir::kFlagC) != 0 ? u64{1} << 29 : 0) | ((flags & ir::kFlagV) != 0 ? u64{1} << 28 : 0);
}

[[nodiscard]] constexpr u32 flags_of(u64 nzcv) {
  return ((nzcv >> 31 & 1) != 0 ? ir::kFlagN : 0) | ((nzcv >> 30 & 1) != 0 ? ir::kFlagZ : 0) |
         ((nzcv >> 29 & 1) != 0 ? ir::kFlagC : 0) | ((nzcv >> 28 & 1) != 0 ? ir::kFlagV : 0);
}

}  // namespace solder::arm64
