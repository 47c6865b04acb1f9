#include "tree/fixups.h"

#include <algorithm>
#include <charconv>
#include <unordered_map>
#include <unordered_set>

#include <fmt/core.h>

#include "base/bytes.h"
#include "tree/names.h"

namespace solder::tree {

namespace {

constexpr std::string_view kSymbols = "__symbols__";
constexpr std::string_view kFixups = "__fixups__";
constexpr std::string_view kLocalFixups = "__local_fixups__";

bool is_overlay(const Tree& tree) {
  if (tree.root().exact_child(kFixups)) return true;
  return std::any_of(tree.root().children().begin(), tree.root().children().end(),
                     [](const auto& c) { return c->exact_child("__overlay__") != nullptr; });
}

/// Finds nodes by exact paths, many times: nodes with many children get an index. The tree must not change meanwhile.
class PathFinder {
 public:
  explicit PathFinder(Tree& tree) : tree_(tree) {}
  Node* find(std::string_view path) {
    if (!path.starts_with('/')) return nullptr;
    Node* node = &tree_.root();
    path.remove_prefix(1);
    while (node && !path.empty()) {
      const auto slash = path.find('/');
      node = child(*node, path.substr(0, slash));
      path = slash == std::string_view::npos ? std::string_view() : path.substr(slash + 1);
    }
    return node;
  }

 private:
  Node* child(Node& node, std::string_view name) {
    if (node.children().size() < 32) return node.exact_child(name);
    auto& index = indexes_[&node];
    if (index.empty()) {
      for (const auto& c : node.children()) index.emplace(c->name(), c.get());
    }
    const auto it = index.find(name);
    return it == index.end() ? nullptr : it->second;
  }
  Tree& tree_;
  std::unordered_map<const Node*, std::unordered_map<std::string_view, Node*>> indexes_;
};

void lift_symbols(Tree& tree) {
  const Node* symbols = tree.root().exact_child(kSymbols);
  if (!symbols) return;
  PathFinder finder(tree);
  std::unordered_set<std::string> known;  // printed source has both labels and symbols
  tree.walk([&](Node& n) { known.insert(n.labels.begin(), n.labels.end()); });
  for (const Property& p : symbols->properties()) {
    const auto paths = p.strings();
    if (!paths || paths->size() != 1 || !is_label(p.name)) continue;
    Node* target = finder.find(paths->front());
    if (!target) continue;
    if (known.insert(p.name).second) target->labels.push_back(p.name);
  }
  tree.symbols = true;
  tree.root().remove_child(kSymbols);
}

/// One "path:property:offset" of /__fixups__.
Status lift_fixup(PathFinder& finder, const Node& fixups, const Property& fixup, const std::string& entry) {
  const auto bad = [&](std::string why) {
    return fail(fixups.place(fixup.name), fmt::format("\"{}\" {}", entry, why),
                "recompile the overlay (dtc -@); its fixups are damaged");
  };
  const auto last = entry.rfind(':');
  const auto first = last == std::string::npos || last == 0 ? std::string::npos : entry.rfind(':', last - 1);
  if (first == std::string::npos) return bad("is not path:property:offset");
  u32 offset = 0;
  const char* end = entry.data() + entry.size();
  const auto parsed = std::from_chars(entry.data() + last + 1, end, offset);
  if (parsed.ec != std::errc() || parsed.ptr != end) return bad("has no number as its offset");
  Node* node = finder.find(std::string_view(entry).substr(0, first));
  if (!node) return bad("names a node that is not there");
  Property* property = node->property(std::string_view(entry).substr(first + 1, last - first - 1));
  if (!property) return bad("names a property that is not there");
  if (u64{offset} + 4 > property->value.size()) return bad("points past the end of the property");
  if (property->references.size() >= kMaximumProperties) return bad("is one fixup too many for this property");
  property->references.push_back({offset, Reference::Kind::phandle, fixup.name, property->where, false});
  return {};
}

Status lift_local(const Node& fixups, Node& target) {
  for (const Property& fixup : fixups.properties()) {
    const auto offsets = fixup.cells();
    Property* property = target.property(fixup.name);
    if (!offsets || !property)
      return fail(fixups.place(fixup.name), "the local fixup matches no property", "recompile");
    for (const u32 offset : *offsets) {
      if (u64{offset} + 4 > property->value.size())
        return fail(fixups.place(fixup.name), fmt::format("offset {} is past the end of the property", offset),
                    "recompile the document; its fixups are damaged");
      if (property->references.size() >= kMaximumProperties) break;
      property->references.push_back({offset, Reference::Kind::phandle, "", property->where, true});
    }
  }
  for (const auto& c : fixups.children()) {
    Node* next = target.exact_child(c->name());
    if (!next) return fail(c->place(), "the local fixups name a node that is not there", "recompile the document");
    SOLDER_TRY_STATUS(lift_local(*c, *next));
  }
  return {};
}

void sort_references(Tree& tree) {
  tree.walk([](Node& n) {
    for (Property& p : n.properties()) {
      std::stable_sort(p.references.begin(), p.references.end(),
                       [](const Reference& a, const Reference& b) { return a.offset < b.offset; });
    }
  });
}

/// Finds what a reference of this very tree names; null for one into another document.
class LocalTargets {
 public:
  explicit LocalTargets(Tree& tree) : tree_(tree) {
    tree.walk([&](Node& n) {
      for (const auto& l : n.labels) labels_.emplace(l, &n);
    });
  }
  Node* find(const std::string& target) const {
    if (target.starts_with('/')) return find_exact(tree_, target);
    const auto it = labels_.find(target);
    return it == labels_.end() ? nullptr : it->second;
  }

 private:
  Tree& tree_;
  std::unordered_map<std::string, Node*> labels_;
};

void append_string(Node& node, const std::string& name, std::string_view text) {
  Property* p = node.property(name);
  if (!p) p = &node.set(name, {});
  p->value.insert(p->value.end(), text.begin(), text.end());
  p->value.push_back(0);
  p->form = Form::strings;
}

Node& mirror(Node& local_fixups, const Node& node) {
  if (!node.parent()) return local_fixups;
  Node& parent = mirror(local_fixups, *node.parent());
  if (Node* existing = parent.exact_child(node.name())) return *existing;
  return parent.add_child(node.name());
}

void append_cell(Node& node, const std::string& name, u32 value) {
  Property* p = node.property(name);
  if (!p) p = &node.set(name, {});
  p->value.resize(p->value.size() + 4);
  store_be<u32>(p->value.data() + p->value.size() - 4, value);
  p->form = Form::cells;
}

}  // namespace

Node* find_exact(const Tree& tree, std::string_view path) {
  if (!path.starts_with('/')) return nullptr;
  Node* node = const_cast<Node*>(&tree.root());
  path.remove_prefix(1);
  while (node && !path.empty()) {
    const auto slash = path.find('/');
    node = node->exact_child(path.substr(0, slash));
    path = slash == std::string_view::npos ? std::string_view() : path.substr(slash + 1);
  }
  return node;
}

Status lift_fixups(Tree& tree) {
  if (is_overlay(tree)) tree.plugin = true;
  lift_symbols(tree);
  if (const Node* fixups = tree.root().exact_child(kFixups)) {
    PathFinder finder(tree);
    for (const Property& p : fixups->properties()) {
      const auto entries = p.strings();
      if (!entries) return fail(fixups->place(p.name), "is not a list of strings", "recompile the overlay (dtc -@)");
      for (const auto& e : *entries) SOLDER_TRY_STATUS(lift_fixup(finder, *fixups, p, e));
    }
    tree.root().remove_child(kFixups);
  }
  if (const Node* local = tree.root().exact_child(kLocalFixups)) {
    SOLDER_TRY_STATUS(lift_local(*local, tree.root()));
    tree.root().remove_child(kLocalFixups);
  }
  sort_references(tree);
  return {};
}

void add_symbols(Tree& tree) {
  std::vector<std::pair<std::string, std::string>> found;
  std::vector<Node*> without_phandle;
  std::unordered_set<u32> used;
  tree.walk([&](Node& n) {
    const usize before = found.size();
    for (const auto& l : n.labels) {
      if (is_label(l)) found.emplace_back(l, n.path());
    }
    used.insert(n.phandle());
    if (n.phandle() == 0 && found.size() > before) without_phandle.push_back(&n);
  });
  u32 next = 1;
  for (Node* n : without_phandle) {
    while (used.contains(next)) ++next;
    n->set_u32("phandle", next++);
  }
  tree.root().remove_child(kSymbols);
  Node& symbols = tree.root().add_child(std::string(kSymbols));
  for (const auto& [label, path] : found) symbols.set_string(label, path);
}

void lower_fixups(Tree& tree, bool symbols) {
  const LocalTargets targets(tree);
  std::unordered_map<u32, Node*> used;
  tree.walk([&](Node& n) {
    if (const u32 p = n.phandle()) used.emplace(p, &n);
  });
  u32 next = 1;
  const auto phandle_of = [&](Node& n) {
    if (const u32 p = n.phandle()) return p;
    while (used.contains(next)) ++next;
    used.emplace(next, &n);
    n.set_u32("phandle", next);
    return next;
  };
  std::vector<Node*> nodes;
  tree.walk([&](Node& n) { nodes.push_back(&n); });
  Node fixups("__fixups__");
  Node local("__local_fixups__");
  for (Node* n : nodes) {
    for (usize i = 0; i < n->properties().size(); ++i) {
      // By index and by name: giving a phandle may add a property to this very node.
      for (const Reference& r : std::vector<Reference>(n->properties()[i].references)) {
        if (r.kind == Reference::Kind::path) {
          continue;  // resolved by the caller; a path into another document cannot be expressed
        }
        const std::string name = n->properties()[i].name;
        Node* target = r.resolved ? nullptr : targets.find(r.target);
        if (r.resolved || target) {
          if (target) store_be<u32>(n->properties()[i].value.data() + r.offset, phandle_of(*target));
          append_cell(mirror(local, *n), name, r.offset);
        } else {
          append_string(fixups, r.target, fmt::format("{}:{}:{}", n->path(), name, r.offset));
        }
      }
    }
  }
  if (symbols) add_symbols(tree);
  const auto attach = [&](const Node& made) {
    if (made.properties().empty() && made.children().empty()) return;
    tree.root().remove_child(made.name());
    Tree holder;
    Node& to = holder.root().add_child(made.name());
    const std::function<void(const Node&, Node&)> copy = [&](const Node& from, Node& into) {
      into.properties() = from.properties();
      for (const auto& c : from.children()) copy(*c, into.add_child(c->name()));
    };
    copy(made, to);
    tree.root().add_child(holder.root().release_child(to));
  };
  if (tree.plugin) {
    attach(fixups);
    attach(local);
  }
}

}  // namespace solder::tree
