#include <algorithm>
#include <ctime>

#include "base/check.h"
#include "time/clock.h"

namespace solder::time {

/// A timer's place in the queue. Shared with the heap, so that a Timer may go while its slot is still in there.
struct Timer::Slot {
  std::function<void()> callback;
  std::mutex running;  // held while the callback runs: destruction waits for it
  Nanoseconds deadline = 0;
  bool armed = false;   // under the queue's mutex
  bool queued = false;  // in the heap, at `key`
  Nanoseconds key = 0;
};

namespace {

// The heap's top is the earliest key.
bool later(const std::shared_ptr<Timer::Slot>& a, const std::shared_ptr<Timer::Slot>& b) {
  return a->key > b->key;
}

}  // namespace

Timer::Timer(TimerQueue& queue, std::function<void()> callback) : queue_(&queue), slot_(std::make_shared<Slot>()) {
  slot_->callback = std::move(callback);
}

Timer::~Timer() {
  if (slot_ == nullptr) return;
  cancel();
  // Waits for a callback that is running, unless it is the callback itself that destroys the timer.
  if (std::this_thread::get_id() != queue_->thread_.get_id()) {
    const std::lock_guard guard(slot_->running);
    slot_->callback = nullptr;
  }
}

Timer::Timer(Timer&& other) noexcept : queue_(other.queue_), slot_(std::move(other.slot_)) {}

Timer& Timer::operator=(Timer&& other) noexcept {
  std::swap(queue_, other.queue_);
  std::swap(slot_, other.slot_);
  return *this;
}

void Timer::arm(Nanoseconds deadline) {
  const std::lock_guard guard(queue_->mutex_);
  slot_->armed = true;
  slot_->deadline = deadline;
  if (slot_->queued && slot_->key <= deadline) return;  // fires early, sees the later deadline, and is queued again
  if (slot_->queued) {
    slot_->key = deadline;
    std::make_heap(queue_->heap_.begin(), queue_->heap_.end(), later);
  } else {
    slot_->queued = true;
    slot_->key = deadline;
    queue_->heap_.push_back(slot_);
    std::push_heap(queue_->heap_.begin(), queue_->heap_.end(), later);
  }
  if (queue_->heap_.front() == slot_) queue_->wake_.notify_one();
}

void Timer::cancel() {
  // The slot stays in the heap until its time: guests arm and cancel far more often than timers fire.
  const std::lock_guard guard(queue_->mutex_);
  slot_->armed = false;
}

bool Timer::armed() const {
  const std::lock_guard guard(queue_->mutex_);
  return slot_->armed;
}

TimerQueue::TimerQueue(Clock& clock) : clock_(clock), thread_([this] { run(); }) {}

TimerQueue::~TimerQueue() {
  stop();
}

void TimerQueue::clock_changed() {
  const std::lock_guard guard(mutex_);
  wake_.notify_one();
}

void TimerQueue::stop() {
  {
    const std::lock_guard guard(mutex_);
    stopping_ = true;
    wake_.notify_one();
    stepped_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

Nanoseconds TimerQueue::step(Nanoseconds to, u64 most) {
  std::unique_lock lock(mutex_);
  step_to_ = to;
  step_left_ = most;
  stepping_ = true;
  wake_.notify_one();
  stepped_.wait(lock, [this] { return !stepping_ || stopping_; });
  stepping_ = false;
  return clock_.now();
}

// Brings a paused clock to the next deadline of a step. False: the step is over.
bool TimerQueue::advance_step() {
  if (!clock_.paused()) return false;
  drop_cancelled();
  const Nanoseconds next = heap_.empty() ? ~Nanoseconds{0} : heap_.front()->key;
  if (next > step_to_) {
    if (clock_.now() < step_to_) clock_.set(step_to_);
    return false;
  }
  if (step_left_ == 0) return false;
  --step_left_;
  if (next > clock_.now()) clock_.set(next);
  return true;
}

// Takes off the heap's top what would not fire at its key, so that the top is the earliest deadline.
void TimerQueue::drop_cancelled() {
  while (!heap_.empty()) {
    const std::shared_ptr<Timer::Slot> top = heap_.front();
    if (top->armed && top->deadline <= top->key) return;
    std::pop_heap(heap_.begin(), heap_.end(), later);
    heap_.pop_back();
    top->queued = top->armed;
    if (!top->armed) continue;
    top->key = top->deadline;
    heap_.push_back(top);
    std::push_heap(heap_.begin(), heap_.end(), later);
  }
}

Nanoseconds TimerQueue::next_deadline() {
  const std::lock_guard guard(mutex_);
  drop_cancelled();
  return heap_.empty() ? ~Nanoseconds{0} : heap_.front()->key;
}

void TimerQueue::run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    if (stepping_ && !advance_step()) {
      stepping_ = false;
      stepped_.notify_all();
      continue;
    }
    if (heap_.empty() || (clock_.paused() && !stepping_)) {
      wake_.wait(lock);
      continue;
    }
    const std::shared_ptr<Timer::Slot> top = heap_.front();
    const Nanoseconds now = clock_.now();
    if (top->key > now) {
      // Bounded, so that a deadline far away does not overflow the host's clock.
      const Nanoseconds wait = std::min<Nanoseconds>(top->key - now, 3'600'000'000'000);
      wake_.wait_for(lock, std::chrono::nanoseconds(wait));
      continue;
    }
    std::pop_heap(heap_.begin(), heap_.end(), later);
    heap_.pop_back();
    top->queued = false;
    if (!top->armed) continue;
    if (top->deadline > now) {
      top->queued = true;
      top->key = top->deadline;
      heap_.push_back(top);
      std::push_heap(heap_.begin(), heap_.end(), later);
      continue;
    }
    top->armed = false;
    lock.unlock();
    {
      const std::lock_guard running(top->running);
      if (top->callback) top->callback();
    }
    lock.lock();
  }
}

}  // namespace solder::time
