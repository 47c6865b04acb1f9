/// The CPUs of one machine and their threads.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "cpu/vcpu.h"

namespace solder::cpu {

class CpuSet;

/// What a vCPU does, as a user sees it.
enum class Activity : u8 {
  off,      ///< not powered on
  halted,   ///< waits for an interrupt
  running,  ///< in guest code, or about to be
};

/// One vCPU's thread: {queued work, then run, then sleep if halted} until told to stop.
class VcpuThread {
 public:
  VcpuThread(CpuSet& set, std::unique_ptr<Vcpu> vcpu);
  ~VcpuThread();
  [[nodiscard]] Vcpu& vcpu() { return *vcpu_; }
  /// Announces the thread and starts it; it sleeps until the CPU is powered on.
  void start();
  /// Powers the CPU on at `entry`. False when it is on already (PSCI ALREADY_ON).
  bool power_on(const EntryState& entry);
  /// Called on the CPU's own thread: the CPU is off from its next exit on.
  void power_off();
  [[nodiscard]] bool powered() const { return powered_.load(std::memory_order_acquire); }
  /// Whether `power_on` would take it now: `power_off` was called, and its thread has left the guest since.
  [[nodiscard]] bool off();
  /// Old when it is returned. A CPU that halts inside its accelerator (KVM with local APICs) counts as running.
  [[nodiscard]] Activity activity();
  /// Queues `work` to run on this thread between guest instructions; FIFO. Returns at once. It runs while the CPUs are
  /// paused, too.
  void post(std::function<void()> work);
  /// The same, and waits until it ran. On the CPU's own thread it runs at once.
  void run_on(std::function<void()> work);
  void wake();
  /// Asks the thread to end; `stop` also waits for it.
  void request_stop();
  [[nodiscard]] bool stop_requested() const { return stopping_.load(std::memory_order_acquire); }
  void stop();

 private:
  friend class CpuSet;
  void loop();
  CpuSet& set_;
  std::unique_ptr<Vcpu> vcpu_;
  std::mutex mutex_;
  std::condition_variable condition_;
  std::deque<std::function<void()>> queue_;
  std::atomic<u32> posted_{0};  // what is in the queue, and what was taken from it and is not done
  std::atomic<bool> powered_{false};
  bool woken_ = false;
  bool in_guest_ = false;
  bool starting_ = false;  // between the two halves of power_on
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

/// What to do when a CPU stops for a debugger (`ExitReason::debug`; `fault_text` tells why). On the CPU's own thread,
/// outside guest code; the CPU goes on when it returns.
using DebugHandler = std::function<void(VcpuThread&)>;

/// All vCPU threads of a machine; pausing them and exclusive work.
class CpuSet {
 public:
  /// `control` hears of exits that concern the whole machine.
  explicit CpuSet(MachineControl& control) : control_(control) {}
  ~CpuSet();
  VcpuThread& add(std::unique_ptr<Vcpu> vcpu);
  [[nodiscard]] usize size() const { return threads_.size(); }
  [[nodiscard]] VcpuThread& operator[](usize index) { return *threads_[index]; }
  void start();
  /// Runs `work` on the calling thread while no vCPU is in guest code. Not from inside guest code's helpers: post it.
  void exclusive(const std::function<void()>& work);
  /// Stops all vCPUs between instructions, until `resume`. Counted.
  void pause();
  void resume();
  /// Waits until the CPUs have done what was posted to them, and what that has posted: then a paused machine's CPUs are
  /// what their states say. While paused, on a thread that is none of theirs and that nothing posted waits for.
  void finish_posted();
  /// Around work that another thread does for the guest as a CPU would do it: while it lasts, `pause` waits, and it
  /// does not begin while the CPUs are paused. False: `stopping` became true instead, see `wake_work`.
  [[nodiscard]] bool enter_work(const std::atomic<bool>& stopping);
  void leave_work() { leave_guest(); }
  /// `settle` is called by `pause`, on its thread, when no CPU and no work is under way any more: it finishes what CPUs
  /// have left to such threads, so that a paused machine hides nothing there. Empty: nobody. Any thread.
  void set_settle(std::function<void()> settle);
  /// Lets those who wait here look again: in `enter_work` at their `stopping`.
  void wake_work();
  /// Without a handler, or with an empty one, a debug exit is an internal fault. While no CPU is in guest code.
  void set_debug_handler(DebugHandler handler) { debug_handler_ = std::move(handler); }
  /// Ends and joins all threads.
  void stop();

 private:
  friend class VcpuThread;
  void debug_exit(VcpuThread& thread);
  // False: there is work to do first.
  bool enter_guest(VcpuThread& thread);
  void leave_guest();
  MachineControl& control_;
  DebugHandler debug_handler_;
  std::vector<std::unique_ptr<VcpuThread>> threads_;
  std::mutex exclusive_;
  std::mutex mutex_;
  std::condition_variable changed_;
  u32 pauses_ = 0;  // requests that nobody be in guest code
  std::function<void()> settle_;
  bool settled_ = false;  // during this pause
  u32 running_ = 0;       // threads in guest code, or in work for it
  // All threads' posted_. What work posts is counted before the work is done: at 0 nothing is left anywhere.
  std::atomic<u32> posted_{0};
};

}  // namespace solder::cpu
