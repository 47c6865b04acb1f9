/// Invariants of our own code. Never for what a user or a guest can cause: that is a Result.
#pragma once

namespace solder {

/// Prints where and what, then aborts.
[[noreturn]] void check_failed(const char* file, int line, const char* condition, const char* why);

}  // namespace solder

/// Aborts with place and reason when an invariant of ours does not hold; in all builds.
#define SOLDER_CHECK(condition, why)                               \
  do {                                                             \
    if (!(condition)) [[unlikely]]                                 \
      ::solder::check_failed(__FILE__, __LINE__, #condition, why); \
  } while (false)
