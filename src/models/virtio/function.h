/// What a virtio device is behind its transport.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "device/device.h"
#include "models/virtio/queue.h"

namespace solder::models::virtio {

// Device-independent feature bits (virtio 1.2, section 6).
inline constexpr u64 kIndirectDescriptors = u64{1} << 28;
inline constexpr u64 kEventIndex = u64{1} << 29;
inline constexpr u64 kVersion1 = u64{1} << 32;
inline constexpr u64 kPackedRing = u64{1} << 34;

/// What a transport does for its function. All members are called under the model's lock.
class Transport {
 public:
  virtual ~Transport() = default;
  [[nodiscard]] virtual Queue& queue(u32 index) = 0;
  /// After pushes on a queue: interrupts the driver if it wants to know, and reports a broken ring to it.
  virtual void used(u32 index) = 0;
  /// The configuration changed.
  virtual void config_changed() = 0;
  /// Features the driver accepted; valid while the driver is running.
  [[nodiscard]] virtual bool negotiated(u64 feature) const = 0;
  /// DRIVER_OK is set.
  [[nodiscard]] virtual bool running() const = 0;
};

/// One kind of virtio device. Called under the model's lock, unless said otherwise.
class Function {
 public:
  virtual ~Function() = default;
  void attach(Transport& transport) { transport_ = &transport; }
  [[nodiscard]] virtual u32 device_id() const = 0;
  [[nodiscard]] virtual u64 features() const = 0;
  /// The largest size of each queue; their number is the number of queues.
  [[nodiscard]] virtual std::vector<u16> queue_sizes() const = 0;
  /// The device-specific configuration; writes go to `write_config`.
  [[nodiscard]] virtual std::span<const u8> config() const = 0;
  virtual void write_config(u32 offset, std::span<const u8> bytes) {
    (void)offset;
    (void)bytes;
  }
  /// The driver set DRIVER_OK.
  virtual void activate() {}
  /// The driver put buffers into a queue.
  virtual void notify(u32 queue) = 0;
  /// Stop using guest memory. Called without the model's lock, so that completions can finish; then `reset` with it.
  virtual void quiesce() {}
  virtual void reset() {}
  /// What it knows of its driver beyond the transport's state. After `quiesce`, or before anything else.
  virtual void state(device::Archive& archive) { (void)archive; }
  [[nodiscard]] virtual std::string describe() const { return {}; }

 protected:
  Transport* transport_ = nullptr;
};

/// Makes the function that the node's `solder,virtio` names.
using FunctionFactory = Result<std::unique_ptr<Function>> (*)(device::Ports& ports);
struct FunctionRegistration {
  /// `name` is what `solder,virtio` says: "block", "net", "console", "rng".
  FunctionRegistration(std::string_view name, FunctionFactory factory);
};
[[nodiscard]] FunctionFactory find_function(std::string_view name);
/// All names, for error texts.
[[nodiscard]] std::vector<std::string> function_names();

}  // namespace solder::models::virtio
