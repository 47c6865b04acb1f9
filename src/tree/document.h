/// Reading, composing and writing documents.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "tree/node.h"

namespace solder::tree {

/// Limits against hostile documents.
inline constexpr u64 kMaximumDocumentBytes = u64{64} << 20;
inline constexpr u32 kMaximumDepth = 64;

/// Parses DTS text. `name` is for messages; includes resolve relative to `directory`.
/// References stay symbolic, so it may refer to labels of other documents; extending (&label {}) needs the label in the
/// same document, except in a /plugin/, whose extensions become fragment@N nodes. `Composer` parses later documents
/// onto the earlier ones and so has no such limit.
[[nodiscard]] Result<std::unique_ptr<Tree>> parse_dts(std::string_view text, std::string name,
                                                      const std::filesystem::path& directory);
/// Reads a DTB or DTBO (version 17 or 16). Lifts __symbols__ to labels and __fixups__/__local_fixups__ to references.
[[nodiscard]] Result<std::unique_ptr<Tree>> read_dtb(std::span<const u8> bytes, std::string name);
/// Reads a file of either kind, told apart by the magic number.
[[nodiscard]] Result<std::unique_ptr<Tree>> read_document(const std::filesystem::path& path);

/// Composes documents in order; each acts as if its text stood behind that of those before it.
/// - Later wins, property by property; a property keeps the place of its last writer, a node that of its first.
/// - &label and &{/path} extend nodes of earlier documents. A name that is no label may be an alias.
/// - Overlays (/plugin/, or fragments in a blob) are applied to their targets.
/// - solder,delete-property and solder,delete-node (names of children, paths below the node, "/absolute", "&label" or a
///   label) act at the end of their document, on all that is there by then, and go; a later document may add again. A
///   name that is not there is warned about. Aliases go with their node. In a node with solder,import they stay: they
///   are for what gets imported.
/// - Blobs: symbols are labels, a later blob's label wins; its phandles give way where earlier documents use them.
/// Then references become phandles and paths. The result has no unresolved reference.
/// After an error the composer holds half a document: do not go on with it.
class Composer {
 public:
  [[nodiscard]] Status add(const std::filesystem::path& path);
  /// Text that Solder itself makes (command-line shorthands, built-in boards).
  [[nodiscard]] Status add_text(std::string_view dts, const std::string& name);
  [[nodiscard]] Status add_bytes(std::span<const u8> bytes, std::string name);
  [[nodiscard]] Status add_tree(std::unique_ptr<Tree> tree);
  [[nodiscard]] Result<std::unique_ptr<Tree>> finish();
  Composer();
  ~Composer();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Writes a DTB, version 17. `symbols`: with __symbols__ for overlays.
[[nodiscard]] std::vector<u8> write_dtb(const Tree& tree, bool symbols = false);
struct PrintOptions {
  bool locations = false;  ///< a comment after every line: where it came from
};
[[nodiscard]] std::string print_dts(const Tree& tree, PrintOptions options = {});
/// A copy without what is host-side: solder,* properties and nodes, /solder.
[[nodiscard]] std::unique_ptr<Tree> strip_host_side(const Tree& tree);

}  // namespace solder::tree
