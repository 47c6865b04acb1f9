// How a CPU's access gets to what lies at a place of the guest's memory or ports (B5 in the words of the requirements:
// how KVM knows what to trap).
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <string>
#include <vector>

#include "accel/kvm/accelerator.h"
#include "accel/kvm/deferred_writes.h"
#include "accel/kvm/doorbells.h"
#include "accel/kvm/memory_slots.h"

namespace solder::accel::kvm {

namespace {

std::string slot_text(const MemorySlots::Slot& slot, const memory::FlatRange& range) {
  std::string out = fmt::format("memory slot {}", slot.id);
  if (slot.start > range.start || slot.start + slot.size < range.end())
    out += fmt::format(" for {:#x}..{:#x}", slot.start, slot.start + slot.size - 1);
  if (slot.read_only) out += ", read-only";
  if (slot.logging) out += ", written pages logged";
  return out;
}

}  // namespace

std::string Kvm::reach(const memory::FlatRange& range, bool ports) const {
  if (range.ram != nullptr) {
    std::vector<std::string> parts;
    u64 covered = 0;
    if (slots_) {
      for (const auto& slot : slots_->slots()) {
        if (slot.start >= range.end() || slot.start + slot.size <= range.start) continue;
        parts.push_back(slot_text(slot, range));
        covered += std::min(slot.start + slot.size, range.end()) - std::max(slot.start, range.start);
      }
    }
    if (covered < range.size)
      parts.emplace_back(covered == 0 ? "no memory slot: KVM_EXIT_MMIO" : "KVM_EXIT_MMIO elsewhere");
    return fmt::format("{}", fmt::join(parts, "; "));
  }
  std::string out = ports ? "KVM_EXIT_IO" : "KVM_EXIT_MMIO";
  const WindowSpace space = ports ? WindowSpace::ports : WindowSpace::memory;
  if (const usize bells = doorbells_ ? doorbells_->attached(*range.handler) : 0; bells != 0)
    out += fmt::format("; {} written value{} by ioeventfd", bells, bells == 1 ? "" : "s");
  if (deferred_) {
    for (const auto& zone : deferred_->zones(space, range.start, range.size))
      out += fmt::format("; writes to {:#x}{} are deferred (coalesced)", zone.address,
                         zone.size == 1 ? std::string{} : fmt::format("..{:#x}", zone.address + zone.size - 1));
  }
  return out;
}

}  // namespace solder::accel::kvm
