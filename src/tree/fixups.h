/// The nodes in which a compiled tree keeps labels and references: /__symbols__, /__fixups__, /__local_fixups__.
#pragma once

#include "base/result.h"
#include "tree/node.h"

namespace solder::tree {

/// Turns the three nodes into labels and references and removes them. Marks the tree as an overlay when it is one.
/// Malformed fixups are errors; a symbol whose path leads nowhere is left out.
[[nodiscard]] Status lift_fixups(Tree& tree);

/// The reverse, for writing: gives phandles to nodes that local references name, then makes /__fixups__ and
/// /__local_fixups__ (overlays only) and, if asked, /__symbols__.
void lower_fixups(Tree& tree, bool symbols);

/// Makes /__symbols__ from the labels. Each labelled node gets a phandle, which an overlay's references will want.
void add_symbols(Tree& tree);

/// The node at exactly this absolute path.
[[nodiscard]] Node* find_exact(const Tree& tree, std::string_view path);

}  // namespace solder::tree
