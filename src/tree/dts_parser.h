/// Source text to tree.
#pragma once

#include <string>
#include <unordered_map>
#include <unordered_set>

#include "base/result.h"
#include "tree/dts_scanner.h"
#include "tree/node.h"
#include "tree/references.h"

namespace solder::tree {

/// Parses one document onto a tree, as if its text stood behind that of the documents read before. The grammar is that
/// of dtc's version 1 source format.
class DtsParser {
 public:
  DtsParser(std::string_view text, std::string name, const std::filesystem::path& directory);

  /// Reads /dts-v1/; and /plugin/;. `need_version`: the first must be there.
  [[nodiscard]] Status headers(bool need_version);
  /// Known after `headers`.
  [[nodiscard]] bool plugin() const { return plugin_; }
  /// A plugin belongs into a tree of its own: its extensions become fragments there.
  [[nodiscard]] Status parse_into(Tree& tree, LabelIndex& labels);

 private:
  struct Body;
  struct Value;

  Status top_level();
  Status extend(const std::vector<std::string>& labels);
  Status delete_by_reference();
  Status memory_reservation(std::vector<std::string> labels);
  Status body(Node& node, u32 depth);
  Status item(Node& node, Body& seen, u32 depth);
  Status child(Node& node, Body& seen, const std::string& name, const std::vector<std::string>& labels, bool omit,
               const SourceLocation& where, u32 depth);
  Status delete_property(Node& node, Body& seen);
  Status delete_child(Node& node, Body& seen);
  Status property(Node& node, Body& seen, const std::string& name, std::vector<std::string> labels,
                  const SourceLocation& where);
  Status store(Node& node, Body& seen, Property property);
  Result<Property> value(const std::string& name);
  Status value_element(Value& out);
  Status cells(Value& out, u32 bits);
  Status byte_string(Value& out);
  Status include_binary(Value& out);
  Result<std::string> reference();
  Result<std::vector<std::string>> take_labels();
  bool take_label(std::string& out);
  Result<std::string> take_node_name(std::string_view after);
  Node& fragment(const std::string& target, const SourceLocation& where);

  DtsScanner scanner_;
  Tree* tree_ = nullptr;
  LabelIndex* labels_ = nullptr;
  bool plugin_ = false;
  bool versioned_ = false;
};

}  // namespace solder::tree
