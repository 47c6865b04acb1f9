/// What names may look like in source text and in a blob.
#pragma once

#include <string_view>

namespace solder::tree {

/// Characters of node and property names: those of the specification (section 2.2.1, 2.2.4) and '@'.
[[nodiscard]] constexpr bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view(",._+*#?@-").find(c) != std::string_view::npos;
}

[[nodiscard]] constexpr bool is_name(std::string_view text) {
  if (text.empty()) return false;
  for (const char c : text) {
    if (!is_name_character(c)) return false;
  }
  return true;
}

[[nodiscard]] constexpr bool is_label_character(char c, bool first) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (!first && c >= '0' && c <= '9');
}

[[nodiscard]] constexpr bool is_label(std::string_view text) {
  if (text.empty()) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (!is_label_character(text[i], i == 0)) return false;
  }
  return true;
}

/// Properties, nodes and labels that only Solder reads.
[[nodiscard]] constexpr bool is_host_side(std::string_view name) {
  return name.starts_with("solder,");
}

/// Bounds on one node, against documents made to exhaust time.
inline constexpr std::size_t kMaximumProperties = 65536;
inline constexpr std::size_t kMaximumChildren = 65536;

}  // namespace solder::tree
