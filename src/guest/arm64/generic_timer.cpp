#include "guest/arm64/generic_timer.h"

#include "base/bits.h"

namespace solder::arm64 {
namespace {

constexpr u64 kEnable = 1;
constexpr u64 kMask = 2;
constexpr u64 kStatus = 4;

/// Deadlines further away than this are not armed: they would overflow, and nobody waits a year for them.
constexpr u64 kFarSeconds = u64{365} * 24 * 3600;

}  // namespace

GenericTimer::GenericTimer(time::Clock* clock, time::TimerQueue* queue, u64 hz) : clock_(clock), hz_(hz) {
  if (queue == nullptr) return;
  for (State& state : channels_) {
    state.timer = time::Timer(*queue, [this, &state] {
      const std::lock_guard lock(state.mutex);
      update(state);
    });
  }
}

void GenericTimer::update(State& state) {
  const u64 now = count();
  const bool met = state.enabled && now >= state.compare;
  state.wire.set(met && !state.masked);
  if (clock_ == nullptr) return;
  if (state.enabled && !state.masked && !met && (state.compare - now) / hz_ < kFarSeconds) {
    state.timer.arm(time::Clock::time_of_ticks(state.compare, hz_));
  } else {
    state.timer.cancel();
  }
}

u64 GenericTimer::control(Channel channel) {
  State& state = channels_[channel];
  const std::lock_guard lock(state.mutex);
  const bool met = state.enabled && count() >= state.compare;
  return (state.enabled ? kEnable : 0) | (state.masked ? kMask : 0) | (met ? kStatus : 0);
}

void GenericTimer::set_control(Channel channel, u64 value) {
  State& state = channels_[channel];
  const std::lock_guard lock(state.mutex);
  state.enabled = (value & kEnable) != 0;
  state.masked = (value & kMask) != 0;
  update(state);
}

u64 GenericTimer::compare(Channel channel) {
  State& state = channels_[channel];
  const std::lock_guard lock(state.mutex);
  return state.compare;
}

void GenericTimer::set_compare(Channel channel, u64 value) {
  State& state = channels_[channel];
  const std::lock_guard lock(state.mutex);
  state.compare = value;
  update(state);
}

u64 GenericTimer::timer_value(Channel channel) {
  return (compare(channel) - count()) & 0xffffffff;
}

void GenericTimer::set_timer_value(Channel channel, u64 value) {
  set_compare(channel, count() + static_cast<u64>(sign_extend(value, 32)));
}

void GenericTimer::connect(Channel channel, interrupt::LevelWire wire) {
  State& state = channels_[channel];
  const std::lock_guard lock(state.mutex);
  state.wire = wire;
  update(state);
}

void GenericTimer::reset() {
  for (State& state : channels_) {
    const std::lock_guard lock(state.mutex);
    state.enabled = false;
    state.masked = false;
    state.compare = 0;
    update(state);
  }
}

}  // namespace solder::arm64
