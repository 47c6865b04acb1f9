/// What a user wants to know about a node, as walks of the tree.
#pragma once

#include <string>

#include "base/result.h"
#include "machine/machine.h"

namespace solder::machine {

/// Text about one node: its model, addresses, interrupt paths hop by hop, DMA, backends, and where each property was
/// set. `machine` was built from the tree that holds `node`; it need not run.
[[nodiscard]] std::string explain(Machine& machine, const tree::Node& node);

/// The same without a machine, for trees from which none can be built: what the tree alone says.
[[nodiscard]] std::string explain(const tree::Tree& tree, const Plan& plan, const tree::Node& node);

/// Per node of a foreign tree: modelled, stubbed or missing, and whether a console is reachable. One line each, then a
/// summary.
[[nodiscard]] std::string match_report(const tree::Tree& tree, const Plan& plan);

/// "<0x1 0x2>", "\"a\", \"b\"", "[01 02]": a property's value as DTS, cut off when it is long.
[[nodiscard]] std::string value_text(const tree::Property& property);

}  // namespace solder::machine
