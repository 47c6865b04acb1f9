/// --irqchip as an edit of the tree.
#pragma once

#include <string>

#include "base/result.h"
#include "tree/document.h"

namespace solder::machine {

/// `solder,backend` of the tree's interrupt controllers and of the timer that belongs to them, for --irqchip `mode`:
/// "kernel" (all in KVM), "split" (x86: the local APICs in KVM, the rest here), "user" (all here). DTS text.
/// Errors: another word, split without local APICs, a tree without such a controller.
[[nodiscard]] Result<std::string> irqchip_edit(const tree::Tree& tree, const std::string& mode);

}  // namespace solder::machine
