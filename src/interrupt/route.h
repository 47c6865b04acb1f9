/// The routing table: from virtual interrupt numbers of ours (virq; KVM says GSI) to controller pins and messages.
/// One table for both accelerators; the part of it that ends in the host's kernel is mirrored there.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "base/result.h"
#include "base/types.h"
#include "interrupt/wire.h"

namespace solder::interrupt {

/// Numbers are ours (C8); a platform that has numbers of its own reserves them.
using Virq = u32;

struct PinTarget {
  Sink* sink = nullptr;  ///< of a controller in this process; null for one in the kernel
  u32 controller = 0;    ///< in the kernel: KVM's irqchip number
  u32 pin = 0;
  bool in_kernel = false;
  std::string name;       ///< the pin, for people: "pin 4", "SPI 1"
  std::string node = {};  ///< path of the controller's node, for people
};
using Target = std::variant<PinTarget, Message>;

struct Route {
  Virq virq = 0;
  Target target;
};

/// The host kernel's half of the table (KVM_SET_GSI_ROUTING, KVM_IRQ_LINE, KVM_IRQFD).
class KernelRoutes {
 public:
  virtual ~KernelRoutes() = default;
  /// Whether messages are delivered in the kernel (the local APICs, the ITS live there).
  [[nodiscard]] virtual bool takes_messages() const = 0;
  /// Replaces the kernel's table in one step by the routes that end in it.
  virtual void publish(std::span<const Route> routes) = 0;
  /// The level of all in-kernel pins of `virq`.
  virtual void set_level(Virq virq, bool level) = 0;
  /// Events of `fd` raise `virq` without this process; with `resample_fd` >= 0 they set its level, which falls, with an
  /// event on `resample_fd`, when the guest ends the interrupt.
  [[nodiscard]] virtual Status attach(Virq virq, int fd, int resample_fd) = 0;
  virtual void detach(Virq virq, int fd) = 0;
};

/// A virq that is to be taken, with its first targets.
struct NewRoute {
  std::optional<Virq> number;  ///< a reserved one; none: the table chooses
  std::string label;
  std::vector<Target> targets;
};

class EventSources;

/// A line of `solder ctl irq`.
struct RouteReport {
  Virq virq = 0;
  std::string label;                 ///< what the virq is for: "/ioapic pin 4", "/isa/serial@3f8"
  std::vector<std::string> targets;  ///< "pin 4 of /ioapic, KVM", "message 0x4041 to 0xfee00000, here"
  u32 event_fds = 0;
  bool events_in_kernel = false;
  bool level = false;
  u64 count = 0;  ///< events that went through this process
};

/// Readers take no lock of the table; writers publish a new one, and free old ones when no reader is inside, so that a
/// guest that reprograms routes for ever costs no memory. Several routes may share a virq. A level is one state of its
/// virq and its pins: `set_level`, `set` and `release` of one virq exclude each other.
class RoutingTable {
 public:
  explicit RoutingTable(MessageTarget* messages = nullptr);
  ~RoutingTable();
  void set_message_target(MessageTarget* target) { messages_.store(target, std::memory_order_release); }
  /// Null: nobody takes messages.
  [[nodiscard]] MessageTarget* message_target() const { return messages_.load(std::memory_order_acquire); }
  /// Mirrors the table into the kernel from now on. Before CPUs run.
  void set_kernel(KernelRoutes* kernel);

  /// Keeps [0, count) out of `allocate`: a platform's own numbers. Before the first allocate.
  void reserve(Virq count);
  [[nodiscard]] Virq allocate(std::string label = {});
  /// Takes all of `wanted` in one publication, which costs as much as that of one; their virqs, in order. A reserved
  /// number that is taken already keeps its label and its count, and has the new targets.
  std::vector<Virq> take(std::vector<NewRoute> wanted);
  void release(Virq virq);
  /// Replaces all targets of `virq` in one publication: an interrupt meets the old or the new set, never none.
  void set(Virq virq, std::vector<Target> targets);
  /// One event: a pulse on each pin, or each message. Counts. Whether somebody took it: a pin always does, a message as
  /// MessageTarget::deliver says. False too without targets.
  bool raise(Virq virq);
  /// A level: applies to pin targets; a rising level sends messages once.
  void set_level(Virq virq, bool level);

  /// An eventfd as a source of `virq`: in the kernel when all targets are there, else on a thread of this table; moved
  /// when the targets move. With `resample_fd` >= 0 each event sets the level, and the guest's EOI clears it and writes
  /// `resample_fd`; so does a change of the targets, after which a source that still asks must say so again. The
  /// descriptors stay the caller's and must live until detached. Errors: `fd` is a source already, of this or another
  /// virq; it cannot be waited for; the kernel refuses.
  [[nodiscard]] Status attach_eventfd(Virq virq, int fd, int resample_fd = -1);
  void detach_eventfd(Virq virq, int fd);

  [[nodiscard]] u64 count(Virq virq) const;
  [[nodiscard]] std::vector<Route> routes() const;
  [[nodiscard]] std::vector<RouteReport> report() const;
  /// Told after each publication, in order.
  void listen(std::function<void(const std::vector<Route>&)> listener);

 private:
  struct Level {
    std::mutex mutex;  // held while pins are driven: after the table's, before the controllers'
    std::atomic<bool> high{false};
  };
  struct Entry {
    std::vector<Target> targets;
    std::shared_ptr<std::atomic<u64>> count;
    std::shared_ptr<Level> level;
    std::string label;
    bool used = false;
    bool kernel_pins = false;  // some target is a pin in the kernel
  };
  using Table = std::vector<Entry>;
  // A reader's hold on the current table: while any exists, replaced tables stay.
  class Reading {
   public:
    explicit Reading(const RoutingTable& owner) : owner_(owner) { owner_.readers_.fetch_add(1); }
    ~Reading() { owner_.readers_.fetch_sub(1); }
    Reading(const Reading&) = delete;
    Reading& operator=(const Reading&) = delete;
    // Sequentially consistent, as the count is: a writer that sees no reader after publishing knows that later readers
    // see its table.
    [[nodiscard]] const Entry* find(Virq virq) const {
      const Table& table = *owner_.table_.load();
      return virq < table.size() && table[virq].used ? &table[virq] : nullptr;
    }

   private:
    const RoutingTable& owner_;
  };
  struct Attachment {
    Virq virq = 0;
    int fd = -1;
    int resample_fd = -1;
    bool in_kernel = false;
  };
  void publish(std::unique_ptr<Table> table);
  // Publishes `next`, in which `virq` has other targets than `old`, and moves its level to them: the new pins rise
  // before the old ones fall, where those are ours. `falls`: it is low afterwards.
  void publish_level(std::unique_ptr<Table> next, Virq virq, const std::vector<Target>& old, bool falls);
  static void enter(Table& table, Virq virq, std::string label);
  [[nodiscard]] bool all_in_kernel(const Entry& entry) const;
  Status place(Attachment& attachment, const Entry& entry);
  void displace(const Attachment& attachment);

  mutable std::mutex mutex_;
  std::atomic<MessageTarget*> messages_;
  std::atomic<KernelRoutes*> kernel_{nullptr};
  Virq reserved_ = 0;
  std::atomic<const Table*> table_;
  mutable std::atomic<u32> readers_{0};
  std::vector<std::unique_ptr<const Table>> published_;  // the current one is the last
  std::vector<std::function<void(const std::vector<Route>&)>> listeners_;
  std::vector<Attachment> attachments_;
  // A pulse on pins in the kernel is two steps, each by the kernel's table of its moment: shared by pulses, alone for
  // whoever changes that table. The last lock of all.
  std::shared_mutex pulses_;
  std::unique_ptr<EventSources> events_;  // made for the first eventfd that is ours
};

}  // namespace solder::interrupt
