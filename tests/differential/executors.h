/// Who executes: ours through the IR interpreter, and Unicorn as the oracle.
#pragma once

#include <memory>

#include "differential/machine_state.h"

namespace solder::differential {

[[nodiscard]] std::unique_ptr<Executor> make_interpreter();
[[nodiscard]] std::unique_ptr<Executor> make_unicorn();

}  // namespace solder::differential
