/// Integer expressions of source text: those of C, on unsigned 64-bit numbers.
#pragma once

#include "base/result.h"
#include "tree/dts_scanner.h"

namespace solder::tree {

/// What may stand bare in <…>: a number, a character, or a whole expression in parentheses.
[[nodiscard]] Result<u64> parse_primary(DtsScanner& scanner, u32 depth = 0);

}  // namespace solder::tree
