/// Where Unicorn 2.0.1 (QEMU 5.0) is known to differ from the architecture, and why we keep the architecture's side.
#pragma once

#include <string_view>

#include "differential/arm64/executor.h"

namespace solder::test {

/// Null: no difference is excused for this instruction. Otherwise the reason.
const char* known_difference(std::string_view name, u32 word, const Machine& before, const Machine& ours,
                             const Machine& oracle);

}  // namespace solder::test
