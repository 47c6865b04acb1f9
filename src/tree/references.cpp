#include "tree/references.h"

#include <algorithm>
#include <unordered_set>

#include <fmt/core.h>

#include "base/bytes.h"
#include "tree/fixups.h"
#include "tree/names.h"

namespace solder::tree {

namespace {

/// Levenshtein's distance, given up beyond `limit`.
usize distance(std::string_view a, std::string_view b, usize limit) {
  if (a.size() > b.size() + limit || b.size() > a.size() + limit) return limit + 1;
  std::vector<usize> row(b.size() + 1);
  for (usize j = 0; j <= b.size(); ++j) row[j] = j;
  for (usize i = 1; i <= a.size(); ++i) {
    usize diagonal = row[0];
    row[0] = i;
    for (usize j = 1; j <= b.size(); ++j) {
      const usize above = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

std::string place_of(const Node& node, const Property& property, const Reference& reference) {
  const SourceLocation& where = reference.where.file ? reference.where : property.where;
  return where.text() + ": " + node.path() + ": " + property.name;
}

Status missing(const Node& node, const Property& property, const Reference& reference, const LabelIndex& labels) {
  std::string fix;
  if (reference.target.starts_with('/')) {
    return fail(place_of(node, property, reference),
                fmt::format("refers to &{{{}}}, but no node has that path", reference.target),
                "correct the path, or delete this property together with the node it needs");
  }
  const std::string near = labels.nearest(reference.target);
  if (!near.empty()) {
    fix = fmt::format("did you mean &{}?", near);
  } else {
    fix = "label the node, give the document that has it first, or delete this property";
  }
  return fail(place_of(node, property, reference),
              fmt::format("refers to &{}, but no node has that label", reference.target), std::move(fix));
}

}  // namespace

void fill_path_reference(Property& property, usize index, const std::string& path) {
  Reference& r = property.references[index];
  std::vector<u8> text(path.begin(), path.end());
  text.push_back(0);
  property.value.insert(property.value.begin() + static_cast<std::ptrdiff_t>(r.offset), text.begin(), text.end());
  r.resolved = true;
  for (usize i = index + 1; i < property.references.size(); ++i)
    property.references[i].offset += static_cast<u32>(text.size());
}

LabelIndex::LabelIndex(const Tree& tree) {
  tree.walk([&](Node& n) {
    for (const auto& l : n.labels) nodes_.emplace(l, &n);
  });
}

Node* LabelIndex::label(std::string_view label) const {
  const auto it = nodes_.find(std::string(label));
  return it == nodes_.end() ? nullptr : it->second;
}

Node* LabelIndex::find(const Tree& tree, std::string_view target) const {
  if (target.starts_with('/')) return tree.find(target);
  const auto slash = target.find('/');
  const std::string_view name = target.substr(0, slash);
  Node* node = label(name);
  if (!node) {
    // Blobs without /__symbols__ still have aliases.
    const Node* aliases = tree.root().exact_child("aliases");
    const Property* alias = aliases ? aliases->property(name) : nullptr;
    if (!alias) return nullptr;
    const auto unresolved = std::find_if(alias->references.begin(), alias->references.end(),
                                         [](const Reference& r) { return !r.resolved; });
    node = unresolved != alias->references.end() ? label(unresolved->target) : tree.find(name);
  }
  if (!node || slash == std::string_view::npos) return node;
  for (std::string_view rest = target.substr(slash + 1); node && !rest.empty();) {
    const auto next = rest.find('/');
    node = node->child(rest.substr(0, next));
    rest = next == std::string_view::npos ? std::string_view() : rest.substr(next + 1);
  }
  return node;
}

Status LabelIndex::define(Node& node, const std::string& label, const SourceLocation& where) {
  const auto [it, fresh] = nodes_.emplace(label, &node);
  if (!fresh && it->second != &node) {
    return fail(where.text() + ": " + node.path(),
                fmt::format("label {} is already that of {} ({})", label, it->second->path(), it->second->where.text()),
                "give one of the two another label");
  }
  if (std::find(node.labels.begin(), node.labels.end(), label) == node.labels.end()) node.labels.push_back(label);
  return {};
}

void LabelIndex::forget_subtree(const Node& node) {
  for (const auto& l : node.labels) nodes_.erase(l);
  for (const auto& c : node.children()) forget_subtree(*c);
}

std::string LabelIndex::nearest(std::string_view label) const {
  std::string best;
  usize best_distance = label.size() <= 3 ? 2 : 3;  // one or two typing errors
  for (const auto& [name, node] : nodes_) {
    if (!is_label(name)) continue;
    const usize d = distance(label, name, best_distance);
    if (d < best_distance || (d == best_distance && !best.empty() && name < best)) {
      best = name;
      best_distance = d;
    }
  }
  return best;
}

void resolve_local_paths(Tree& tree) {
  const LabelIndex labels(tree);
  tree.walk([&](Node& n) {
    for (Property& p : n.properties()) {
      for (usize i = 0; i < p.references.size(); ++i) {
        if (p.references[i].kind != Reference::Kind::path || p.references[i].resolved) continue;
        if (const Node* target = labels.find(tree, p.references[i].target)) fill_path_reference(p, i, target->path());
      }
    }
  });
}

Status resolve_references(Tree& tree) {
  const LabelIndex labels(tree);
  std::unordered_map<u32, Node*> by_phandle;
  std::vector<Node*> nodes;
  tree.walk([&](Node& n) { nodes.push_back(&n); });
  for (Node* n : nodes) {
    const u32 p = n->phandle();
    if (p == 0) continue;
    const auto [it, fresh] = by_phandle.emplace(p, n);
    if (!fresh) {
      return fail(
          n->place(n->has("phandle") ? "phandle" : "linux,phandle"),
          fmt::format("phandle {:#x} is already that of {} ({})", p, it->second->path(), it->second->where.text()),
          "use a label and &label instead of a number");
    }
  }
  u32 next = 1;
  std::unordered_set<const Node*> referenced;
  for (Node* n : nodes) {
    for (usize i = 0; i < n->properties().size(); ++i) {
      // Giving a phandle may add a property to this very node, so nothing is held across it.
      for (usize k = 0; k < n->properties()[i].references.size(); ++k) {
        const Reference r = n->properties()[i].references[k];
        if (r.kind != Reference::Kind::phandle) continue;
        if (r.resolved) {
          const auto it = by_phandle.find(load_be<u32>(n->properties()[i].value.data() + r.offset));
          if (it != by_phandle.end()) referenced.insert(it->second);
          continue;
        }
        Node* target = labels.find(tree, r.target);
        if (!target) return missing(*n, n->properties()[i], r, labels);
        u32 phandle = target->phandle();
        if (phandle == 0) {
          while (by_phandle.contains(next)) ++next;
          phandle = next;
          by_phandle.emplace(phandle, target);
          target->set_u32("phandle", phandle).where = target->where;
        }
        Property& p = n->properties()[i];
        store_be<u32>(p.value.data() + r.offset, phandle);
        if (k < p.references.size()) p.references[k].resolved = true;  // a `phandle = <&self>` has just been replaced
        referenced.insert(target);
      }
    }
  }
  for (Node* n : nodes) {
    for (Property& p : n->properties()) {
      for (usize k = 0; k < p.references.size(); ++k) {
        if (p.references[k].kind != Reference::Kind::path || p.references[k].resolved) continue;
        const Node* target = labels.find(tree, p.references[k].target);
        if (!target) return missing(*n, p, p.references[k], labels);
        fill_path_reference(p, k, target->path());
        referenced.insert(target);
      }
    }
  }
  // Children first, so that a node is still there when its parent goes with it.
  for (auto it = nodes.rbegin(); it != nodes.rend(); ++it) {
    Node* n = *it;
    if (n->omit_if_no_ref && n->parent() && !referenced.contains(n)) n->parent()->release_child(*n);
  }
  return {};
}

}  // namespace solder::tree
