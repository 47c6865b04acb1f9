/// A storm while it runs: a thread for each kind of source, one that changes routes, one that watches.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "memory/dma.h"
#include "models/test/storm_source.h"

namespace solder::models::test {

/// The guest's side in its memory; the counters follow it.
struct StormBlock {
  u32 heartbeat;  ///< CPU 0 counts here that it goes on
  u32 state;      ///< the device writes what its STATE register has
  std::array<u32, 14> unused;
};

struct StormLimits {
  u64 events = 0;         ///< of all sources
  u32 patience_ms = 0;    ///< nothing counted for so long is a lost interrupt
  bool progress = false;  ///< a line every few seconds
};

class StormRun {
 public:
  enum class State : u32 { idle, running, done, failed };
  using Sources = std::vector<std::unique_ptr<Source>>;
  /// `ended` runs once, on a thread of the storm, with the state and, of a failure, what failed.
  StormRun(Sources& sources, interrupt::RoutingTable& routes, StormBlock* block, Counters counters,
           const StormLimits& limits, std::function<void(State, const std::string&)> ended);
  /// Ends it if it has not ended. Not from its own threads.
  ~StormRun();
  StormRun(const StormRun&) = delete;
  StormRun& operator=(const StormRun&) = delete;

  /// A handler of a level found none of its causes.
  void found_no_cause() { no_cause_.fetch_add(1, std::memory_order_relaxed); }

 private:
  void work(SourceKind kind);
  void change_routes();
  void watch();
  void fail_with(std::string text);
  [[nodiscard]] u64 slowest() const;
  [[nodiscard]] u32 heartbeat() const { return std::atomic_ref<u32>(block_->heartbeat).load(); }
  [[nodiscard]] std::string lost() const;
  [[nodiscard]] std::string check() const;
  void print_table() const;
  void finish(State state, const std::string& text);

  Sources& sources_;
  interrupt::RoutingTable& routes_;
  StormBlock* block_;
  Counters counters_;
  const StormLimits limits_;
  const u64 quota_;  // of each source
  std::function<void(State, const std::string&)> ended_;
  std::atomic<bool> stop_{false};
  std::atomic<u32> working_{0};
  std::atomic<u64> no_cause_{0};
  std::mutex failure_lock_;
  std::string failure_;
  std::vector<std::thread> threads_;
};

}  // namespace solder::models::test
