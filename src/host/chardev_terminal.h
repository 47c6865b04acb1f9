/// The terminal's raw mode, and its way back on every exit.
#pragma once

#include "base/result.h"

namespace solder::host {

/// Puts terminal `fd` into raw mode: keys reach the guest one by one, Ctrl-C included. Output processing stays, so that
/// our own messages read well. Exit, abort and fatal signals restore it. Errors: another console has the terminal.
[[nodiscard]] Status enter_raw_mode(int fd);
/// Back to what it was. Harmless when it is not raw; safe in signal handlers.
void leave_raw_mode();

}  // namespace solder::host
