/// --memory as an edit of the tree.
#pragma once

#include <string>

#include "base/result.h"
#include "tree/document.h"

namespace solder::machine {

/// The first memory node gets `size` bytes, and the others go, since the size is of all memory: DTS text. A node with
/// solder,memory-windows (address and size of each, as `reg` has them) gets as many entries as it takes to fill the
/// windows in order; one without gets a single entry where its memory starts.
/// Errors: no whole pages, more than the windows or the tree's cells hold, malformed windows.
[[nodiscard]] Result<std::string> memory_edit(const tree::Tree& tree, u64 size);

}  // namespace solder::machine
