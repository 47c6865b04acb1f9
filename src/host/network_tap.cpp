/// A tap interface of the host.
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <thread>
#include <vector>

#include "base/unique_fd.h"
#include "host/network_backends.h"

namespace solder::host {

namespace {

class Tap final : public Network {
 public:
  Tap(std::string interface, UniqueFd fd)
      : interface_(std::move(interface)), fd_(std::move(fd)), wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    thread_ = std::thread([this] { run(); });
  }
  ~Tap() override {
    stopping_ = true;
    poke();
    thread_.join();
  }
  void send(std::span<const u8> frame) override {
    // A full queue drops the frame, as a wire would.
    [[maybe_unused]] const auto n = ::write(fd_.get(), frame.data(), frame.size());
  }
  void set_receiver(Receiver receiver) override {
    const std::lock_guard guard(mutex_);
    receiver_ = std::move(receiver);
  }
  void ready() override {
    if (waiting_) poke();
  }
  std::string describe() const override { return "tap " + interface_; }

 private:
  void poke() const {
    const u64 one = 1;
    [[maybe_unused]] const auto n = ::write(wake_.get(), &one, sizeof one);
  }
  bool offer(std::span<const u8> frame) {
    const std::lock_guard guard(mutex_);
    return !receiver_ || receiver_(frame);
  }
  void run() {
    std::vector<u8> frame(65536);
    usize held = 0;  // bytes of a frame that the guest had no buffer for
    while (!stopping_) {
      // While a frame waits, the interface's own queue holds back the others.
      pollfd fds[2] = {{wake_.get(), POLLIN, 0}, {fd_.get(), static_cast<short>(held == 0 ? POLLIN : 0), 0}};
      ::poll(fds, 2, -1);
      u64 count = 0;
      [[maybe_unused]] const auto n = ::read(wake_.get(), &count, sizeof count);
      for (;;) {
        if (held == 0) {
          const ssize_t size = ::read(fd_.get(), frame.data(), frame.size());
          if (size <= 0) break;
          held = static_cast<usize>(size);
        }
        if (!offer({frame.data(), held})) {
          waiting_ = true;
          // A buffer may have come between the refusal and the flag.
          if (!offer({frame.data(), held})) break;
        }
        waiting_ = false;
        held = 0;
      }
    }
  }

  std::string interface_;
  UniqueFd fd_;
  UniqueFd wake_;
  std::mutex mutex_;
  Receiver receiver_;
  std::atomic<bool> waiting_{false};
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace

Result<std::unique_ptr<Network>> open_tap(const std::string& interface) {
  const std::string where = "--net tap=" + interface;
  if (interface.empty() || interface.size() >= IFNAMSIZ) {
    return fail(where, "an interface name has 1 to 15 characters", "use the name that `ip tuntap list` shows");
  }
  UniqueFd fd(::open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK));
  if (!fd) return fail(where, std::string("/dev/net/tun cannot be opened: ") + std::strerror(errno));
  ifreq request{};
  std::memcpy(request.ifr_name, interface.data(), interface.size());
  request.ifr_flags = IFF_TAP | IFF_NO_PI;
  if (::ioctl(fd.get(), TUNSETIFF, &request) != 0) {
    return fail(where, std::string("the interface cannot be used: ") + std::strerror(errno),
                "create it for your user: ip tuntap add " + interface + " mode tap user $USER");
  }
  return std::make_unique<Tap>(interface, std::move(fd));
}

}  // namespace solder::host
