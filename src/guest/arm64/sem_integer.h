/// What the integer semantics files share.
#pragma once

#include "guest/arm64/translator.h"

namespace solder::arm64::sem {

/// a + b or a - b, with NZCV when asked.
ir::Value add_sub(Translate& t, bool subtract, bool set_flags, ir::Value a, ir::Value b);

/// Rm extended by `option` (UXTB..SXTX) and shifted left, as a 64- or 32-bit value.
ir::Value extended_register(Translate& t, unsigned rm, unsigned option, unsigned shift, bool sf);

}  // namespace solder::arm64::sem
