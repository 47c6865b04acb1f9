/// What a client asks: one JSON object, of which nothing is believed.
#pragma once

#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/types.h"

namespace solder::control {

using Json = nlohmann::json;

/// A request that was parsed; its fields are taken with checks.
class Request {
 public:
  /// Errors: no JSON, no object, nested deeply, no "do".
  [[nodiscard]] static Result<Request> parse(std::string_view line);

  [[nodiscard]] const std::string& name() const { return name_; }
  /// What "id" was, to be repeated in the reply; null: there was none.
  [[nodiscard]] const Json& id() const { return id_; }
  /// Errors: a field that is not in `known`, so that a misspelt one is not taken for one that is left out.
  [[nodiscard]] Status only(std::initializer_list<std::string_view> known) const;
  [[nodiscard]] bool has(std::string_view field) const { return object_.contains(field); }
  // Errors: another type; out of [0, most]. A field that is not there gives `otherwise`.
  /// A number, or a string with one as C writes it: "0x9000000".
  [[nodiscard]] Result<u64> number(std::string_view field, u64 otherwise, u64 most = ~u64{0}) const;
  [[nodiscard]] Result<bool> flag(std::string_view field, bool otherwise) const;
  [[nodiscard]] Result<std::string> text(std::string_view field, std::string otherwise = {}) const;
  [[nodiscard]] Result<std::vector<std::string>> texts(std::string_view field) const;

 private:
  Json object_;
  Json id_;
  std::string name_;
};

/// {"ok": false, "error": {where, what, fix}}
[[nodiscard]] Json error_reply(const Error& error);
/// One line; what is no UTF-8 in names of a foreign tree is replaced.
[[nodiscard]] std::string dump(const Json& json);

[[nodiscard]] std::string to_hex(const std::vector<u8>& bytes);
/// Errors: an odd number of digits, or others than hexadecimal ones.
[[nodiscard]] Result<std::vector<u8>> from_hex(std::string_view text);
/// "4096", "0x1000". Errors: not a number of 64 bits.
[[nodiscard]] Result<u64> parse_number(std::string_view text);

}  // namespace solder::control
