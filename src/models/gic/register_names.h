/// What the architecture calls the registers of a GIC's frames, for traces: of the models here, and of the GICs that
/// the host's kernel runs.
#pragma once

#include <string>

#include "base/types.h"

namespace solder::models::gic {

// `offset` is of the frame; empty: no register is there.

/// GICv2 (IHI 0048, tables 4-1 and 4-2): the distributor, the CPU interface.
[[nodiscard]] std::string distributor_v2_name(u64 offset);
[[nodiscard]] std::string cpu_interface_name(u64 offset);
/// GICv3 (IHI 0069, sections 12.8 and 12.10): the distributor, a redistributor's two frames.
[[nodiscard]] std::string distributor_v3_name(u64 offset);
[[nodiscard]] std::string redistributor_name(u64 offset);

}  // namespace solder::models::gic
