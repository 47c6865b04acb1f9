#include "base/log.h"

#include <unistd.h>

#include <atomic>
#include <string>

namespace solder::log {

namespace {

// The one process-wide setting: how talkative the terminal is.
std::atomic<Level> level{Level::normal};

// One write per line, so that lines of several threads do not mix.
void line(std::string_view kind, std::string_view text) {
  std::string out = "solder: ";
  out += kind;
  out += text;
  // "\r\n" also when the terminal is raw, as it is while a guest's console is on it.
  out += ::isatty(STDERR_FILENO) != 0 ? "\r\n" : "\n";
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, out.data(), out.size());
}

}  // namespace

void note(std::string_view text) {
  if (level.load(std::memory_order_relaxed) != Level::quiet) line("", text);
}
void warn(std::string_view text) {
  line("warning: ", text);
}
void debug(std::string_view text) {
  if (level.load(std::memory_order_relaxed) == Level::verbose) line("debug: ", text);
}
void set_level(Level l) {
  level.store(l, std::memory_order_relaxed);
}

}  // namespace solder::log
