/// From symbolic references to phandles and paths.
#pragma once

#include <functional>
#include <string>
#include <unordered_map>

#include "base/result.h"
#include "tree/node.h"

namespace solder::tree {

/// Who has which label, kept while documents are read onto each other.
class LabelIndex {
 public:
  LabelIndex() = default;
  explicit LabelIndex(const Tree& tree);
  /// "label", "label/child", "/absolute/path"; failing a label, an alias of that name. Null when there is none.
  [[nodiscard]] Node* find(const Tree& tree, std::string_view target) const;
  [[nodiscard]] Node* label(std::string_view label) const;
  /// Gives `node` the label; an error when another node has it.
  [[nodiscard]] Status define(Node& node, const std::string& label, const SourceLocation& where);
  void forget(const std::string& label) { nodes_.erase(label); }
  /// Before a subtree goes.
  void forget_subtree(const Node& node);
  void set(const std::string& label, Node& node) { nodes_[label] = &node; }
  /// The most similar known label, for messages; empty when nothing is near.
  [[nodiscard]] std::string nearest(std::string_view label) const;

 private:
  std::unordered_map<std::string, Node*> nodes_;
};

/// Replaces every reference of a composed tree: phandles are given out in tree order from 1, leaving out those in use.
/// Then leaves out /omit-if-no-ref/ nodes that nothing refers to. Errors: a target that is not there, a phandle that
/// two nodes have.
[[nodiscard]] Status resolve_references(Tree& tree);

/// Puts the paths' texts where unresolved path references stand and moves the later references along. Where `find`
/// gives null, the reference stays. `budget`: bytes that may be added, counted down; false, and nothing done, beyond
/// it.
bool fill_path_references(Property& property, u64& budget, const std::function<const Node*(const Reference&)>& find);

/// Fills in paths (&label outside of <>) to nodes of the same tree; others stay as they are.
void resolve_local_paths(Tree& tree);

}  // namespace solder::tree
