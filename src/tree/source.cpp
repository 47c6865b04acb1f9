#include "tree/source.h"

#include <fmt/core.h>

namespace solder::tree {

std::string SourceLocation::text() const {
  if (!file) return "(solder)";
  if (line == 0) return fmt::format("{}@{:#x}", *file, offset);
  return fmt::format("{}:{}", *file, line);
}

}  // namespace solder::tree
