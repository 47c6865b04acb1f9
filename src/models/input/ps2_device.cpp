#include "models/input/ps2_device.h"

namespace solder::models::input {

namespace {

constexpr u8 kResend = 0xfe;
constexpr u8 kSelfTestPassed = 0xaa;

}  // namespace

void Ps2Device::set_defaults() {
  enabled_ = kind_ == Kind::keyboard;
  leds_ = 0;
  scan_set_ = 2;
  rate_ = kind_ == Kind::keyboard ? 0x2b : 100;
  resolution_ = 2;
  scaling_ = remote_ = wrap_ = false;
}

void Ps2Device::reset() {
  pending_ = last_ = 0;
  out.clear();
  set_defaults();
}

void Ps2Device::receive(u8 byte) {
  if (pending_ != 0) {
    const u8 command = pending_;
    pending_ = 0;
    return argument(command, byte);
  }
  // Wrap mode returns everything but its end and the reset.
  if (wrap_ && byte != 0xec && byte != 0xff) return answer(byte);
  switch (byte) {
    case 0xff:
      reset();
      acknowledge();
      answer(kSelfTestPassed);
      if (kind_ == Kind::mouse) answer(0x00);
      return;
    case kResend:
      return out.push(last_);
    case 0xf6:
      acknowledge();
      return set_defaults();
    case 0xf5:
    case 0xf4:
      acknowledge();
      enabled_ = byte == 0xf4;
      return;
    case 0xf3:
      acknowledge();
      pending_ = byte;
      return;
    default:
      return kind_ == Kind::keyboard ? keyboard_command(byte) : mouse_command(byte);
  }
}

void Ps2Device::keyboard_command(u8 command) {
  switch (command) {
    case 0xee:  // echo
      return answer(0xee);
    case 0xf2:  // an MF2 keyboard
      acknowledge();
      answer(0xab);
      return answer(0x83);
    case 0xed:
    case 0xf0:
      acknowledge();
      pending_ = command;
      return;
    // Key types of scan code set 3.
    case 0xf7:
    case 0xf8:
    case 0xf9:
    case 0xfa:
      return acknowledge();
    default:
      return answer(kResend);
  }
}

void Ps2Device::mouse_command(u8 command) {
  switch (command) {
    case 0xf2:  // a mouse without wheel
      acknowledge();
      return answer(0x00);
    case 0xe8:
      acknowledge();
      pending_ = command;
      return;
    case 0xe6:
    case 0xe7:
      acknowledge();
      scaling_ = command == 0xe7;
      return;
    case 0xea:
    case 0xf0:
      acknowledge();
      remote_ = command == 0xf0;
      return;
    case 0xec:
    case 0xee:
      acknowledge();
      wrap_ = command == 0xee;
      return;
    case 0xe9:  // status
      acknowledge();
      answer(static_cast<u8>((remote_ ? 0x40 : 0) | (enabled_ ? 0x20 : 0) | (scaling_ ? 0x10 : 0)));
      answer(resolution_);
      return answer(rate_);
    case 0xeb:  // data: no button, no movement
      acknowledge();
      answer(0x08);
      answer(0x00);
      return answer(0x00);
    default:
      return answer(kResend);
  }
}

void Ps2Device::argument(u8 command, u8 value) {
  switch (command) {
    case 0xed:
      leds_ = value & 7;
      return acknowledge();
    case 0xf0:
      if (value > 3) return answer(kResend);
      acknowledge();
      if (value == 0) return answer(scan_set_);
      scan_set_ = value;
      return;
    case 0xe8:
      if (value > 3) return answer(kResend);
      resolution_ = value;
      return acknowledge();
    default:
      rate_ = value;
      return acknowledge();
  }
}

}  // namespace solder::models::input
