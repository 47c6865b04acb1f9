/// The state of an I/O APIC: what the model here runs on, and what the in-kernel one is loaded from and stored to
/// (kvm_ioapic_state).
#pragma once

#include <array>

#include "base/types.h"
#include "device/archive.h"

namespace solder::models::apic {

constexpr u32 kIoApicPins = 24;

/// Redirection table entries (82093AA, section 3.2.4).
constexpr u64 kEntryVector = 0xff;
constexpr u64 kEntryLogical = u64{1} << 11;
constexpr u64 kEntryPending = u64{1} << 12;  ///< delivery status
constexpr u64 kEntryActiveLow = u64{1} << 13;
constexpr u64 kEntryRemoteIrr = u64{1} << 14;
constexpr u64 kEntryLevel = u64{1} << 15;
constexpr u64 kEntryMasked = u64{1} << 16;
constexpr u64 kEntryWritable = 0xff00'0000'0001'afff;

struct IoApicState {
  u8 id = 0;
  u8 select = 0;  ///< IOREGSEL
  /// Requests: level-triggered pins that are asserted, edges that were not delivered.
  u32 requests = 0;
  /// Levels of all pins. KVM does not tell: a record that comes from there has `requests` here.
  u32 levels = 0;
  std::array<u64, kIoApicPins> entries = masked_entries();

  void state(device::Archive& archive) {
    archive("id", id)("select", select)("requests", requests)("levels", levels)("entries", entries);
  }

 private:
  static constexpr std::array<u64, kIoApicPins> masked_entries() {
    std::array<u64, kIoApicPins> out{};
    out.fill(kEntryMasked);
    return out;
  }
};

}  // namespace solder::models::apic
