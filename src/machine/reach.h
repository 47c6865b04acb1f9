/// What lies where in the guest's memory and ports, and how a CPU's access gets there: the answer to what is trapped.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "machine/machine.h"

namespace solder::machine {

struct Reach {
  bool port = false;  ///< x86's I/O ports, else memory
  Gpa start = 0;
  u64 size = 0;
  std::string node;
  std::string_view kind;  ///< "RAM", "ROM", "device"
  std::string how;        ///< "memory slot 1", "KVM_EXIT_MMIO", "KVM answers", "a call of the model"
};

/// All pieces of the flat maps, memory first, in order of addresses. What is not named is a hole.
[[nodiscard]] std::vector<Reach> reach(Machine& machine);

/// Whether the host's kernel answers for the node at a place; then nobody else can access it.
[[nodiscard]] bool answered_by_kernel(const Machine& machine, const memory::FlatRange& range);

}  // namespace solder::machine
