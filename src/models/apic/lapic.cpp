#include "models/apic/lapic.h"

#include <algorithm>
#include <bit>

#include "base/bits.h"

namespace solder::models::apic {

namespace {

// Version 0x14, six entries in the local vector table. No directed EOI: KVM's I/O APIC has no EOI register, and a guest
// that relied on one could not move there.
constexpr u32 kVersion = 0x14 | (kLvtCount - 1) << 16;

// What a guest may write of each local vector table entry (figure 11-8).
constexpr u32 kDeliveryBits = 0x700;
constexpr std::array<u32, kLvtCount> kLvtWritable{
    0xff | kLvtMasked | 3u << 17,
    0xff | kDeliveryBits | kLvtMasked,
    0xff | kDeliveryBits | kLvtMasked,
    0xff | kDeliveryBits | 1u << 13 | kLvtLevel | kLvtMasked,
    0xff | kDeliveryBits | 1u << 13 | kLvtLevel | kLvtMasked,
    0xff | kLvtMasked,
};
constexpr u32 kTscDeadlineBit = 1u << 18;

std::optional<u8> highest(const VectorSet& set) {
  for (u32 word = 8; word-- > 0;) {
    if (set[word] != 0) return static_cast<u8>(32 * word + 31 - static_cast<u32>(std::countl_zero(set[word])));
  }
  return std::nullopt;
}
bool contains(const VectorSet& set, u8 vector) {
  return bit(set[vector / 32], vector % 32);
}
void insert(VectorSet& set, u8 vector) {
  set[vector / 32] |= 1u << vector % 32;
}
void erase(VectorSet& set, u8 vector) {
  set[vector / 32] &= ~(1u << vector % 32);
}

Delivery lvt_delivery(u32 entry) {
  return static_cast<Delivery>(bits(entry, 10, 8));
}

}  // namespace

Lapic::Lapic(u32 index, u32 id, u64 base, time::TimerQueue& timers, std::function<void()> timer_due)
    : index_(index), id_(id), base_(base), timer_(state_, timers, std::move(timer_due)) {
  reset(false);
}

void Lapic::connect(cpu::Vcpu& vcpu) {
  vcpu_ = &vcpu;
  deadline_ = vcpu.read_tsc().has_value();
  timer_.set_tsc(&vcpu);
}

void Lapic::reset(bool init) {
  timer_.stop();
  const LapicState before = state_;
  state_ = LapicState{};
  state_.id = id_;
  if (init) {
    state_.base = before.base;
    if (state_.x2apic()) state_.logical_destination = x2apic_logical_id(id_);
    state_.waits_for_startup = before.waits_for_startup;
  } else {
    state_.base = base_ | kBaseEnable | (index_ == 0 ? kBaseBsp : 0);
    state_.waits_for_startup = index_ != 0;
  }
  // What firmware leaves for an operating system that does not touch the APIC, as no firmware runs before the guest:
  // virtual wire mode (MultiProcessor specification 1.4, section 3.6.2.2). KVM's LAPIC starts so too.
  if (index_ == 0) state_.lvt[kLvtLint0] = static_cast<u32>(Delivery::external) << 8;
  update();
}

LapicState Lapic::save() const {
  LapicState out = state_;
  out.current_count = timer_.current_count();
  return out;
}

void Lapic::load(const LapicState& state) {
  state_ = state;
  // What the guest could never have written does not come from a file either.
  if (state_.x2apic() && !state_.enabled()) state_.base &= ~kBaseExtended;
  for (u32 i = 0; i < kLvtCount; ++i) state_.lvt[i] &= kLvtWritable[i] | kLvtRemoteIrr;
  if (!deadline_) state_.lvt[kLvtTimer] &= ~kTscDeadlineBit;
  state_.divide &= 0xb;
  state_.task_priority &= 0xff;
  state_.id = id_;
  timer_.resume();
  update();
}

u32 Lapic::processor_priority() const {
  const u32 service = highest(state_.in_service).value_or(0) & 0xf0;
  return (state_.task_priority & 0xf0) >= service ? state_.task_priority : service;
}

u32 Lapic::arbitration_priority() const {
  const u32 task = state_.task_priority & 0xf0;
  const u32 service = highest(state_.in_service).value_or(0) & 0xf0;
  const u32 request = highest(state_.requests).value_or(0) & 0xf0;
  if (task >= request && task > service) return state_.task_priority;
  return std::max({task & service, request, service});
}

bool Lapic::external() const {
  // Disabled in IA32_APIC_BASE the pins are the CPU's INTR and NMI (section 11.4.3).
  if (!state_.enabled()) return lint_[0];
  for (u32 pin = 0; pin < 2; ++pin) {
    const u32 entry = state_.lvt[kLvtLint0 + pin];
    if (lint_[pin] && (entry & kLvtMasked) == 0 && lvt_delivery(entry) == Delivery::external) return true;
  }
  return false;
}

void Lapic::update() {
  bool level = external();
  if (!level && state_.enabled()) {
    const auto request = highest(state_.requests);
    level = request && (*request & 0xf0u) > (processor_priority() & 0xf0);
  }
  if (level == line_) return;
  line_ = level;
  if (vcpu_ != nullptr) vcpu_->set_line(cpu::Line::irq, level);
}

std::optional<u8> Lapic::take() {
  const auto request = highest(state_.requests);
  if (!state_.enabled() || !request || (*request & 0xf0u) <= (processor_priority() & 0xf0)) return std::nullopt;
  erase(state_.requests, *request);
  insert(state_.in_service, *request);
  update();
  return request;
}

std::optional<u8> Lapic::end_of_interrupt() {
  const auto ended = highest(state_.in_service);
  if (!ended) return std::nullopt;
  erase(state_.in_service, *ended);
  const bool level = contains(state_.trigger_mode, *ended);
  // A level-triggered LINT0 has a remote IRR of its own, and comes again while the pin is high.
  u32& entry = state_.lvt[kLvtLint0];
  if (level && (entry & kLvtRemoteIrr) != 0 && (entry & 0xff) == *ended) {
    entry &= ~kLvtRemoteIrr;
    if (lint_[0]) set_lint(0, true);
  }
  update();
  return level ? ended : std::nullopt;
}

bool Lapic::accept(u8 vector, bool level) {
  if (vector < 16) {
    report_error(kErrorReceiveVector);
    return false;
  }
  insert(state_.requests, vector);
  // TMR is set and cleared as the interrupt is accepted (section 11.8.4).
  if (level) {
    insert(state_.trigger_mode, vector);
  } else {
    erase(state_.trigger_mode, vector);
  }
  update();
  return true;
}

void Lapic::raise_nmi() {
  if (vcpu_ != nullptr) vcpu_->raise_nmi();
}

void Lapic::report_error(u32 error) {
  const u32 before = state_.errors;
  state_.errors |= error;
  // An error interrupt whose own vector is illegal must not report itself for ever.
  if (before != state_.errors) fire(kLvtError);
}

void Lapic::fire(u32 entry) {
  const u32 value = state_.lvt[entry];
  if ((value & kLvtMasked) != 0 || !state_.enabled()) return;
  const u8 vector = static_cast<u8>(value);
  switch (lvt_delivery(value)) {
    case Delivery::fixed:
      accept(vector, false);
      break;
    case Delivery::nmi:
      raise_nmi();
      break;
    default:
      // SMI and INIT by a pin: nothing of ours drives them so.
      break;
  }
}

void Lapic::timer_due() {
  if (timer_.expired()) fire(kLvtTimer);
}

void Lapic::set_lint(u32 pin, bool level) {
  const bool rises = level && !lint_[pin];
  lint_[pin] = level;
  u32& entry = state_.lvt[kLvtLint0 + pin];
  if (!state_.enabled()) {
    if (pin == 1 && rises) raise_nmi();
  } else if (pin == 0 && (entry & kLvtLevel) != 0 && lvt_delivery(entry) == Delivery::fixed) {
    // Only LINT0 can be level-triggered (section 11.5.1).
    if (level && (entry & (kLvtMasked | kLvtRemoteIrr)) == 0) {
      entry |= kLvtRemoteIrr;
      accept(static_cast<u8>(entry), true);
    }
  } else if (rises) {
    fire(kLvtLint0 + pin);
  }
  update();
}

bool Lapic::matches(const Request& request) const {
  if (!state_.enabled()) return false;
  const u32 to = request.destination;
  if (to == 0xffff'ffff || (!request.wide && to == 0xff)) return true;
  if (!request.logical) return state_.x2apic() || request.wide ? to == state_.id : to == (state_.id & 0xff);
  if (state_.x2apic())
    return to >> 16 == state_.logical_destination >> 16 && (to & state_.logical_destination & 0xffff) != 0;
  const u32 own = state_.logical_destination >> 24;
  switch (state_.destination_format >> 28) {
    case 0xf:
      return (to & own & 0xff) != 0;
    case 0x0:
      return (to >> 4 & 0xf) == own >> 4 && (to & own & 0xf) != 0;
    default:
      return false;
  }
}

u32 Lapic::read(u32 number) {
  if (number >= kRegIsr && number < kRegTmr) return state_.in_service[number - kRegIsr];
  if (number >= kRegTmr && number < kRegIrr) return state_.trigger_mode[number - kRegTmr];
  if (number >= kRegIrr && number < kRegEsr) return state_.requests[number - kRegIrr];
  if (number >= kRegLvt && number < kRegLvt + kLvtCount) return state_.lvt[number - kRegLvt];
  switch (number) {
    case kRegId:
      return state_.x2apic() ? state_.id : state_.id << 24;
    case kRegVersion:
      return kVersion;
    case kRegTpr:
      return state_.task_priority;
    case kRegApr:
      return arbitration_priority();
    case kRegPpr:
      return processor_priority();
    case kRegEoi:
      return 0;
    case kRegLdr:
      return state_.logical_destination;
    case kRegDfr:
      return state_.destination_format;
    case kRegSvr:
      return state_.spurious;
    case kRegEsr:
      return state_.error_status;
    case kRegIcr:
      return static_cast<u32>(state_.command);
    case kRegIcrHigh:
      return static_cast<u32>(state_.command >> 32);
    case kRegInitialCount:
      return state_.initial_count;
    case kRegCurrentCount:
      return timer_.current_count();
    case kRegDivide:
      return state_.divide;
    default:
      report_error(kErrorRegister);
      return 0;
  }
}

void Lapic::write(u32 number, u32 value) {
  if (number >= kRegLvt && number < kRegLvt + kLvtCount) {
    write_lvt(number - kRegLvt, value);
    return;
  }
  switch (number) {
    case kRegId:
    case kRegVersion:
      break;
    case kRegTpr:
      state_.task_priority = value & 0xff;
      update();
      break;
    case kRegLdr:
      if (!state_.x2apic()) state_.logical_destination = value & 0xff00'0000;
      break;
    case kRegDfr:
      if (!state_.x2apic()) state_.destination_format = value | 0x0fff'ffff;
      break;
    case kRegSvr:
      state_.spurious = value & 0x1ff;
      // Disabled by software: all entries are masked and stay so (section 11.4.7.2). What was accepted stays.
      if (!state_.software_enabled()) {
        for (u32 i = 0; i < kLvtCount; ++i) write_lvt(i, state_.lvt[i]);
      }
      break;
    case kRegEsr:
      state_.error_status = state_.errors;
      state_.errors = 0;
      break;
    case kRegIcrHigh:
      state_.command = (state_.command & 0xffff'ffff) | u64{value & 0xff00'0000} << 32;
      break;
    case kRegInitialCount:
      timer_.write_initial_count(value);
      break;
    case kRegDivide:
      timer_.write_divide(value);
      break;
    default:
      report_error(kErrorRegister);
      break;
  }
}

void Lapic::write_lvt(u32 entry, u32 value) {
  value &= kLvtWritable[entry];
  if (!state_.software_enabled()) value |= kLvtMasked;
  if (entry == kLvtTimer) {
    if (!deadline_) value &= ~kTscDeadlineBit;
    timer_.write_lvt(value);
    return;
  }
  u32& now = state_.lvt[entry];
  const bool was_level = (now & kLvtLevel) != 0;
  // Read-only; as an edge it means nothing.
  if (was_level && (value & kLvtLevel) != 0) value |= now & kLvtRemoteIrr;
  now = value;
  // A pin that is high already: what is level-triggered comes as soon as it is unmasked.
  if (entry == kLvtLint0 && (value & kLvtLevel) != 0 && lint_[0]) set_lint(0, true);
  update();
}

bool Lapic::allows_base(u64 value) const {
  if ((value & kBaseReserved) != 0) return false;
  const bool enabled = (value & kBaseEnable) != 0;
  const bool extended = (value & kBaseExtended) != 0;
  if (extended && !enabled) return false;
  // Into x2APIC mode only from xAPIC mode, and out of it only by disabling.
  if (extended && !state_.x2apic()) return state_.enabled();
  return extended || !enabled || !state_.x2apic();
}

void Lapic::write_base(u64 value) {
  if (!allows_base(value)) return;
  const bool was_enabled = state_.enabled();
  const bool was_extended = state_.x2apic();
  state_.base = value;
  // Disabled it keeps nothing (section 11.4.3).
  if (was_enabled && !state_.enabled()) reset(true);
  if (!was_extended && state_.x2apic()) {
    state_.logical_destination = x2apic_logical_id(state_.id);
    state_.command &= 0xffff'ffff;
  }
  update();
}

}  // namespace solder::models::apic
