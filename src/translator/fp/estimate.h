/// The estimate tables' functions, shared with the unsigned fixed-point forms URECPE and URSQRTE (DDI 0487 J1.1).
#pragma once

#include "base/types.h"

namespace solder::fp {

/// a: 256..511 for 0.5..1.0; result 256..511 for 1.0..2.0.
[[nodiscard]] u32 recip_estimate_9bit(u32 a);
/// a: 128..511 for 0.25..1.0; result 256..511 for 1.0..2.0.
[[nodiscard]] u32 rsqrt_estimate_9bit(u32 a);
/// URECPE, URSQRTE of one lane.
[[nodiscard]] u32 recip_estimate_u32(u32 a);
[[nodiscard]] u32 rsqrt_estimate_u32(u32 a);

}  // namespace solder::fp
