/// Which accelerator runs a machine.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "cpu/vcpu.h"

namespace solder::machine {

/// Makes an accelerator for each machine: a reset gets a new one.
using AcceleratorFactory = std::function<Result<std::unique_ptr<cpu::Accelerator>>()>;

struct AcceleratorChoice {
  std::string accelerator = "auto";  ///< --accel: auto, translator
  std::string translator;            ///< --translator: its options, comma-separated
};
struct ChosenAccelerator {
  AcceleratorFactory make;
  std::string reason;       ///< one line for the user: what was chosen and why
  bool statistics = false;  ///< the user asked for figures
};
/// Errors: an unknown name, a word that the translator does not know.
[[nodiscard]] Result<ChosenAccelerator> choose_accelerator(const AcceleratorChoice& choice);

/// CPUs that never run: for looking at a machine without starting it.
[[nodiscard]] std::unique_ptr<cpu::Accelerator> make_dry_accelerator();

}  // namespace solder::machine
