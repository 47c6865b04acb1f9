#include "guest/arm64/pmu.h"

#include "base/bits.h"

namespace solder::arm64 {
namespace {

// PMCR_EL0
constexpr u64 kEnable = 1U << 0;
constexpr u64 kResetCycles = 1U << 2;  // reads as zero
constexpr u64 kLongCycles = 1U << 6;   // overflow of 64 bits, not of 32
constexpr u64 kKept = 0x69;            // E, D, DP, LC

/// Overflows further away than this are not waited for: they would overflow the clock, too.
constexpr u64 kFar = u64{1} << 62;

}  // namespace

Pmu::Pmu(time::Clock* clock, time::TimerQueue* queue) : clock_(clock) {
  if (queue == nullptr) return;
  timer_ = time::Timer(*queue, [this] {
    const std::lock_guard lock(mutex_);
    advance();
    update();
  });
}

bool Pmu::wide() const {
  return (control_ & kLongCycles) != 0;
}

void Pmu::advance() {
  if (clock_ == nullptr) return;
  const u64 now = clock_->now();
  if (counting()) {
    const u64 before = count_;
    count_ += now - counted_at_;
    if (wide() ? count_ < before : (count_ >> 32) != (before >> 32)) overflow_ |= kCycleBit;
  }
  counted_at_ = now;
}

void Pmu::update() {
  const bool asks = (interrupts_ & kCycleBit) != 0 && (control_ & kEnable) != 0;
  const bool flagged = (overflow_ & kCycleBit) != 0;
  wire_.set(asks && flagged);
  if (clock_ == nullptr) return;
  const u64 left = wide() ? u64{0} - count_ : (u64{1} << 32) - (count_ & mask64(32));
  if (counting() && asks && !flagged && left < kFar) {
    timer_.arm(counted_at_ + left);
  } else {
    timer_.cancel();
  }
}

void Pmu::set_control(u64 value) {
  const std::lock_guard lock(mutex_);
  advance();
  if ((value & kResetCycles) != 0) count_ = 0;
  control_ = value & kKept;
  update();
}

void Pmu::enable(u64 bits) {
  const std::lock_guard lock(mutex_);
  advance();
  enabled_ |= bits & kCycleBit;
  update();
}

void Pmu::disable(u64 bits) {
  const std::lock_guard lock(mutex_);
  advance();
  enabled_ &= ~bits;
  update();
}

u64 Pmu::overflow() {
  const std::lock_guard lock(mutex_);
  advance();
  update();
  return overflow_;
}

void Pmu::set_overflow(u64 bits) {
  const std::lock_guard lock(mutex_);
  overflow_ |= bits & kCycleBit;
  update();
}

void Pmu::clear_overflow(u64 bits) {
  const std::lock_guard lock(mutex_);
  advance();
  overflow_ &= ~bits;
  update();
}

void Pmu::enable_interrupts(u64 bits) {
  const std::lock_guard lock(mutex_);
  advance();
  interrupts_ |= bits & kCycleBit;
  update();
}

void Pmu::disable_interrupts(u64 bits) {
  const std::lock_guard lock(mutex_);
  advance();
  interrupts_ &= ~bits;
  update();
}

u64 Pmu::cycles() {
  const std::lock_guard lock(mutex_);
  advance();
  update();
  return count_;
}

void Pmu::set_cycles(u64 value) {
  const std::lock_guard lock(mutex_);
  advance();
  count_ = value;
  update();
}

void Pmu::connect(interrupt::LevelWire wire) {
  const std::lock_guard lock(mutex_);
  wire_ = wire;
  update();
}

void Pmu::reset() {
  const std::lock_guard lock(mutex_);
  control_ = enabled_ = overflow_ = interrupts_ = 0;
  update();
}

}  // namespace solder::arm64
