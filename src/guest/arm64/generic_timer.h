/// The generic timer of one CPU: the physical and the virtual EL1 timer (DDI 0487, D11).
#pragma once

#include <array>
#include <mutex>

#include "interrupt/wire.h"
#include "time/clock.h"

namespace solder::arm64 {

/// Both count with the machine's clock. Registers are accessed by the CPU's thread; deadlines come on the timer thread.
class GenericTimer {
 public:
  enum Channel : u8 { kPhysical, kVirtual };
  /// `clock` and `queue` may be null (tests of other things): then the count stands at zero and nothing fires.
  GenericTimer(time::Clock* clock, time::TimerQueue* queue, u64 hz);

  [[nodiscard]] u64 count() const { return clock_ == nullptr ? 0 : clock_->ticks(hz_); }
  [[nodiscard]] u64 control(Channel channel);  ///< with ISTATUS
  void set_control(Channel channel, u64 value);
  [[nodiscard]] u64 compare(Channel channel);
  void set_compare(Channel channel, u64 value);
  [[nodiscard]] u64 timer_value(Channel channel);
  void set_timer_value(Channel channel, u64 value);

  void connect(Channel channel, interrupt::LevelWire wire);
  void reset();

 private:
  struct State {
    std::mutex mutex;  // held while the wire is driven: both threads do
    bool enabled = false;
    bool masked = false;
    u64 compare = 0;
    interrupt::LevelWire wire;
    time::Timer timer;
  };
  void update(State& state);  // with its mutex held

  time::Clock* clock_;
  u64 hz_;
  std::array<State, 2> channels_;
};

}  // namespace solder::arm64
