/// One source of a storm of interrupts, and its account: what it sent, and what the guest's handler has counted.
#pragma once

#include <atomic>
#include <chrono>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "interrupt/route.h"

namespace solder::models::test {

/// What a source raises its interrupts by.
enum class SourceKind : u8 {
  eventfd,   ///< an eventfd on a virq: an irqfd where the targets are in the kernel
  message,   ///< RoutingTable::raise of a virq, by this process
  edge,      ///< a wire that fires
  level,     ///< a wire that is high until the guest acknowledges its cause
  resample,  ///< an eventfd that sets a level, which the guest's EOI takes back
  count
};
[[nodiscard]] std::string_view kind_name(SourceKind kind);

/// What a guest's handlers count in: a number for each CPU and slot, in the guest's memory.
class Counters {
 public:
  Counters() = default;
  Counters(u32* first, u32 cpus, u32 slots) : first_(first), cpus_(cpus), slots_(slots) {}
  /// Of all CPUs. Each number is written by one CPU only.
  [[nodiscard]] u64 read(u32 slot) const;

 private:
  u32* first_ = nullptr;
  u32 cpus_ = 0;
  u32 slots_ = 0;
};

/// One of the places that a virq's interrupts can go to, and where the handler there counts.
struct Candidate {
  interrupt::Target target;
  u32 slot = 0;
};

/// The causes of level sources, one bit each, that the guest's handlers ask for.
using Causes = std::atomic<u32>;

/// Its account belongs to the one thread that runs `step`; others read the atomics. One event at a time: the next one
/// is sent when the handler has counted the last, so that no two edges can become one and every count is exact.
class Source {
 public:
  struct Wires {
    std::mutex& lock;  ///< the model's, which drivers of wires hold
    Causes& causes;
    interrupt::EdgeWire* edge = nullptr;
    interrupt::LevelWire* level = nullptr;
    u32 cause = 0;  ///< bit mask
  };
  Source(SourceKind kind, std::string name, interrupt::RoutingTable& routes, Wires wires,
         std::vector<Candidate> candidates);
  ~Source();
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;

  /// Takes a virq and attaches the eventfd. Errors: the kernel refuses.
  [[nodiscard]] Status open();
  void close();

  enum class Step : u8 { waits, sent, done, failed };
  /// Looks whether the last event was counted, and sends the next while there are fewer than `limit`.
  Step step(const Counters& counters, u64 limit);
  /// Gives the virq its next target. A level moves only between two events, and with `step`'s thread.
  void move();

  [[nodiscard]] SourceKind kind() const { return kind_; }
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] std::optional<interrupt::Virq> virq() const { return virq_; }
  [[nodiscard]] bool movable() const { return virq_ && candidates_.size() > 1; }
  [[nodiscard]] u64 sent() const { return sent_.load(std::memory_order_acquire); }
  [[nodiscard]] u64 counted() const { return counted_.load(std::memory_order_acquire); }
  [[nodiscard]] u64 moves() const { return moves_.load(std::memory_order_acquire) / 2; }
  /// Whether the route is being changed right now.
  [[nodiscard]] bool changing() const { return moves_.load(std::memory_order_acquire) % 2 != 0; }
  [[nodiscard]] u64 counted(const Counters& counters) const;
  /// The longest that it took from an event until its count was seen.
  [[nodiscard]] std::chrono::nanoseconds slowest() const { return std::chrono::nanoseconds(slowest_.load()); }
  /// Whether the last event has not been counted, or its EOI has not come back.
  [[nodiscard]] bool in_flight() const { return in_flight_.load(std::memory_order_relaxed); }
  [[nodiscard]] u32 highest_slot() const;
  /// What `step` found wrong.
  [[nodiscard]] const std::string& failure() const { return failure_; }

 private:
  void send();
  bool arrived(const Counters& counters);
  bool resampled();
  void set_route();
  Step fail_with(std::string text);

  const SourceKind kind_;
  const std::string name_;
  interrupt::RoutingTable& routes_;
  Wires wires_;
  const std::vector<Candidate> candidates_;
  std::optional<interrupt::Virq> virq_;
  UniqueFd event_;
  UniqueFd resample_;

  std::atomic<u64> sent_{0};
  std::atomic<u64> counted_{0};
  std::atomic<u64> moves_{0};  // odd while the route is being changed
  std::atomic<u32> current_{0};
  // Written by the thread that steps.
  std::atomic<bool> in_flight_{false};
  std::atomic<i64> slowest_{0};  // nanoseconds
  std::chrono::steady_clock::time_point sent_at_;
  u64 moves_when_sent_ = 0;
  u32 candidate_when_sent_ = 0;
  std::vector<u64> seen_;  // by candidate: what was counted there
  std::atomic<bool> wants_move_{false};
  std::string failure_;
};

}  // namespace solder::models::test
