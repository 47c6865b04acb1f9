/// What of a VM goes on telling the time when its CPUs stand still, and how it is stopped: the CPUs' time-stamp
/// counters, kvmclock, KVM's i8254 and its local APICs' TSC deadlines.
#pragma once

#include <optional>
#include <vector>

#include "accel/kvm/vm.h"

namespace solder::accel::kvm::x86 {

/// Time stands still from the constructor to `end`, except for what KVM has no call for: a local APIC in KVM whose
/// timer counts down (one-shot, periodic) may send one interrupt meanwhile. No CPU runs.
class PausedTime {
 public:
  /// `kernel_lapic`, `kernel_pit`: these are KVM's.
  PausedTime(const Vm& vm, bool kernel_lapic, bool kernel_pit);
  /// Once; not when the VM goes away without going on. `saving`: no interrupt comes from anywhere any more, so that
  /// local APICs can be written as a whole: their count-down timers are set to what they were, too.
  void end(bool saving) const;

 private:
  struct Cpu {
    int fd = -1;
    u64 tsc = 0;
    u64 deadline = 0;        // 0: not armed
    kvm_lapic_state apic{};  // of KVM's
  };
  void move_counters_back() const;
  void set_timer_back(const Cpu& cpu) const;

  const Vm& vm_;
  bool kernel_lapic_;
  std::vector<Cpu> cpus_;
  std::optional<kvm_clock_data> clock_;
  std::optional<kvm_pit_state2> pit_;
};

}  // namespace solder::accel::kvm::x86
