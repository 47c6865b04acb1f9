#include "control/trace.h"

#include <fmt/format.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "cpu/current.h"

namespace solder::control {

namespace {

// At 7 us an exit, as fast as KVM gets here, a CPU fills a tenth of this between two looks of the tracer's thread.
constexpr usize kRingRecords = 8192;
constexpr auto kPeriod = std::chrono::milliseconds(5);

}  // namespace

bool TraceFilter::takes(const memory::IoAccess& access) const {
  if (!(access.write ? writes : reads)) return false;
  if (nodes.empty()) return true;
  return std::ranges::any_of(nodes, [&](const std::string& node) {
    const std::string& owner = *access.owner;
    return owner.starts_with(node) && (owner.size() == node.size() || node.ends_with('/') || owner[node.size()] == '/');
  });
}

Tracer::~Tracer() {
  close();
}

void Tracer::close() {
  {
    const std::lock_guard guard(mutex_);
    stopping_ = true;
    subscriptions_.clear();
    changed_.notify_one();
  }
  if (thread_.joinable()) thread_.join();
}

void Tracer::attach(machine::Machine& machine) {
  const std::lock_guard guard(mutex_);
  machine_ = &machine;
  if (!subscriptions_.empty()) observe_machine();
}

// Rings are made when someone first looks: a machine that nobody traces has none.
void Tracer::observe_machine() {
  if (observing_ || machine_ == nullptr || stopping_) return;
  machine::Fabric& fabric = machine_->fabric();
  if (clock_ != &fabric.clock) clock_ = &fabric.clock;
  while (rings_.size() < std::max<usize>(fabric.cpus.size(), 1))
    rings_.push_back(std::make_unique<TraceRing>(kRingRecords));
  if (!thread_.joinable()) {
    sigset_t all;
    sigset_t before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_BLOCK, &all, &before);
    thread_ = std::thread([this] { loop(); });
    ::pthread_setname_np(thread_.native_handle(), "trace");
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }
  observing_ = true;
  fabric.memory.observe(this);
  fabric.io_ports.observe(this, true);
  changed_.notify_one();
}

void Tracer::detach() {
  const std::lock_guard guard(mutex_);
  if (machine_ == nullptr) return;
  machine::Fabric& fabric = machine_->fabric();
  fabric.memory.observe(nullptr);
  fabric.io_ports.observe(nullptr);
  // Records name what goes with the machine.
  drain();
  observing_ = false;
  machine_ = nullptr;
}

Tracer::Id Tracer::subscribe(TraceFilter filter, std::unique_ptr<TraceReader> reader) {
  const std::lock_guard guard(mutex_);
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
    drain();
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

void Tracer::drain() {
  batch_.clear();
  TraceRecord record;
  // No more than a full ring each: CPUs that are faster than the readers lose records, and do not keep us here.
  for (const auto& ring : rings_)
    for (usize i = 0; i < kRingRecords && ring->pop(record); ++i) batch_.push_back(record);
  const u64 lost = lost_.exchange(0, std::memory_order_relaxed);
  if (batch_.empty() && lost == 0) return;
  std::ranges::stable_sort(batch_, {}, [](const TraceRecord& r) { return r.access.begin_ns; });
  std::erase_if(subscriptions_, [&](const Subscription& subscription) {
    for (const TraceRecord& one : batch_)
      if (subscription.filter.takes(one.access) && !subscription.reader->record(one)) return true;
    if (lost != 0 && !subscription.reader->dropped(lost)) return true;
    subscription.reader->flush();
    return false;
  });
}

std::string Tracer::kernel_trace() {
  for (const char* path : {"/sys/kernel/tracing", "/sys/kernel/debug/tracing"}) {
    const std::string events = std::string(path) + "/events/kvm";
    if (::access(events.c_str(), R_OK | X_OK) == 0)
      return fmt::format("the kernel's tracepoints of KVM are at {}; they are not merged in", events);
    if (errno == EACCES) return fmt::format("the kernel's tracepoints of KVM are not readable: {}", events);
  }
  return "the kernel has no tracepoints of KVM here";
}

}  // namespace solder::control
