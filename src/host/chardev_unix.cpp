#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>

#include "host/chardev_thread.h"

namespace solder::host {
namespace {

// A client that does not read is given this long once, then loses output.
constexpr int kPatienceMs = 100;

/// A listening socket with one client at a time; when it goes the next one may come.
class UnixCharDevice final : public ThreadedCharDevice {
 public:
  UnixCharDevice(UniqueFd listener, std::string path) : listener_(std::move(listener)), path_(std::move(path)) {}
  ~UnixCharDevice() override {
    stop_reading();
    ::unlink(path_.c_str());
  }

  using ThreadedCharDevice::start_reading;

  void write(std::span<const u8> bytes) override {
    const std::lock_guard guard(client_mutex_);
    if (client_) writer_.write(client_.get(), bytes, true, kPatienceMs);
  }
  [[nodiscard]] std::string describe() const override { return "unix " + path_; }

 protected:
  int input_descriptor() override { return client_ ? client_.get() : listener_.get(); }

  // Only this thread changes client_, so it may look at it without the mutex.
  usize take_input(std::span<u8> buffer) override {
    if (!client_) {
      UniqueFd connection(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      const std::lock_guard guard(client_mutex_);
      client_ = std::move(connection);
      writer_ = {};
      return 0;
    }
    const ssize_t n = ::recv(client_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (n > 0) return static_cast<usize>(n);
    if (n == 0 || (errno != EINTR && errno != EAGAIN)) {
      const std::lock_guard guard(client_mutex_);
      client_.reset();
    }
    return 0;
  }

 private:
  UniqueFd listener_;
  std::string path_;
  std::mutex client_mutex_;
  UniqueFd client_;
  PatientWriter writer_;
};

/// Whether `address` is a socket file that nobody listens on any more.
bool is_stale(const sockaddr_un& address) {
  struct stat info {};
  if (::lstat(address.sun_path, &info) != 0 || !S_ISSOCK(info.st_mode)) return false;
  const UniqueFd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  return probe && ::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 &&
         errno == ECONNREFUSED;
}

}  // namespace

Result<std::unique_ptr<CharDevice>> open_unix(const std::string& path) {
  const std::string where = "--console unix=" + path;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    return fail(where, "the path is too long for a socket", "use one of at most 107 characters");
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  UniqueFd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!listener) return fail(where, std::string("cannot make a socket: ") + std::strerror(errno));
  if (is_stale(address)) ::unlink(address.sun_path);
  if (::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return fail(where, std::string("cannot listen there: ") + std::strerror(errno),
                errno == EADDRINUSE ? "another program has it, or it is a file: choose another path" : "");
  }
  if (::listen(listener.get(), 1) != 0) return fail(where, std::string("cannot listen: ") + std::strerror(errno));
  auto device = std::make_unique<UnixCharDevice>(std::move(listener), path);
  SOLDER_TRY_STATUS(device->start_reading());
  return device;
}

}  // namespace solder::host
