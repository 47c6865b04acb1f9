/// One i8259A interrupt controller (Intel 231468): priorities, initialisation words, commands.
#pragma once

#include <optional>
#include <utility>

#include "models/pic/pic_state.h"

namespace solder::models::pic {

/// What the chip's registers do. The pair is pic.cpp's.
class I8259 {
 public:
  /// `cascade`: the input that a slave is on, of a master (SP high).
  explicit I8259(ChipState& state, std::optional<u32> cascade = std::nullopt) : state_(state), cascade_(cascade) {}

  void reset();
  void set_level(u32 input, bool level);
  /// The cascade input's request: the slave has something.
  void request(u32 input) { state_.requests |= static_cast<u8>(1u << input); }
  void write_level_triggered(u8 value);

  /// The input that INT is raised for.
  [[nodiscard]] std::optional<u32> pending() const;
  /// What an INTA cycle (or a poll) does to the request of `input`.
  void acknowledge(u32 input);

  /// The inputs whose interrupt has ended since the last call: by EOI, by an automatic one, by a new initialisation.
  [[nodiscard]] u8 take_ended() { return std::exchange(ended_, u8{0}); }

  [[nodiscard]] u8 read_command();
  [[nodiscard]] u8 read_mask();
  void write_command(u8 value);
  void write_mask(u8 value);

 private:
  /// How many inputs come before the first of `set` in priority; 8 when it is empty.
  [[nodiscard]] u32 rank(u8 set) const;
  [[nodiscard]] u8 poll();
  void end_of_interrupt(u32 input, bool rotate);

  ChipState& state_;
  const std::optional<u32> cascade_;
  u8 ended_ = 0;
};

}  // namespace solder::models::pic
