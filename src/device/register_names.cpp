#include "device/register_names.h"

#include <fmt/format.h>

namespace solder::device {

std::string register_text(std::string_view name, u32 count, u64 index, u64 within) {
  std::string out(name);
  if (count > 1) out += fmt::format("[{}]", index);
  if (within != 0) out += fmt::format("+{}", within);
  return out;
}

std::string register_name(std::span<const RegisterName> table, u64 offset) {
  for (const RegisterName& entry : table) {
    if (offset < entry.offset) continue;
    const u64 at = offset - entry.offset;
    // One alone has no neighbour that a stride would tell of.
    const u64 stride = entry.count > 1 ? entry.stride : entry.width;
    if (at / stride >= entry.count || at % stride >= entry.width) continue;
    return register_text(entry.name, entry.count, at / stride, at % stride);
  }
  return {};
}

}  // namespace solder::device
