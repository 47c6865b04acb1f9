#include "guest/arm64/pmu.h"

namespace solder::arm64 {
namespace {

constexpr u64 kResetCycles = 1U << 2;  // PMCR_EL0.C, reads as zero
constexpr u64 kKept = 0x69;            // E, D, DP, LC

}  // namespace

u64 Pmu::cycles() {
  if (!counting()) return base_;
  const u64 now = base_ + (time() - since_);
  // Overflow of the 64-bit counter, or of 32 bits without PMCR_EL0.LC.
  const bool wide = (control_ & 0x40) != 0;
  if (wide ? now < base_ : (now >> 32) != (base_ >> 32)) overflow_ |= kCycleBit;
  return now;
}

void Pmu::hold() {
  base_ = cycles();
}

void Pmu::restart() {
  since_ = time();
}

void Pmu::set_control(u64 value) {
  hold();
  if ((value & kResetCycles) != 0) base_ = 0;
  control_ = value & kKept;
  restart();
}

void Pmu::enable(u64 bits) {
  hold();
  enabled_ |= bits & kCycleBit;
  restart();
}

void Pmu::disable(u64 bits) {
  hold();
  enabled_ &= ~bits;
  restart();
}

void Pmu::set_cycles(u64 value) {
  base_ = value;
  restart();
}

}  // namespace solder::arm64
