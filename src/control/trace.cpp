#include "control/trace.h"

#include <fmt/format.h>
#include <time.h>

#include <algorithm>
#include <chrono>

#include "base/log.h"
#include "cpu/current.h"
#include "host/service_thread.h"

namespace solder::control {

namespace {

// At 7 us an exit, as fast as KVM gets here, a CPU fills a tenth of this between two looks of the tracer's thread.
constexpr usize kRingRecords = 8192;
constexpr auto kPeriod = std::chrono::milliseconds(5);
// With the kernel's part. An access is recorded when it is over, under the time at which it began: what is younger than
// this may still get something older in front of it.
constexpr u64 kHoldBack = 20'000'000;
// New threads of this process are looked for every so many periods …
constexpr u32 kRoundsBetweenLooks = 20;
// … and CPUs that are about to start wait no longer than this for their perf events.
constexpr u32 kMostHeldRounds = 200;

u64 monotonic_now() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<u64>(now.tv_sec) * 1'000'000'000 + static_cast<u64>(now.tv_nsec);
}

}  // namespace

bool TraceFilter::takes_node(const std::string& path) const {
  if (nodes.empty()) return true;
  return std::ranges::any_of(nodes, [&](const std::string& node) {
    return path.starts_with(node) && (path.size() == node.size() || node.ends_with('/') || path[node.size()] == '/');
  });
}

bool TraceFilter::takes(const memory::IoAccess& access) const {
  return (access.write ? writes : reads) && takes_node(*access.owner);
}

bool TraceFilter::takes(const KernelRecord& record) const {
  if (!kernel) return false;
  if (!record.access) return nodes.empty() && reads && writes;
  return (record.access->write ? writes : reads) && takes_node(record.access->node);
}

Tracer::~Tracer() {
  close();
}

void Tracer::close() {
  std::vector<Subscription> ended;  // without the lock: a file may take a moment for its last lines
  {
    const std::lock_guard guard(mutex_);
    stopping_ = true;
    ended.swap(subscriptions_);
    changed_.notify_one();
  }
  if (thread_.joinable()) thread_.join();
}

void Tracer::attach(machine::Machine& machine) {
  const std::lock_guard guard(mutex_);
  machine_ = &machine;
  if (subscriptions_.empty()) return;
  observe_machine();
  if (!session_) return;
  // Its CPUs' threads are about to start, and have no perf events yet: they wait for them.
  machine.fabric().cpus.pause();
  held_ = kMostHeldRounds;
}

// Rings are made when someone first looks: a machine that nobody traces has none.
void Tracer::observe_machine() {
  if (observing_ || machine_ == nullptr || stopping_) return;
  machine::Fabric& fabric = machine_->fabric();
  if (clock_ != &fabric.clock) clock_ = &fabric.clock;
  while (rings_.size() < std::max<usize>(fabric.cpus.size(), 1))
    rings_.push_back(std::make_unique<TraceRing>(kRingRecords));
  if (!thread_.joinable()) {
    auto thread = host::start_service_thread("trace", [this] { loop(); });
    if (!thread) {
      log::warn(thread.error().text());
      return;
    }
    thread_ = std::move(*thread);
  }
  observing_ = true;
  fabric.memory.observe(this);
  fabric.io_ports.observe(this, true);
  changed_.notify_one();
}

void Tracer::detach() {
  const std::lock_guard guard(mutex_);
  if (machine_ == nullptr) return;
  release_cpus();
  machine::Fabric& fabric = machine_->fabric();
  fabric.memory.observe(nullptr);
  fabric.io_ports.observe(nullptr);
  // Records name what goes with the machine.
  drain(true);
  if (session_) session_->forget_cpus();
  report_.reset();
  observing_ = false;
  machine_ = nullptr;
}

bool Tracer::wants_kernel() const {
  return std::ranges::any_of(subscriptions_,
                             [](const Subscription& subscription) { return subscription.filter.kernel; });
}

void Tracer::follow_threads() {
  rounds_ = 0;
  const auto cpus = session_->follow_threads();
  if (!cpus) {
    log::warn(cpus.error().text());
    session_.reset();
    release_cpus();
  } else if (held_ != 0 && (*cpus >= machine_->fabric().cpus.size() || --held_ == 0)) {
    held_ = 1;
    release_cpus();
  }
}

void Tracer::release_cpus() {
  if (held_ == 0) return;
  held_ = 0;
  machine_->fabric().cpus.resume();
}

Result<Tracer::Id> Tracer::subscribe(TraceFilter filter, std::unique_ptr<TraceReader> reader) {
  const std::lock_guard guard(mutex_);
  if (filter.kernel && !session_) session_ = SOLDER_TRY(KernelSession::open());
  const Id id = next_++;
  subscriptions_.push_back({id, std::move(filter), std::move(reader)});
  observe_machine();
  return id;
}

void Tracer::unsubscribe(Id id) {
  const std::lock_guard guard(mutex_);
  std::erase_if(subscriptions_, [id](const Subscription& subscription) { return subscription.id == id; });
}

void Tracer::accessed(const memory::IoAccess& access) noexcept {
  TraceRecord record;
  record.access = access;
  if (access.cpu == memory::IoAccess::kThisThread) record.access.cpu = cpu::current_cpu();
  // The offset is that of a running clock; in a machine that stands still only the control socket makes accesses.
  record.machine_ns = clock_->paused() ? clock_->now() : access.begin_ns + static_cast<u64>(clock_->offset());
  TraceRing& ring = *rings_[std::min<usize>(record.access.cpu, rings_.size() - 1)];
  if (!ring.push(record)) lost_.fetch_add(1, std::memory_order_relaxed);
}

void Tracer::loop() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    if (session_ && machine_ != nullptr && (held_ != 0 || ++rounds_ >= kRoundsBetweenLooks)) follow_threads();
    drain();
    // After the readers had their turn: the last one may have ended, and we may wait for long.
    if (session_ && !wants_kernel()) {
      release_cpus();
      session_.reset();
      drain(true);
    }
    if (observing_ && subscriptions_.empty()) {
      machine_->fabric().memory.observe(nullptr);
      machine_->fabric().io_ports.observe(nullptr);
      observing_ = false;
    }
    if (observing_) {
      changed_.wait_for(lock, kPeriod);
    } else {
      changed_.wait(lock);
    }
  }
}

void Tracer::drain(bool all) {
  const u64 until = session_ && !all ? monotonic_now() - kHoldBack : ~u64{0};
  TraceRecord record;
  // No more than a full ring each: CPUs that are faster than the readers lose records, and do not keep us here.
  for (const auto& ring : rings_)
    for (usize i = 0; i < kRingRecords && ring->pop(record); ++i) batch_.push_back(record);
  u64 lost = lost_.exchange(0, std::memory_order_relaxed);
  if (session_ && machine_ != nullptr) take_kernel_samples(lost);
  std::ranges::stable_sort(batch_, {}, [](const TraceRecord& r) { return r.access.begin_ns; });
  std::ranges::stable_sort(kernel_batch_, {}, &KernelRecord::host_ns);
  deliver(lost, until);
}

void Tracer::take_kernel_samples(u64& lost) {
  if (!report_) report_.emplace(*machine_);
  samples_.clear();
  lost += session_->drain(samples_);
  std::ranges::stable_sort(samples_, {}, &KernelSample::host_ns);
  for (const KernelSample& sample : samples_)
    kernel_batch_.push_back(report_->record(sample, session_->thread_name(sample.thread)));
}

// Both sorted lists, as one, as far as `until`.
void Tracer::deliver(u64 lost, u64 until) {
  const auto accesses =
      std::ranges::upper_bound(batch_, until, {}, [](const TraceRecord& r) { return r.access.begin_ns; });
  const auto points = std::ranges::upper_bound(kernel_batch_, until, {}, &KernelRecord::host_ns);
  std::erase_if(subscriptions_, [&](const Subscription& subscription) {
    auto access = batch_.begin();
    auto point = kernel_batch_.begin();
    while (access != accesses || point != points) {
      if (point == points || (access != accesses && access->access.begin_ns < point->host_ns)) {
        if (subscription.filter.takes(access->access) && !subscription.reader->record(*access)) return true;
        ++access;
      } else {
        if (subscription.filter.takes(*point) && !subscription.reader->kernel(*point)) return true;
        ++point;
      }
    }
    if (lost != 0 && !subscription.reader->dropped(lost)) return true;
    return !subscription.reader->flush();
  });
  batch_.erase(batch_.begin(), accesses);
  kernel_batch_.erase(kernel_batch_.begin(), points);
}

std::string Tracer::kernel_trace() {
  const auto found = find_tracepoints();
  if (!found) return found.error().what;
  return fmt::format("the kernel's tracepoints of KVM at {} are merged in where asked for (--kernel)", *found);
}

}  // namespace solder::control
