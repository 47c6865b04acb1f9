/// The boards that are built in: the documents of machines/, embedded by the build.
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "base/result.h"
#include "tree/document.h"

namespace solder::machine {

struct Board {
  std::string_view name;  ///< "virt-arm64"
  std::string_view text;  ///< DTS
};
[[nodiscard]] std::span<const Board> built_in_boards();
[[nodiscard]] const Board* find_board(std::string_view name);
inline constexpr std::string_view kDefaultBoard = "virt-arm64";

/// Composes MACHINE arguments in order: names of built-in boards, or .dts, .dtb and .dtbo files. None: the default
/// board.
[[nodiscard]] Result<std::unique_ptr<tree::Tree>> compose_machine(std::span<const std::string> machines);

}  // namespace solder::machine
