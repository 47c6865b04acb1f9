/// The way of an interrupt, hop by hop, from a node to the CPUs: the tree's wiring, the routing table's targets, the
/// controllers' own outputs, and who carries it at each hop.
#pragma once

#include <string>
#include <vector>

#include "machine/machine.h"

namespace solder::machine {

struct Hop {
  u32 depth = 0;     ///< of the controller it comes from; hops of one depth are alternatives
  std::string what;  ///< "pin 4 of /interrupt-controller@fec00000", "CPUs"
  std::string by;    ///< who handles it there: "KVM", "here", "the hardware (APICv)"
};

/// The hops of specifier `index` of `node`, for CPU 0 where it matters, as the machine is built. Errors: what of the
/// specifier its controller refuses.
[[nodiscard]] Result<std::vector<Hop>> interrupt_hops(Machine& machine, const tree::Node& node, u32 index);

/// Who receives specifier `index` of `node`: one word, or two when its targets differ ("here, KVM"). Errors as above.
[[nodiscard]] Result<std::string> interrupt_receivers(Machine& machine, const tree::Node& node, u32 index);

}  // namespace solder::machine
