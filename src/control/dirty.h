/// Which pages the guest writes: the request `dirty`.
#pragma once

#include "control/request.h"
#include "machine/machine.h"

namespace solder::control {

/// What one run's control socket knows of its machine's dirty pages. Under the server's lock.
class DirtyWatch {
 public:
  /// The first question begins to track and tells nothing; each later one tells what was written since the one before;
  /// `stop` ends it. Tracking costs the guest time. Errors: fields; the host cannot track.
  [[nodiscard]] Result<Json> answer(machine::Machine& machine, const Request& request);
  /// The machine is about to stop: another one is not tracked.
  void machine_stops() { tracked_ = nullptr; }

 private:
  Status start(machine::Machine& machine);
  void stop(machine::Machine& machine);

  const machine::Machine* tracked_ = nullptr;
};

}  // namespace solder::control
