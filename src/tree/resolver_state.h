/// What the walks share.
#pragma once

#include <unordered_map>

#include "tree/resolve.h"

namespace solder::tree {

struct Resolver::State {
  explicit State(const Tree& t) : tree(t) {
    tree.walk([this](Node& n) {
      if (const u32 p = n.phandle()) by_phandle.emplace(p, &n);
    });
  }
  [[nodiscard]] const Node* find(u32 phandle) const {
    const auto it = by_phandle.find(phandle);
    return it == by_phandle.end() ? nullptr : it->second;
  }
  /// The target, or an error that names the property.
  [[nodiscard]] Result<const Node*> target(const Node& node, std::string_view property, u32 phandle) const;

  const Tree& tree;
  std::unordered_map<u32, const Node*> by_phandle;
};

}  // namespace solder::tree
