/// Where the oracle may differ, each with its reason.
#pragma once

#include "differential/machine_state.h"

namespace solder::differential {

/// CONSTRAINED UNPREDICTABLE by the manual: both may do what they like.
[[nodiscard]] bool unpredictable(const Case& test);

/// A known difference; the list and its reasons are in allowed.cpp.
[[nodiscard]] bool is_allowed(const Case& test, const Outcome& oracle, const Outcome& ours);

}  // namespace solder::differential
