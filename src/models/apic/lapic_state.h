/// The state of one local APIC: what the model here runs on, and what an in-kernel one is loaded from and stored to
/// (KVM_GET_LAPIC's page, IA32_APIC_BASE, IA32_TSC_DEADLINE). Registers as Intel SDM volume 3, chapter 11 has them.
#pragma once

#include <array>

#include "base/types.h"
#include "device/archive.h"

namespace solder::models::apic {

/// The timer's input clock in Hz. KVM's: a machine moves between the two.
constexpr u64 kTimerHz = 1'000'000'000;

/// IA32_APIC_BASE (section 11.4.4).
constexpr u64 kBaseBsp = u64{1} << 8;
constexpr u64 kBaseExtended = u64{1} << 10;
constexpr u64 kBaseEnable = u64{1} << 11;
constexpr u64 kBaseReserved = 0xfff0'0000'0000'02ff;
constexpr u64 kResetBase = 0xfee0'0000;

/// Local vector table, in the order of its registers (0x320, 0x330, …).
constexpr u32 kLvtTimer = 0, kLvtThermal = 1, kLvtPerformance = 2, kLvtLint0 = 3, kLvtLint1 = 4, kLvtError = 5;
constexpr u32 kLvtCount = 6;
constexpr u32 kLvtMasked = 1u << 16;
constexpr u32 kLvtLevel = 1u << 15;
constexpr u32 kLvtRemoteIrr = 1u << 14;

/// A set of vectors: IRR, ISR or TMR, as eight registers of 32.
using VectorSet = std::array<u32, 8>;

struct LapicState {
  u64 base = kResetBase | kBaseEnable;
  u32 id = 0;  ///< the APIC ID itself: what the ID register has in bits 31..24 in xAPIC mode, in all in x2APIC mode
  u32 task_priority = 0;
  u32 logical_destination = 0;           ///< LDR; in x2APIC mode it follows from `id`
  u32 destination_format = 0xffff'ffff;  ///< DFR
  u32 spurious = 0xff;                   ///< SVR
  VectorSet in_service{};
  VectorSet trigger_mode{};
  VectorSet requests{};
  u32 error_status = 0;  ///< ESR as the guest reads it
  u32 errors = 0;        ///< errors since the guest last wrote ESR; KVM reports none
  u64 command = 0;       ///< ICR, as x2APIC mode has it: bits 63..32 are the high register
  std::array<u32, kLvtCount> lvt{kLvtMasked, kLvtMasked, kLvtMasked, kLvtMasked, kLvtMasked, kLvtMasked};
  u32 initial_count = 0;
  u32 current_count = 0;  ///< at the time of saving
  u32 divide = 0;         ///< divide configuration register
  u64 tsc_deadline = 0;   ///< IA32_TSC_DEADLINE; 0: not armed
  /// After INIT: only a start-up IPI starts the CPU.
  bool waits_for_startup = false;

  void state(device::Archive& archive) {
    archive("base", base)("id", id)("task_priority", task_priority)("logical_destination", logical_destination)(
        "destination_format", destination_format)("spurious", spurious)("in_service", in_service)(
        "trigger_mode", trigger_mode)("requests", requests)("error_status", error_status)("errors", errors)(
        "command", command)("lvt", lvt)("initial_count", initial_count)("current_count", current_count)(
        "divide", divide)("tsc_deadline", tsc_deadline)("waits_for_startup", waits_for_startup);
  }

  [[nodiscard]] bool enabled() const { return (base & kBaseEnable) != 0; }
  [[nodiscard]] bool x2apic() const { return (base & kBaseExtended) != 0; }
  [[nodiscard]] bool software_enabled() const { return (spurious & 0x100) != 0; }
};

/// LDR in x2APIC mode (section 11.12.10.2).
constexpr u32 x2apic_logical_id(u32 id) {
  return (id >> 4) << 16 | 1u << (id & 0xf);
}

}  // namespace solder::models::apic
