/// Wires: how an interrupt leaves a model. A model drives a wire; where it ends is the machine's business.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/types.h"

namespace solder::interrupt {

/// Where wires end: a controller's inputs, a cascade, an OR gate, a route into KVM.
/// Called under the driver's lock, from any thread; the sink takes its own lock (order: device, controller, CPU).
class Sink {
 public:
  virtual ~Sink() = default;
  /// The level of input `pin` is now `level`. May be called again with the same level.
  virtual void set_level(u32 pin, bool level) = 0;
  /// One edge on input `pin`.
  virtual void pulse(u32 pin) {
    set_level(pin, true);
    set_level(pin, false);
  }
  /// `watcher` is told whenever the guest ends an interrupt of the level-triggered input `pin` (EOI), so that a source
  /// that cannot see its device's level may ask it again. Called without the controller's lock. Controllers that do not
  /// know when an interrupt ends ignore it.
  virtual void watch_eoi(u32 pin, std::function<void()> watcher) {
    (void)pin;
    (void)watcher;
  }
};

/// A level-triggered output: high until the cause is gone. Unconnected wires go nowhere, silently.
class LevelWire {
 public:
  void connect(Sink* sink, u32 pin) {
    sink_ = sink;
    pin_ = pin;
    if (sink_ != nullptr && level_) sink_->set_level(pin_, true);
  }
  void set(bool level) {
    // Repeats are dropped here, so that a model may call this after every change of its registers.
    if (level == level_) return;
    level_ = level;
    if (level) ++count_;
    if (sink_ != nullptr) sink_->set_level(pin_, level);
  }
  [[nodiscard]] bool level() const { return level_; }
  [[nodiscard]] bool connected() const { return sink_ != nullptr; }
  /// How often it rose. Under the driver's lock, as the rest.
  [[nodiscard]] u64 count() const { return count_; }

 private:
  Sink* sink_ = nullptr;
  u32 pin_ = 0;
  bool level_ = false;
  u64 count_ = 0;
};

/// An edge-triggered output: each `fire` is one event.
class EdgeWire {
 public:
  void connect(Sink* sink, u32 pin) {
    sink_ = sink;
    pin_ = pin;
  }
  void fire() {
    ++count_;
    if (sink_ != nullptr) sink_->pulse(pin_);
  }
  [[nodiscard]] bool connected() const { return sink_ != nullptr; }
  /// How often it fired. Under the driver's lock.
  [[nodiscard]] u64 count() const { return count_; }

 private:
  Sink* sink_ = nullptr;
  u32 pin_ = 0;
  u64 count_ = 0;
};

/// Several level wires on one input: high while any is.
class OrGate final : public Sink {
 public:
  OrGate(Sink& out, u32 out_pin, u32 inputs);
  void set_level(u32 pin, bool level) override;

 private:
  Sink& out_;
  u32 out_pin_;
  std::mutex mutex_;
  std::vector<bool> levels_;
  u32 high_ = 0;
};

/// A controller as the tree sees it: it knows what the cells of a specifier mean (its binding).
class Controller {
 public:
  virtual ~Controller() = default;
  /// How a specifier asks to be driven.
  enum class Trigger : u8 { level_high, level_low, edge_rising, edge_falling };
  struct Input {
    Sink* sink = nullptr;
    u32 pin = 0;
    Trigger trigger = Trigger::level_high;
    std::string name;        ///< "SPI 1", "PPI 11 of cpu 0", "pin 5": for explain and errors
    std::string node = {};   ///< path of the controller's node; the machine fills it in
    bool in_kernel = false;  ///< the controller lives in KVM; `controller` is its number there
    u32 controller = 0;      ///< KVM_IRQCHIP_*
    /// The routing table's number behind this input, for sources that are eventfds; none: only `sink` reaches it.
    std::optional<u32> virq = std::nullopt;
  };
  /// The input that `specifier` (as many cells as #interrupt-cells) names. `cpu` matters for per-CPU inputs (PPIs).
  /// Errors: what is wrong with which cell.
  [[nodiscard]] virtual Result<Input> input(std::span<const u32> specifier, u32 cpu) = 0;
};

/// What an x86 CPU asks its interrupt controller when it takes an interrupt. Called on the CPU's own thread.
class CpuInterface {
 public:
  virtual ~CpuInterface() = default;
  /// The INTA cycle: the vector to take, which is now in service. None: there is nothing to take any more.
  virtual std::optional<u8> acknowledge() = 0;
  /// CR8: the task priority, 0..15. A controller without one ignores it.
  [[nodiscard]] virtual u8 task_priority() const { return 0; }
  virtual void set_task_priority(u8 priority) { (void)priority; }
};

/// A message-signalled interrupt: a write of `data` to `address`, by the requester `device_id` (ITS: DeviceID).
struct Message {
  u64 address = 0;
  u32 data = 0;
  u32 device_id = 0;
};

/// Hears that CPUs ended level-triggered interrupts that had come as messages (a local APIC's EOI broadcast): an I/O
/// APIC, whose remote IRR clears.
class EoiListener {
 public:
  virtual ~EoiListener() = default;
  /// A CPU ended the level-triggered interrupt `vector`. Any thread; no lock of the message target is held.
  virtual void end_of_interrupt(u8 vector) = 0;
};

/// Who receives messages (an ITS frame, a GICv2m, the x86 local APICs).
class MessageTarget {
 public:
  virtual ~MessageTarget() = default;
  /// Whether somebody took it. False when the message means nothing there (an ITS: the guest has mapped no interrupt to
  /// it), and from local APICs also when none accepted the interrupt: then no EOI will come for it either.
  virtual bool deliver(const Message& message) = 0;
  /// `listener`, which lives as long as the target, hears of EOIs from now on. Before CPUs run. Targets whose CPUs
  /// broadcast none ignore it.
  virtual void add_eoi_listener(EoiListener& listener) { (void)listener; }
};

}  // namespace solder::interrupt
