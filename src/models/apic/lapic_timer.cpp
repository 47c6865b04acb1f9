#include "models/apic/lapic_timer.h"

#include <algorithm>

namespace solder::models::apic {

namespace {

static_assert(kTimerHz == 1'000'000'000, "a tick is a nanosecond below");

// A period shorter than this would keep the timer thread busy for the guest; KVM has such a limit too
// (min_timer_period_us). The count that the guest reads is exact all the same.
constexpr time::Nanoseconds kShortestPeriod = 50'000;
// Further away than this is never; sums of it with machine time do not overflow.
constexpr u64 kFarAway = u64{1} << 62;

}  // namespace

u64 LapicTimer::divisor() const {
  // Bits 3, 1, 0: 2, 4, … 128, and 1 (figure 11-10).
  const u32 code = (state_.divide & 3) | (state_.divide >> 1 & 4);
  return u64{1} << ((code + 1) & 7);
}

u32 LapicTimer::current_count() const {
  if (!running_ || state_.initial_count == 0 || mode() == Mode::tsc_deadline) return 0;
  const i64 now = static_cast<i64>(clock_.now());
  const u64 elapsed = now > start_ ? static_cast<u64>(now - start_) : 0;
  if (mode() != Mode::periodic && elapsed >= period()) return 0;
  return state_.initial_count - static_cast<u32>(elapsed % period() / divisor());
}

void LapicTimer::count_from(u32 count) {
  start_ = static_cast<i64>(clock_.now()) - static_cast<i64>((state_.initial_count - count) * divisor());
  running_ = true;
  arm(static_cast<u64>(std::max<i64>(start_ + static_cast<i64>(period()), 0)));
}

void LapicTimer::arm(time::Nanoseconds due) {
  due_ = due;
  timer_.arm(due);
}

void LapicTimer::stop() {
  running_ = false;
  timer_.cancel();
}

void LapicTimer::write_initial_count(u32 value) {
  // "In TSC-deadline mode, writes to the initial-count register are ignored" (section 11.5.4.1).
  if (mode() == Mode::tsc_deadline) return;
  state_.initial_count = value;
  if (value == 0) {
    stop();
  } else {
    count_from(value);
  }
}

void LapicTimer::write_divide(u32 value) {
  const u32 count = current_count();
  state_.divide = value & 0xb;
  if (count != 0) count_from(count);
}

void LapicTimer::write_lvt(u32 value) {
  const Mode before = mode();
  const u32 count = current_count();
  state_.lvt[kLvtTimer] = value;
  if (mode() == before) return;
  // A change to or from TSC-deadline mode disarms the timer.
  if (before == Mode::tsc_deadline || mode() == Mode::tsc_deadline) {
    stop();
    state_.initial_count = 0;
    state_.tsc_deadline = 0;
  } else if (count != 0) {
    count_from(count);
  }
}

void LapicTimer::write_deadline(u64 deadline) {
  if (mode() != Mode::tsc_deadline) return;
  state_.tsc_deadline = deadline;
  arm_deadline();
}

void LapicTimer::arm_deadline() {
  stop();
  if (state_.tsc_deadline == 0 || vcpu_ == nullptr) return;
  const auto tsc = vcpu_->read_tsc();
  if (!tsc) return;
  const time::Nanoseconds now = clock_.now();
  u64 wait = 0;
  if (state_.tsc_deadline > tsc->value) {
    const auto ticks = static_cast<unsigned __int128>(state_.tsc_deadline - tsc->value);
    // Rounded up: not before the deadline.
    const auto ns = ticks * 1'000'000'000 / tsc->hz + 1;
    wait = ns > kFarAway ? kFarAway : static_cast<u64>(ns);
  }
  running_ = true;
  arm(now + wait);
}

bool LapicTimer::expired() {
  const time::Nanoseconds now = clock_.now();
  if (!running_ || now < due_) return false;
  if (mode() == Mode::periodic) {
    // Periods that passed meanwhile are one interrupt.
    const u64 elapsed = now - static_cast<u64>(std::min<i64>(start_, static_cast<i64>(now)));
    const u64 next = now + period() - elapsed % period();
    arm(std::max(next, now + kShortestPeriod));
    return true;
  }
  running_ = false;
  if (mode() == Mode::tsc_deadline) state_.tsc_deadline = 0;
  return true;
}

void LapicTimer::resume() {
  stop();
  if (mode() == Mode::tsc_deadline) {
    arm_deadline();
  } else if (state_.initial_count != 0 && (state_.current_count != 0 || mode() == Mode::periodic)) {
    count_from(std::min(state_.current_count, state_.initial_count));
  }
}

}  // namespace solder::models::apic
