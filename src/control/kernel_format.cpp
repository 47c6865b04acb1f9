#include "control/kernel_format.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/bits.h"
#include "base/bytes.h"

namespace solder::control {

namespace {

constexpr std::string_view kBlanks = " \t";

std::string_view trim(std::string_view text) {
  const usize first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

// A number of C, or a sum of such: "0x040 + 13", "-1".
std::optional<u64> number(std::string_view text) {
  u64 sum = 0;
  while (true) {
    const usize plus = text.find('+');
    std::string_view part = trim(text.substr(0, plus));
    const bool negative = part.starts_with('-');
    if (negative) part.remove_prefix(1);
    const bool hexadecimal = part.starts_with("0x") || part.starts_with("0X");
    if (hexadecimal) part.remove_prefix(2);
    u64 value = 0;
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), value, hexadecimal ? 16 : 10);
    if (error != std::errc{} || end == part.data()) return std::nullopt;
    // Suffixes (UL) may follow, and nothing else.
    for (const char* at = end; at != part.data() + part.size(); ++at)
      if (*at != 'U' && *at != 'L' && *at != 'u' && *at != 'l') return std::nullopt;
    sum += negative ? u64{0} - value : value;
    if (plus == std::string_view::npos) return sum;
    text.remove_prefix(plus + 1);
  }
}

std::string_view until(std::string_view text, std::string_view ends) {
  return text.substr(0, text.find_first_of(ends));
}

// A string of C, which may come in pieces: "KVM_EXIT_" "IO".
std::string quoted(std::string_view text) {
  std::string out;
  for (bool inside = false; const char c : text) {
    if (c == '"') {
      inside = !inside;
    } else if (inside) {
      out += c;
    }
  }
  return out;
}

// "offset:16;" of a field's line.
std::optional<u32> attribute(std::string_view line, std::string_view key) {
  const usize at = line.find(key);
  if (at == std::string_view::npos) return std::nullopt;
  const std::string_view rest = line.substr(at + key.size());
  const auto value = number(rest.substr(0, rest.find(';')));
  if (!value || *value > 0xffff) return std::nullopt;
  return static_cast<u32>(*value);
}

}  // namespace

Result<KernelFormat> KernelFormat::parse(std::string_view text) {
  KernelFormat out;
  bool has_id = false;
  while (!text.empty()) {
    const usize end = text.find('\n');
    const std::string_view line = trim(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.starts_with("name:")) {
      out.name_ = trim(line.substr(5));
    } else if (line.starts_with("ID:")) {
      const auto id = number(line.substr(3));
      if (!id || *id > 0xffff) return fail("format", "the tracepoint's ID is no number of 16 bits");
      out.id_ = static_cast<u16>(*id);
      has_id = true;
    } else if (line.starts_with("field:")) {
      std::string_view declaration = line.substr(6, line.find(';') - 6);
      Field field;
      // An array's size follows its name, or its type.
      const usize bracket = declaration.find('[');
      const bool array = bracket != std::string_view::npos;
      declaration = trim(declaration.substr(0, bracket));
      const usize space = declaration.find_last_of(kBlanks);
      field.name = declaration.substr(space == std::string_view::npos ? 0 : space + 1);
      const auto offset = attribute(line, "offset:");
      const auto size = attribute(line, "size:");
      if (field.name.empty() || !offset || !size) return fail("format", "a field has no name, offset or size");
      field.offset = *offset;
      field.size = array ? 0 : *size;  // not a number
      field.is_signed = attribute(line, "signed:").value_or(0) != 0;
      if (!field.name.starts_with("common_")) out.fields_.push_back(std::move(field));
    } else if (line.starts_with("print fmt:")) {
      out.parse_symbols(line);
    }
  }
  if (out.name_.empty() || !has_id) return fail("format", "this is no tracepoint's format");
  return out;
}

void KernelFormat::parse_symbols(std::string_view print) {
  static constexpr std::string_view kCall = "__print_symbolic(";
  for (usize at = print.find(kCall); at != std::string_view::npos; at = print.find(kCall, at)) {
    at += kCall.size();
    const usize comma = print.find(',', at);
    if (comma == std::string_view::npos) return;
    const std::string_view expression = print.substr(at, comma - at);
    Symbols symbols;
    const usize record = expression.find("REC->");
    if (record == std::string_view::npos) continue;
    const std::string_view rest = expression.substr(record + 5);
    symbols.field = rest.substr(0, rest.find_first_of(" )&>"));
    const usize shift = rest.find(">>");
    const usize mask = rest.find('&');
    if (shift != std::string_view::npos)
      symbols.shift = static_cast<unsigned>(number(until(rest.substr(shift + 2), "&)")).value_or(0) & 63);
    if (mask != std::string_view::npos) symbols.mask = number(until(rest.substr(mask + 1), ")")).value_or(~u64{0});
    // { value, "text" }, …
    at = comma;
    while (true) {
      const usize open = print.find_first_of("{)", at);
      if (open == std::string_view::npos || print[open] == ')') break;
      const usize close = print.find('}', open);
      if (close == std::string_view::npos) break;
      const std::string_view entry = print.substr(open + 1, close - open - 1);
      if (const auto value = number(until(entry, ","))) symbols.names.emplace(*value, quoted(entry));
      at = close + 1;
    }
    symbols_.push_back(std::move(symbols));
  }
}

std::optional<u64> KernelFormat::value(std::span<const u8> record, std::string_view field) const {
  const auto it = std::ranges::find(fields_, field, &Field::name);
  if (it == fields_.end() || it->offset > record.size() || it->size > record.size() - it->offset) return std::nullopt;
  const u8* at = record.data() + it->offset;
  const auto extended = [&](u64 value) {
    const unsigned bits = 8 * it->size;
    if (!it->is_signed || bits == 64 || (value >> (bits - 1) & 1) == 0) return value;
    return value | ~mask64(bits);
  };
  switch (it->size) {
    case 1:
      return extended(*at);
    case 2:
      return extended(load_le<u16>(at));
    case 4:
      return extended(load_le<u32>(at));
    case 8:
      return load_le<u64>(at);
    default:
      return std::nullopt;
  }
}

const KernelFormat::Symbols* KernelFormat::find_symbols(std::string_view field, u32 list) const {
  for (const Symbols& symbols : symbols_)
    if (symbols.field == field && list-- == 0) return &symbols;
  return nullptr;
}

std::string_view KernelFormat::symbol(std::string_view field, u64 value, u32 list) const {
  const Symbols* symbols = find_symbols(field, list);
  if (symbols == nullptr) return {};
  const auto it = symbols->names.find(value >> symbols->shift & symbols->mask);
  return it == symbols->names.end() ? std::string_view{} : std::string_view(it->second);
}

std::string KernelFormat::text(std::span<const u8> record) const {
  std::string out;
  for (const Field& field : fields_) {
    const auto number = value(record, field.name);
    if (!number) continue;
    if (!out.empty()) out += ' ';
    const std::string_view name = symbol(field.name, *number);
    if (const Symbols* symbols = find_symbols(field.name, 0); !name.empty() && symbols->whole()) {
      out += fmt::format("{}={}", field.name, name);
      continue;
    }
    if (field.is_signed) {
      out += fmt::format("{}={}", field.name, static_cast<i64>(*number));
    } else {
      // Small ones read better as they are counted.
      out += *number < 10 ? fmt::format("{}={}", field.name, *number) : fmt::format("{}={:#x}", field.name, *number);
    }
    if (!name.empty()) out += fmt::format("({})", name);
  }
  return out;
}

}  // namespace solder::control
