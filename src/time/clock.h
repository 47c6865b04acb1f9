/// The machine's one clock, and timers on it. Host time appears only below this.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "base/types.h"

namespace solder::time {

/// Nanoseconds of machine time.
using Nanoseconds = u64;

/// Machine time: runs with the host's monotonic clock, stands still while paused, can be set (snapshots).
/// All members may be called from any thread; `now` takes no lock.
class Clock {
 public:
  Clock();
  [[nodiscard]] Nanoseconds now() const;
  /// Machine time as a counter of `hz`, computed without overflow.
  [[nodiscard]] u64 ticks(u64 hz) const;
  /// The machine time at which the counter of `hz` reaches `ticks`.
  [[nodiscard]] static Nanoseconds time_of_ticks(u64 ticks, u64 hz);
  void pause();
  void resume();
  void set(Nanoseconds now);
  [[nodiscard]] bool paused() const;
  /// Seconds since 1970 of the machine's wall clock: host time at start plus machine time.
  [[nodiscard]] u64 wall_seconds() const;
  /// For the translator, which reads time inline: now = (host_ns + offset) while running. Host time is CLOCK_MONOTONIC.
  [[nodiscard]] i64 offset() const;

 private:
  std::atomic<i64> offset_{0};       // machine = host + offset while running
  std::atomic<i64> stopped_at_{-1};  // machine time while paused, else -1
  i64 wall_base_ = 0;                // seconds
  mutable std::mutex mutex_;
};

class TimerQueue;

/// One deadline. Its callback runs on the queue's thread, never while `arm`/`cancel` of the same timer waits for it.
class Timer {
 public:
  Timer() = default;
  Timer(TimerQueue& queue, std::function<void()> callback);
  ~Timer();
  Timer(Timer&&) noexcept;
  Timer& operator=(Timer&&) noexcept;
  /// Fires once at machine time `deadline` (at once if past). Replaces an earlier deadline.
  void arm(Nanoseconds deadline);
  /// After this the callback does not start; one that is running may still be.
  void cancel();
  [[nodiscard]] bool armed() const;
  struct Slot;

 private:
  TimerQueue* queue_ = nullptr;
  std::shared_ptr<Slot> slot_;
};

/// The thread that fires timers. Stops with the machine; deadlines stand still while the clock is paused.
class TimerQueue {
 public:
  explicit TimerQueue(Clock& clock);
  ~TimerQueue();
  [[nodiscard]] Clock& clock() { return clock_; }
  /// Call after pausing, resuming or setting the clock.
  void clock_changed();
  /// Ends the thread; no callback runs afterwards.
  void stop();
  /// Sets a paused clock to `to`, by way of every deadline until then: timers fire at their times, on the queue's
  /// thread, and are done when this returns. At most `most` of them: returns the time that was reached, which is `to`
  /// unless they were more, or the clock is running. One caller at a time; not from a callback.
  Nanoseconds step(Nanoseconds to, u64 most);
  /// The earliest deadline; none: ~0.
  [[nodiscard]] Nanoseconds next_deadline();

 private:
  friend class Timer;
  void run();
  bool advance_step();
  void drop_cancelled();
  Clock& clock_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<std::shared_ptr<Timer::Slot>> heap_;
  bool stopping_ = false;
  bool stepping_ = false;  // a caller of `step` waits
  Nanoseconds step_to_ = 0;
  u64 step_left_ = 0;
  std::condition_variable stepped_;
  std::thread thread_;
};

}  // namespace solder::time
