/// What sits at the other end of a PS/2 cable: a keyboard or a mouse that answers commands (IBM PS/2 technical
/// reference, "Keyboard" and "Mouse"). Nothing moves or presses them yet.
#pragma once

#include <array>
#include <optional>

#include "base/types.h"
#include "device/archive.h"

namespace solder::models::input {

/// Answers that wait for the controller. Bytes that find no room are lost, as in a keyboard's own buffer.
class AnswerQueue {
 public:
  void push(u8 byte) {
    if (size_ == bytes_.size()) return;
    bytes_[(first_ + size_++) % bytes_.size()] = byte;
  }
  [[nodiscard]] std::optional<u8> pop() {
    if (size_ == 0) return std::nullopt;
    const u8 byte = bytes_[first_];
    first_ = static_cast<u8>((first_ + 1) % bytes_.size());
    --size_;
    return byte;
  }
  void clear() { size_ = 0; }
  [[nodiscard]] bool empty() const { return size_ == 0; }
  void state(device::Archive& archive) {
    archive("bytes", bytes_)("first", first_)("size", size_);
    first_ = static_cast<u8>(first_ % bytes_.size());
    if (size_ > bytes_.size()) size_ = static_cast<u8>(bytes_.size());
  }

 private:
  std::array<u8, 16> bytes_{};
  u8 first_ = 0;
  u8 size_ = 0;
};

/// A device's own state. Its answers go into `out`.
class Ps2Device {
 public:
  enum class Kind : u8 { keyboard, mouse };
  explicit Ps2Device(Kind kind) : kind_(kind) { set_defaults(); }

  void reset();
  /// A byte from the host.
  void receive(u8 byte);
  void state(device::Archive& archive) {
    archive("pending", pending_)("last", last_)("enabled", enabled_)("leds", leds_)("scan_set", scan_set_)(
        "rate", rate_)("resolution", resolution_)("scaling", scaling_)("remote", remote_)("wrap", wrap_)("out", out);
  }

  AnswerQueue out;

 private:
  void answer(u8 byte) {
    last_ = byte;
    out.push(byte);
  }
  void acknowledge() { answer(0xfa); }
  void set_defaults();
  void argument(u8 command, u8 value);
  void keyboard_command(u8 command);
  void mouse_command(u8 command);

  Kind kind_;
  u8 pending_ = 0;  ///< the command that waits for its argument; 0: none
  u8 last_ = 0;     ///< for "resend"
  bool enabled_ = false;
  u8 leds_ = 0;
  u8 scan_set_ = 2;
  u8 rate_ = 0;        ///< keyboard: typematic; mouse: samples a second
  u8 resolution_ = 2;  ///< mouse: log2 of counts per millimetre
  bool scaling_ = false;
  bool remote_ = false;
  bool wrap_ = false;
};

}  // namespace solder::models::input
