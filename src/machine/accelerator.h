/// Which accelerator runs a machine.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "cpu/accelerators.h"
#include "tree/document.h"

namespace solder::machine {

struct AcceleratorChoice {
  std::string accelerator = "auto";  ///< --accel: auto, or a name with its options: translator=interpreter,stats
  std::string translator;            ///< --translator: the same options by themselves
};
struct ChosenAccelerator {
  cpu::AcceleratorFactory make;
  std::string name;    ///< "kvm", "translator"
  std::string reason;  ///< one line for the user: what was chosen and why
};
/// "auto" takes the first, in the order of the accelerators' preference, that runs the CPUs of `tree` as well as it is
/// meant to, else the first that runs them at all. One that is asked for by name is obeyed, with a warning where it is
/// slow. Errors: an unknown name or option, nothing that can run these CPUs (with the reason of each).
[[nodiscard]] Result<ChosenAccelerator> choose_accelerator(const AcceleratorChoice& choice, const tree::Tree& tree);

/// CPUs that never run: for looking at a machine without starting it.
[[nodiscard]] std::unique_ptr<cpu::Accelerator> make_dry_accelerator();

}  // namespace solder::machine
