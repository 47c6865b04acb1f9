#include "interrupt/wire.h"

namespace solder::interrupt {

OrGate::OrGate(Sink& out, u32 out_pin, u32 inputs) : out_(out), out_pin_(out_pin), levels_(inputs, false) {}

void OrGate::set_level(u32 pin, bool level) {
  // The output is driven under the lock: two inputs that change at once must not leave it at the older level.
  const std::lock_guard guard(mutex_);
  if (levels_[pin] == level) return;
  levels_[pin] = level;
  const bool before = high_ > 0;
  high_ = level ? high_ + 1 : high_ - 1;
  if (before != (high_ > 0)) out_.set_level(out_pin_, high_ > 0);
}

}  // namespace solder::interrupt
