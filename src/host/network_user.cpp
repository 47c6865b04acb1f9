/// User networking on libslirp. Slirp is not thread-safe: only this backend's thread calls it; frames and wishes of
/// other threads wait in a queue.
#include <arpa/inet.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <deque>
#include <list>
#include <mutex>
#include <thread>
#include <vector>

#include "base/unique_fd.h"
#include "host/network_backends.h"
#include "host/slirp_library.h"

namespace solder::host {

namespace {

// Frames waiting for the guest; beyond that they are dropped, as a switch would.
constexpr usize kMostBacklog = 1024;

i64 now_ns() {
  timespec ts{};
  ::clock_gettime(CLOCK_MONOTONIC, &ts);
  return i64{ts.tv_sec} * 1'000'000'000 + ts.tv_nsec;
}

in_addr address(const char* text) {
  in_addr a{};
  ::inet_pton(AF_INET, text, &a);
  return a;
}

/// One of slirp's timers.
struct SlirpTimer {
  SlirpTimerCb callback;
  void* opaque;
  i64 deadline_ms = -1;
};

class UserNetwork final : public Network {
 public:
  Status start(std::span<const PortForward> forwards) {
    library_ = SOLDER_TRY(SlirpLibrary::load());
    wake_ = UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    SlirpConfig config{};
    config.version = 1;
    config.in_enabled = true;
    config.vnetwork = address("10.0.2.0");
    config.vnetmask = address("255.255.255.0");
    config.vhost = address("10.0.2.2");
    config.vdhcp_start = address("10.0.2.15");
    config.vnameserver = address("10.0.2.3");
    config.in6_enabled = true;
    ::inet_pton(AF_INET6, "fec0::", &config.vprefix_addr6);
    config.vprefix_len = 64;
    ::inet_pton(AF_INET6, "fec0::2", &config.vhost6);
    ::inet_pton(AF_INET6, "fec0::3", &config.vnameserver6);
    slirp_ = library_.create(&config, &callbacks(), this);
    if (slirp_ == nullptr) return fail("--net user", "libslirp cannot start");
    for (const PortForward& f : forwards) {
      if (library_.add_hostfwd(slirp_, f.udp ? 1 : 0, address("127.0.0.1"), f.host_port, address("10.0.2.15"),
                               f.guest_port) != 0) {
        return fail(
            "--net user",
            "port " + std::to_string(f.host_port) + " of this host cannot be forwarded: " + std::strerror(errno),
            "choose a free port above 1023");
      }
    }
    forwards_ = forwards.size();
    thread_ = std::thread([this] { run(); });
    return {};
  }

  ~UserNetwork() override {
    stopping_ = true;
    poke();
    if (thread_.joinable()) thread_.join();
    if (slirp_ != nullptr) library_.cleanup(slirp_);
  }

  void send(std::span<const u8> frame) override {
    {
      const std::lock_guard guard(mutex_);
      if (outgoing_.size() >= kMostBacklog) return;
      outgoing_.emplace_back(frame.begin(), frame.end());
    }
    poke();
  }
  void set_receiver(Receiver receiver) override {
    const std::lock_guard guard(receiver_mutex_);
    receiver_ = std::move(receiver);
  }
  void ready() override {
    // Called on every receive notification: only worth a wake-up when something waits.
    if (waiting_) poke();
  }
  std::string describe() const override {
    return "user network" + (forwards_ > 0 ? ", " + std::to_string(forwards_) + " forwarded ports" : std::string());
  }

 private:
  static const SlirpCb& callbacks() {
    static const SlirpCb table = [] {
      SlirpCb cb{};
      cb.send_packet = [](const void* data, size_t size, void* self) -> ssize_t {
        static_cast<UserNetwork*>(self)->deliver({static_cast<const u8*>(data), size});
        return static_cast<ssize_t>(size);
      };
      cb.guest_error = [](const char*, void*) {};
      cb.clock_get_ns = [](void*) -> int64_t { return now_ns(); };
      cb.timer_new = [](SlirpTimerCb callback, void* opaque, void* self) -> void* {
        auto& timers = static_cast<UserNetwork*>(self)->timers_;
        timers.push_back({callback, opaque});
        return &timers.back();
      };
      cb.timer_free = [](void* timer, void* self) {
        static_cast<UserNetwork*>(self)->timers_.remove_if([timer](const SlirpTimer& t) { return &t == timer; });
      };
      cb.timer_mod = [](void* timer, int64_t expire_ms, void*) {
        static_cast<SlirpTimer*>(timer)->deadline_ms = expire_ms;
      };
      cb.register_poll_fd = [](int, void*) {};
      cb.unregister_poll_fd = [](int, void*) {};
      cb.notify = [](void* self) { static_cast<UserNetwork*>(self)->poke(); };
      return cb;
    }();
    return table;
  }

  void poke() const {
    const u64 one = 1;
    [[maybe_unused]] const auto n = ::write(wake_.get(), &one, sizeof one);
  }

  // On the backend's thread, from inside slirp.
  void deliver(std::span<const u8> frame) {
    if (backlog_.empty() && offer(frame)) return;
    if (backlog_.size() < kMostBacklog) backlog_.emplace_back(frame.begin(), frame.end());
    waiting_ = true;
  }

  bool offer(std::span<const u8> frame) {
    const std::lock_guard guard(receiver_mutex_);
    return !receiver_ || receiver_(frame);
  }

  void run() {
    std::vector<pollfd> fds;
    while (!stopping_) {
      fds.assign(1, {.fd = wake_.get(), .events = POLLIN, .revents = 0});
      u32 timeout = 1000;
      library_.pollfds_fill(
          slirp_, &timeout,
          [](int fd, int events, void* opaque) -> int {
            auto& all = *static_cast<std::vector<pollfd>*>(opaque);
            all.push_back({.fd = fd, .events = to_poll(events), .revents = 0});
            return static_cast<int>(all.size() - 1);
          },
          &fds);
      const i64 now_ms = now_ns() / 1'000'000;
      for (const SlirpTimer& t : timers_) {
        if (t.deadline_ms >= 0) timeout = static_cast<u32>(std::clamp<i64>(t.deadline_ms - now_ms, 0, timeout));
      }
      const int ready = ::poll(fds.data(), fds.size(), static_cast<int>(timeout));
      u64 count = 0;
      [[maybe_unused]] const auto n = ::read(wake_.get(), &count, sizeof count);
      library_.pollfds_poll(
          slirp_, ready < 0 ? 1 : 0,
          [](int index, void* opaque) -> int {
            return from_poll((*static_cast<std::vector<pollfd>*>(opaque))[static_cast<usize>(index)].revents);
          },
          &fds);
      fire_timers();
      flush_backlog();
      take_outgoing();
    }
  }

  void fire_timers() {
    const i64 now_ms = now_ns() / 1'000'000;
    for (SlirpTimer& t : timers_) {
      if (t.deadline_ms < 0 || t.deadline_ms > now_ms) continue;
      t.deadline_ms = -1;
      t.callback(t.opaque);
    }
  }

  void flush_backlog() {
    waiting_ = false;
    while (!backlog_.empty()) {
      if (!offer(backlog_.front())) {
        waiting_ = true;
        // A buffer may have come between the refusal and the flag.
        if (!offer(backlog_.front())) return;
      }
      backlog_.pop_front();
      waiting_ = false;
    }
  }

  void take_outgoing() {
    std::deque<std::vector<u8>> frames;
    {
      const std::lock_guard guard(mutex_);
      frames.swap(outgoing_);
    }
    for (const auto& frame : frames) library_.input(slirp_, frame.data(), static_cast<int>(frame.size()));
  }

  static short to_poll(int events) {
    int out = 0;
    if ((events & SLIRP_POLL_IN) != 0) out |= POLLIN;
    if ((events & SLIRP_POLL_OUT) != 0) out |= POLLOUT;
    if ((events & SLIRP_POLL_PRI) != 0) out |= POLLPRI;
    return static_cast<short>(out);
  }
  static int from_poll(short events) {
    int out = 0;
    if ((events & POLLIN) != 0) out |= SLIRP_POLL_IN;
    if ((events & POLLOUT) != 0) out |= SLIRP_POLL_OUT;
    if ((events & POLLPRI) != 0) out |= SLIRP_POLL_PRI;
    if ((events & POLLERR) != 0) out |= SLIRP_POLL_ERR;
    if ((events & POLLHUP) != 0) out |= SLIRP_POLL_HUP;
    return out;
  }

  SlirpLibrary library_;
  Slirp* slirp_ = nullptr;
  UniqueFd wake_;
  usize forwards_ = 0;
  std::list<SlirpTimer> timers_;  // backend's thread only; slirp holds pointers into it
  std::deque<std::vector<u8>> backlog_;
  std::mutex receiver_mutex_;
  Receiver receiver_;
  std::mutex mutex_;
  std::deque<std::vector<u8>> outgoing_;
  std::atomic<bool> waiting_{false};
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace

Result<std::unique_ptr<Network>> open_user_network(std::span<const PortForward> forwards) {
  auto network = std::make_unique<UserNetwork>();
  SOLDER_TRY_STATUS(network->start(forwards));
  return network;
}

}  // namespace solder::host
