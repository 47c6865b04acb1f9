#include <algorithm>

#include "tree/document.h"
#include "tree/fixups.h"
#include "tree/names.h"

namespace solder::tree {

namespace {

bool names_stripped(const Tree& original, const Tree& stripped, const Property& alias) {
  const auto path = alias.strings();
  return path && path->size() == 1 && find_exact(original, path->front()) && !find_exact(stripped, path->front());
}

void strip(Node& node) {
  std::erase_if(node.properties(), [](const Property& p) { return is_host_side(p.name); });
  std::erase_if(node.children(), [](const auto& c) { return is_host_side(c->name()); });
  for (const auto& c : node.children()) strip(*c);
}

}  // namespace

std::unique_ptr<Tree> strip_host_side(const Tree& tree) {
  auto out = tree.clone();
  out->root().remove_child("solder");
  strip(out->root());
  if (Node* aliases = out->root().exact_child("aliases")) {
    std::erase_if(aliases->properties(), [&](const Property& p) { return names_stripped(tree, *out, p); });
  }
  return out;
}

}  // namespace solder::tree
