/// Threads of this process that serve, beside the main thread and the CPUs'.
#pragma once

#include <functional>
#include <string>
#include <thread>

#include "base/result.h"

namespace solder::host {

/// Starts `body` on a thread of its own that no signal is delivered to: those are for the main thread. `name`: at most
/// 15 characters, for people who look at the process. Errors: the system has no thread to give; the error's place is
/// the name.
[[nodiscard]] Result<std::thread> start_service_thread(const std::string& name, std::function<void()> body);

}  // namespace solder::host
