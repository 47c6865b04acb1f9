/// The part of a KVM vCPU that is the same on every architecture: its descriptor, the shared page, and how another
/// thread gets it out of KVM_RUN without ever being missed.
#pragma once

#include <sys/types.h>

#include <array>
#include <atomic>
#include <memory>

#include "accel/kvm/deferred_writes.h"
#include "accel/kvm/dirty_ring.h"
#include "accel/kvm/kvm_abi.h"
#include "accel/kvm/vm.h"
#include "base/result.h"
#include "base/types.h"
#include "base/unique_fd.h"

namespace solder::accel::kvm {

class RunGate;

/// KVM_RUN and its interruption.
///
/// The race. A thread that wants this vCPU's attention (a kick, an interrupt line that rises, a memory slot that goes)
/// may come while the vCPU's thread is (a) handling an exit, (b) past its last look at the flags but not yet in the
/// kernel, or (c) in KVM_RUN. It does, in this order: set its flag; if `inside_` is set, set `immediate_exit` of the
/// shared page and send the signal. The vCPU's thread does: set `inside_`; look at the flags; KVM_RUN; clear `inside_`.
///  - (a): both sides' first two steps are sequentially consistent, so either the other thread sees `inside_`, or the
///    vCPU's thread sees the flag at its look. No signal is needed.
///  - (b): the signal's empty handler may run before the system call and change nothing; but `immediate_exit` was set
///    before the signal was sent, and KVM_RUN looks at it on entry and returns EINTR.
///  - (c): the signal is pending, so KVM_RUN returns EINTR.
/// `immediate_exit` is cleared after EINTR, before the flags are looked at again, so clearing never hides a request.
/// The signal is never blocked: outside KVM_RUN its handler does nothing, and SA_RESTART spares other system calls.
class VcpuRun {
 public:
  /// KVM_CREATE_VCPU and its shared page. `id` is KVM's: x86's APIC ID. Errors: what KVM refuses.
  [[nodiscard]] static Result<std::unique_ptr<VcpuRun>> create(const Vm& vm, RunGate& gate, u32 id);
  ~VcpuRun();
  VcpuRun(const VcpuRun&) = delete;
  VcpuRun& operator=(const VcpuRun&) = delete;

  [[nodiscard]] u32 id() const { return id_; }
  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] kvm_run& page() { return *page_; }
  [[nodiscard]] const kvm_run& page() const { return *page_; }
  /// Data at `offset` of the shared pages (io.data_offset); null when `size` bytes there leave them.
  [[nodiscard]] u8* data(u64 offset, u64 size);

  /// The calling thread is the one that runs the vCPU from now on. First thing of Vcpu::run.
  void bind_thread();
  /// Any thread: the vCPU's thread looks at its flags before it runs guest code again. Set the flag before.
  void poke();

  /// Announces that guest code is about to run, and waits at the gate. What `poke` stands for is looked at after it.
  void prepare();
  /// Makes the next `enter` finish the instruction that the last exit left open, and run no other.
  void complete_only() { set_immediate_exit(1); }
  /// Instead of `enter`, after `prepare`: the CPU does not run after all.
  void cancel() { inside_.store(false, std::memory_order_release); }
  /// KVM_RUN. 0: an exit is in `page()`; else errno, EINTR (and EAGAIN, made EINTR) meaning: look at the flags again.
  /// Writes that KVM has deferred have been made when it returns.
  int enter();
  /// As `complete_only` and `enter`, except that KVM also does what it does between guest code and the answer to a
  /// signal: it sends the interrupts of timers that have run out, INIT and start-up (x86.c, vcpu_run). Costs five
  /// system calls more.
  int enter_interrupted();

  /// Where KVM tells which pages this CPU dirtied; null: in its log. Under the lock of whoever collects.
  [[nodiscard]] DirtyRing* dirty_ring() const { return dirty_ring_.get(); }

  /// Whether its thread is between `prepare` and the end of `enter`.
  [[nodiscard]] bool inside() const { return inside_.load(std::memory_order_seq_cst); }
  [[nodiscard]] bool on_own_thread() const;
  /// How often KVM_RUN returned, by exit reason; index `kInterrupted`: EINTR.
  static constexpr usize kReasons = 64;
  static constexpr usize kInterrupted = kReasons - 1;
  [[nodiscard]] u64 exits(usize reason) const { return counts_[reason].load(std::memory_order_relaxed); }

  /// What gets a thread out of KVM_RUN; its handler does nothing.
  [[nodiscard]] static int signal();

 private:
  VcpuRun(RunGate& gate, u32 id, UniqueFd fd, kvm_run* page, usize size);
  void set_immediate_exit(u8 value);
  // Only its own thread writes a count: no locked instruction is needed.
  void count(usize reason) {
    auto& counter = counts_[reason < kReasons ? reason : kInterrupted - 1];
    counter.store(counter.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }

  RunGate& gate_;
  DeferredWrites* deferred_ = nullptr;
  std::unique_ptr<DirtyRing> dirty_ring_;
  const u32 id_;
  UniqueFd fd_;
  kvm_run* page_;
  usize size_;
  std::atomic<bool> inside_{false};
  std::atomic<pid_t> thread_{0};
  std::array<std::atomic<u64>, kReasons> counts_{};
};

/// The name of a KVM_EXIT_* number, "exit 99" for one that this build does not know.
[[nodiscard]] std::string exit_name(u32 reason);

}  // namespace solder::accel::kvm
