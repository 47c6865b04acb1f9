#include "tree/references.h"

#include <algorithm>
#include <unordered_set>

#include <fmt/core.h>

#include "base/bytes.h"
#include "tree/document.h"
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

bool fill_path_references(Property& property, u64& budget, const std::function<const Node*(const Reference&)>& find) {
  const bool any = std::any_of(property.references.begin(), property.references.end(),
                               [](const Reference& r) { return r.kind == Reference::Kind::path && !r.resolved; });
  if (!any) return true;
  std::stable_sort(property.references.begin(), property.references.end(),
                   [](const Reference& a, const Reference& b) { return a.offset < b.offset; });
  std::vector<u8> value;
  usize copied = 0;
  const auto copy_until = [&](usize end) {
    end = std::min(end, property.value.size());
    if (end <= copied) return;
    value.insert(value.end(), property.value.begin() + static_cast<std::ptrdiff_t>(copied),
                 property.value.begin() + static_cast<std::ptrdiff_t>(end));
    copied = end;
  };
  for (Reference& r : property.references) {
    copy_until(r.offset);
    r.offset = static_cast<u32>(value.size());
    if (r.kind != Reference::Kind::path || r.resolved) continue;
    const Node* target = find(r);
    if (!target) continue;
    const std::string path = target->path();
    if (path.size() >= budget) return false;
    budget -= path.size() + 1;
    value.insert(value.end(), path.begin(), path.end());
    value.push_back(0);
    r.resolved = true;
  }
  copy_until(property.value.size());
  property.value = std::move(value);
  return true;
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
  u64 budget = kMaximumDocumentBytes;
  tree.walk([&](Node& n) {
    for (Property& p : n.properties())
      fill_path_references(p, budget, [&](const Reference& r) { return labels.find(tree, r.target); });
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
        if (r.kind != Reference::Kind::phandle || u64{r.offset} + 4 > n->properties()[i].value.size()) continue;
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
  u64 budget = kMaximumDocumentBytes;
  for (Node* n : nodes) {
    for (Property& p : n->properties()) {
      std::optional<Reference> lost;
      const bool fits = fill_path_references(p, budget, [&](const Reference& r) -> const Node* {
        const Node* target = labels.find(tree, r.target);
        if (target) {
          referenced.insert(target);
        } else if (!lost) {
          lost = r;
        }
        return target;
      });
      if (lost) return missing(*n, p, *lost, labels);
      if (!fits) return fail(n->place(p.name), "the paths that references stand for are larger than 64 MiB together");
    }
  }
  // Children first, so that a node is still there when its parent goes with it.
  for (auto it = nodes.rbegin(); it != nodes.rend(); ++it) {
    Node* n = *it;
    if (n->omit_if_no_ref && n->parent() && !referenced.contains(n)) {
      n->parent()->release_child(*n);
    } else {
      n->omit_if_no_ref = false;  // decided; a composed tree may be composed again
    }
  }
  return {};
}

}  // namespace solder::tree
