/// Errors that a user, a guest or a file can cause. A broken invariant of ours is SOLDER_CHECK instead.
#pragma once

#include <expected>
#include <string>
#include <utility>

namespace solder {

/// An error written for a person: where it is, what is wrong, and what to do.
/// Printed as "where: what" and, where there is one, a second line "  fix: …".
struct Error {
  std::string where;  ///< "board.dts:41: /soc/uart@9000000: interrupts", a file, an option; may be empty
  std::string what;   ///< what is wrong and why, one sentence without a final stop
  std::string fix;    ///< what to do about it; may be empty

  /// The text shown to the user; one or two lines, no final newline.
  [[nodiscard]] std::string text() const {
    std::string out = where.empty() ? what : where + ": " + what;
    if (!fix.empty()) out += "\n  fix: " + fix;
    return out;
  }
};

template <class T>
using Result = std::expected<T, Error>;
using Status = std::expected<void, Error>;

[[nodiscard]] inline std::unexpected<Error> fail(std::string where, std::string what, std::string fix = {}) {
  return std::unexpected(Error{std::move(where), std::move(what), std::move(fix)});
}

}  // namespace solder

/// Evaluates a Result; on error returns it from the enclosing function, else yields the value.
/// A GNU statement expression, as both of our compilers have it.
#define SOLDER_TRY(expr)                                                       \
  __extension__({                                                              \
    auto solder_try_result = (expr);                                           \
    if (!solder_try_result) return std::unexpected(solder_try_result.error()); \
    std::move(*solder_try_result);                                             \
  })

/// The same for a Status, which has no value.
#define SOLDER_TRY_STATUS(expr)                                     \
  do {                                                              \
    if (auto solder_try_status = (expr); !solder_try_status)        \
      return std::unexpected(std::move(solder_try_status).error()); \
  } while (false)
