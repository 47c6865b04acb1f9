#include "accel/kvm/memory_slots.h"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <bit>

#include "accel/kvm/kvm_abi.h"
#include "accel/kvm/vcpu_run.h"
#include "base/bits.h"
#include "memory/ram.h"

namespace solder::accel::kvm {

namespace {

using Slot = MemorySlots::Slot;

// KVM's unit of memory, in slots and in logs: 4 KiB on x86; arm64 has kernels with 16 and 64 KiB too.
u64 host_page() {
  static const auto size = static_cast<u64>(::sysconf(_SC_PAGESIZE));
  return size;
}

bool same_memory(const Slot& a, const Slot& b) {
  return a.ram == b.ram && a.offset == b.offset && a.size == b.size && a.read_only == b.read_only;
}

bool same_place(const Slot& a, const Slot& b) {
  return a.start == b.start && same_memory(a, b);
}

bool overlap(const Slot& a, const Slot& b) {
  return a.start < b.start + b.size && b.start < a.start + a.size;
}

}  // namespace

MemorySlots::MemorySlots(Vm& vm, RunGate& gate)
    : vm_(vm),
      gate_(gate),
      limit_(static_cast<u32>(std::max(vm.check(KVM_CAP_NR_MEMSLOTS), 32))),  // 32: KVM's first versions
      read_only_(vm.check(KVM_CAP_READONLY_MEM) != 0) {}

std::vector<Slot> MemorySlots::slots() const {
  const std::lock_guard guard(mutex_);
  return slots_;
}

Result<u32> MemorySlots::free_id() const {
  for (u32 id = 0; id < limit_; ++id) {
    if (std::none_of(slots_.begin(), slots_.end(), [id](const Slot& slot) { return slot.id == id; })) return id;
  }
  return fail("KVM", fmt::format("all {} memory slots are in use", limit_), "give the machine fewer pieces of memory");
}

// KVM_SET_USER_MEMORY_REGION of `slot` with another size: 0 deletes it.
Status MemorySlots::set(const Slot& slot, u64 size) {
  kvm_userspace_memory_region region{};
  region.slot = slot.id;
  region.flags = (slot.read_only ? u32{KVM_MEM_READONLY} : 0) | (slot.logging ? u32{KVM_MEM_LOG_DIRTY_PAGES} : 0);
  region.guest_phys_addr = slot.start;
  region.memory_size = size;
  region.userspace_addr = reinterpret_cast<u64>(slot.ram->host() + slot.offset);
  if (auto done = vm_.call(SOLDER_KVM(KVM_SET_USER_MEMORY_REGION), &region); !done) {
    return fail(*slot.name, fmt::format("KVM does not take the memory {:#x}..{:#x}: {}", slot.start,
                                        slot.start + (slot.size - 1), done.error().what));
  }
  return {};
}

std::vector<Slot> MemorySlots::wanted_slots(const memory::FlatMap& map, Status& status) const {
  std::vector<Slot> wanted;
  for (const memory::FlatRange& range : map.ranges()) {
    if (range.ram == nullptr) continue;
    // Guest and host page must be cut alike.
    const Gpa start = align_up(range.start, host_page());
    const u64 skipped = start - range.start;
    if (skipped >= range.size) continue;
    const u64 size = align_down(range.size - skipped, host_page());
    const u64 offset = range.offset + skipped;
    if (size == 0 || offset % host_page() != 0) continue;
    if (range.read_only && !read_only_) {
      status = fail(*range.name, "the host's KVM has no read-only memory (KVM_CAP_READONLY_MEM)");
      continue;
    }
    wanted.push_back(
        {0, start, size, range.ram, offset, range.read_only, range.ram->tracking() && !range.read_only, range.name});
  }
  return wanted;
}

Status MemorySlots::update(const memory::FlatMap& map) {
  const std::lock_guard guard(mutex_);
  Status status;
  // Before it is asked whether it tracks: whoever makes it track then finds us, or we see it.
  for (const memory::FlatRange& range : map.ranges())
    if (range.ram != nullptr) range.ram->set_dirty_source(weak_from_this());
  std::vector<Slot> wanted = wanted_slots(map, status);
  std::vector<Slot> gone;
  for (const Slot& slot : slots_) {
    const auto kept = std::find_if(wanted.begin(), wanted.end(), [&](const Slot& w) { return same_place(slot, w); });
    if (kept == wanted.end()) {
      gone.push_back(slot);
    } else {
      wanted.erase(kept);
    }
  }
  if (gone.empty() && wanted.empty()) return status;
  // RAM that is in the old and in the new map must not look like a hole to a vCPU in between: an instruction fetch from
  // it would fail. A range that only goes, only comes, or only moves to a free place can be done with vCPUs running.
  // Nor can one whose writes are tracked: none may come between the last look at the log and the end of the slot.
  const bool disturbs = std::any_of(gone.begin(), gone.end(), [&](const Slot& slot) {
    return slot.logging || std::any_of(wanted.begin(), wanted.end(), [&](const Slot& w) { return overlap(slot, w); });
  });
  Status done;
  if (disturbs) {
    gate_.exclusive([&] { done = replace(std::move(gone), std::move(wanted)); });
  } else {
    done = replace(std::move(gone), std::move(wanted));
  }
  return status ? done : status;
}

// Does all that can be done, and tells the first failure.
Status MemorySlots::replace(std::vector<Slot> gone, std::vector<Slot> wanted) {
  Status status;
  const auto note = [&status](Status done) {
    if (status && !done) status = std::move(done);
  };
  const auto forget = [this](u32 id) { std::erase_if(slots_, [id](const Slot& slot) { return slot.id == id; }); };
  // Moves: the same memory at another place that nothing else has now. KVM moves a slot in one step.
  for (Slot& old : gone) {
    const auto target = std::find_if(wanted.begin(), wanted.end(), [&](const Slot& w) {
      return same_memory(old, w) &&
             std::none_of(slots_.begin(), slots_.end(), [&](const Slot& s) { return s.id != old.id && overlap(s, w); });
    });
    if (target == wanted.end() || old.logging) continue;  // KVM loses the log of a slot that moves
    target->id = old.id;
    target->logging = old.logging;
    if (set(*target, target->size).has_value()) {
      *std::find_if(slots_.begin(), slots_.end(), [&](const Slot& s) { return s.id == old.id; }) = *target;
      wanted.erase(target);
      old.ram = nullptr;  // dealt with
    }
  }
  const bool rings = vm_.dirty_ring_entries() != 0;
  if (rings &&
      std::any_of(gone.begin(), gone.end(), [](const Slot& old) { return old.ram != nullptr && old.logging; })) {
    gate_.for_each_exclusive([this](VcpuRun& vcpu) { harvest(vcpu); });
    note(reset_rings());
  }
  for (const Slot& old : gone) {
    if (old.ram == nullptr) continue;
    if (old.logging && !rings) note(fetch_log(old));
    note(set(old, 0));
    forget(old.id);
  }
  for (Slot& slot : wanted) {
    const auto id = free_id();
    if (!id) {
      note(std::unexpected(id.error()));
      break;
    }
    slot.id = *id;
    if (auto done = set(slot, slot.size); !done) {
      note(std::move(done));
      continue;
    }
    slots_.push_back(slot);
  }
  return status;
}

Status MemorySlots::fetch_log(const Slot& slot) {
  std::vector<u64> bitmap((slot.size / host_page() + 63) / 64);
  kvm_dirty_log log{};
  log.slot = slot.id;
  log.dirty_bitmap = bitmap.data();
  SOLDER_TRY_STATUS(vm_.call(SOLDER_KVM(KVM_GET_DIRTY_LOG), &log));
  for (usize word = 0; word < bitmap.size(); ++word) {
    for (u64 bits = bitmap[word]; bits != 0;) {
      const auto first = static_cast<unsigned>(std::countr_zero(bits));
      const auto count = static_cast<unsigned>(std::countr_one(bits >> first));
      slot.ram->mark_dirty(slot.offset + (word * 64 + first) * host_page(), count * host_page());
      bits &= ~(mask64(count) << first);
    }
  }
  return {};
}

// Of one vCPU's ring. An entry that names no page of ours tells of a slot that is gone: its pages were fetched before.
void MemorySlots::harvest(VcpuRun& vcpu) {
  DirtyRing* ring = vcpu.dirty_ring();
  if (ring == nullptr) return;
  ring->collect([this](u32 id, u64 page) {
    const auto slot = std::find_if(slots_.begin(), slots_.end(), [id](const Slot& s) { return s.id == id; });
    if (slot == slots_.end() || page >= slot->size / host_page()) return;
    slot->ram->mark_dirty(slot->offset + page * host_page(), host_page());
  });
}

Status MemorySlots::reset_rings() {
  return vm_.call(SOLDER_KVM(KVM_RESET_DIRTY_RINGS));
}

Status MemorySlots::ring_full() {
  const std::lock_guard guard(mutex_);
  gate_.for_each([this](VcpuRun& vcpu) { harvest(vcpu); });
  return reset_rings();
}

Status MemorySlots::collect(memory::Ram& ram) {
  const std::lock_guard guard(mutex_);
  if (vm_.dirty_ring_entries() == 0) {
    for (const Slot& slot : slots_)
      if (slot.logging && slot.ram == &ram) SOLDER_TRY_STATUS(fetch_log(slot));
    return {};
  }
  // What a processor has logged by itself (PML) reaches the ring when its vCPU leaves the guest.
  gate_.exclusive([this] { gate_.for_each_exclusive([this](VcpuRun& vcpu) { harvest(vcpu); }); });
  return reset_rings();
}

Status MemorySlots::tracking_changed(memory::Ram& ram) {
  const std::lock_guard guard(mutex_);
  for (Slot& slot : slots_) {
    const bool tracking = slot.ram->tracking() && !slot.read_only;
    if (slot.ram != &ram || tracking == slot.logging) continue;
    Slot changed = slot;
    changed.logging = tracking;
    SOLDER_TRY_STATUS(set(changed, changed.size));
    slot = changed;
  }
  return {};
}

}  // namespace solder::accel::kvm
