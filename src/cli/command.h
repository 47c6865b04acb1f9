/// The `solder` command.
#pragma once

namespace solder::cli {

/// Runs the command; returns the program's exit status: 0 done, 1 an error that was printed, 2 a usage error.
int run_command(int argc, const char* const* argv);

}  // namespace solder::cli
