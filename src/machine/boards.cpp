#include "machine/boards.h"

#include <fmt/format.h>

#include <filesystem>

namespace solder::machine {

const Board* find_board(std::string_view name) {
  for (const Board& board : built_in_boards())
    if (board.name == name) return &board;
  return nullptr;
}

Result<std::unique_ptr<tree::Tree>> compose_machine(std::span<const std::string> machines) {
  const std::string default_board(kDefaultBoard);
  if (machines.empty()) machines = std::span(&default_board, 1);
  tree::Composer composer;
  for (const std::string& machine : machines) {
    if (const Board* board = find_board(machine)) {
      SOLDER_TRY_STATUS(composer.add_text(board->text, fmt::format("{}.dts", board->name)));
      continue;
    }
    std::error_code error;
    if (!std::filesystem::exists(machine, error)) {
      std::string known;
      for (const Board& board : built_in_boards()) known += (known.empty() ? "" : ", ") + std::string(board.name);
      return fail(machine, "is neither a file nor a built-in board", fmt::format("built-in boards: {}", known));
    }
    SOLDER_TRY_STATUS(composer.add(machine));
  }
  return composer.finish();
}

}  // namespace solder::machine
