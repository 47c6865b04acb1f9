/// What the character backends share: the thread that reads, input that waits for room, output that does not block.
#pragma once

#include <atomic>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "base/unique_fd.h"
#include "host/chardev.h"

namespace solder::host {

/// A backend whose input comes from a descriptor. The derived class starts the thread when it is complete and stops it
/// first thing in its destructor.
class ThreadedCharDevice : public CharDevice {
 public:
  ~ThreadedCharDevice() override;
  void set_receiver(Receiver receiver) final;
  void ready() final;

 protected:
  ThreadedCharDevice();
  /// Errors: the host has no more threads or descriptors.
  Status start_reading();
  void stop_reading();

  /// The descriptor to wait for, or -1 when no input can come. Reading thread.
  virtual int input_descriptor() = 0;
  /// It is readable or hung up: reads into `buffer`, returns how many bytes are input; 0 for an event without input
  /// (a connection, its end). Reading thread.
  virtual usize take_input(std::span<u8> buffer) = 0;

 private:
  void loop();
  void wake();

  UniqueFd wake_;
  std::mutex receiver_mutex_;  // held while the receiver runs, so that set_receiver({}) means it is over
  Receiver receiver_;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

/// Writes to a descriptor whose other side may be slow or gone: waits a little once, then drops until there is room.
class PatientWriter {
 public:
  /// `socket`: use send without SIGPIPE. `patience_ms` < 0: wait as long as it takes.
  void write(int fd, std::span<const u8> bytes, bool socket, int patience_ms);

 private:
  bool congested_ = false;
};

/// The backends, each from its own file.
[[nodiscard]] Result<std::unique_ptr<CharDevice>> open_stdio(ConsoleKeys keys);
[[nodiscard]] Result<std::unique_ptr<CharDevice>> open_pty();
[[nodiscard]] Result<std::unique_ptr<CharDevice>> open_unix(const std::string& path);

}  // namespace solder::host
