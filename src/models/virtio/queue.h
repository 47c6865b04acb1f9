/// Virtqueues, split and packed (virtio 1.2, sections 2.7 and 2.8), with indirect descriptors and event index.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/types.h"
#include "device/archive.h"
#include "memory/dma.h"

namespace solder::models::virtio {

/// A piece of guest memory that a descriptor names.
struct Segment {
  u64 address = 0;
  u32 length = 0;
};

/// One request: what the device may read, then what it may write.
struct Chain {
  u16 id = 0;           ///< descriptor index (split) or buffer id (packed)
  u16 descriptors = 1;  ///< ring entries it occupies (packed)
  std::vector<Segment> readable;
  std::vector<Segment> writable;

  [[nodiscard]] u64 readable_bytes() const;
  [[nodiscard]] u64 writable_bytes() const;
};

/// Copies from the readable segments starting `skip` bytes in; returns how many bytes were there (and reachable).
u64 read_chain(const memory::DmaPort& dma, std::span<const Segment> segments, u64 skip, std::span<u8> out);
/// Copies into the segments starting `skip` bytes in; returns how many fitted (and were reachable).
u64 write_chain(const memory::DmaPort& dma, std::span<const Segment> segments, u64 skip, std::span<const u8> in);

/// Where a driver put a queue, and which features it chose.
struct QueueLayout {
  u16 size = 0;
  u64 descriptors = 0;
  u64 driver = 0;  ///< available ring, or driver event structure
  u64 device = 0;  ///< used ring, or device event structure
  bool packed = false;
  bool event_index = false;
  bool indirect = false;

  void state(device::Archive& archive) {
    archive("size", size)("descriptors", descriptors)("driver", driver)("device", device)("packed", packed)(
        "event_index", event_index)("indirect", indirect);
  }
};

/// The device's side of one queue. Not thread-safe: the model's lock serialises.
/// Whatever the driver writes, this stays within bounds: a malformed ring makes the queue `broken`, until reset.
class Queue {
 public:
  explicit Queue(const memory::DmaPort& dma) : dma_(dma) {}

  void start(const QueueLayout& layout);
  void reset();
  /// While no chain is with the device.
  void state(device::Archive& archive);
  [[nodiscard]] bool ready() const { return ready_; }
  /// Why the queue cannot go on; empty while it can.
  [[nodiscard]] const std::string& broken() const { return broken_; }

  /// Takes the next available chain. False when there is none, or the ring is malformed.
  bool pop(Chain& chain);
  /// Puts the last popped chain back (no resources to serve it now). Before any other pop or push.
  void unpop(const Chain& chain);
  /// Gives a chain back with `written` bytes in its writable part.
  void push(const Chain& chain, u32 written);
  /// After pushes: whether the driver wants an interrupt for them.
  bool wants_interrupt();
  /// Asks the driver to notify, or not to bother. Returns true when chains came in meanwhile (look again).
  bool enable_notifications(bool enable);

 private:
  struct Descriptor {
    u64 address;
    u32 length;
    u16 a;  // split: flags; packed: id
    u16 b;  // split: next; packed: flags
  };
  bool pop_split(Chain& chain);
  bool pop_packed(Chain& chain);
  bool add_indirect(const Descriptor& table, bool packed, Chain& chain);
  bool add_segment(const Descriptor& descriptor, u16 flags, Chain& chain);
  bool fail(std::string why);
  template <class T>
  bool load(u64 address, T& value);
  template <class T>
  void store(u64 address, T value);

  const memory::DmaPort& dma_;
  QueueLayout layout_;
  bool ready_ = false;
  std::string broken_;
  u16 next_avail_ = 0;  // split: free-running index; packed: ring position
  u16 next_used_ = 0;
  u16 signalled_used_ = 0;  // next_used_ at the last interrupt decision
  bool avail_wrap_ = true;  // packed: wrap counters
  bool used_wrap_ = true;
  u16 pushed_ = 0;  // entries used since the last interrupt decision (packed)
};

}  // namespace solder::models::virtio
