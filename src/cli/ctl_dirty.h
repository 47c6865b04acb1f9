/// `solder ctl dirty`: which pages the guest writes.
#pragma once

#include <CLI/CLI.hpp>

#include "base/result.h"
#include "control/client.h"

namespace solder::cli {

struct DirtyOptions {
  u64 rounds = 0;       ///< 0: one question, and the machine stays tracked
  u64 interval = 1000;  ///< between rounds, in milliseconds
  bool list = false;    ///< each run of pages
  bool stop = false;
  bool json = false;
};

void add_dirty_options(CLI::App& command, DirtyOptions& options);
/// Asks and prints. Errors: the machine's.
[[nodiscard]] Result<int> watch_dirty(control::SocketClient& client, const DirtyOptions& options);

}  // namespace solder::cli
