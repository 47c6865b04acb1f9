#include "time/clock.h"

#include <ctime>

namespace solder::time {

namespace {

i64 host_now() {
  timespec ts{};
  ::clock_gettime(CLOCK_MONOTONIC, &ts);
  return i64{ts.tv_sec} * 1'000'000'000 + ts.tv_nsec;
}

}  // namespace

Clock::Clock() : offset_(-host_now()), wall_base_(::time(nullptr)) {}

Nanoseconds Clock::now() const {
  const i64 stopped = stopped_at_.load(std::memory_order_acquire);
  if (stopped >= 0) return static_cast<Nanoseconds>(stopped);
  return static_cast<Nanoseconds>(host_now() + offset_.load(std::memory_order_acquire));
}

u64 Clock::ticks(u64 hz) const {
  return static_cast<u64>(u128{now()} * hz / 1'000'000'000);
}

Nanoseconds Clock::time_of_ticks(u64 ticks, u64 hz) {
  // Rounded up: at the returned time the counter has surely reached `ticks`.
  const u128 ns = (u128{ticks} * 1'000'000'000 + hz - 1) / hz;
  return ns > ~u64{0} ? ~u64{0} : static_cast<Nanoseconds>(ns);
}

void Clock::pause() {
  const std::lock_guard guard(mutex_);
  if (stopped_at_.load() < 0) stopped_at_.store(static_cast<i64>(now()), std::memory_order_release);
}

void Clock::resume() {
  const std::lock_guard guard(mutex_);
  const i64 stopped = stopped_at_.load();
  if (stopped < 0) return;
  offset_.store(stopped - host_now(), std::memory_order_release);
  stopped_at_.store(-1, std::memory_order_release);
}

void Clock::set(Nanoseconds now) {
  const std::lock_guard guard(mutex_);
  if (stopped_at_.load() >= 0) {
    stopped_at_.store(static_cast<i64>(now), std::memory_order_release);
  } else {
    offset_.store(static_cast<i64>(now) - host_now(), std::memory_order_release);
  }
}

bool Clock::paused() const {
  return stopped_at_.load(std::memory_order_acquire) >= 0;
}

u64 Clock::wall_seconds() const {
  return static_cast<u64>(wall_base_) + now() / 1'000'000'000;
}

i64 Clock::offset() const {
  return offset_.load(std::memory_order_acquire);
}

}  // namespace solder::time
