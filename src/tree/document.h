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

/// Composes documents in order: later wins; &label and &{/path} of later ones extend earlier nodes; overlays
/// (/plugin/, fragments with target/target-path) are applied; solder,delete-property and solder,delete-node act.
/// Then references become phandles and paths. The result has no unresolved reference.
class Composer {
 public:
  [[nodiscard]] Status add(const std::filesystem::path& path);
  /// Text that Solder itself makes (command-line shorthands, built-in boards).
  [[nodiscard]] Status add_text(std::string_view dts, std::string name);
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
