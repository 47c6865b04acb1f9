/// KVM's tracepoints in the host's kernel, read through perf events of this process's threads: nothing of the host's
/// own tracing changes, and all of it goes with the process however that ends.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/types.h"
#include "base/unique_fd.h"
#include "control/kernel_format.h"

namespace solder::control {

/// One record of a tracepoint.
struct KernelSample {
  static constexpr usize kMost = 128;  ///< no tracepoint of those that are read is longer
  static constexpr u32 kNoCpu = ~u32{0};
  u64 host_ns = 0;                       ///< CLOCK_MONOTONIC
  u32 cpu = kNoCpu;                      ///< whose thread it was
  u32 thread = 0;                        ///< KernelSession::thread_name
  const KernelFormat* format = nullptr;  ///< the session's
  u16 size = 0;
  std::array<u8, kMost> data{};
  [[nodiscard]] std::span<const u8> record() const { return {data.data(), size}; }
};

/// What a perf event's ring holds between `tail` and `head`, both counted from its start on (perf_event_open(2)); data
/// that wraps around is put together. Returns where it ended. Records that are cut, of another kind or of tracepoints
/// that are not in `formats` are left out; `lost` grows by what the kernel says it lost.
u64 parse_perf_ring(std::span<const u8> ring, u64 tail, u64 head, const std::map<u16, KernelFormat>& formats,
                    std::vector<KernelSample>& out, u64& lost);

class KernelSession {
 public:
  /// Errors: why the tracepoints cannot be had, and what to do.
  [[nodiscard]] static Result<std::unique_ptr<KernelSession>> open();
  ~KernelSession();
  KernelSession(const KernelSession&) = delete;
  KernelSession& operator=(const KernelSession&) = delete;

  /// Takes in threads of this process that are new, and lets go of those that have ended: the next `drain` gives what
  /// they left. Returns how many are vCPUs'. Errors: the kernel refuses; said once.
  [[nodiscard]] Result<usize> follow_threads();
  /// The machine's CPUs have ended and all is drained: none of them is to be taken for one of the next machine.
  void forget_cpus();
  /// What came since the last call, of each thread in its order. Returns how many were lost.
  [[nodiscard]] u64 drain(std::vector<KernelSample>& out);
  /// Until the next `drain`.
  [[nodiscard]] const std::string& thread_name(u32 thread) const { return threads_[thread]->name; }
  [[nodiscard]] usize tracepoints() const { return formats_.size(); }

 private:
  KernelSession() = default;
  struct Thread {
    int id = 0;
    std::string name;
    u32 cpu = KernelSample::kNoCpu;
    std::vector<UniqueFd> events;  ///< never none
    u8* pages = nullptr;           ///< the perf_event_mmap_page, then the ring
    usize size = 0;
    std::span<const u8> ring;
    bool over = false;   ///< nothing comes any more
    bool taken = false;  ///< … and what came was drained
    ~Thread();
  };
  Status follow(Thread& thread) const;
  void find_ended() const;
  [[nodiscard]] usize living_cpus() const;

  std::map<u16, KernelFormat> formats_;
  std::vector<std::unique_ptr<Thread>> threads_;
};

/// Where KVM's tracepoints are ("/sys/kernel/tracing/events/kvm"). Errors: why they cannot be read, and what to do.
[[nodiscard]] Result<std::string> find_tracepoints();

}  // namespace solder::control
