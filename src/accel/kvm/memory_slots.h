/// KVM's memory slots: the RAM of an address space's flat map, as the guest's memory.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "accel/kvm/run_gate.h"
#include "accel/kvm/vm.h"
#include "base/result.h"
#include "memory/address_space.h"
#include "memory/ram.h"

namespace solder::accel::kvm {

/// One slot for each piece of RAM of the flat map; ROM is read-only to the guest, several places that show the same RAM
/// are several slots. KVM knows whole pages only: the part of a piece that is no whole page has no slot, and its
/// accesses come out of KVM_RUN and go to the address space, as those of windows do.
///
/// A new map changes as few slots as can be: one that stays is not touched, one that moves (a BAR) is moved, new ones
/// are added. Only when RAM that stays must lose its slot for a moment are vCPUs held at the gate meanwhile.
///
/// The guest's writes are tracked where a Ram tracks: in the rings of the vCPUs, where the VM has them, else in KVM's
/// log of each slot. A Ram knows its slots by a weak pointer, so this object belongs to a std::shared_ptr.
class MemorySlots final : public memory::DirtySource, public std::enable_shared_from_this<MemorySlots> {
 public:
  /// What is in a slot: for people and tests.
  struct Slot {
    u32 id = 0;
    Gpa start = 0;
    u64 size = 0;
    memory::Ram* ram = nullptr;
    u64 offset = 0;  ///< of `start` within the RAM
    bool read_only = false;
    bool logging = false;               ///< KVM_MEM_LOG_DIRTY_PAGES
    const std::string* name = nullptr;  ///< of the range, for errors; lives as long as the address space
  };

  MemorySlots(Vm& vm, RunGate& gate);

  /// Makes the slots those of `map`. Errors name the range that KVM refuses; the others are in place all the same, and
  /// the refused range's accesses go to the address space.
  [[nodiscard]] Status update(const memory::FlatMap& map);

  // memory::DirtySource
  [[nodiscard]] Status tracking_changed(memory::Ram& ram) override;
  [[nodiscard]] Status collect(memory::Ram& ram) override;
  /// A vCPU cannot go on because its ring is full. On its own thread, outside KVM_RUN.
  [[nodiscard]] Status ring_full();

  [[nodiscard]] std::vector<Slot> slots() const;

 private:
  Status set(const Slot& slot, u64 size);
  Status fetch_log(const Slot& slot);
  void harvest(VcpuRun& vcpu);
  Status reset_rings();
  Status replace(std::vector<Slot> gone, std::vector<Slot> wanted);
  [[nodiscard]] std::vector<Slot> wanted_slots(const memory::FlatMap& map, Status& status) const;
  [[nodiscard]] Result<u32> free_id() const;

  Vm& vm_;
  RunGate& gate_;
  const u32 limit_;
  const bool read_only_;
  mutable std::mutex mutex_;
  std::vector<Slot> slots_;
};

}  // namespace solder::accel::kvm
