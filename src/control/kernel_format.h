/// A tracepoint's own description of its records: the `format` file of tracefs
/// (Documentation/trace/events.rst of Linux, section 2.3 and 4). Offsets differ between kernels, so nothing else is
/// used.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/types.h"

namespace solder::control {

class KernelFormat {
 public:
  struct Field {
    std::string name;
    u32 offset = 0;
    u32 size = 0;
    bool is_signed = false;
  };
  /// Errors: not such a file.
  [[nodiscard]] static Result<KernelFormat> parse(std::string_view text);

  [[nodiscard]] const std::string& name() const { return name_; }
  /// What records of this tracepoint begin with (common_type).
  [[nodiscard]] u16 id() const { return id_; }
  /// Those of the tracepoint itself, in its order; not the common ones.
  [[nodiscard]] const std::vector<Field>& fields() const { return fields_; }

  /// The value of a field of 1, 2, 4 or 8 bytes, sign-extended if it has a sign. None: there is no such field, or the
  /// record is too short for it.
  [[nodiscard]] std::optional<u64> value(std::span<const u8> record, std::string_view field) const;
  /// The name that the tracepoint's own text gives a value of `field` ("IO_INSTRUCTION"); empty: none. Where it has
  /// several lists for one field, `list` says which (kvm_exit: Intel's, AMD's).
  [[nodiscard]] std::string_view symbol(std::string_view field, u64 value, u32 list = 0) const;
  /// "gsi=4 level=1": all fields of the record that are numbers, with their symbols where they have any.
  [[nodiscard]] std::string text(std::span<const u8> record) const;

 private:
  struct Symbols {
    std::string field;
    unsigned shift = 0;
    u64 mask = ~u64{0};
    [[nodiscard]] bool whole() const { return shift == 0 && mask == ~u64{0}; }
    std::map<u64, std::string> names;
  };
  void parse_symbols(std::string_view print);
  [[nodiscard]] const Symbols* find_symbols(std::string_view field, u32 list) const;

  std::string name_;
  u16 id_ = 0;
  std::vector<Field> fields_;
  std::vector<Symbols> symbols_;
};

}  // namespace solder::control
