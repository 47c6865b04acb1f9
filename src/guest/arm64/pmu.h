/// The performance monitors: PMUv3 with the cycle counter only (DDI 0487, D8).
#pragma once

#include <mutex>

#include "base/types.h"
#include "interrupt/wire.h"
#include "time/clock.h"

namespace solder::arm64 {

/// "Cycles" pass at 1 GHz of machine time: an emulated CPU has no better ones. Registers are accessed by the CPU's
/// thread; the overflow comes on the timer thread.
class Pmu {
 public:
  /// `clock` and `queue` may be null (tests of other things): then nothing counts.
  Pmu(time::Clock* clock, time::TimerQueue* queue);

  [[nodiscard]] u64 control() const { return control_; }
  void set_control(u64 value);
  [[nodiscard]] u64 enabled() const { return enabled_; }
  void enable(u64 bits);
  void disable(u64 bits);
  [[nodiscard]] u64 overflow();
  void set_overflow(u64 bits);
  void clear_overflow(u64 bits);
  [[nodiscard]] u64 interrupts() const { return interrupts_; }
  void enable_interrupts(u64 bits);
  void disable_interrupts(u64 bits);
  [[nodiscard]] u64 select() const { return select_; }
  void set_select(u64 value) { select_ = value & 0x1f; }
  [[nodiscard]] u64 filter() const { return filter_; }
  void set_filter(u64 value) { filter_ = value & 0xfc000000; }
  [[nodiscard]] u64 cycles();
  void set_cycles(u64 value);

  void connect(interrupt::LevelWire wire);
  void reset();

  static constexpr u64 kCycleBit = u64{1} << 31;
  static constexpr u64 kCycleSelect = 31;

 private:
  // All with the mutex held.
  [[nodiscard]] bool counting() const { return (control_ & 1) != 0 && (enabled_ & kCycleBit) != 0; }
  [[nodiscard]] bool wide() const;
  void advance();  // counts up to now and notices an overflow
  void update();   // drives the wire and arms the timer

  time::Clock* clock_;
  std::mutex mutex_;
  u64 control_ = 0;
  u64 enabled_ = 0;
  u64 overflow_ = 0;
  u64 interrupts_ = 0;
  u64 select_ = 0;
  u64 filter_ = 0;
  u64 count_ = 0;
  u64 counted_at_ = 0;
  interrupt::LevelWire wire_;
  time::Timer timer_;
};

}  // namespace solder::arm64
