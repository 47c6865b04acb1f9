/// Whether KVM is worth choosing on this host, for `--accel auto`.
#pragma once

#include <memory>
#include <string>

namespace solder::accel::kvm {

struct Probe {
  bool usable = false;  ///< a VM with a CPU can be made and runs
  bool native = false;  ///< … and its kernel-mode code runs at the processor's own speed
  std::string text;     ///< one line for the user: what was found, or why KVM cannot be had
  std::string fix;      ///< what to do when it is not usable
  /// The VM that was made. A host turns virtualization on with its first VM, on all processors, and off with the last
  /// one: whoever makes another keeps this one until then.
  std::shared_ptr<void> vm = nullptr;
};

/// Makes a small VM, and times a loop of kernel-mode code in it against the same loop in this process. Some hosts offer
/// /dev/kvm without the processor's help and emulate such code. At most 20 ms.
[[nodiscard]] Probe probe(const std::string& path = "/dev/kvm");

}  // namespace solder::accel::kvm
