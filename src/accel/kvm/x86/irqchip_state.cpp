#include "accel/kvm/x86/irqchip_state.h"

#include "base/bytes.h"

namespace solder::accel::kvm::x86 {

namespace {

using namespace models;

// Registers of the page by number, as in the xAPIC window: 16 bytes each.
u32 get(const kvm_lapic_state& page, u32 number) {
  return load_le<u32>(page.regs + 16 * number);
}
void put(kvm_lapic_state& page, u32 number, u32 value) {
  store_le(page.regs + 16 * number, value);
}

constexpr u32 kId = 0x02, kTpr = 0x08, kLdr = 0x0d, kDfr = 0x0e, kSvr = 0x0f, kIsr = 0x10, kTmr = 0x18, kIrr = 0x20;
constexpr u32 kEsr = 0x28, kIcr = 0x30, kIcrHigh = 0x31, kLvt = 0x32, kInitialCount = 0x38, kCurrentCount = 0x39;
constexpr u32 kDivide = 0x3e;
// Delivery status: nothing is ever on its way.
constexpr u32 kBusy = 1u << 12;
constexpr u8 kNoMode = 0xff;  // a counter of KVM's that was never programmed

bool waits(u32 run_state) {
  return run_state == KVM_MP_STATE_UNINITIALIZED || run_state == KVM_MP_STATE_INIT_RECEIVED;
}

void copy(apic::VectorSet& to, const kvm_lapic_state& page, u32 first) {
  for (u32 i = 0; i < to.size(); ++i) to[i] = get(page, first + i);
}

}  // namespace

apic::LapicState lapic_record(const KernelLapic& from) {
  apic::LapicState out;
  const kvm_lapic_state& page = from.page;
  out.base = from.base;
  out.id = out.x2apic() && from.wide_ids ? get(page, kId) : get(page, kId) >> 24;
  out.task_priority = get(page, kTpr);
  out.logical_destination = get(page, kLdr);
  out.destination_format = get(page, kDfr);
  out.spurious = get(page, kSvr);
  copy(out.in_service, page, kIsr);
  copy(out.trigger_mode, page, kTmr);
  copy(out.requests, page, kIrr);
  out.error_status = get(page, kEsr);
  out.command = (get(page, kIcr) & ~kBusy) | u64{get(page, kIcrHigh)} << 32;
  for (u32 i = 0; i < apic::kLvtCount; ++i) out.lvt[i] = get(page, kLvt + i) & ~kBusy;
  out.initial_count = get(page, kInitialCount);
  out.current_count = get(page, kCurrentCount);
  out.divide = get(page, kDivide);
  out.tsc_deadline = from.tsc_deadline;
  out.waits_for_startup = waits(from.run_state);
  return out;
}

void apply(const apic::LapicState& record, KernelLapic& to) {
  kvm_lapic_state& page = to.page;
  to.base = record.base;
  to.tsc_deadline = record.tsc_deadline;
  // The record does not tell a CPU that INIT has reached from one after power-on: both start by a start-up IPI, and to
  // KVM's uninitialized one that IPI means nothing.
  if (record.waits_for_startup) {
    to.run_state = KVM_MP_STATE_INIT_RECEIVED;
  } else if (waits(to.run_state)) {
    to.run_state = KVM_MP_STATE_RUNNABLE;
  }
  put(page, kId, record.x2apic() && to.wide_ids ? record.id : record.id << 24);
  put(page, kTpr, record.task_priority);
  put(page, kLdr, record.logical_destination);
  put(page, kDfr, record.destination_format);
  put(page, kSvr, record.spurious);
  for (u32 i = 0; i < 8; ++i) {
    put(page, kIsr + i, record.in_service[i]);
    put(page, kTmr + i, record.trigger_mode[i]);
    put(page, kIrr + i, record.requests[i]);
  }
  put(page, kEsr, record.error_status);
  put(page, kIcr, static_cast<u32>(record.command));
  put(page, kIcrHigh, static_cast<u32>(record.command >> 32));
  for (u32 i = 0; i < apic::kLvtCount; ++i) put(page, kLvt + i, record.lvt[i]);
  const bool one_shot = (record.lvt[apic::kLvtTimer] >> 17 & 3) == 0;
  put(page, kInitialCount, one_shot && record.current_count == 0 ? 0 : record.initial_count);
  put(page, kCurrentCount, record.current_count);
  put(page, kDivide, record.divide);
}

apic::IoApicState ioapic_record(const kvm_ioapic_state& from) {
  apic::IoApicState out;
  out.id = static_cast<u8>(from.id & 0xf);
  out.select = static_cast<u8>(from.ioregsel);
  out.requests = from.irr;
  out.levels = from.irr;
  for (u32 pin = 0; pin < apic::kIoApicPins; ++pin)
    out.entries[pin] = from.redirtbl[pin].bits & (apic::kEntryWritable | apic::kEntryRemoteIrr);
  return out;
}

void apply(const apic::IoApicState& record, kvm_ioapic_state& to) {
  to.id = record.id;
  to.ioregsel = record.select;
  to.irr = record.requests;
  for (u32 pin = 0; pin < apic::kIoApicPins; ++pin) to.redirtbl[pin].bits = record.entries[pin];
}

pic::ChipState pic_record(const kvm_pic_state& from) {
  pic::ChipState out;
  out.levels = from.last_irr;
  out.requests = from.irr;
  out.mask = from.imr;
  out.in_service = from.isr;
  out.lowest = (from.priority_add + 7) & 7;
  out.vector_base = from.irq_base;
  out.init_state = from.init_state;
  out.needs_icw4 = from.init4 != 0;
  out.read_in_service = from.read_reg_select != 0;
  out.poll = from.poll != 0;
  out.special_mask = from.special_mask != 0;
  out.auto_eoi = from.auto_eoi != 0;
  out.rotate_on_auto_eoi = from.rotate_on_auto_eoi != 0;
  out.special_fully_nested = from.special_fully_nested_mode != 0;
  out.level_triggered = from.elcr;
  return out;
}

void apply(const pic::ChipState& record, kvm_pic_state& to) {
  to.last_irr = record.levels;
  to.irr = record.requests;
  to.imr = record.mask;
  to.isr = record.in_service;
  to.priority_add = (record.lowest + 1) & 7;
  to.irq_base = record.vector_base;
  to.init_state = record.init_state;
  to.init4 = record.needs_icw4 ? 1 : 0;
  to.read_reg_select = record.read_in_service ? 1 : 0;
  to.poll = record.poll ? 1 : 0;
  to.special_mask = record.special_mask ? 1 : 0;
  to.auto_eoi = record.auto_eoi ? 1 : 0;
  to.rotate_on_auto_eoi = record.rotate_on_auto_eoi ? 1 : 0;
  to.special_fully_nested_mode = record.special_fully_nested ? 1 : 0;
  to.elcr = record.level_triggered & to.elcr_mask;
}

timer::PitState pit_record(const kvm_pit_state2& from, i64 to_machine) {
  timer::PitState out;
  for (usize i = 0; i < out.channels.size(); ++i) {
    const kvm_pit_channel_state& in = from.channels[i];
    timer::PitChannel& channel = out.channels[i];
    channel.count = in.count;
    channel.latched_count = in.latched_count;
    channel.count_latched = in.count_latched;
    channel.status_latched = in.status_latched;
    channel.status = in.status;
    channel.read_state = in.read_state;
    channel.write_state = in.write_state;
    channel.write_latch = in.write_latch;
    channel.rw_mode = in.rw_mode;
    channel.mode = in.mode == kNoMode ? u8{0} : in.mode;
    channel.bcd = in.bcd;
    channel.gate = in.gate;
    channel.counting = in.mode == kNoMode ? 0 : 1;
    channel.count_load_time = channel.counting != 0 ? in.count_load_time + to_machine : 0;
  }
  out.speaker_data = (from.flags & KVM_PIT_FLAGS_SPEAKER_DATA_ON) != 0 ? 1 : 0;
  out.hpet_legacy = (from.flags & KVM_PIT_FLAGS_HPET_LEGACY) != 0 ? 1 : 0;
  return out;
}

void apply(const timer::PitState& record, kvm_pit_state2& to, i64 to_machine) {
  for (usize i = 0; i < record.channels.size(); ++i) {
    const timer::PitChannel& channel = record.channels[i];
    kvm_pit_channel_state& out = to.channels[i];
    // A count that waits for the end of a period is the next one: periods start anew anyway.
    out.count = channel.next_count != 0 ? channel.next_count : channel.count;
    out.latched_count = channel.latched_count;
    out.count_latched = channel.count_latched;
    out.status_latched = channel.status_latched;
    out.status = channel.status;
    out.read_state = channel.read_state;
    out.write_state = channel.write_state;
    out.write_latch = channel.write_latch;
    out.rw_mode = channel.rw_mode;
    out.mode = channel.counting != 0 ? channel.mode : kNoMode;
    out.bcd = channel.bcd;
    out.gate = channel.gate;
    out.count_load_time = channel.count_load_time - to_machine;
  }
  to.flags = (record.speaker_data != 0 ? u32{KVM_PIT_FLAGS_SPEAKER_DATA_ON} : 0u) |
             (record.hpet_legacy != 0 ? u32{KVM_PIT_FLAGS_HPET_LEGACY} : 0u);
}

}  // namespace solder::accel::kvm::x86
