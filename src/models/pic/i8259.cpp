#include "models/pic/i8259.h"

#include "base/bits.h"

namespace solder::models::pic {

void I8259::reset() {
  const u8 levels = state_.levels;
  state_ = {};
  state_.levels = levels;  // of wires, which others reset
}

void I8259::set_level(u32 input, bool level) {
  const u8 mask = static_cast<u8>(1u << input);
  const bool rises = level && (state_.levels & mask) == 0;
  state_.levels = static_cast<u8>(level ? state_.levels | mask : state_.levels & ~mask);
  if ((state_.level_triggered & mask) != 0) {
    state_.requests = static_cast<u8>(level ? state_.requests | mask : state_.requests & ~mask);
  } else if (rises) {
    // An edge is kept until it is acknowledged. (The chip wants the line high until then, and else makes it an IR7; but
    // a wire of ours may be a pulse.)
    state_.requests |= mask;
  }
}

void I8259::write_level_triggered(u8 value) {
  const u8 now_level = static_cast<u8>(value & ~state_.level_triggered);
  state_.level_triggered = value;
  state_.requests = static_cast<u8>((state_.requests & ~now_level) | (state_.levels & now_level));
}

u32 I8259::rank(u8 set) const {
  for (u32 i = 0; i < 8; ++i)
    if (bit(set, (state_.lowest + 1 + i) & 7)) return i;
  return 8;
}

std::optional<u32> I8259::pending() const {
  const u32 asked = rank(static_cast<u8>(state_.requests & ~state_.mask));
  if (asked == 8) return std::nullopt;
  u8 service = state_.in_service;
  // Special mask mode: what is masked does not hold back lower priorities.
  if (state_.special_mask) service = static_cast<u8>(service & ~state_.mask);
  const u32 input = (state_.lowest + 1 + asked) & 7;
  const u32 served = rank(service);
  if (asked < served) return input;
  // Special fully nested mode (8259A data sheet): at the master a slave in service does not lock itself out. The slave
  // has compared already: it asks for higher inputs only. The master's own lower ones wait as ever.
  if (asked == served && state_.special_fully_nested && !state_.single && input == cascade_) return input;
  return std::nullopt;
}

void I8259::acknowledge(u32 input) {
  const u8 mask = static_cast<u8>(1u << input);
  if (!state_.auto_eoi) {
    state_.in_service |= mask;
  } else {
    ended_ |= mask;
    if (state_.rotate_on_auto_eoi) state_.lowest = static_cast<u8>(input);
  }
  if ((state_.level_triggered & mask) == 0) state_.requests = static_cast<u8>(state_.requests & ~mask);
}

u8 I8259::poll() {
  state_.poll = false;
  const auto input = pending();
  if (!input) return 0;
  acknowledge(*input);
  return static_cast<u8>(0x80 | *input);
}

u8 I8259::read_command() {
  if (state_.poll) return poll();
  return state_.read_in_service ? state_.in_service : state_.requests;
}

u8 I8259::read_mask() {
  if (state_.poll) return poll();
  return state_.mask;
}

void I8259::end_of_interrupt(u32 input, bool rotate) {
  const u8 mask = static_cast<u8>(1u << input);
  ended_ |= state_.in_service & mask;
  state_.in_service = static_cast<u8>(state_.in_service & ~mask);
  if (rotate) state_.lowest = static_cast<u8>(input);
}

void I8259::write_command(u8 value) {
  if (bit(value, 4)) {
    // ICW1. The edge sense circuit forgets; level-triggered inputs ask on.
    ended_ |= state_.in_service;
    ChipState fresh;
    fresh.levels = state_.levels;
    fresh.level_triggered = state_.level_triggered;
    fresh.requests = static_cast<u8>(state_.levels & state_.level_triggered);
    fresh.vector_base = state_.vector_base;
    fresh.init_state = 1;
    fresh.needs_icw4 = bit(value, 0);
    fresh.single = bit(value, 1);
    state_ = fresh;
    return;
  }
  if (bit(value, 3)) {
    // OCW3.
    if (bit(value, 1)) state_.read_in_service = bit(value, 0);
    if (bit(value, 6)) state_.special_mask = bit(value, 5);
    state_.poll = bit(value, 2);
    return;
  }
  // OCW2: rotate, specific, EOI.
  const u32 input = value & 7u;
  switch (value >> 5) {
    case 0:
    case 4:
      state_.rotate_on_auto_eoi = bit(value, 7);
      break;
    case 1:
    case 5: {
      u8 service = state_.in_service;
      if (state_.special_mask) service = static_cast<u8>(service & ~state_.mask);
      if (const u32 first = rank(service); first != 8) end_of_interrupt((state_.lowest + 1 + first) & 7, bit(value, 7));
      break;
    }
    case 3:
    case 7:
      end_of_interrupt(input, bit(value, 7));
      break;
    case 6:
      state_.lowest = static_cast<u8>(input);
      break;
    default:
      break;
  }
}

void I8259::write_mask(u8 value) {
  switch (state_.init_state) {
    case 1:
      state_.vector_base = value & 0xf8;
      state_.init_state = state_.single ? (state_.needs_icw4 ? 3 : 0) : 2;
      break;
    case 2:
      // ICW3: the board's wiring is fixed.
      state_.init_state = state_.needs_icw4 ? 3 : 0;
      break;
    case 3:
      state_.special_fully_nested = bit(value, 4);
      state_.auto_eoi = bit(value, 1);
      state_.init_state = 0;
      break;
    default:
      state_.mask = value;
      break;
  }
}

}  // namespace solder::models::pic
