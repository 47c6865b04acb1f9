/// Characters of source text: includes, comments, line markers, positions.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "tree/source.h"

namespace solder::tree {

/// Reads a whole file. Errors: not there, too large (`limit` bytes), unreadable.
[[nodiscard]] Result<std::string> read_file(const std::filesystem::path& path, u64 limit);

/// A cursor over a document and the documents that it includes with /include/.
class DtsScanner {
 public:
  DtsScanner(std::string_view text, std::string name, std::filesystem::path directory);

  /// Skips white space, comments, `# 12 "file"` lines of a preprocessor; enters and leaves included files.
  [[nodiscard]] Status skip();

  /// The character under the cursor; 0 at the end of the (included) document. Call `skip` to go on past that.
  [[nodiscard]] char peek(usize ahead = 0) const;
  [[nodiscard]] bool at_end() const { return frames_.empty(); }
  [[nodiscard]] bool starts_with(std::string_view text) const;
  void advance(usize count = 1);
  /// Skips, then takes `text` if it is there.
  [[nodiscard]] Result<bool> take(std::string_view text);
  [[nodiscard]] Status expect(std::string_view text, std::string_view after);

  /// Takes what matches [A-Za-z0-9,._+*#?@-]+; may be empty.
  [[nodiscard]] std::string take_name();
  /// Takes "…" with its escapes undone. The cursor is on the first quote.
  [[nodiscard]] Result<std::string> take_string();
  /// Takes '…': one character.
  [[nodiscard]] Result<u64> take_character();

  [[nodiscard]] SourceLocation location() const;
  [[nodiscard]] const std::filesystem::path& directory() const;
  [[nodiscard]] std::unexpected<Error> error(std::string what, std::string fix = {}) const;
  /// What stands here, for "found …".
  [[nodiscard]] std::string here() const;

 private:
  struct Frame {
    std::string text;
    usize position = 0;
    u32 line = 1;
    usize line_start = 0;
    std::shared_ptr<const std::string> file;
    std::filesystem::path directory;
    std::filesystem::path path;  ///< to notice a file that includes itself
  };
  [[nodiscard]] Status skip_space();
  [[nodiscard]] Status include();
  [[nodiscard]] bool line_marker();
  [[nodiscard]] Result<char> take_escape();

  std::vector<Frame> frames_;
  SourceLocation end_;          ///< where the text ended, once it has
  SourceLocation before_skip_;  ///< behind the last thing that was taken
  SourceLocation skipped_to_;
  std::filesystem::path directory_;
  u64 total_bytes_ = 0;
};

}  // namespace solder::tree
