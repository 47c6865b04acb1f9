#include "accel/kvm/run_gate.h"

#include <algorithm>
#include <thread>

#include "accel/kvm/vcpu_run.h"

namespace solder::accel::kvm {

void RunGate::add(VcpuRun& vcpu) {
  const std::lock_guard guard(exclusive_);
  members_.push_back(&vcpu);
}

void RunGate::remove(VcpuRun& vcpu) {
  const std::lock_guard guard(exclusive_);
  std::erase(members_, &vcpu);
}

void RunGate::exclusive(const std::function<void()>& work) {
  const std::lock_guard guard(exclusive_);
  closed_.store(true, std::memory_order_seq_cst);
  for (VcpuRun* vcpu : members_) vcpu->poke();
  for (const VcpuRun* vcpu : members_) {
    // A vCPU that asked before the gate closed has been poked and leaves within microseconds: not worth a wake-up that
    // every exit of every vCPU would have to pay for.
    while (vcpu->inside() && !vcpu->on_own_thread()) std::this_thread::yield();
  }
  work();
  const std::lock_guard open(mutex_);
  closed_.store(false, std::memory_order_seq_cst);
  opened_.notify_all();
}

void RunGate::for_each_exclusive(const std::function<void(VcpuRun&)>& visit) {
  for (VcpuRun* vcpu : members_) visit(*vcpu);
}

void RunGate::for_each(const std::function<void(VcpuRun&)>& visit) {
  const std::lock_guard guard(exclusive_);
  for_each_exclusive(visit);
}

std::string RunGate::statistics() const {
  const std::lock_guard guard(exclusive_);
  std::string out;
  for (const VcpuRun* vcpu : members_) {
    out += (out.empty() ? "" : "\n") + std::string("exits of CPU ") + std::to_string(vcpu->id()) + ":";
    for (usize reason = 0; reason < VcpuRun::kReasons; ++reason) {
      if (vcpu->exits(reason) == 0) continue;
      const std::string name = reason == VcpuRun::kInterrupted ? "interrupted" : exit_name(static_cast<u32>(reason));
      out += " " + name + " " + std::to_string(vcpu->exits(reason));
    }
  }
  return out;
}

void RunGate::wait_open() {
  std::unique_lock lock(mutex_);
  opened_.wait(lock, [this] { return !closed(); });
}

}  // namespace solder::accel::kvm
