/// Keeps vCPUs out of guest code for the moment in which a change of the VM is not atomic, such as a memory slot that
/// is deleted and made again in two pieces.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

namespace solder::accel::kvm {

class VcpuRun;

/// The gate of one VM. Entering costs one load while it is open.
class RunGate {
 public:
  void add(VcpuRun& vcpu);
  void remove(VcpuRun& vcpu);
  /// Runs `work` while no vCPU of this VM is in KVM_RUN. From any thread, a vCPU's own between two exits included.
  void exclusive(const std::function<void()>& work);

  /// Calls `visit` for each vCPU of this VM; none is added or removed meanwhile. Not inside `exclusive`.
  void for_each(const std::function<void(VcpuRun&)>& visit);
  /// The same inside `exclusive`'s work.
  void for_each_exclusive(const std::function<void(VcpuRun&)>& visit);

  /// A line for each vCPU: how often it left the guest, by reason.
  [[nodiscard]] std::string statistics() const;

  /// For VcpuRun, which announces itself as inside before it asks.
  [[nodiscard]] bool closed() const { return closed_.load(std::memory_order_seq_cst); }
  void wait_open();

 private:
  mutable std::mutex exclusive_;  // one closer at a time; also guards members_
  std::vector<VcpuRun*> members_;
  std::atomic<bool> closed_{false};
  std::mutex mutex_;
  std::condition_variable opened_;
};

}  // namespace solder::accel::kvm
