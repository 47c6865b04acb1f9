#include "accel/kvm/doorbells.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "base/check.h"

namespace solder::accel::kvm {

namespace {

bool same_key(const IoEventKey& a, const IoEventKey& b) {
  return a.space == b.space && a.address == b.address && a.length == b.length && a.data == b.data;
}

u64 take_events(int fd) {
  u64 count = 0;
  return ::read(fd, &count, sizeof count) == sizeof count ? count : 0;
}

}  // namespace

Doorbells::~Doorbells() {
  stop();
}

void Doorbells::update(WindowSpace space, const memory::FlatMap& map) {
  const std::lock_guard guard(mutex_);
  std::vector<Place>& wanted = wanted_[static_cast<usize>(space)];
  wanted.clear();
  for (const memory::FlatRange& range : map.ranges()) {
    const memory::WriteHints* hints = range.handler != nullptr ? range.handler->write_hints() : nullptr;
    if (hints == nullptr) continue;
    for (const auto& bell : hints->doorbells) {
      const auto address = place_in(range, bell.offset, bell.size);
      if (!address) continue;
      wanted.push_back({range.handler,
                        bell,
                        {.space = space == WindowSpace::ports ? IoEventKey::Space::ports : IoEventKey::Space::memory,
                         .address = *address,
                         .length = bell.size,
                         .data = bell.value}});
    }
  }
  apply();
}

void Doorbells::observe(WindowSpace space, bool observed) {
  const std::lock_guard guard(mutex_);
  observed_[static_cast<usize>(space)] = observed;
  apply();
}

// The bell of a place, with the thread waiting for it; null: there are no descriptors left.
Doorbells::Bell* Doorbells::bell_of(const Place& place) {
  auto found = std::find_if(bells_.begin(), bells_.end(), [&](const auto& entry) {
    return entry.second.handler == place.handler && entry.second.bell == place.bell;
  });
  if (found == bells_.end()) {
    UniqueFd fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!fd) return nullptr;
    found = bells_.emplace(next_id_++, Bell{place.handler, place.bell, std::move(fd), {}, false}).first;
  }
  Bell& bell = found->second;
  if (!bell.placed) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = found->first;
    bell.placed = ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, bell.fd.get(), &event) == 0;
  }
  return bell.placed ? &bell : nullptr;
}

void Doorbells::withdraw(Bell& bell) {
  if (!bell.placed) return;
  bell.placed = false;
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, bell.fd.get(), nullptr);
}

// Makes the events those that the maps and the watchers ask for.
void Doorbells::apply() {
  if (!running_) return;
  for (auto& entry : bells_) {
    Bell& bell = entry.second;
    const auto is_mine = [&bell](const Place& place) {
      return place.handler == bell.handler && place.bell == bell.bell;
    };
    // What is detached has rung for the last time when the ioctl returns; the descriptor keeps what it was told.
    std::erase_if(bell.events, [&](const IoEvent& event) {
      const auto space =
          static_cast<usize>(event.key().space == IoEventKey::Space::ports ? WindowSpace::ports : WindowSpace::memory);
      return observed_[space] || std::none_of(wanted_[space].begin(), wanted_[space].end(), [&](const Place& place) {
               return is_mine(place) && same_key(place.key, event.key());
             });
    });
    const bool shown = std::any_of(wanted_.begin(), wanted_.end(), [&](const auto& places) {
      return std::any_of(places.begin(), places.end(), is_mine);
    });
    if (!shown) withdraw(bell);
  }
  // A window that comes back (its decoding was off for a moment) finds what had rung before.
  std::erase_if(bells_, [](const auto& entry) {
    const Bell& bell = entry.second;
    if (bell.placed) return false;
    const u64 rung = take_events(bell.fd.get());
    [[maybe_unused]] const auto kept = rung != 0 ? ::write(bell.fd.get(), &rung, sizeof rung) : 0;
    return rung == 0;
  });
  for (usize space = 0; space < wanted_.size(); ++space) {
    for (const Place& place : wanted_[space]) {
      // Without a bell the write leaves the guest, as it does where KVM refuses: two windows on one place for a moment,
      // or too many events.
      Bell* bell = bell_of(place);
      if (bell == nullptr || observed_[space] ||
          std::any_of(bell->events.begin(), bell->events.end(),
                      [&](const IoEvent& event) { return same_key(event.key(), place.key); })) {
        continue;
      }
      if (auto event = IoEvent::attach(vm_, place.key, bell->fd.get())) bell->events.push_back(std::move(*event));
    }
  }
}

usize Doorbells::attached(const memory::MmioHandler& handler) const {
  const std::lock_guard guard(mutex_);
  return static_cast<usize>(std::ranges::count_if(bells_, [&](const auto& entry) {
    return entry.second.handler == &handler && entry.second.placed && !entry.second.events.empty();
  }));
}

usize Doorbells::attached() const {
  const std::lock_guard guard(mutex_);
  usize count = 0;
  for (const auto& [id, bell] : bells_) count += bell.events.size();
  return count;
}

void Doorbells::start(cpu::CpuSet& cpus) {
  const std::lock_guard guard(mutex_);
  if (running_ || vm_.check(KVM_CAP_IOEVENTFD) == 0) return;
  epoll_ = UniqueFd(::epoll_create1(EPOLL_CLOEXEC));
  wake_ = UniqueFd(::eventfd(0, EFD_CLOEXEC));
  SOLDER_CHECK(epoll_ && wake_, "an epoll set and an eventfd can always be had");
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = 0;
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wake_.get(), &event);
  cpus_ = &cpus;
  running_ = true;
  stopping_ = false;
  thread_ = std::thread([this] { serve(); });
  ::pthread_setname_np(thread_.native_handle(), "doorbells");
  cpus.set_settle([this] { settle(); });
  apply();
}

void Doorbells::stop() {
  {
    const std::lock_guard guard(mutex_);
    if (!running_) return;
    running_ = false;  // the maps change no events any more
    for (auto& [id, bell] : bells_) bell.events.clear();
  }
  cpus_->set_settle({});
  stopping_.store(true, std::memory_order_release);
  const u64 one = 1;
  [[maybe_unused]] const auto written = ::write(wake_.get(), &one, sizeof one);
  cpus_->wake_work();
  thread_.join();
  const std::lock_guard guard(mutex_);
  bells_.clear();
}

void Doorbells::serve() {
  std::array<epoll_event, 16> events{};
  while (!stopping_.load(std::memory_order_acquire)) {
    const int ready = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), -1);
    if (ready < 0 && errno != EINTR) return;
    for (int i = 0; i < ready; ++i) {
      const u64 id = events[static_cast<usize>(i)].data.u64;
      if (id == 0) continue;  // stopping
      if (!cpus_->enter_work(stopping_)) return;
      answer(id);
      cpus_->leave_work();
    }
  }
}

// On a pausing thread, while the own one does nothing.
void Doorbells::settle() {
  std::vector<u64> ids;
  {
    const std::lock_guard guard(mutex_);
    for (const auto& [id, bell] : bells_)
      if (bell.placed) ids.push_back(id);
  }
  for (const u64 id : ids) answer(id);
}

// As the CPU would have done it, had the write left the guest.
void Doorbells::answer(u64 id) {
  memory::MmioHandler* handler = nullptr;
  memory::Doorbell bell;
  {
    const std::lock_guard guard(mutex_);
    const auto found = bells_.find(id);
    // A bell whose window has gone keeps what it was told.
    if (found == bells_.end() || !found->second.placed || take_events(found->second.fd.get()) == 0) return;
    handler = found->second.handler;
    bell = found->second.bell;
  }
  deferred_.drain();
  count_.fetch_add(1, std::memory_order_relaxed);
  handler->write(bell.offset, bell.size, bell.value);
}

}  // namespace solder::accel::kvm
