/// The live trace of accesses to devices. CPUs put records into rings, a thread takes them out, orders them and hands
/// them to whoever asked. It outlives the machines of a run.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "control/kernel_record.h"
#include "control/kernel_session.h"
#include "control/trace_ring.h"
#include "machine/machine.h"

namespace solder::control {

/// What someone wants to see.
struct TraceFilter {
  std::vector<std::string> nodes;  ///< paths; with what is below them. None: all
  bool reads = true;
  bool writes = true;
  bool kernel = false;  ///< KVM's tracepoints too
  [[nodiscard]] bool takes(const memory::IoAccess& access) const;
  /// With nodes named, or only one of reads and writes wanted, what is no access is left out.
  [[nodiscard]] bool takes(const KernelRecord& record) const;

 private:
  [[nodiscard]] bool takes_node(const std::string& path) const;
};

/// Called on the tracer's thread, and on the one that ends a machine, which must not be kept waiting. Returning false
/// ends the subscription.
class TraceReader {
 public:
  virtual ~TraceReader() = default;
  virtual bool record(const TraceRecord& record) = 0;
  virtual bool kernel(const KernelRecord& record) = 0;
  /// So many records were lost since the last one, because the rings were full.
  virtual bool dropped(u64 count) = 0;
  /// After each batch, and every few milliseconds without one: what could not be passed on before may be by now.
  virtual bool flush() { return true; }
};

class Tracer final : public memory::IoObserver {
 public:
  Tracer() = default;
  ~Tracer() override;
  Tracer(const Tracer&) = delete;
  Tracer& operator=(const Tracer&) = delete;

  /// A machine's CPUs are about to start.
  void attach(machine::Machine& machine);
  /// The machine has stopped: takes what is left.
  void detach();

  /// Ends the thread and all subscriptions. No machine is attached any more.
  void close();

  using Id = u64;
  /// Errors: the kernel's part is wanted, and cannot be had.
  [[nodiscard]] Result<Id> subscribe(TraceFilter filter, std::unique_ptr<TraceReader> reader);
  void unsubscribe(Id id);

  // memory::IoObserver
  void accessed(const memory::IoAccess& access) noexcept override;

  /// Whether the host kernel's own trace of KVM can be had, in one line.
  [[nodiscard]] static std::string kernel_trace();

 private:
  struct Subscription {
    Id id = 0;
    TraceFilter filter;
    std::unique_ptr<TraceReader> reader;
  };
  void observe_machine();
  void loop();
  // Takes what has come. `all`: also what the kernel's part may still have something older to.
  void drain(bool all = false);
  void deliver(u64 lost, u64 until);
  void take_kernel_samples(u64& lost);
  [[nodiscard]] bool wants_kernel() const;
  void follow_threads();
  void release_cpus();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Subscription> subscriptions_;
  machine::Machine* machine_ = nullptr;
  bool observing_ = false;
  bool stopping_ = false;
  Id next_ = 1;
  // Not yet handed out: with the kernel's part, the last moments wait until all threads' records of them are there.
  std::vector<TraceRecord> batch_;
  std::vector<KernelRecord> kernel_batch_;
  std::vector<KernelSample> samples_;
  std::unique_ptr<KernelSession> session_;
  std::optional<KernelReport> report_;  // of the machine
  u32 rounds_ = 0;                      // of the loop since threads were looked for
  u32 held_ = 0;                        // rounds for which a machine's CPUs may still be held before their first step
  std::thread thread_;
  // Read by CPUs while they are observed; changed only while nobody is.
  std::vector<std::unique_ptr<TraceRing>> rings_;  // one for each CPU
  const time::Clock* clock_ = nullptr;
  std::atomic<u64> lost_{0};
};

}  // namespace solder::control
