/// Whether KVM is worth choosing on this host, for `--accel auto`.
#pragma once

#include <chrono>
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
/// /dev/kvm without the processor's help and emulate such code. The loop ends after `limit` of processor time, this
/// process's and KVM's together: whoever is not through by then is not fast.
[[nodiscard]] Probe probe(const std::string& path = "/dev/kvm",
                          std::chrono::nanoseconds limit = std::chrono::milliseconds(20));

}  // namespace solder::accel::kvm
