/// The performance monitors: PMUv3 with the cycle counter only (DDI 0487, D8).
#pragma once

#include "base/types.h"
#include "time/clock.h"

namespace solder::arm64 {

/// "Cycles" pass at 1 GHz of machine time: an emulated CPU has no better ones. Overflow sets its flag when it is looked
/// at but raises no interrupt.
class Pmu {
 public:
  explicit Pmu(const time::Clock* clock) : clock_(clock) {}

  [[nodiscard]] u64 control() const { return control_; }
  void set_control(u64 value);
  [[nodiscard]] u64 enabled() const { return enabled_; }
  void enable(u64 bits);
  void disable(u64 bits);
  [[nodiscard]] u64 overflow() const { return overflow_; }
  void set_overflow(u64 bits) { overflow_ |= bits & kCycleBit; }
  void clear_overflow(u64 bits) { overflow_ &= ~bits; }
  [[nodiscard]] u64 interrupts() const { return interrupts_; }
  void enable_interrupts(u64 bits) { interrupts_ |= bits & kCycleBit; }
  void disable_interrupts(u64 bits) { interrupts_ &= ~bits; }
  [[nodiscard]] u64 select() const { return select_; }
  void set_select(u64 value) { select_ = value & 0x1f; }
  [[nodiscard]] u64 filter() const { return filter_; }
  void set_filter(u64 value) { filter_ = value & 0xfc000000; }
  [[nodiscard]] u64 cycles();
  void set_cycles(u64 value);

  static constexpr u64 kCycleBit = u64{1} << 31;
  static constexpr u64 kCycleSelect = 31;

 private:
  [[nodiscard]] bool counting() const { return (control_ & 1) != 0 && (enabled_ & kCycleBit) != 0; }
  [[nodiscard]] u64 time() const { return clock_ == nullptr ? 0 : clock_->now(); }
  void hold();     // the count so far into base_
  void restart();  // count from now

  const time::Clock* clock_;
  u64 control_ = 0;
  u64 enabled_ = 0;
  u64 overflow_ = 0;
  u64 interrupts_ = 0;
  u64 select_ = 0;
  u64 filter_ = 0;
  u64 base_ = 0;
  u64 since_ = 0;
};

}  // namespace solder::arm64
