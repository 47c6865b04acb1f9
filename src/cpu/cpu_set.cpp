#include "cpu/cpu_set.h"

#include <pthread.h>

#include <string>

#include "base/check.h"
#include "cpu/current.h"

namespace solder::cpu {

VcpuThread::VcpuThread(CpuSet& set, std::unique_ptr<Vcpu> vcpu) : set_(set), vcpu_(std::move(vcpu)) {
  vcpu_->set_wake([this] { wake(); });
}

VcpuThread::~VcpuThread() {
  stop();
}

void VcpuThread::start() {
  SOLDER_CHECK(!thread_.joinable(), "a vCPU thread is started once");
  thread_ = std::thread([this] { loop(); });
  // Seen in ps -T and perf: which host thread is which vCPU.
  const std::string name = "vcpu" + std::to_string(vcpu_->index());
  ::pthread_setname_np(thread_.native_handle(), name.c_str());
}

bool VcpuThread::power_on(const EntryState& entry) {
  {
    const std::lock_guard guard(mutex_);
    if (powered_.load(std::memory_order_acquire) || in_guest_ || starting_) return false;  // !off()
    starting_ = true;
  }
  // The caller's thread prepares the CPU: it is off, so its own thread does not touch it. Without the mutex: the reset
  // may drop an interrupt wire, whose controller wakes CPUs with its own lock held.
  vcpu_->reset(entry);
  const std::lock_guard guard(mutex_);
  starting_ = false;
  powered_.store(true, std::memory_order_release);
  condition_.notify_one();
  return true;
}

void VcpuThread::power_off() {
  powered_.store(false, std::memory_order_release);
}

void VcpuThread::post(std::function<void()> work) {
  {
    const std::lock_guard guard(mutex_);
    queue_.push_back(std::move(work));
    posted_.fetch_add(1, std::memory_order_release);
    set_.posted_.fetch_add(1, std::memory_order_relaxed);
    condition_.notify_one();
  }
  vcpu_->kick();
  set_.wake_work();
}

void VcpuThread::run_on(std::function<void()> work) {
  if (std::this_thread::get_id() == thread_.get_id()) {
    work();
    return;
  }
  std::mutex done_mutex;
  std::condition_variable done_condition;
  bool done = false;
  post([&] {
    work();
    const std::lock_guard guard(done_mutex);
    done = true;
    done_condition.notify_one();
  });
  std::unique_lock lock(done_mutex);
  done_condition.wait(lock, [&] { return done; });
}

bool VcpuThread::off() {
  const std::lock_guard guard(mutex_);
  return !powered_.load(std::memory_order_acquire) && !in_guest_ && !starting_;
}

Activity VcpuThread::activity() {
  const std::lock_guard guard(mutex_);
  if (!powered_.load(std::memory_order_acquire)) return Activity::off;
  return in_guest_ ? Activity::running : Activity::halted;
}

void VcpuThread::wake() {
  const std::lock_guard guard(mutex_);
  woken_ = true;
  condition_.notify_one();
}

void VcpuThread::request_stop() {
  {
    const std::lock_guard guard(mutex_);
    stopping_.store(true, std::memory_order_release);
    condition_.notify_one();
  }
  vcpu_->kick();
}

void VcpuThread::stop() {
  request_stop();
  if (thread_.joinable()) thread_.join();
}

void VcpuThread::loop() {
  set_current_cpu(vcpu_->index());
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    if (!queue_.empty()) {
      auto work = std::move(queue_.front());
      queue_.pop_front();
      lock.unlock();
      work();
      posted_.fetch_sub(1, std::memory_order_release);
      if (set_.posted_.fetch_sub(1, std::memory_order_acq_rel) == 1) set_.wake_work();
      lock.lock();
      continue;
    }
    if (!powered_.load(std::memory_order_acquire)) {
      condition_.wait(lock);
      continue;
    }
    in_guest_ = true;
    woken_ = false;
    lock.unlock();
    if (!set_.enter_guest(*this)) {
      lock.lock();
      in_guest_ = false;
      continue;
    }
    const ExitReason reason = vcpu_->run();
    set_.leave_guest();
    switch (reason) {
      case ExitReason::shutdown:
        set_.control_.request_shutdown();
        power_off();
        break;
      case ExitReason::reset:
        set_.control_.request_reset();
        power_off();
        break;
      case ExitReason::fault:
        set_.control_.report_fault(vcpu_->fault_text());
        power_off();
        break;
      case ExitReason::debug:
        set_.debug_exit(*this);
        break;
      case ExitReason::kicked:
      case ExitReason::halted:
        break;
    }
    lock.lock();
    in_guest_ = false;
    // A wake between the CPU's decision to halt and this wait has set woken_, so it is not lost.
    if (reason == ExitReason::halted) {
      condition_.wait(lock, [this] {
        return woken_ || stopping_ || !queue_.empty() || !powered_.load() || vcpu_->has_wake_reason();
      });
    }
  }
}

CpuSet::~CpuSet() {
  stop();
}

VcpuThread& CpuSet::add(std::unique_ptr<Vcpu> vcpu) {
  threads_.push_back(std::make_unique<VcpuThread>(*this, std::move(vcpu)));
  return *threads_.back();
}

void CpuSet::start() {
  for (auto& thread : threads_) thread->start();
}

bool CpuSet::enter_guest(VcpuThread& thread) {
  std::unique_lock lock(mutex_);
  const auto has_work = [&] { return thread.posted_.load(std::memory_order_acquire) != 0; };
  changed_.wait(lock, [&] { return pauses_ == 0 || thread.stop_requested() || has_work(); });
  // A CPU that is being stopped enters all the same: it returns at once, and its thread must end.
  if (pauses_ != 0 && !thread.stop_requested()) return false;
  ++running_;
  return true;
}

void CpuSet::leave_guest() {
  const std::lock_guard guard(mutex_);
  --running_;
  if (pauses_ > 0) changed_.notify_all();
}

bool CpuSet::enter_work(const std::atomic<bool>& stopping) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return pauses_ == 0 || stopping.load(std::memory_order_acquire); });
  if (stopping.load(std::memory_order_acquire)) return false;
  ++running_;
  return true;
}

void CpuSet::wake_work() {
  const std::lock_guard guard(mutex_);
  changed_.notify_all();
}

void CpuSet::debug_exit(VcpuThread& thread) {
  if (debug_handler_) {
    debug_handler_(thread);
    return;
  }
  control_.report_fault("a CPU stopped for a debugger, and there is none: " + thread.vcpu().fault_text());
  thread.power_off();
}

void CpuSet::pause() {
  std::unique_lock lock(mutex_);
  ++pauses_;
  for (auto& thread : threads_) thread->vcpu().kick();
  changed_.wait(lock, [this] { return running_ == 0; });
  if (!settle_ || settled_) return;
  settled_ = true;
  ++running_;  // others who pause wait for it
  const std::function<void()> settle = settle_;
  lock.unlock();
  settle();
  lock.lock();
  --running_;
  changed_.notify_all();
  changed_.wait(lock, [this] { return running_ == 0; });
}

void CpuSet::set_settle(std::function<void()> settle) {
  std::unique_lock lock(mutex_);
  settle_ = std::move(settle);
}

void CpuSet::resume() {
  const std::lock_guard guard(mutex_);
  SOLDER_CHECK(pauses_ > 0, "resume follows pause");
  if (--pauses_ != 0) return;
  settled_ = false;
  changed_.notify_all();
}

void CpuSet::finish_posted() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return posted_.load(std::memory_order_acquire) == 0; });
}

void CpuSet::exclusive(const std::function<void()>& work) {
  const std::lock_guard one_at_a_time(exclusive_);
  pause();
  work();
  resume();
}

void CpuSet::stop() {
  for (auto& thread : threads_) thread->request_stop();
  {
    const std::lock_guard guard(mutex_);
    changed_.notify_all();
  }
  for (auto& thread : threads_) thread->stop();
}

}  // namespace solder::cpu
