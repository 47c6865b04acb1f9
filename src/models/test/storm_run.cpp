#include "models/test/storm_run.h"

#include <fmt/format.h>
#include <pthread.h>

#include <algorithm>
#include <chrono>

#include "base/log.h"

namespace solder::models::test {

namespace {

using Clock = std::chrono::steady_clock;

// How far a source may be ahead of the slowest: interrupt controllers serve by priority, and without a limit those of
// high priority would keep the others from ever coming.
constexpr u64 kAhead = 64;
constexpr auto kPause = std::chrono::microseconds(50);
constexpr auto kBetweenChanges = std::chrono::microseconds(300);
constexpr auto kWatch = std::chrono::milliseconds(20);
constexpr auto kProgress = std::chrono::seconds(5);
// A change of routes that takes longer waits for the host's kernel, whose deferred work stands still:
// KVM_SET_GSI_ROUTING for a grace period, and with it, in the same queues, eventfds that end at pins. Seen for many
// seconds on a busy host. What is under way then is late and not lost; but not for ever.
constexpr auto kHostStalls = std::chrono::seconds(1);
constexpr int kHostPatience = 8;  // times the usual one
// What CPU 0 goes on for, letting interrupts in, after the last one was counted: what was invented has come by then.
constexpr u32 kQuietBeats = 256;

}  // namespace

StormRun::StormRun(Sources& sources, interrupt::RoutingTable& routes, StormBlock* block, Counters counters,
                   const StormLimits& limits, std::function<void(State, const std::string&)> ended)
    : sources_(sources),
      routes_(routes),
      block_(block),
      counters_(counters),
      limits_(limits),
      quota_((limits.events + sources.size() - 1) / sources.size()),
      ended_(std::move(ended)) {
  std::vector<SourceKind> kinds;
  for (const auto& source : sources_)
    if (std::ranges::find(kinds, source->kind()) == kinds.end()) kinds.push_back(source->kind());
  working_ = static_cast<u32>(kinds.size());
  for (const SourceKind kind : kinds) {
    threads_.emplace_back([this, kind] { work(kind); });
    ::pthread_setname_np(threads_.back().native_handle(), "storm-source");
  }
  if (std::ranges::any_of(sources_, [](const auto& source) { return source->movable(); })) {
    threads_.emplace_back([this] { change_routes(); });
    ::pthread_setname_np(threads_.back().native_handle(), "storm-routes");
  }
  threads_.emplace_back([this] { watch(); });
  ::pthread_setname_np(threads_.back().native_handle(), "storm-watch");
}

StormRun::~StormRun() {
  stop_.store(true);
  for (std::thread& thread : threads_) thread.join();
}

u64 StormRun::slowest() const {
  u64 least = ~u64{0};
  for (const auto& source : sources_) least = std::min(least, source->counted());
  return least;
}

void StormRun::work(SourceKind kind) {
  while (!stop_.load(std::memory_order_relaxed)) {
    const u64 limit = std::min(quota_, slowest() + kAhead);
    bool all_done = true;
    bool sent = false;
    for (const auto& source : sources_) {
      if (source->kind() != kind) continue;
      const Source::Step step = source->step(counters_, limit);
      if (step == Source::Step::failed) return fail_with(source->failure());
      sent |= step == Source::Step::sent;
      all_done &= step == Source::Step::done && limit == quota_;
    }
    if (all_done) {
      working_.fetch_sub(1);
      return;
    }
    if (!sent) std::this_thread::sleep_for(kPause);
  }
}

void StormRun::change_routes() {
  while (!stop_.load(std::memory_order_relaxed) && working_.load() != 0) {
    for (const auto& source : sources_) {
      if (!source->movable()) continue;
      if (stop_.load(std::memory_order_relaxed)) return;
      source->move();
      std::this_thread::sleep_for(kBetweenChanges);
    }
  }
}

void StormRun::fail_with(std::string text) {
  const std::lock_guard guard(failure_lock_);
  if (failure_.empty()) failure_ = std::move(text);
}

// Where an interrupt that did not come was to go.
std::string StormRun::lost() const {
  const auto report = routes_.report();
  std::string out;
  for (const auto& source : sources_) {
    const u64 counted = source->counted(counters_);
    if (!source->in_flight()) continue;
    std::string route = "no virq";
    if (const auto virq = source->virq()) {
      for (const auto& line : report)
        if (line.virq == *virq) route = fmt::format("virq {} to {}", *virq, fmt::join(line.targets, " and "));
    }
    out +=
        fmt::format("\n  {}, {}: sent {}, counted {}, {} route changes{}", source->name(), route, source->sent(),
                    counted, source->moves(), counted == source->sent() ? "; its end of interrupt was not told" : "");
  }
  return out;
}

void StormRun::watch() {
  u64 last = 0;
  u32 last_beat = 0;
  u32 quiet_from = 0;
  bool quiet = false;
  auto since = Clock::now();
  auto shown = since;
  auto changing_since = since;
  u64 last_moves = 0;
  while (!stop_.load()) {
    std::this_thread::sleep_for(kWatch);
    {
      const std::lock_guard guard(failure_lock_);
      if (!failure_.empty()) return finish(State::failed, failure_);
    }
    const auto now = Clock::now();
    u64 counted = 0;
    for (const auto& source : sources_) counted += source->counted(counters_);
    const u32 beat = heartbeat();
    if (working_.load() == 0) {
      if (!quiet) quiet_from = beat;
      quiet = true;
      if (beat - quiet_from >= kQuietBeats) {
        const std::string wrong = check();
        return finish(wrong.empty() ? State::done : State::failed, wrong);
      }
    }
    if (counted != last || (quiet && beat != last_beat)) since = now;
    const auto patience = std::chrono::milliseconds(limits_.patience_ms);
    u64 moves = 0;
    bool changing = false;
    for (const auto& source : sources_) {
      moves += source->moves();
      changing |= source->changing();
    }
    if (!changing || moves != last_moves) {
      if (now - changing_since > patience) log::note("storm: the host's kernel goes on");
      changing_since = now;
    }
    last_moves = moves;
    const auto stalled = now - changing_since;
    if (stalled > kHostStalls && stalled < kHostPatience * patience) since = now;
    if (now - since > patience) {
      return finish(State::failed,
                    fmt::format("lost: nothing was counted for {} ms, and CPU 0 {}{}", limits_.patience_ms,
                                beat != last_beat ? "goes on" : "stands still", lost()));
    }
    last = counted;
    last_beat = beat;
    if (limits_.progress && now - shown >= kProgress) {
      shown = now;
      log::note(fmt::format("storm: {} of {} interrupts", counted, quota_ * sources_.size()));
    }
  }
}

std::string StormRun::check() const {
  std::string out;
  for (const auto& source : sources_) {
    const u64 counted = source->counted(counters_);
    if (counted != source->sent())
      out += fmt::format("\n  {}: sent {}, counted {}", source->name(), source->sent(), counted);
  }
  if (const u64 none = no_cause_.load()) out += fmt::format("\n  {} handlers of levels found no cause", none);
  return out.empty() ? out : "lost or invented:" + out;
}

void StormRun::print_table() const {
  constexpr std::string_view kLine = "storm: {:22} {:>8} {:>10} {:>10} {:>6} {:>8} {:>8} {:>10}";
  log::note(fmt::format(kLine, "kind", "sources", "sent", "counted", "lost", "invented", "changes", "slowest ms"));
  for (u32 kind = 0; kind < static_cast<u32>(SourceKind::count); ++kind) {
    u64 many = 0, sent = 0, counted = 0, lost = 0, invented = 0, moves = 0;
    std::chrono::nanoseconds slowest{0};
    for (const auto& source : sources_) {
      if (source->kind() != static_cast<SourceKind>(kind)) continue;
      const u64 here = source->counted(counters_);
      ++many;
      sent += source->sent();
      counted += here;
      lost += source->sent() > here ? source->sent() - here : 0;
      invented += here > source->sent() ? here - source->sent() : 0;
      moves += source->moves();
      slowest = std::max(slowest, source->slowest());
    }
    if (many == 0) continue;
    if (static_cast<SourceKind>(kind) == SourceKind::level) invented += no_cause_.load();
    log::note(fmt::format(kLine, kind_name(static_cast<SourceKind>(kind)), many, sent, counted, lost, invented, moves,
                          std::chrono::duration_cast<std::chrono::milliseconds>(slowest).count()));
  }
}

void StormRun::finish(State state, const std::string& text) {
  stop_.store(true);
  print_table();
  std::atomic_ref<u32>(block_->state).store(static_cast<u32>(state));
  ended_(state, text);
}

}  // namespace solder::models::test
