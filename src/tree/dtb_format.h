/// The flattened format: Devicetree Specification v0.4, chapter 5.
#pragma once

#include "base/types.h"

namespace solder::tree {

inline constexpr u32 kFdtMagic = 0xd00dfeed;
inline constexpr u32 kFdtVersion = 17;
inline constexpr u32 kFdtLastCompatible = 16;

inline constexpr u32 kFdtBeginNode = 1;
inline constexpr u32 kFdtEndNode = 2;
inline constexpr u32 kFdtProp = 3;
inline constexpr u32 kFdtNop = 4;
inline constexpr u32 kFdtEnd = 9;

inline constexpr u32 kFdtHeaderV16Bytes = 36;  ///< without size_dt_struct
inline constexpr u32 kFdtHeaderV17Bytes = 40;

}  // namespace solder::tree
