/// Messages for the person at the terminal. One line each on standard error, prefixed "solder: ".
#pragma once

#include <string_view>

namespace solder::log {

/// What the user should know: a choice that was made, a node that was left out.
void note(std::string_view text);
/// What may surprise: it goes on, but not as asked.
void warn(std::string_view text);
/// Off by default, for developers: switched on by `set_verbose`.
void debug(std::string_view text);

/// Verbose also prints debug lines; quiet drops notes. Set once, before threads start.
enum class Level { quiet, normal, verbose };
void set_level(Level level);

}  // namespace solder::log
