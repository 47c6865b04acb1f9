/// Character backends: where a console's bytes go on the host.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>

#include "base/result.h"
#include "base/types.h"

namespace solder::host {

/// A host byte stream. Input arrives on the backend's own thread through `receiver`; output never blocks for long.
class CharDevice {
 public:
  virtual ~CharDevice() = default;
  /// Sends bytes to the host. Any thread. Bytes that cannot go anywhere (nobody connected) are dropped.
  virtual void write(std::span<const u8> bytes) = 0;
  /// Who takes input: returns how many bytes were taken. The rest is offered again after `ready`.
  using Receiver = std::function<usize(std::span<const u8>)>;
  virtual void set_receiver(Receiver receiver) = 0;
  /// The model has room again.
  virtual void ready() = 0;
  /// For people: "stdio", "pty /dev/pts/4".
  [[nodiscard]] virtual std::string describe() const = 0;
};

/// What Ctrl-A sequences on stdio do; the machine fills this in.
struct ConsoleKeys {
  std::function<void()> quit;  ///< Ctrl-A x
};

/// Opens a backend from the text after `--console`: "stdio", "file=PATH", "pty", "unix=PATH", "null".
/// stdio puts a terminal into raw mode and restores it on every way out, signals included.
[[nodiscard]] Result<std::unique_ptr<CharDevice>> open_chardev(const std::string& text, ConsoleKeys keys);

}  // namespace solder::host
