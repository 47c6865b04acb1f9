/// The routing table: from virtual interrupt numbers of ours (virq; KVM says GSI) to controller pins and messages.
/// One table for both accelerators; a listener mirrors it into KVM.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <variant>
#include <vector>

#include "base/types.h"
#include "interrupt/wire.h"

namespace solder::interrupt {

/// Numbers are ours (C8); 0.. are free to be used for pins one to one where a platform has such numbers.
using Virq = u32;

struct PinTarget {
  Sink* sink = nullptr;
  u32 controller = 0;  ///< a number for the controller, as KVM's irqchip field
  u32 pin = 0;
};
using Target = std::variant<PinTarget, Message>;

struct Route {
  Virq virq = 0;
  Target target;
};

/// Readers (`raise`, `set_level`) take one atomic load; writers publish a new table. Several routes may share a virq.
class RoutingTable {
 public:
  explicit RoutingTable(MessageTarget* messages = nullptr);
  ~RoutingTable();
  void set_message_target(MessageTarget* target) { messages_.store(target, std::memory_order_release); }

  [[nodiscard]] Virq allocate();
  void release(Virq virq);
  /// Replaces all targets of `virq` in one publication: an interrupt meets the old or the new set, never none.
  void set(Virq virq, std::vector<Target> targets);
  /// One event: a pulse on each pin, or each message. Counts.
  void raise(Virq virq);
  /// A level: applies to pin targets; a rising level sends messages once.
  void set_level(Virq virq, bool level);
  [[nodiscard]] u64 count(Virq virq) const;
  [[nodiscard]] std::vector<Route> routes() const;
  /// Told after each publication, in order.
  void listen(std::function<void(const std::vector<Route>&)> listener);

 private:
  struct Entry {
    std::vector<Target> targets;
    std::shared_ptr<std::atomic<u64>> count;
    std::shared_ptr<std::atomic<bool>> level;
    bool used = false;
  };
  using Table = std::vector<Entry>;
  void publish(std::unique_ptr<Table> table);

  mutable std::mutex mutex_;
  std::atomic<MessageTarget*> messages_;
  std::atomic<const Table*> table_;
  std::vector<std::unique_ptr<const Table>> published_;
  std::vector<std::function<void(const std::vector<Route>&)>> listeners_;
};

}  // namespace solder::interrupt
