#include "interrupt/event_sources.h"

#include <fmt/format.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "base/check.h"

namespace solder::interrupt {

EventSources::EventSources() : epoll_(::epoll_create1(EPOLL_CLOEXEC)), stop_(::eventfd(0, EFD_CLOEXEC)) {
  SOLDER_CHECK(epoll_.get() >= 0 && stop_.get() >= 0, "an epoll set and an eventfd can always be had");
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = stop_.get();
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, stop_.get(), &event);
  thread_ = std::thread([this] { run(); });
  ::pthread_setname_np(thread_.native_handle(), "irq-events");
}

EventSources::~EventSources() {
  const u64 one = 1;
  [[maybe_unused]] const auto written = ::write(stop_.get(), &one, sizeof one);
  thread_.join();
}

Status EventSources::add(int fd, std::function<void(u64)> handler) {
  const std::string where = fmt::format("eventfd {}", fd);
  const std::lock_guard guard(mutex_);
  // A second handler would take the first one's events; KVM's irqfd says EBUSY.
  if (handlers_.contains(fd))
    return fail(where, "is the source of an interrupt already: its events can have one handler only",
                "give each interrupt an eventfd of its own");
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = fd;
  // An event that comes before the handler is there waits for the lock, in run().
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
    const int error = errno;
    return fail(where, fmt::format("cannot be waited for: {} (errno {})", std::strerror(error), error),
                error == ENOSPC ? "raise /proc/sys/fs/epoll/max_user_watches" : "give an open eventfd");
  }
  handlers_.emplace(fd, std::move(handler));
  return {};
}

void EventSources::remove(int fd) {
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
  const std::lock_guard guard(mutex_);
  handlers_.erase(fd);
}

void EventSources::run() {
  std::array<epoll_event, 16> events{};
  while (true) {
    const int ready = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), -1);
    if (ready < 0 && errno != EINTR) return;
    for (int i = 0; i < ready; ++i) {
      const int fd = events[static_cast<usize>(i)].data.fd;
      if (fd == stop_.get()) return;
      const std::lock_guard guard(mutex_);
      const auto it = handlers_.find(fd);
      if (it == handlers_.end()) continue;
      u64 count = 0;
      // Readiness is level-triggered: what an interrupted read leaves is met again.
      if (::read(fd, &count, sizeof count) == sizeof count && count != 0) it->second(count);
    }
  }
}

}  // namespace solder::interrupt
