#include "host/chardev_thread.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>

#include "base/check.h"
#include "host/service_thread.h"

namespace solder::host {

ThreadedCharDevice::ThreadedCharDevice() : wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

ThreadedCharDevice::~ThreadedCharDevice() {
  SOLDER_CHECK(!thread_.joinable(), "the derived backend stops its thread before its members go");
}

Status ThreadedCharDevice::start_reading() {
  if (!wake_) return fail("console", std::string("no eventfd: ") + std::strerror(errno));
  thread_ = SOLDER_TRY(start_service_thread("console", [this] { loop(); }));
  return {};
}

void ThreadedCharDevice::stop_reading() {
  if (!thread_.joinable()) return;
  stopping_ = true;
  wake();
  thread_.join();
}

void ThreadedCharDevice::wake() {
  const u64 one = 1;
  // It can only fail when the counter is full, and then the thread wakes anyway.
  [[maybe_unused]] const ssize_t written = ::write(wake_.get(), &one, sizeof one);
}

void ThreadedCharDevice::set_receiver(Receiver receiver) {
  {
    const std::lock_guard guard(receiver_mutex_);
    receiver_ = std::move(receiver);
  }
  wake();
}

void ThreadedCharDevice::ready() {
  wake();
}

void ThreadedCharDevice::loop() {
  std::array<u8, 4096> buffer;
  std::span<const u8> pending;
  while (!stopping_) {
    if (!pending.empty()) {
      const std::lock_guard guard(receiver_mutex_);
      // Who comes later still gets what was typed before.
      if (receiver_) pending = pending.subspan(receiver_(pending));
    }
    // Input that found no room keeps more from being read: the host's buffers then hold it back.
    const int input = pending.empty() ? input_descriptor() : -1;
    std::array<pollfd, 2> fds{pollfd{.fd = wake_.get(), .events = POLLIN, .revents = 0},
                              pollfd{.fd = input, .events = POLLIN, .revents = 0}};
    if (::poll(fds.data(), fds.size(), -1) < 0) {
      if (errno == EINTR) continue;
      return;
    }
    if ((fds[0].revents & POLLIN) != 0) {
      u64 count = 0;
      [[maybe_unused]] const ssize_t drained = ::read(wake_.get(), &count, sizeof count);
    }
    if (input >= 0 && fds[1].revents != 0) pending = std::span<const u8>(buffer).first(take_input(buffer));
  }
}

void PatientWriter::write(int fd, std::span<const u8> bytes, bool socket, int patience_ms) {
  while (!bytes.empty()) {
    const ssize_t n = socket ? ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT)
                             : ::write(fd, bytes.data(), bytes.size());
    if (n > 0) {
      congested_ = false;
      bytes = bytes.subspan(static_cast<usize>(n));
      continue;
    }
    if (n < 0 && errno == EINTR) continue;
    if (n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK)) return;
    // Once it was too slow, every byte would wait: drop until there is room.
    if (congested_) return;
    pollfd out{.fd = fd, .events = POLLOUT, .revents = 0};
    if (::poll(&out, 1, patience_ms) == 0) {
      congested_ = true;
      return;
    }
  }
}

}  // namespace solder::host
