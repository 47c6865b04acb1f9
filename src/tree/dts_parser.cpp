#include "tree/dts_parser.h"

#include <algorithm>

#include <fmt/core.h>

#include "tree/document.h"
#include "tree/dts_expression.h"
#include "tree/fixups.h"
#include "tree/names.h"

namespace solder::tree {

/// What one pair of braces has defined so far; defining it twice there is a mistake, across braces it is an update.
struct DtsParser::Body {
  std::unordered_set<std::string> properties;
  std::unordered_set<std::string> children;
  std::unordered_map<std::string, Node*> index;  ///< all children of the node, also earlier ones
};

DtsParser::DtsParser(std::string_view text, std::string name, const std::filesystem::path& directory)
    : scanner_(text, std::move(name), directory) {}

Status DtsParser::headers(bool need_version) {
  for (;;) {
    if (SOLDER_TRY(scanner_.take("/dts-v1/"))) {
      versioned_ = true;
      SOLDER_TRY_STATUS(scanner_.expect(";", "/dts-v1/"));
    } else if (SOLDER_TRY(scanner_.take("/plugin/"))) {
      plugin_ = true;
      SOLDER_TRY_STATUS(scanner_.expect(";", "/plugin/"));
    } else {
      break;
    }
  }
  if (need_version && !versioned_) {
    return scanner_.error("the document does not begin with /dts-v1/;",
                          "put /dts-v1/; on its first line (older source formats are not read)");
  }
  return {};
}

Status DtsParser::parse_into(Tree& tree, LabelIndex& labels) {
  tree_ = &tree;
  labels_ = &labels;
  tree.plugin = plugin_;
  for (;;) {
    SOLDER_TRY_STATUS(headers(false));  // an included document brings its own
    if (scanner_.at_end()) return {};
    SOLDER_TRY_STATUS(top_level());
  }
}

Status DtsParser::top_level() {
  auto labels = SOLDER_TRY(take_labels());
  if (SOLDER_TRY(scanner_.take("/memreserve/"))) return memory_reservation(std::move(labels));
  if (SOLDER_TRY(scanner_.take("/delete-node/"))) return delete_by_reference();
  if (SOLDER_TRY(scanner_.take("/omit-if-no-ref/"))) {
    SOLDER_TRY_STATUS(scanner_.skip());
    const SourceLocation where = scanner_.location();
    const std::string target = SOLDER_TRY(reference());
    Node* node = labels_->find(*tree_, target);
    if (!node) return fail(where.text(), fmt::format("/omit-if-no-ref/ names &{}, which is not there", target));
    node->omit_if_no_ref = true;
    return scanner_.expect(";", "/omit-if-no-ref/");
  }
  SOLDER_TRY_STATUS(scanner_.skip());
  if (scanner_.peek() == '&') return extend(labels);
  const SourceLocation where = scanner_.location();
  if (scanner_.peek() == '/') {
    scanner_.advance();
    SOLDER_TRY_STATUS(scanner_.skip());
    if (scanner_.peek() == '{') {
      if (!tree_->root().where.file) tree_->root().where = where;
      for (const auto& l : labels) SOLDER_TRY_STATUS(labels_->define(tree_->root(), l, where));
      SOLDER_TRY_STATUS(body(tree_->root(), 1));
      return scanner_.expect(";", "the root node's \"}\"");
    }
    return fail(where.text(), "expected \"{\" after \"/\"", "the root node is written / { … };");
  }
  const bool directive = scanner_.peek() == '#';
  return scanner_.error(
      fmt::format("expected / {{ … }}; or &label {{ … }};, found {}", scanner_.here()),
      directive ? "this is for the C preprocessor: run \"cpp -nostdinc -undef -x assembler-with-cpp\" first" : "");
}

Status DtsParser::memory_reservation(std::vector<std::string> labels) {
  SOLDER_TRY_STATUS(scanner_.skip());
  MemoryReservation r;
  r.where = scanner_.location();
  r.labels = std::move(labels);
  r.address = SOLDER_TRY(parse_primary(scanner_));
  r.size = SOLDER_TRY(parse_primary(scanner_));
  tree_->reservations.push_back(std::move(r));
  return scanner_.expect(";", "/memreserve/");
}

Status DtsParser::delete_by_reference() {
  SOLDER_TRY_STATUS(scanner_.skip());
  const SourceLocation where = scanner_.location();
  const std::string target = SOLDER_TRY(reference());
  Node* node = labels_->find(*tree_, target);
  if (node && !node->parent()) return fail(where.text(), "the root node cannot be deleted");
  if (node) {
    labels_->forget_subtree(*node);
    node->parent()->release_child(*node);
  } else if (plugin_) {
    Node& content = fragment("/", where);
    content.set_string("solder,delete-node", target.starts_with('/') ? target : "&" + target).where = where;
  } else {
    const std::string near = target.starts_with('/') ? "" : labels_->nearest(target);
    return fail(where.text(), fmt::format("/delete-node/ names &{}, which is not there", target),
                near.empty() ? "" : fmt::format("did you mean &{}?", near));
  }
  return scanner_.expect(";", "/delete-node/");
}

/// Makes `fragment@N { target…; __overlay__ { }; }`, the form that a plugin's extensions have in a blob.
Node& DtsParser::fragment(const std::string& target, const SourceLocation& where) {
  u32 number = 0;
  while (tree_->root().exact_child(fmt::format("fragment@{}", number))) ++number;
  Node& made = tree_->root().add_child(fmt::format("fragment@{}", number));
  made.where = where;
  if (target.starts_with('/')) {
    made.set_string("target-path", target).where = where;
  } else {
    Property& p = made.set_u32("target", 0xffffffff);
    p.where = where;
    p.references.push_back({0, Reference::Kind::phandle, target, where, false});
  }
  Node& content = made.add_child("__overlay__");
  content.where = where;
  return content;
}

/// `&label { … };`
Status DtsParser::extend(const std::vector<std::string>& labels) {
  const SourceLocation where = scanner_.location();
  const std::string target = SOLDER_TRY(reference());
  Node* node = nullptr;
  if (plugin_) {
    node = &fragment(target, where);
  } else {
    node = labels_->find(*tree_, target);
  }
  if (!node) {
    const std::string near = target.starts_with('/') ? "" : labels_->nearest(target);
    return fail(where.text(),
                fmt::format("extends &{}, which is not there", target.starts_with('/') ? "{" + target + "}" : target),
                near.empty() ? "give the document that defines it first" : fmt::format("did you mean &{}?", near));
  }
  for (const auto& l : labels) SOLDER_TRY_STATUS(labels_->define(*node, l, where));
  SOLDER_TRY_STATUS(body(*node, 1));
  return scanner_.expect(";", "the node's \"}\"");
}

Status DtsParser::body(Node& node, u32 depth) {
  if (depth > kMaximumDepth) return scanner_.error(fmt::format("nodes are nested deeper than {}", kMaximumDepth));
  const SourceLocation opened = scanner_.location();
  SOLDER_TRY_STATUS(scanner_.expect("{", "the node's name"));
  Body seen;
  for (const auto& c : node.children()) seen.index.emplace(c->name(), c.get());
  for (;;) {
    if (SOLDER_TRY(scanner_.take("}"))) return {};
    if (scanner_.at_end())
      return scanner_.error(fmt::format("the node {} ({}) has no closing \"}}\"", node.path(), opened.text()),
                            "add };");
    SOLDER_TRY_STATUS(item(node, seen, depth));
  }
}

Status DtsParser::item(Node& node, Body& seen, u32 depth) {
  if (SOLDER_TRY(scanner_.take("/delete-property/"))) return delete_property(node, seen);
  if (SOLDER_TRY(scanner_.take("/delete-node/"))) return delete_child(node, seen);
  bool omit = false;
  std::vector<std::string> labels;
  for (bool more = true; more;) {
    more = false;
    if (SOLDER_TRY(scanner_.take("/omit-if-no-ref/"))) omit = more = true;
    for (auto& l : SOLDER_TRY(take_labels())) {
      labels.push_back(std::move(l));
      more = true;
    }
  }
  const SourceLocation where = scanner_.location();
  if (scanner_.peek() == '\\') scanner_.advance();  // dtc lets one stand before any name
  const std::string name = scanner_.take_name();
  if (name.empty()) {
    if (scanner_.peek() == '&')
      return scanner_.error("a reference cannot be extended inside of a node",
                            "move it out of all braces, behind this node");
    return scanner_.error(fmt::format("{}: expected a property or a node, found {}", node.path(), scanner_.here()));
  }
  SOLDER_TRY_STATUS(scanner_.skip());
  if (scanner_.peek() == '{') return child(node, seen, name, labels, omit, where, depth);
  if (omit) return fail(where.text(), "/omit-if-no-ref/ stands before a node only", "remove it");
  return property(node, seen, name, std::move(labels), where);
}

Status DtsParser::child(Node& node, Body& seen, const std::string& name, const std::vector<std::string>& labels,
                        bool omit, const SourceLocation& where, u32 depth) {
  if (!seen.children.insert(name).second) {
    return fail(where.text() + ": " + node.path(), fmt::format("has two nodes named {} between the same braces", name),
                "rename one, or join the two");
  }
  Node*& found = seen.index[name];
  if (!found) {
    if (seen.index.size() > kMaximumChildren)
      return fail(where.text() + ": " + node.path(), fmt::format("has more than {} children", kMaximumChildren));
    found = &node.add_child(name);
    found->where = where;
  }
  Node& made = *found;
  if (omit) made.omit_if_no_ref = true;
  for (const auto& l : labels) SOLDER_TRY_STATUS(labels_->define(made, l, where));
  SOLDER_TRY_STATUS(body(made, depth + 1));
  return scanner_.expect(";", fmt::format("the \"}}\" of {}", made.path()));
}

Status DtsParser::property(Node& node, Body& seen, const std::string& name, std::vector<std::string> labels,
                           const SourceLocation& where) {
  if (!seen.children.empty()) {
    return fail(where.text() + ": " + node.path() + ": " + name, "stands behind a child node",
                "move it up: a node's properties come before its children");
  }
  if (!seen.properties.insert(name).second) {
    return fail(where.text() + ": " + node.path() + ": " + name, "is given twice between the same braces",
                "remove one of the two");
  }
  auto parsed = value(name);
  if (!parsed) {
    parsed.error().where += ": " + node.path() + ": " + name;
    return std::unexpected(parsed.error());
  }
  Property p = std::move(*parsed);
  p.labels = std::move(labels);
  p.where = where;
  if (auto ended = scanner_.expect(";", fmt::format("property {}", name)); !ended) {
    ended.error().where += ": " + node.path() + ": " + name;
    return ended;
  }
  return store(node, seen, std::move(p));
}

Status DtsParser::store(Node& node, Body& seen, Property p) {
  if (plugin_) {
    // Set after all: a deletion noted earlier between these braces is taken back by writing the property again.
    if (Property* deleted = node.property("solder,delete-property");
        deleted && seen.properties.contains("/" + p.name)) {
      auto names = deleted->strings().value_or(std::vector<std::string>{});
      std::erase(names, p.name);
      if (names.empty()) {
        node.remove_property("solder,delete-property");
      } else {
        node.set_strings("solder,delete-property", names).where = p.where;
      }
    }
  }
  Property* existing = node.property(p.name);
  if (!existing) {
    if (node.properties().size() >= kMaximumProperties)
      return fail(p.where.text() + ": " + node.path(), fmt::format("has more than {} properties", kMaximumProperties));
    node.properties().push_back(std::move(p));
    return {};
  }
  if (p.name == "solder,delete-property" || p.name == "solder,delete-node") {
    // Deletions of one document add up, whatever braces they stand in.
    const auto offset = static_cast<u32>(existing->value.size());
    for (Reference r : p.references) {
      r.offset += offset;
      existing->references.push_back(r);
    }
    existing->value.insert(existing->value.end(), p.value.begin(), p.value.end());
    existing->where = p.where;
    return {};
  }
  p.labels.insert(p.labels.begin(), existing->labels.begin(), existing->labels.end());
  *existing = std::move(p);
  return {};
}

Result<std::string> DtsParser::take_node_name(std::string_view after) {
  SOLDER_TRY_STATUS(scanner_.skip());
  if (scanner_.peek() == '\\') scanner_.advance();
  std::string name = scanner_.take_name();
  if (name.empty()) return scanner_.error(fmt::format("expected a name after {}, found {}", after, scanner_.here()));
  SOLDER_TRY_STATUS(scanner_.expect(";", after));
  return name;
}

Status DtsParser::delete_property(Node& node, Body& seen) {
  const SourceLocation where = scanner_.location();
  const std::string name = SOLDER_TRY(take_node_name("/delete-property/"));
  seen.properties.erase(name);
  const bool removed = node.remove_property(name);
  if (plugin_ && !removed) {
    // It is meant for the tree that the plugin will be applied to.
    Property deleted;
    deleted.name = "solder,delete-property";
    deleted.value.assign(name.begin(), name.end());
    deleted.value.push_back(0);
    deleted.form = Form::strings;
    deleted.where = where;
    seen.properties.insert("/" + name);  // no property can have this name
    return store(node, seen, std::move(deleted));
  }
  return {};
}

Status DtsParser::delete_child(Node& node, Body& seen) {
  SOLDER_TRY_STATUS(scanner_.skip());
  const SourceLocation where = scanner_.location();
  if (scanner_.peek() == '&') {
    return scanner_.error("/delete-node/ &label; stands outside of all nodes",
                          "move it out of the braces, or name the child to delete");
  }
  const std::string name = SOLDER_TRY(take_node_name("/delete-node/"));
  seen.children.erase(name);
  if (const auto it = seen.index.find(name); it != seen.index.end() && it->second) {
    labels_->forget_subtree(*it->second);
    node.release_child(*it->second);
    seen.index.erase(it);
  } else if (plugin_) {
    Property deleted;
    deleted.name = "solder,delete-node";
    deleted.value.assign(name.begin(), name.end());
    deleted.value.push_back(0);
    deleted.form = Form::strings;
    deleted.where = where;
    return store(node, seen, std::move(deleted));
  }
  return {};
}

/// `name:` right here; no space may stand between the two.
bool DtsParser::take_label(std::string& out) {
  usize length = 0;
  while (scanner_.peek(length) != 0 && is_label_character(scanner_.peek(length), length == 0)) ++length;
  if (length == 0 || scanner_.peek(length) != ':') return false;
  out.clear();
  for (usize i = 0; i < length; ++i) out += scanner_.peek(i);
  scanner_.advance(length + 1);
  return true;
}

Result<std::vector<std::string>> DtsParser::take_labels() {
  std::vector<std::string> out;
  for (std::string label;;) {
    SOLDER_TRY_STATUS(scanner_.skip());
    if (!take_label(label)) return out;
    out.push_back(label);
  }
}

Result<std::string> DtsParser::reference() {
  if (scanner_.peek() != '&') {
    return scanner_.error(fmt::format("expected &label or &{{/path}}, found {}", scanner_.here()));
  }
  scanner_.advance();
  std::string out;
  if (scanner_.peek() == '{') {
    scanner_.advance();
    while (scanner_.peek() == '/' || (scanner_.peek() != 0 && is_name_character(scanner_.peek()))) {
      out += scanner_.peek();
      scanner_.advance();
    }
    if (scanner_.peek() != '}' || out.empty())
      return scanner_.error("this path reference has no closing \"}\"", "write &{/path/to/node}");
    scanner_.advance();
    return out;
  }
  while (scanner_.peek() != 0 && is_label_character(scanner_.peek(), out.empty())) {
    out += scanner_.peek();
    scanner_.advance();
  }
  if (out.empty()) return scanner_.error(fmt::format("expected a label after \"&\", found {}", scanner_.here()));
  return out;
}

Result<std::unique_ptr<Tree>> parse_dts(std::string_view text, std::string name,
                                        const std::filesystem::path& directory) {
  DtsParser parser(text, std::move(name), directory);
  SOLDER_TRY_STATUS(parser.headers(false));
  auto tree = std::make_unique<Tree>();
  LabelIndex labels;
  SOLDER_TRY_STATUS(parser.parse_into(*tree, labels));
  SOLDER_TRY_STATUS(lift_fixups(*tree));
  return tree;
}

}  // namespace solder::tree
