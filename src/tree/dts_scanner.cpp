#include "tree/dts_scanner.h"

#include <algorithm>
#include <fstream>

#include <fmt/core.h>

#include "tree/document.h"
#include "tree/names.h"

namespace solder::tree {

namespace {

constexpr usize kMaximumIncludeDepth = 32;
constexpr usize kMaximumIncludes = 4096;

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
int hex_digit(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

Result<std::string> read_file(const std::filesystem::path& path, u64 limit) {
  std::error_code code;
  if (std::filesystem::is_directory(path, code)) return fail(path.string(), "is a directory", "name a file");
  std::ifstream in(path, std::ios::binary);
  if (!in) return fail(path.string(), "cannot be opened", "check the name and the permissions");
  // Not by its size: the file may be a pipe or lie in /proc.
  std::string out;
  std::vector<char> chunk(65536);
  while (in.read(chunk.data(), static_cast<std::streamsize>(chunk.size())) || in.gcount() > 0) {
    out.append(chunk.data(), static_cast<usize>(in.gcount()));
    if (out.size() > limit) return fail(path.string(), fmt::format("is larger than {} MiB", limit >> 20));
  }
  return out;
}

DtsScanner::DtsScanner(std::string_view text, std::string name, std::filesystem::path directory)
    : directory_(directory), total_bytes_(text.size()) {
  Frame f;
  f.text = text;
  f.path = directory / std::filesystem::path(name).filename();
  f.file = std::make_shared<const std::string>(std::move(name));
  f.directory = std::move(directory);
  end_.file = f.file;
  end_.line = 1;
  frames_.push_back(std::move(f));
}

char DtsScanner::peek(usize ahead) const {
  if (frames_.empty()) return 0;
  const Frame& f = frames_.back();
  return f.position + ahead < f.text.size() ? f.text[f.position + ahead] : '\0';
}

bool DtsScanner::starts_with(std::string_view text) const {
  return !frames_.empty() && std::string_view(frames_.back().text).substr(frames_.back().position).starts_with(text);
}

void DtsScanner::advance(usize count) {
  if (frames_.empty()) return;
  Frame& f = frames_.back();
  for (; count > 0 && f.position < f.text.size(); --count, ++f.position) {
    if (f.text[f.position] == '\n') {
      ++f.line;
      f.line_start = f.position + 1;
    }
  }
}

SourceLocation DtsScanner::location() const {
  if (frames_.empty()) return end_;
  const Frame& f = frames_.back();
  return {f.file, f.line, static_cast<u32>(f.position - f.line_start + 1), 0};
}

const std::filesystem::path& DtsScanner::directory() const {
  return frames_.empty() ? directory_ : frames_.back().directory;
}

std::unexpected<Error> DtsScanner::error(std::string what, std::string fix) const {
  return fail(location().text(), std::move(what), std::move(fix));
}

std::string DtsScanner::here() const {
  if (peek() == 0) return "the end of the file";
  std::string out;
  for (usize i = 0; i < 24 && peek(i) >= 0x20 && peek(i) < 0x7f; ++i) {
    if (i > 0 && std::string_view(" \t;{}").find(peek(i)) != std::string_view::npos) break;
    out += peek(i);
  }
  return out.empty() ? fmt::format("byte {:#04x}", static_cast<u8>(peek())) : fmt::format("\"{}\"", out);
}

Status DtsScanner::skip() {
  const SourceLocation here_before = location();
  if (here_before != skipped_to_) before_skip_ = here_before;
  SOLDER_TRY_STATUS(skip_space());
  skipped_to_ = location();
  return {};
}

Status DtsScanner::skip_space() {
  while (!frames_.empty()) {
    Frame& f = frames_.back();
    if (f.position >= f.text.size()) {
      end_ = location();
      frames_.pop_back();
      continue;
    }
    const char c = peek();
    if (c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v') {
      advance();
    } else if (starts_with("//")) {
      const auto end = f.text.find('\n', f.position);
      advance((end == std::string::npos ? f.text.size() : end) - f.position);
    } else if (starts_with("/*")) {
      const auto end = f.text.find("*/", f.position + 2);
      if (end == std::string::npos) return error("this comment has no end", "close it with */");
      advance(end + 2 - f.position);
    } else if (starts_with("/include/")) {
      SOLDER_TRY_STATUS(include());
    } else if (c == '#' && f.position == f.line_start && line_marker()) {
      // taken
    } else {
      return {};
    }
  }
  return {};
}

/// `# 12 "file" flags` and `#line 12 "file"`, as a C preprocessor leaves behind. False: it is something else.
bool DtsScanner::line_marker() {
  Frame& f = frames_.back();
  const auto line_end = std::min(f.text.find('\n', f.position), f.text.size());
  std::string_view line(f.text.data() + f.position, line_end - f.position);
  line.remove_prefix(1);
  if (line.starts_with("line")) line.remove_prefix(4);
  if (line.empty() || (line[0] != ' ' && line[0] != '\t')) return false;
  line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
  u64 number = 0;
  usize digits = 0;
  for (; digits < line.size() && is_digit(line[digits]) && digits < 9; ++digits)
    number = number * 10 + static_cast<u64>(line[digits] - '0');
  if (digits == 0) return false;
  line.remove_prefix(digits);
  const auto quote = line.find('"');
  const auto close = quote == std::string_view::npos ? quote : line.find('"', quote + 1);
  if (close == std::string_view::npos) return false;
  f.file = std::make_shared<const std::string>(line.substr(quote + 1, close - quote - 1));
  advance(line_end - f.position + 1);
  f.line = static_cast<u32>(number);
  return true;
}

Status DtsScanner::include() {
  const SourceLocation where = location();
  advance(std::string_view("/include/").size());
  while (peek() == ' ' || peek() == '\t' || peek() == '\n' || peek() == '\r') advance();
  if (peek() != '"') return error("/include/ needs a file name in double quotes", "write /include/ \"name.dtsi\"");
  const std::string name = SOLDER_TRY(take_string());
  const std::filesystem::path path = directory() / name;
  if (frames_.size() >= kMaximumIncludeDepth)
    return fail(where.text(), fmt::format("includes are nested deeper than {}", kMaximumIncludeDepth));
  for (const Frame& f : frames_) {
    if (f.path.lexically_normal() == path.lexically_normal())
      return fail(where.text(), fmt::format("\"{}\" includes itself", name),
                  "remove one of the includes of the circle");
  }
  auto text = read_file(path, kMaximumDocumentBytes);
  if (!text) return fail(where.text(), fmt::format("/include/ \"{}\": {}", name, text.error().text()));
  total_bytes_ += text->size() + kMaximumDocumentBytes / kMaximumIncludes;
  if (total_bytes_ > kMaximumDocumentBytes)
    return fail(where.text(), "the document with all that it includes is larger than 64 MiB");
  Frame f;
  f.text = std::move(*text);
  f.file = std::make_shared<const std::string>(path.lexically_normal().string());
  f.directory = path.parent_path();
  f.path = path;
  frames_.push_back(std::move(f));
  return {};
}

Result<bool> DtsScanner::take(std::string_view text) {
  SOLDER_TRY_STATUS(skip());
  if (!starts_with(text)) return false;
  advance(text.size());
  return true;
}

Status DtsScanner::expect(std::string_view text, std::string_view after) {
  if (SOLDER_TRY(take(text))) return {};
  // Where it is missing, not where the next thing stands.
  return fail(before_skip_.text(), fmt::format("expected \"{}\" after {}, found {}", text, after, here()),
              fmt::format("put a \"{}\" there", text));
}

std::string DtsScanner::take_name() {
  usize length = 0;
  while (peek(length) != 0 && is_name_character(peek(length))) ++length;
  std::string out = length == 0 ? std::string() : frames_.back().text.substr(frames_.back().position, length);
  advance(length);
  return out;
}

/// After a backslash.
Result<char> DtsScanner::take_escape() {
  const char c = peek();
  if (c == 0) return error("the text ends in a backslash");
  if (c >= '0' && c <= '7') {
    u32 value = 0;
    for (int i = 0; i < 3 && peek() >= '0' && peek() <= '7'; ++i, advance())
      value = value * 8 + static_cast<u32>(peek() - '0');
    if (value > 255) return error("this octal escape is larger than a byte", "use at most \\377");
    return static_cast<char>(value);
  }
  advance();
  switch (c) {
    case 'a':
      return '\a';
    case 'b':
      return '\b';
    case 't':
      return '\t';
    case 'n':
      return '\n';
    case 'v':
      return '\v';
    case 'f':
      return '\f';
    case 'r':
      return '\r';
    case 'x': {
      int value = 0;
      int digits = 0;
      for (; digits < 2 && hex_digit(peek()) >= 0; ++digits, advance()) value = value * 16 + hex_digit(peek());
      if (digits == 0) return error("\\x needs hexadecimal digits", "write for example \\x1b");
      return static_cast<char>(value);
    }
    default:
      return c;
  }
}

Result<std::string> DtsScanner::take_string() {
  const SourceLocation where = location();
  const usize depth = frames_.size();
  advance();
  std::string out;
  while (frames_.size() == depth) {
    const char c = peek();
    if (c == 0) break;
    advance();
    if (c == '"') return out;
    out += c == '\\' ? SOLDER_TRY(take_escape()) : c;
  }
  return fail(where.text(), "this string has no closing quote", "close it with \"");
}

Result<u64> DtsScanner::take_character() {
  advance();
  char c = peek();
  if (c == 0 || c == '\'' || c == '\n') return error("expected a character between the single quotes");
  advance();
  if (c == '\\') c = SOLDER_TRY(take_escape());
  if (peek() != '\'') return error("a character literal holds exactly one character", "use \"…\" for text");
  advance();
  return static_cast<u64>(static_cast<u8>(c));
}

}  // namespace solder::tree
