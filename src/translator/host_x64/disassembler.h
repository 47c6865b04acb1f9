/// Host code as text.
#pragma once

#include <string>

#include "base/types.h"

namespace solder::host_x64 {

/// One instruction a line; jumps inside the code as offsets from its start. Ends where it meets what is no instruction.
[[nodiscard]] std::string disassemble_code(const u8* code, usize size);

}  // namespace solder::host_x64
