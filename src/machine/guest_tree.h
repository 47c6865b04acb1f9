/// The tree as the guest sees it.
#pragma once

#include <array>
#include <memory>
#include <optional>

#include "base/result.h"
#include "machine/plan.h"
#include "tree/document.h"

namespace solder::machine {

/// What the machine adds to /chosen.
struct GuestTreeOptions {
  struct Initrd {
    u64 start = 0;
    u64 end = 0;
  };
  std::optional<Initrd> initrd;
  /// For kaslr-seed and rng-seed, unless the document has its own; none: neither is added.
  std::optional<std::array<u8, 40>> seed;
};

/// A copy of `full` without the host's side and without nodes that are not in the machine. References to what is gone
/// go too: aliases, stdout-path, and every list of references with one that leads nowhere (with its …-names).
[[nodiscard]] std::unique_ptr<tree::Tree> make_guest_tree(const tree::Tree& full, const Plan& plan,
                                                          const GuestTreeOptions& options = {});

/// The console: what /chosen/stdout-path names if it is in the machine, else the first UART with a backend; null: none.
[[nodiscard]] const tree::Node* console_node(const tree::Tree& full, const Plan& plan);

}  // namespace solder::machine
