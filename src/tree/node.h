/// The document in memory: nodes and properties, in order, each with where it came from.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/types.h"
#include "tree/source.h"

namespace solder::tree {

/// A place inside a property's bytes that refers to another node.
struct Reference {
  enum class Kind : u8 { phandle, path };  ///< a 32-bit cell, or the text of a path (&label outside of <>)
  u32 offset = 0;                          ///< byte offset in the value
  Kind kind = Kind::phandle;
  std::string target;  ///< label, "/absolute/path" or "label/child" as written; may be empty once resolved
  SourceLocation where;
  /// The value holds the phandle or path already. Without: a phandle's cell is 0xffffffff, a path has no bytes yet.
  bool resolved = false;
};

/// How a value was written; printing keeps it where it can. A DTB has none.
enum class Form : u8 { unknown, empty, cells, strings, bytes, mixed };

struct Property {
  std::string name;
  std::vector<u8> value;              ///< big-endian, as in a DTB
  std::vector<Reference> references;  ///< unresolved until `resolve_references`
  std::vector<std::string> labels;
  Form form = Form::unknown;
  SourceLocation where;

  /// The value as 32-bit cells; nullopt when its length is no multiple of 4.
  [[nodiscard]] std::optional<std::vector<u32>> cells() const;
  /// The value as NUL-terminated strings; nullopt when it is not that.
  [[nodiscard]] std::optional<std::vector<std::string>> strings() const;
};

class Node {
 public:
  Node() = default;
  explicit Node(std::string name, Node* parent = nullptr) : name_(std::move(name)), parent_(parent) {}
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  /// "uart@9000000"; the root's is empty.
  [[nodiscard]] const std::string& name() const { return name_; }
  /// "uart": the name without unit address.
  [[nodiscard]] std::string_view base_name() const;
  [[nodiscard]] std::string_view unit_address() const;
  [[nodiscard]] std::string path() const;
  [[nodiscard]] Node* parent() const { return parent_; }

  [[nodiscard]] const std::vector<std::unique_ptr<Node>>& children() const { return children_; }
  [[nodiscard]] std::vector<std::unique_ptr<Node>>& children() { return children_; }
  [[nodiscard]] const std::vector<Property>& properties() const { return properties_; }
  [[nodiscard]] std::vector<Property>& properties() { return properties_; }

  /// By exact name, or by base name when only one child has it.
  [[nodiscard]] Node* child(std::string_view name) const;
  /// By exact name only.
  [[nodiscard]] Node* exact_child(std::string_view name) const;
  Node& add_child(std::string name);
  /// Takes over a node made elsewhere, with its subtree.
  Node& add_child(std::unique_ptr<Node> child);
  /// Gives up a child; null when `child` is none of this node's.
  std::unique_ptr<Node> release_child(const Node& child);
  bool remove_child(std::string_view name);
  [[nodiscard]] const Property* property(std::string_view name) const;
  [[nodiscard]] Property* property(std::string_view name);
  Property& set(std::string_view name, std::vector<u8> value);
  Property& set_string(std::string_view name, std::string_view value);
  Property& set_strings(std::string_view name, std::span<const std::string> values);
  Property& set_cells(std::string_view name, std::span<const u32> cells);
  Property& set_u32(std::string_view name, u32 value);
  Property& set_u64(std::string_view name, u64 value);
  Property& set_empty(std::string_view name);
  bool remove_property(std::string_view name);

  /// Reading, with absent or malformed as nullopt.
  [[nodiscard]] std::optional<u32> u32_value(std::string_view name) const;
  /// One or two cells.
  [[nodiscard]] std::optional<u64> number(std::string_view name) const;
  [[nodiscard]] std::optional<std::string> string(std::string_view name) const;
  [[nodiscard]] std::vector<std::string> string_list(std::string_view name) const;
  [[nodiscard]] std::vector<u32> cell_list(std::string_view name) const;
  [[nodiscard]] bool has(std::string_view name) const { return property(name) != nullptr; }
  [[nodiscard]] std::vector<std::string> compatible() const { return string_list("compatible"); }
  [[nodiscard]] bool is_compatible(std::string_view name) const;
  /// `status` absent, "okay" or "ok".
  [[nodiscard]] bool enabled() const;
  [[nodiscard]] u32 phandle() const;  ///< 0: none

  std::vector<std::string> labels;
  SourceLocation where;
  bool omit_if_no_ref = false;

  /// "board.dts:41: /soc/uart@9000000: interrupts": for Error::where. `property` may be empty.
  [[nodiscard]] std::string place(std::string_view property = {}) const;

 private:
  std::string name_;
  Node* parent_ = nullptr;
  std::vector<Property> properties_;
  std::vector<std::unique_ptr<Node>> children_;
};

struct MemoryReservation {
  u64 address = 0;
  u64 size = 0;
  std::vector<std::string> labels;
  SourceLocation where;
};

/// A whole tree.
class Tree {
 public:
  [[nodiscard]] Node& root() { return *root_; }
  [[nodiscard]] const Node& root() const { return *root_; }
  /// "/soc/uart@9000000", "/soc/uart" (when only one has that base name), "serial0" (alias), "serial0/child"; null when
  /// there is none.
  [[nodiscard]] Node* find(std::string_view path_or_alias) const;
  [[nodiscard]] Node* by_label(std::string_view label) const;
  [[nodiscard]] Node* by_phandle(u32 phandle) const;
  /// Depth first, parents before children.
  void walk(const std::function<void(Node&)>& visit) const;
  /// Gives `node` a phandle if it has none; returns it.
  u32 ensure_phandle(Node& node);
  [[nodiscard]] std::unique_ptr<Tree> clone() const;

  std::vector<MemoryReservation> reservations;
  u32 boot_cpu = 0;
  bool plugin = false;  ///< an overlay (/plugin/)
  /// The document had /__symbols__: writing makes it again from the labels. (`labels` hold it in between.)
  bool symbols = false;

 private:
  std::unique_ptr<Node> root_ = std::make_unique<Node>();
};

}  // namespace solder::tree
