#include <unistd.h>

#include <cerrno>
#include <mutex>

#include "host/chardev_terminal.h"
#include "host/chardev_thread.h"

namespace solder::host {
namespace {

constexpr u8 kEscape = 0x01;  // Ctrl-A
constexpr std::string_view kHelp =
    "\r\nCtrl-A x  leave\r\nCtrl-A a  send Ctrl-A (so does Ctrl-A Ctrl-A)\r\nCtrl-A h  this help\r\n";

/// Standard input and output. On a terminal: raw mode and the Ctrl-A keys; a pipe's bytes pass as they are.
class StdioCharDevice final : public ThreadedCharDevice {
 public:
  explicit StdioCharDevice(ConsoleKeys keys) : keys_(std::move(keys)), terminal_(::isatty(STDIN_FILENO) == 1) {}
  ~StdioCharDevice() override {
    stop_reading();
    if (raw_) leave_raw_mode();
  }

  Status open() {
    if (terminal_) {
      SOLDER_TRY_STATUS(enter_raw_mode(STDIN_FILENO));
      raw_ = true;
    }
    return start_reading();
  }

  void write(std::span<const u8> bytes) override {
    const std::lock_guard guard(output_mutex_);
    writer_.write(STDOUT_FILENO, bytes, false, -1);
  }
  [[nodiscard]] std::string describe() const override { return "stdio"; }

 protected:
  int input_descriptor() override { return ended_ ? -1 : STDIN_FILENO; }

  usize take_input(std::span<u8> buffer) override {
    const ssize_t n = ::read(STDIN_FILENO, buffer.data(), buffer.size());
    if (n <= 0) {
      // The end of a pipe, a closed descriptor, a terminal that hung up: the guest runs on without input.
      if (n == 0 || (errno != EINTR && errno != EAGAIN)) ended_ = true;
      return 0;
    }
    const usize size = static_cast<usize>(n);
    return terminal_ ? filter_keys(buffer.first(size)) : size;
  }

 private:
  /// Takes Ctrl-A sequences out, in place; returns how much is left.
  usize filter_keys(std::span<u8> bytes) {
    usize kept = 0;
    for (const u8 byte : bytes) {
      if (!escaped_) {
        if (byte == kEscape) {
          escaped_ = true;
        } else {
          bytes[kept++] = byte;
        }
        continue;
      }
      escaped_ = false;
      switch (byte) {
        case 'x':
        case 'X':
          if (keys_.quit) keys_.quit();
          break;
        case 'a':
        case kEscape:
          bytes[kept++] = kEscape;
          break;
        case 'h':
        case '?':
          write(std::span(reinterpret_cast<const u8*>(kHelp.data()), kHelp.size()));
          break;
        default:
          break;  // not a key of ours: swallowed, as the sequence was meant for us
      }
    }
    return kept;
  }

  ConsoleKeys keys_;
  bool terminal_;
  bool raw_ = false;  ///< by this backend
  bool ended_ = false;
  bool escaped_ = false;
  std::mutex output_mutex_;
  PatientWriter writer_;
};

}  // namespace

Result<std::unique_ptr<CharDevice>> open_stdio(ConsoleKeys keys) {
  auto device = std::make_unique<StdioCharDevice>(std::move(keys));
  SOLDER_TRY_STATUS(device->open());
  return device;
}

}  // namespace solder::host
