/// The timer of one local APIC (Intel SDM volume 3, section 11.5.4): one-shot, periodic and TSC-deadline.
#pragma once

#include <functional>

#include "base/bits.h"

#include "cpu/vcpu.h"
#include "models/apic/lapic_state.h"
#include "time/clock.h"

namespace solder::models::apic {

/// Counts in machine time; the registers are `state`'s. All calls under the model's lock.
class LapicTimer {
 public:
  enum class Mode : u8 { one_shot, periodic, tsc_deadline, reserved };

  /// `due` runs on the queue's thread without the lock; it takes the lock and calls `expired`.
  LapicTimer(LapicState& state, time::TimerQueue& timers, std::function<void()> due)
      : state_(state), clock_(timers.clock()), timer_(timers, std::move(due)) {}
  /// Who tells the TSC; null: no TSC-deadline mode.
  void set_tsc(const cpu::Vcpu* vcpu) { vcpu_ = vcpu; }

  [[nodiscard]] Mode mode() const { return static_cast<Mode>(bits(state_.lvt[kLvtTimer], 18, 17)); }
  [[nodiscard]] u32 current_count() const;
  void write_initial_count(u32 value);
  void write_divide(u32 value);
  void write_lvt(u32 value);
  void write_deadline(u64 deadline);
  void stop();
  /// Whether the timer has really expired: a callback may come late, after the guest changed its mind. Counts on.
  [[nodiscard]] bool expired();
  /// After `state` was loaded: goes on from its current count, or to its deadline.
  void resume();

 private:
  [[nodiscard]] u64 divisor() const;
  [[nodiscard]] u64 period() const { return state_.initial_count * divisor(); }
  // Makes `count` the current one.
  void count_from(u32 count);
  void arm(time::Nanoseconds due);
  void arm_deadline();

  LapicState& state_;
  time::Clock& clock_;
  const cpu::Vcpu* vcpu_ = nullptr;
  bool running_ = false;
  i64 start_ = 0;  // machine time at which the count was the initial one
  time::Nanoseconds due_ = 0;
  time::Timer timer_;
};

}  // namespace solder::models::apic
