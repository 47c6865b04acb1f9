/// Where something in a tree came from.
#pragma once

#include <memory>
#include <string>

#include "base/types.h"

namespace solder::tree {

/// A place in a source document. For a DTB, `line` is 0 and `offset` is the byte offset of the node or property.
struct SourceLocation {
  std::shared_ptr<const std::string> file;  ///< name as the user gave it; null: made by Solder
  u32 line = 0;
  u32 column = 0;
  u64 offset = 0;
  /// "board.dts:41", "x.dtb@0x1a4", "(solder)".
  [[nodiscard]] std::string text() const;
  bool operator==(const SourceLocation&) const = default;
};

}  // namespace solder::tree
