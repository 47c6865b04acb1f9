// The PC's keyboard controller: Intel 8042 with the PC AT's and PS/2's firmware (IBM PS/2 technical reference,
// "Keyboard and auxiliary device controller"). It resets the machine, and a keyboard and a mouse answer behind it, so
// that probes end at once. There is no input yet: it comes with displays. The A20 gate is kept as a bit and masks
// nothing: addresses never wrap at 1 MiB.
#include "device/registry.h"
#include "models/input/ps2_device.h"

namespace solder::models::input {
namespace {

// Status, port 0x64.
constexpr u8 kOutputFull = 1U << 0;
constexpr u8 kSystemFlag = 1U << 2;
constexpr u8 kCommandLast = 1U << 3;
constexpr u8 kUnlocked = 1U << 4;
constexpr u8 kFromMouse = 1U << 5;

// Command byte.
constexpr u8 kKeyboardInterrupt = 1U << 0;
constexpr u8 kMouseInterrupt = 1U << 1;
constexpr u8 kKeyboardDisabled = 1U << 4;
constexpr u8 kMouseDisabled = 1U << 5;
constexpr u8 kTranslate = 1U << 6;

// Output port.
constexpr u8 kNoReset = 1U << 0;
constexpr u8 kA20 = 1U << 1;

/// Who the byte in the output buffer comes from.
enum class Source : u8 { none, controller, keyboard, mouse };

class I8042 final : public device::Device {
 public:
  explicit I8042(device::Ports& ports)
      : ports_(ports), keyboard_wire_(ports.level_wire(0)), mouse_wire_(ports.level_wire(1)) {
    ports.window(0, 1).add({.name = "DATA",
                            .offset = 0,
                            .width = 1,
                            .stride = 1,
                            .read = [this](u32) -> u64 { return read_data(); },
                            .write = [this](u32, u64 value) { write_data(static_cast<u8>(value)); }});
    ports.window(1, 1).add({.name = "STATUS/COMMAND",
                            .offset = 0,
                            .width = 1,
                            .stride = 1,
                            .read = [this](u32) -> u64 { return status(); },
                            .write = [this](u32, u64 value) { command(static_cast<u8>(value)); }});
    reset();
  }

  void reset() override {
    keyboard_.reset();
    mouse_.reset();
    answers_.clear();
    memory_ = {};
    memory_[0] = kKeyboardInterrupt | kMouseInterrupt | kTranslate | kSystemFlag;
    output_port_ = kNoReset | kA20;
    source_ = Source::none;
    data_ = pending_ = 0;
    command_last_ = false;
    update();
  }

  void state(device::Archive& archive) override {
    archive("keyboard", keyboard_)("mouse", mouse_)("answers", answers_)("memory", memory_)(
        "output_port", output_port_)("source", source_)("data", data_)("pending", pending_)("command_last",
                                                                                            command_last_);
    if (archive.mode() == device::Archive::Mode::load) show();
  }

 private:
  [[nodiscard]] u8 status() const {
    return static_cast<u8>((source_ != Source::none ? kOutputFull : 0) | (memory_[0] & kSystemFlag) |
                           (command_last_ ? kCommandLast : 0) | kUnlocked |
                           (source_ == Source::mouse ? kFromMouse : 0));
  }

  u8 read_data() {
    // An empty buffer keeps its last byte.
    const u8 value = data_;
    source_ = Source::none;
    update();
    return value;
  }

  void write_data(u8 value) {
    command_last_ = false;
    const u8 command = pending_;
    pending_ = 0;
    if (command >= 0x60 && command <= 0x7f) {
      memory_[command & 0x1f] = value;
    } else if (command == 0xd1) {
      set_output_port(value);
    } else if (command == 0xd2 || command == 0xd3) {
      // As if the keyboard, or the mouse, had sent it.
      put(value, command == 0xd3);
    } else if (command == 0xd4) {
      mouse_.receive(value);
    } else {
      // A byte for the keyboard switches its interface on.
      memory_[0] &= static_cast<u8>(~kKeyboardDisabled);
      keyboard_.receive(value);
    }
    update();
  }

  void command(u8 value) {
    command_last_ = true;
    pending_ = 0;
    if (value >= 0x20 && value <= 0x3f) {
      put(memory_[value & 0x1f], false);
    } else if (value >= 0xf0) {
      // Pulses the output port's low four bits that are 0 in the command; bit 0 is the reset.
      if ((value & kNoReset) == 0) ports_.control().request_reset();
    } else {
      switch (value) {
        case 0xa7:
          memory_[0] |= kMouseDisabled;
          break;
        case 0xa8:
          memory_[0] &= static_cast<u8>(~kMouseDisabled);
          break;
        case 0xa9:  // the mouse's interface has no fault
        case 0xab:  // nor the keyboard's
          put(0x00, false);
          break;
        case 0xaa:
          memory_[0] |= kSystemFlag;
          put(0x55, false);
          break;
        case 0xad:
          memory_[0] |= kKeyboardDisabled;
          break;
        case 0xae:
          memory_[0] &= static_cast<u8>(~kKeyboardDisabled);
          break;
        case 0xc0:  // input port: not locked, a colour display
          put(0x80, false);
          break;
        case 0xd0:
          put(static_cast<u8>(output_port_ | (source_ == Source::none    ? 0
                                              : source_ == Source::mouse ? 0x20
                                                                         : 0x10)),
              false);
          break;
        case 0xdd:
          output_port_ &= static_cast<u8>(~kA20);
          break;
        case 0xdf:
          output_port_ |= kA20;
          break;
        default:
          if ((value >= 0x60 && value <= 0x7f) || (value >= 0xd1 && value <= 0xd4)) pending_ = value;
      }
    }
    update();
  }

  void set_output_port(u8 value) {
    output_port_ = value & (kNoReset | kA20);
    if ((value & kNoReset) == 0) {
      // The machine starts again; until then the line is not low.
      output_port_ |= kNoReset;
      ports_.control().request_reset();
    }
  }

  /// An answer of the controller itself, marked as the mouse's after command 0xd3.
  void put(u8 value, bool as_mouse) {
    answers_.push(value);
    answers_.push(as_mouse ? 1 : 0);
  }

  /// Fills the output buffer when it is empty: the controller's answers first, then the devices'.
  void update() {
    if (source_ == Source::none) {
      // The wires fall between two bytes: each is an interrupt.
      show();
      if (const auto byte = answers_.pop()) {
        data_ = *byte;
        source_ = answers_.pop().value_or(0) != 0 ? Source::mouse : Source::controller;
      } else if (!keyboard_.out.empty() && (memory_[0] & kKeyboardDisabled) == 0) {
        data_ = *keyboard_.out.pop();
        source_ = Source::keyboard;
      } else if (!mouse_.out.empty() && (memory_[0] & kMouseDisabled) == 0) {
        data_ = *mouse_.out.pop();
        source_ = Source::mouse;
      }
    }
    show();
  }

  void show() {
    const bool keyboard = source_ == Source::keyboard || source_ == Source::controller;
    keyboard_wire_.set(keyboard && (memory_[0] & kKeyboardInterrupt) != 0);
    mouse_wire_.set(source_ == Source::mouse && (memory_[0] & kMouseInterrupt) != 0);
  }

  device::Ports& ports_;
  interrupt::LevelWire& keyboard_wire_;
  interrupt::LevelWire& mouse_wire_;
  Ps2Device keyboard_{Ps2Device::Kind::keyboard};
  Ps2Device mouse_{Ps2Device::Kind::mouse};
  AnswerQueue answers_;          ///< pairs: the byte, and whether it counts as the mouse's
  std::array<u8, 32> memory_{};  ///< the first byte is the command byte
  u8 output_port_ = 0;
  Source source_ = Source::none;
  u8 data_ = 0;
  u8 pending_ = 0;  ///< the command that waits for a byte at port 0x60; 0: none
  bool command_last_ = false;
};

const device::Registration kI8042{"intel,i8042", device::make<I8042>,
                                  "PC keyboard controller (Intel 8042, IBM PS/2 technical reference)", false,
                                  "PNP0303 PNP0F13"};

}  // namespace
}  // namespace solder::models::input
