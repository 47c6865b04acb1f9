/// KVM's structures for interrupt controllers and timer, and the records that the models in this process save: from one
/// to the other without loss of what is pending.
#pragma once

#include "accel/kvm/kvm_abi.h"
#include "models/apic/ioapic_state.h"
#include "models/apic/lapic_state.h"
#include "models/pic/pic_state.h"
#include "models/timer/pit_state.h"

namespace solder::accel::kvm::x86 {

/// What KVM keeps of one local APIC, in several places.
struct KernelLapic {
  kvm_lapic_state page{};  ///< KVM_GET_LAPIC
  u64 base = 0;            ///< IA32_APIC_BASE
  u64 tsc_deadline = 0;    ///< IA32_TSC_DEADLINE
  u32 run_state = 0;       ///< KVM_MP_STATE_*
  bool wide_ids = false;   ///< KVM_CAP_X2APIC_API is on: in x2APIC mode the ID has 32 bits
};

[[nodiscard]] models::apic::LapicState lapic_record(const KernelLapic& from);
/// `to` has what KVM has now; what the record does not know (the version) stays. A one-shot timer that has expired gets
/// no initial count: KVM would let it expire again.
void apply(const models::apic::LapicState& record, KernelLapic& to);

[[nodiscard]] models::apic::IoApicState ioapic_record(const kvm_ioapic_state& from);
void apply(const models::apic::IoApicState& record, kvm_ioapic_state& to);

[[nodiscard]] models::pic::ChipState pic_record(const kvm_pic_state& from);
void apply(const models::pic::ChipState& record, kvm_pic_state& to);

/// `to_machine`: what is added to the host's monotonic time, in nanoseconds, to have machine time.
[[nodiscard]] models::timer::PitState pit_record(const kvm_pit_state2& from, i64 to_machine);
/// KVM starts periods anew when it is loaded.
void apply(const models::timer::PitState& record, kvm_pit_state2& to, i64 to_machine);

}  // namespace solder::accel::kvm::x86
