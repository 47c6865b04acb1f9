/// The unsigned fixed-point estimates; the floating-point ones, of the same tables, are in softfloat.h.
#pragma once

#include "base/types.h"

namespace solder::fp {

/// URECPE, URSQRTE of one lane (DDI 0487 J1.1: UnsignedRecipEstimate, UnsignedRSqrtEstimate).
[[nodiscard]] u32 recip_estimate_u32(u32 a);
[[nodiscard]] u32 rsqrt_estimate_u32(u32 a);

}  // namespace solder::fp
