/// A machine's state as a record, and a machine built anew around the same memory: how its interrupt controllers move
/// between the host's kernel and this process.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "machine/machine.h"

namespace solder::machine {

/// All of a machine but its RAM, between two instructions.
struct MachineState {
  struct Cpu {
    /// Off, or waiting for another CPU to start it: it has no registers that matter.
    bool waits = false;
    std::vector<cpu::RegisterValue> registers;
  };
  time::Nanoseconds now = 0;
  std::vector<Cpu> cpus;
  std::map<std::string, std::vector<u8>> devices;   ///< by path
  std::map<std::string, std::vector<bool>> levels;  ///< by path: of the wires that the model drives
  std::vector<u8> kernel;                           ///< device::KernelDevices::state
};

/// Reads the state of a machine whose CPUs and clock are paused, after its devices have been stopped: no request of a
/// guest is under way any more. The machine does not go on.
[[nodiscard]] Result<MachineState> save_state(Machine& machine);

/// Gives a machine that was built and has not run the state of another of the same nodes, wherever either has its
/// interrupt controllers. Afterwards its CPUs' threads are there, CPUs and clock are paused, and resuming them goes on.
/// Errors: a device or CPU that does not take what the other one had.
[[nodiscard]] Status load_state(Machine& machine, const MachineState& state);

/// Stops the clock, and what else tells the guest the time: the kernel's timers and the CPUs' counters. CPUs are
/// paused.
void pause_time(Machine& machine);
/// Before CPUs go on.
void resume_time(Machine& machine);

}  // namespace solder::machine
