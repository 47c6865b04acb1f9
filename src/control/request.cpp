#include "control/request.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>

namespace solder::control {

namespace {
constexpr int kDeepest = 8;
}

Result<Request> Request::parse(std::string_view line) {
  bool deep = false;
  // What is nested deeper is not built, only counted.
  Json json = Json::parse(
      line,
      [&](int depth, Json::parse_event_t, Json&) {
        deep |= depth > kDeepest;
        return depth <= kDeepest;
      },
      false);
  if (json.is_discarded())
    return fail("request", "this line is no JSON", R"(send one object a line: {"do": "status"})");
  if (!json.is_object()) return fail("request", "this is no object", R"(send one object a line: {"do": "status"})");
  if (deep) return fail("request", fmt::format("it is nested more than {} deep", kDeepest));
  Request request;
  if (const auto id = json.find("id"); id != json.end()) {
    if (id->is_structured()) return fail("id", "is neither a number nor a string");
    request.id_ = *id;
    json.erase(id);
  }
  const auto name = json.find("do");
  if (name == json.end() || !name->is_string())
    return fail("do", "the request does not say what to do", R"(for example {"do": "status"})");
  request.name_ = name->get<std::string>();
  json.erase("do");
  request.object_ = std::move(json);
  return request;
}

Status Request::only(std::initializer_list<std::string_view> known) const {
  for (const auto& [key, value] : object_.items()) {
    if (std::ranges::find(known, key) != known.end()) continue;
    return fail(key, fmt::format("\"{}\" has no such field", name_),
                known.size() == 0 ? "it has none" : fmt::format("it has: {}", fmt::join(known, ", ")));
  }
  return {};
}

Result<u64> Request::number(std::string_view field, u64 otherwise, u64 most) const {
  const auto it = object_.find(field);
  if (it == object_.end()) return otherwise;
  u64 value = 0;
  if (it->is_number_unsigned()) {
    value = it->get<u64>();
  } else if (it->is_string()) {
    auto parsed = parse_number(it->get_ref<const std::string&>());
    if (!parsed) return fail(std::string(field), parsed.error().what, parsed.error().fix);
    value = *parsed;
  } else {
    return fail(std::string(field), "is not a number from 0 on", R"(for example 4096 or "0x1000")");
  }
  if (value > most) return fail(std::string(field), fmt::format("{} is more than {}", value, most));
  return value;
}

Result<bool> Request::flag(std::string_view field, bool otherwise) const {
  const auto it = object_.find(field);
  if (it == object_.end()) return otherwise;
  if (!it->is_boolean()) return fail(std::string(field), "is neither true nor false");
  return it->get<bool>();
}

Result<std::string> Request::text(std::string_view field, std::string otherwise) const {
  const auto it = object_.find(field);
  if (it == object_.end()) return otherwise;
  if (!it->is_string()) return fail(std::string(field), "is not a string");
  return it->get<std::string>();
}

Result<std::vector<std::string>> Request::texts(std::string_view field) const {
  std::vector<std::string> out;
  const auto it = object_.find(field);
  if (it == object_.end()) return out;
  if (!it->is_array()) return fail(std::string(field), "is not a list of strings");
  for (const Json& one : *it) {
    if (!one.is_string()) return fail(std::string(field), "is not a list of strings");
    out.push_back(one.get<std::string>());
  }
  return out;
}

Json error_reply(const Error& error) {
  return {{"ok", false}, {"error", {{"where", error.where}, {"what", error.what}, {"fix", error.fix}}}};
}

std::string dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string to_hex(const std::vector<u8>& bytes) {
  return fmt::format("{:02x}", fmt::join(bytes, ""));
}

Result<std::vector<u8>> from_hex(std::string_view text) {
  if (text.size() % 2 != 0) return fail("", "has an odd number of hexadecimal digits");
  std::vector<u8> out(text.size() / 2);
  for (usize i = 0; i < out.size(); ++i) {
    const char* begin = text.data() + 2 * i;
    const auto [end, error] = std::from_chars(begin, begin + 2, out[i], 16);
    if (error != std::errc{} || end != begin + 2)
      return fail("", fmt::format("byte {} is not two hexadecimal digits", i));
  }
  return out;
}

Result<u64> parse_number(std::string_view text) {
  const bool hex = text.starts_with("0x") || text.starts_with("0X");
  const std::string_view digits = hex ? text.substr(2) : text;
  u64 value = 0;
  const char* end = digits.data() + digits.size();
  const auto [stop, error] = std::from_chars(digits.data(), end, value, hex ? 16 : 10);
  if (digits.empty() || error != std::errc{} || stop != end)
    return fail("", fmt::format("\"{}\" is not a number of at most 64 bits", text), "for example 4096 or 0x1000");
  return value;
}

}  // namespace solder::control
