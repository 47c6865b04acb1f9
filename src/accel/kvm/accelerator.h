/// KVM as an accelerator: vCPUs that the host's kernel runs, on hosts of the guest's architecture.
#pragma once

#include <memory>
#include <string>

#include "accel/kvm/vm.h"
#include "cpu/vcpu.h"

namespace solder::accel::kvm {

class DeferredWrites;
class Doorbells;
class MemorySlots;
class Platform;
class RunGate;

/// One machine under KVM. Lives longer than its vCPUs and kernel devices, shorter than the machine's RAM.
class Kvm final : public cpu::Accelerator {
 public:
  /// Pages that a vCPU may dirty before it must stop for its ring to be emptied.
  static constexpr u32 kDirtyRingEntries = 4096;

  /// Opens /dev/kvm. Dirty pages are told by rings of `dirty_ring_entries` (a power of two), where the host has such;
  /// with 0 by KVM's log. Errors: why it cannot be had.
  [[nodiscard]] static Result<std::unique_ptr<Kvm>> create(const std::string& path = "/dev/kvm",
                                                           u32 dirty_ring_entries = kDirtyRingEntries);
  ~Kvm() override;

  [[nodiscard]] std::string name() const override { return "kvm"; }
  /// Attaches `request.memory` when nothing is attached yet. Errors: another architecture than the host's; what KVM
  /// refuses.
  [[nodiscard]] Result<std::unique_ptr<cpu::Vcpu>> create_vcpu(const cpu::CpuRequest& request) override;
  [[nodiscard]] device::KernelDevices* kernel_devices() override;
  [[nodiscard]] bool parks_cpus() const override;
  /// How often each CPU left the guest, by reason; only when `show_statistics` was called.
  [[nodiscard]] std::string statistics() const override;
  void show_statistics() { statistics_ = true; }
  /// KVM frees what it replaced (a table of windows) when the host's RCU lets it, and a memory slot waits for that. So
  /// the RAM comes before the controllers in the kernel, which are windows.
  [[nodiscard]] Status take_spaces(memory::AddressSpace& memory, memory::AddressSpace& ports) override {
    return attach(memory, &ports);
  }
  /// By its slot, or by an exit; doorbells and deferred writes as they are placed now.
  [[nodiscard]] std::string reach(const memory::FlatRange& range, bool ports) const override;
  void machine_starts(cpu::CpuSet& cpus) override;
  void machine_stops() override;

  /// Makes the RAM of `memory` the guest's, now and whenever its map changes. Once; `memory` may outlive this object.
  /// So with the windows of `ports`, x86's I/O ports, which may be null.
  [[nodiscard]] Status attach(memory::AddressSpace& memory, memory::AddressSpace* ports = nullptr);
  [[nodiscard]] Vm& vm() { return *vm_; }
  // Of the attached memory and ports; null before.
  [[nodiscard]] MemorySlots* slots() { return slots_.get(); }
  [[nodiscard]] Doorbells* doorbells() { return doorbells_.get(); }
  [[nodiscard]] DeferredWrites* deferred_writes() { return deferred_.get(); }

 private:
  explicit Kvm(std::unique_ptr<Vm> vm);
  void follow(memory::AddressSpace& space, bool ports);
  std::unique_ptr<Vm> vm_;
  std::unique_ptr<RunGate> gate_;
  // The maps' listeners hold these weakly.
  std::unique_ptr<memory::AddressSpace> no_ports_;  // of an architecture without I/O ports
  std::shared_ptr<MemorySlots> slots_;
  std::shared_ptr<DeferredWrites> deferred_;
  std::shared_ptr<Doorbells> doorbells_;
  std::unique_ptr<Platform> platform_;
  bool statistics_ = false;
};

}  // namespace solder::accel::kvm
