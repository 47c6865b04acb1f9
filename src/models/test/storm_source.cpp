#include "models/test/storm_source.h"

#include <fmt/format.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>

namespace solder::models::test {

std::string_view kind_name(SourceKind kind) {
  constexpr std::array<std::string_view, static_cast<usize>(SourceKind::count)> kNames{
      "eventfd", "message", "edge wire", "shared level wire", "eventfd with resample"};
  return kNames[static_cast<usize>(kind)];
}

u64 Counters::read(u32 slot) const {
  u64 sum = 0;
  for (u32 cpu = 0; cpu < cpus_; ++cpu)
    sum += std::atomic_ref<u32>(first_[u64{cpu} * slots_ + slot]).load(std::memory_order_acquire);
  return sum;
}

Source::Source(SourceKind kind, std::string name, interrupt::RoutingTable& routes, Wires wires,
               std::vector<Candidate> candidates)
    : kind_(kind),
      name_(std::move(name)),
      routes_(routes),
      wires_(wires),
      candidates_(std::move(candidates)),
      seen_(candidates_.size(), 0) {}

Source::~Source() {
  close();
}

Status Source::open() {
  if (kind_ == SourceKind::edge || kind_ == SourceKind::level) return {};
  virq_ = routes_.allocate(name_);
  routes_.set(*virq_, {candidates_.front().target});
  if (kind_ == SourceKind::message) return {};
  event_ = UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (kind_ == SourceKind::resample) resample_ = UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  return routes_.attach_eventfd(*virq_, event_.get(), resample_.get());
}

void Source::close() {
  if (!virq_) return;
  if (event_) routes_.detach_eventfd(*virq_, event_.get());
  routes_.release(*virq_);
  virq_.reset();
}

u64 Source::counted(const Counters& counters) const {
  // The targets of a level share a slot: its handlers count causes.
  if (wires_.cause != 0) return counters.read(candidates_.front().slot);
  u64 sum = 0;
  for (const Candidate& candidate : candidates_) sum += counters.read(candidate.slot);
  return sum;
}

u32 Source::highest_slot() const {
  u32 highest = 0;
  for (const Candidate& candidate : candidates_) highest = std::max(highest, candidate.slot);
  return highest;
}

Source::Step Source::fail_with(std::string text) {
  failure_ = std::move(text);
  return Step::failed;
}

void Source::send() {
  // Before the event: a change that starts after this look may meet it.
  moves_when_sent_ = moves_.load(std::memory_order_seq_cst);
  candidate_when_sent_ = current_.load(std::memory_order_relaxed);
  sent_at_ = std::chrono::steady_clock::now();
  in_flight_ = true;
  sent_.fetch_add(1, std::memory_order_seq_cst);
  const u64 one = 1;
  switch (kind_) {
    case SourceKind::message:
      routes_.raise(*virq_);
      break;
    case SourceKind::edge: {
      const std::lock_guard guard(wires_.lock);
      wires_.edge->fire();
      break;
    }
    case SourceKind::level: {
      const std::lock_guard guard(wires_.lock);
      wires_.causes.fetch_or(wires_.cause);
      wires_.level->set(true);
      break;
    }
    case SourceKind::resample:
      wires_.causes.fetch_or(wires_.cause);
      [[fallthrough]];
    case SourceKind::eventfd:
    case SourceKind::count: {
      [[maybe_unused]] const auto written = ::write(event_.get(), &one, sizeof one);
      break;
    }
  }
}

// Whether the event is where it belongs: at the route's one target, if that was the same from before it was sent until
// now.
bool Source::arrived(const Counters& counters) {
  const bool settled = wires_.cause == 0 && moves_when_sent_ % 2 == 0 &&
                       moves_.load(std::memory_order_seq_cst) == moves_when_sent_ && !candidates_.empty();
  bool right = true;
  for (usize i = 0; i < candidates_.size(); ++i) {
    const u64 now = counters.read(candidates_[i].slot);
    if (settled && now != seen_[i] + (i == candidate_when_sent_ ? 1 : 0)) right = false;
    seen_[i] = now;
  }
  return right;
}

bool Source::resampled() {
  u64 events = 0;
  if (::read(resample_.get(), &events, sizeof events) != sizeof events) return false;
  if ((wires_.causes.load() & wires_.cause) == 0) return true;
  // As a device does whose interrupt ended with its cause still there.
  const u64 one = 1;
  [[maybe_unused]] const auto written = ::write(event_.get(), &one, sizeof one);
  return false;
}

Source::Step Source::step(const Counters& counters, u64 limit) {
  const u64 sent = sent_.load(std::memory_order_relaxed);
  const u64 now = counted(counters);
  if (now > sent)
    return fail_with(fmt::format("invented: {} was sent {} times, and its handlers ran {} times", name_, sent, now));
  counted_.store(now, std::memory_order_release);
  if (now < sent) return Step::waits;
  if (in_flight_) {
    if (kind_ == SourceKind::resample && !resampled()) return Step::waits;
    in_flight_ = false;
    const auto took = std::chrono::steady_clock::now() - sent_at_;
    slowest_ = std::max(slowest_.load(), i64{std::chrono::nanoseconds(took).count()});
    if (!arrived(counters))
      return fail_with(
          fmt::format("misled: event {} of {} met another target than its route's, which did not change", sent, name_));
    if (wants_move_.exchange(false)) {
      set_route();
      // With the change comes an event that asks for the level, which is low.
      u64 events = 0;
      [[maybe_unused]] const auto read = ::read(resample_.get(), &events, sizeof events);
    }
  }
  if (sent >= limit) return Step::done;
  send();
  return Step::sent;
}

void Source::set_route() {
  const u32 next = (current_.load(std::memory_order_relaxed) + 1) % static_cast<u32>(candidates_.size());
  moves_.fetch_add(1, std::memory_order_seq_cst);
  routes_.set(*virq_, {candidates_[next].target});
  current_.store(next, std::memory_order_relaxed);
  moves_.fetch_add(1, std::memory_order_seq_cst);
}

void Source::move() {
  if (kind_ == SourceKind::resample) {
    wants_move_.store(true);
  } else {
    set_route();
  }
}

}  // namespace solder::models::test
