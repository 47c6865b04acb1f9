/// The registry of accelerators. One registers itself with a static object; nothing lists them.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cpu/vcpu.h"

namespace solder::cpu {

/// Makes an accelerator for each machine: a reset gets a new one.
using AcceleratorFactory = std::function<Result<std::unique_ptr<Accelerator>>()>;

/// What an accelerator says of a machine's CPUs on this host.
struct Suitability {
  bool usable = false;  ///< it can run them
  bool fast = false;    ///< … as well as it is meant to
  std::string text;     ///< one line for the user: why, why not, what is slow
  std::string fix;      ///< what to do, when it is not usable
  /// What was made for the answer, if the first machine starts faster while it lives.
  std::shared_ptr<void> made = nullptr;
};

/// One line of the registry. Lives in static storage.
struct AcceleratorInfo {
  std::string_view name;  ///< as --accel takes it
  int preference = 0;     ///< "auto" asks the highest first; negative: only when it is named
  /// For a CPU node's `compatible`. At most 20 ms.
  Suitability (*suits)(std::string_view compatible) = nullptr;
  /// With the options that the user gave it ("--accel NAME=OPTIONS"; the translator's also as --translator), and what
  /// `suits` said. Errors: an option that it does not know.
  Result<AcceleratorFactory> (*prepare)(const std::string& options, const Suitability& found) = nullptr;
};

class AcceleratorRegistration {
 public:
  explicit AcceleratorRegistration(const AcceleratorInfo& info);
};

/// All of them, the most preferred first.
[[nodiscard]] std::vector<const AcceleratorInfo*> all_accelerators();

}  // namespace solder::cpu
