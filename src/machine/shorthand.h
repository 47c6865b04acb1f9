/// Command-line options as what they are: edits of the tree.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "tree/document.h"

namespace solder::machine {

/// The options that edit the tree; `solder run`, `tree` and `explain` share them.
struct Shorthand {
  std::optional<u32> cpus;              ///< --cpus
  std::optional<u64> memory;            ///< --memory, bytes
  std::vector<std::string> disks;       ///< --disk PATH[,readonly], each on a free virtio slot
  std::vector<std::string> networks;    ///< --net user[,forward=…] | tap=NAME | none
  std::optional<std::string> console;   ///< --console stdio | file=F | pty | unix=F | null
  std::optional<std::string> append;    ///< --append, added to the kernel's command line
  std::optional<std::string> irqchip;   ///< --irqchip kernel | split | user
  std::optional<std::string> kernel;    ///< --kernel
  std::optional<std::string> firmware;  ///< --firmware, started instead of a kernel
  std::optional<std::string> initrd;    ///< --initrd
};

/// Composes the edits onto `tree`, as documents named after their options, so that locations name the option.
/// A console that has no backend yet gets the terminal. Errors: no free virtio slot, no console, a malformed value.
[[nodiscard]] Result<std::unique_ptr<tree::Tree>> apply_shorthand(std::unique_ptr<tree::Tree> tree,
                                                                  const Shorthand& shorthand);

/// "512M", "2G", "1048576", "64K": bytes. Errors: not that.
[[nodiscard]] Result<u64> parse_size(const std::string& text, const std::string& option);

/// `text` as a DTS string, quotes included.
[[nodiscard]] std::string dts_string(std::string_view text);

}  // namespace solder::machine
