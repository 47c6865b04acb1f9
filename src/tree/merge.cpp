#include "tree/merge.h"

#include <algorithm>
#include <unordered_set>

#include <fmt/core.h>

#include "base/bytes.h"
#include "base/log.h"
#include "tree/document.h"
#include "tree/fixups.h"
#include "tree/names.h"
#include "tree/typing.h"

namespace solder::tree {

namespace {

constexpr char kMark = '@';  // no label of a document can begin with it

bool is_phandle_name(std::string_view name) {
  return name == "phandle" || name == "linux,phandle";
}
bool is_deletion_list(std::string_view name) {
  return name == "solder,delete-property" || name == "solder,delete-node";
}

class Merger {
 public:
  Merger(Tree& base, LabelIndex& labels) : base_(base), labels_(labels) {
    base.walk([&](Node& n) {
      if (const u32 p = n.phandle()) used_.insert(p);
    });
  }

  Status merge(Node& to, Node& from, u32 depth = 1) {
    if (depth > kMaximumDepth * 2) return fail(from.place(), "nodes are nested too deep");
    if (!to.where.file) to.where = from.where;
    to.omit_if_no_ref = to.omit_if_no_ref || from.omit_if_no_ref;
    for (const auto& l : from.labels) take_label(to, l);
    SOLDER_TRY_STATUS(merge_properties(to, from));
    std::unordered_map<std::string_view, Node*> index;
    for (const auto& c : to.children()) index.emplace(c->name(), c.get());
    for (const auto& c : from.children()) {
      Node*& found = index[c->name()];
      if (!found) found = &to.add_child(c->name());
      SOLDER_TRY_STATUS(merge(*found, *c, depth + 1));
    }
    return {};
  }

 private:
  void take_label(Node& to, const std::string& label) {
    Node* owner = labels_.label(label);
    if (owner == &to) return;
    if (owner) {
      // What earlier documents said by this label still means the earlier node.
      const std::string path = owner->path();
      base_.walk([&](Node& n) {
        for (Property& p : n.properties()) {
          for (Reference& r : p.references) {
            if (!r.resolved && r.target == label) r.target = path;
          }
        }
      });
      std::erase(owner->labels, label);
    }
    labels_.set(label, to);
    to.labels.push_back(label);
  }

  Status merge_properties(Node& to, Node& from) {
    for (Property& p : from.properties()) {
      if (is_phandle_name(p.name)) {
        // A node keeps the number it has; one that is taken elsewhere is given anew when references are resolved.
        const u32 number = from.phandle();
        const bool had = to.phandle() != 0;
        if ((had && !(to.phandle() == number && !to.has(p.name))) || (!had && used_.contains(number))) continue;
        if (number != 0) used_.insert(number);
      }
      Property* existing = to.property(p.name);
      if (!existing) {
        if (to.properties().size() >= kMaximumProperties)
          return fail(from.place(p.name), fmt::format("has more than {} properties", kMaximumProperties));
        to.properties().push_back(std::move(p));
      } else if (is_deletion_list(p.name)) {
        for (Reference r : p.references) {
          r.offset += static_cast<u32>(existing->value.size());
          existing->references.push_back(r);
        }
        existing->value.insert(existing->value.end(), p.value.begin(), p.value.end());
      } else {
        p.labels.insert(p.labels.begin(), existing->labels.begin(), existing->labels.end());
        *existing = std::move(p);
      }
    }
    return {};
  }

  Tree& base_;
  LabelIndex& labels_;
  std::unordered_set<u32> used_;
};

Result<Node*> fragment_target(const Tree& base, const LabelIndex& labels, const Node& fragment) {
  if (const Property* target = fragment.property("target")) {
    Node* found = nullptr;
    std::string shown;
    if (!target->references.empty() && !target->references.front().resolved) {
      const std::string& name = target->references.front().target;
      found = labels.find(base, name);
      shown = "&" + name;
      if (!found) {
        const std::string near = labels.nearest(name);
        return fail(fragment.place("target"),
                    fmt::format("the overlay's target {} is in none of the documents before it", shown),
                    !near.empty() ? fmt::format("did you mean &{}?", near)
                                  : "give the tree it is for first, compiled with dtc -@ if it is a blob");
      }
    } else {
      const u32 number = fragment.u32_value("target").value_or(0);
      found = base.by_phandle(number);
      if (!found)
        return fail(fragment.place("target"), fmt::format("the overlay's target, phandle {:#x}, is not there", number),
                    "give the tree it is for first");
    }
    return found;
  }
  const auto path = fragment.string("target-path");
  if (!path)
    return fail(fragment.place(), "this fragment has neither target nor target-path", "add target = <&label>;");
  if (Node* found = base.find(*path)) return found;
  if (Node* found = labels.find(base, *path)) return found;
  return fail(fragment.place("target-path"),
              fmt::format("the overlay's target {} is in none of the documents before it", *path),
              "give the tree it is for first, or correct the path");
}

}  // namespace

void separate_phandles(Tree& incoming, u32 serial) {
  std::unordered_map<u32, Node*> by_phandle;
  bool described = incoming.plugin;
  u32 next = 0;
  std::vector<Node*> nodes;
  incoming.walk([&](Node& n) {
    nodes.push_back(&n);
    if (const u32 p = n.phandle()) by_phandle.emplace(p, &n);
    for (const Property& p : n.properties()) described = described || !p.references.empty();
  });
  const auto mark_node = [&](Node& node) {
    const auto known =
        std::find_if(node.labels.begin(), node.labels.end(), [](const auto& l) { return l.front() == kMark; });
    if (known != node.labels.end()) return *known;
    return node.labels.emplace_back(fmt::format("{}{}:{}", kMark, serial, next++));
  };
  const auto mark = [&](u32 number) -> std::string {
    const auto it = by_phandle.find(number);
    return it == by_phandle.end() ? std::string() : mark_node(*it->second);
  };
  const PhandleLookup lookup = [&](u32 number) -> const Node* {
    const auto it = by_phandle.find(number);
    return it == by_phandle.end() ? nullptr : it->second;
  };
  for (Node* n : nodes) {
    for (Property& p : n->properties()) {
      for (Reference& r : p.references) {
        // A path into a fragment means a node that will lie elsewhere.
        if (Node* inside = !r.resolved && incoming.plugin ? find_exact(incoming, r.target) : nullptr;
            inside && inside->parent())
          r.target = mark_node(*inside);
        if (r.kind != Reference::Kind::phandle || !r.resolved || u64{r.offset} + 4 > p.value.size()) continue;
        if (std::string label = mark(load_be<u32>(p.value.data() + r.offset)); !label.empty()) {
          r.target = std::move(label);
          r.resolved = false;
        }
      }
      if (described || is_phandle_name(p.name)) continue;
      for (const u32 offset : phandle_offsets(*n, p, lookup)) {
        p.references.push_back(
            {offset, Reference::Kind::phandle, mark(load_be<u32>(p.value.data() + offset)), p.where, false});
      }
    }
  }
}

void join_phandles(Tree& tree) {
  std::unordered_map<std::string, std::string> names;
  tree.walk([&](Node& n) {
    for (const auto& l : n.labels) {
      if (l.front() != kMark) continue;
      const auto real =
          std::find_if(n.labels.begin(), n.labels.end(), [](const auto& m) { return m.front() != kMark; });
      names.emplace(l, real != n.labels.end() ? *real : std::string());
    }
    std::erase_if(n.labels, [](const std::string& l) { return l.front() == kMark; });
  });
  if (names.empty()) return;
  tree.walk([&](Node& n) {
    for (Property& p : n.properties()) {
      for (Reference& r : p.references) {
        if (const auto it = names.find(r.target); it != names.end()) r.target = it->second;
      }
    }
  });
}

Status merge_tree(Tree& base, LabelIndex& labels, Tree& incoming) {
  SOLDER_TRY_STATUS(Merger(base, labels).merge(base.root(), incoming.root()));
  for (auto& r : incoming.reservations) {
    const bool known = std::any_of(base.reservations.begin(), base.reservations.end(),
                                   [&](const auto& b) { return b.address == r.address && b.size == r.size; });
    if (!known) base.reservations.push_back(r);
  }
  if (incoming.boot_cpu != 0) base.boot_cpu = incoming.boot_cpu;
  base.symbols = base.symbols || incoming.symbols;
  return {};
}

Status apply_overlay(Tree& base, LabelIndex& labels, Tree& overlay) {
  Merger merger(base, labels);
  for (const auto& fragment : overlay.root().children()) {
    Node* content = fragment->exact_child("__overlay__");
    if (!content) continue;  // the overlay's own description
    Node* target = SOLDER_TRY(fragment_target(base, labels, *fragment));
    SOLDER_TRY_STATUS(merger.merge(*target, *content));
  }
  return {};
}

namespace {

Node* deletion_target(const Tree& tree, const LabelIndex& labels, const Node& node, const std::string& name) {
  if (name.starts_with('/')) return tree.find(name);
  if (name.starts_with('&')) return labels.find(tree, std::string_view(name).substr(1));
  const Node* at = &node;
  for (std::string_view rest = name; at && !rest.empty();) {
    const auto slash = rest.find('/');
    at = at->child(rest.substr(0, slash));
    rest = slash == std::string_view::npos ? std::string_view() : rest.substr(slash + 1);
  }
  return at && at != &node ? const_cast<Node*>(at) : labels.label(name);
}

bool is_inside(const Node* node, const std::unordered_set<const Node*>& doomed) {
  for (; node; node = node->parent()) {
    if (doomed.contains(node)) return true;
  }
  return false;
}

/// An alias of a deleted node would be a path to nowhere.
void delete_aliases(Tree& tree, const LabelIndex& labels, const std::unordered_set<const Node*>& doomed) {
  Node* aliases = tree.root().exact_child("aliases");
  if (!aliases) return;
  std::erase_if(aliases->properties(), [&](const Property& p) {
    const Node* target = nullptr;
    if (!p.references.empty() && !p.references.front().resolved) {
      target = labels.find(tree, p.references.front().target);
    } else if (const auto path = p.strings(); path && path->size() == 1) {
      target = find_exact(tree, path->front());
    }
    return target && is_inside(target, doomed);
  });
}

usize depth_of(const Node* node) {
  usize depth = 0;
  for (; node->parent(); node = node->parent()) ++depth;
  return depth;
}

Result<std::vector<std::string>> names_of(const Tree& tree, const LabelIndex& labels, const Node& node, Property list) {
  for (const Reference& r : list.references) {
    if (r.kind != Reference::Kind::path || !labels.find(tree, r.target)) {
      return fail(node.place(list.name), fmt::format("refers to &{}, which is not there", r.target),
                  "write names, paths or labels as strings, or &label outside of <>");
    }
  }
  u64 budget = kMaximumDocumentBytes;
  if (!fill_path_references(list, budget, [&](const Reference& r) { return labels.find(tree, r.target); }))
    return fail(node.place(list.name), "is longer than 64 MiB");
  const auto names = list.strings();
  if (!names) return fail(node.place(list.name), "is not a list of strings", "write \"name\", \"name\"");
  return *names;
}

}  // namespace

Status apply_deletions(Tree& tree, LabelIndex& labels) {
  std::vector<Node*> nodes;
  tree.walk([&](Node& n) {
    if ((n.has("solder,delete-property") || n.has("solder,delete-node")) && !n.has("solder,import"))
      nodes.push_back(&n);
  });
  std::unordered_set<const Node*> doomed;
  for (Node* n : nodes) {
    if (const Property* list = n->property("solder,delete-property")) {
      for (const auto& name : SOLDER_TRY(names_of(tree, labels, *n, *list))) {
        if (!n->remove_property(name))
          log::warn(fmt::format("{}: there is no property {} to delete", n->place("solder,delete-property"), name));
      }
      n->remove_property("solder,delete-property");
    }
    if (const Property* list = n->property("solder,delete-node")) {
      for (const auto& name : SOLDER_TRY(names_of(tree, labels, *n, *list))) {
        const Node* target = deletion_target(tree, labels, *n, name);
        if (!target) {
          log::warn(fmt::format("{}: there is no node {} to delete", n->place("solder,delete-node"), name));
        } else if (!target->parent()) {
          return fail(n->place("solder,delete-node"), "the root node cannot be deleted");
        } else {
          doomed.insert(target);
        }
      }
      n->remove_property("solder,delete-node");
    }
  }
  if (doomed.empty()) return {};
  delete_aliases(tree, labels, doomed);
  // Deepest first: a doomed node may lie inside of another.
  std::vector<const Node*> order(doomed.begin(), doomed.end());
  std::sort(order.begin(), order.end(), [](const Node* a, const Node* b) { return depth_of(a) > depth_of(b); });
  for (const Node* n : order) {
    labels.forget_subtree(*n);
    n->parent()->release_child(*n);
  }
  return {};
}

}  // namespace solder::tree
