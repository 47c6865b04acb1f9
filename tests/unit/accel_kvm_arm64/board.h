/// The built-in arm64 board under KVM, for the tests of this folder that look at its controllers' state.
#pragma once

#include <fstream>
#include <string>
#include <vector>

#include "machine/backends.h"
#include "machine/boards.h"
#include "machine/life_cycle.h"
#include "machine/machine.h"
#include "unit/accel_kvm_arm64/guest.h"

namespace solder::accel::kvm {

/// Built and not run. `overlay` is composed onto it.
class Board {
 public:
  static Result<std::unique_ptr<Board>> build(const std::string& overlay) {
    auto board = std::make_unique<Board>();
    const std::string path = testing::TempDir() + "overlay.dts";
    std::ofstream(path) << overlay;
    const std::vector<std::string> files = {"virt-arm64", path};
    board->tree = SOLDER_TRY(machine::compose_machine(files));
    auto kvm = SOLDER_TRY(Kvm::create());
    board->plan = SOLDER_TRY(machine::make_plan(*board->tree, true, kvm->kernel_devices()));
    board->machine =
        SOLDER_TRY(machine::Machine::build(*board->tree, board->plan, std::move(kvm), board->backends, board->control));
    return board;
  }
  [[nodiscard]] device::Device& gic() { return *machine->device(*tree->by_label("gic")); }
  [[nodiscard]] device::Device& its() { return *machine->device(*tree->by_label("its")); }
  [[nodiscard]] memory::AddressSpace& memory() { return machine->fabric().memory; }

  std::unique_ptr<tree::Tree> tree;
  machine::Plan plan;
  machine::Control control;
  machine::Backends backends{{}, true};
  std::unique_ptr<machine::Machine> machine;
};

inline constexpr const char* kTwoCpus = R"(
/dts-v1/;
/ { cpus { cpu@1 { device_type = "cpu"; compatible = "arm,armv8"; reg = <1>; enable-method = "psci"; }; }; };
)";
}  // namespace solder::accel::kvm
