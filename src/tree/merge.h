/// One tree onto another.
#pragma once

#include "base/result.h"
#include "tree/node.h"
#include "tree/references.h"

namespace solder::tree {

/// Makes the phandles of a tree from a blob symbolic, so that it can be composed with another that uses the same
/// numbers. `serial` tells documents apart. Known references are those of its fixups, or else those of the bindings
/// (typing.h).
void separate_phandles(Tree& incoming, u32 serial);
/// Takes back the marks of `separate_phandles`, once references are resolved.
void join_phandles(Tree& tree);

/// Copies everything of `incoming` over `base`: later wins, property by property. Labels that both have go to the
/// later.
[[nodiscard]] Status merge_tree(Tree& base, LabelIndex& labels, Tree& incoming);

/// Applies an overlay's fragments in order. Errors: a target that is not there.
[[nodiscard]] Status apply_overlay(Tree& base, LabelIndex& labels, Tree& overlay);

/// Carries out and removes solder,delete-property and solder,delete-node, but for nodes with solder,import: theirs act
/// on what gets imported.
[[nodiscard]] Status apply_deletions(Tree& tree, LabelIndex& labels);

}  // namespace solder::tree
