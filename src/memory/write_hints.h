/// What a device says of writes to its window that need not stop the CPU that makes them. An accelerator may use it, or
/// not; a model works the same without.
#pragma once

#include <vector>

#include "base/types.h"

namespace solder::memory {

/// A write that only tells the device to look, at its queue in guest memory for example: of exactly `size` bytes and
/// this value. It may come to the handler later, on another thread than the CPU's, and once for several of them, but
/// not never; and it may still come after later accesses of the same CPU, those that reset the device included.
struct Doorbell {
  u64 offset = 0;
  unsigned size = 0;
  u64 value = 0;
  bool operator==(const Doorbell&) const = default;
};

/// Writes of any width that lie in `size` bytes at `offset`, and whose only effect is on later accesses of the guest to
/// the same device: an index register. They come to the handler in their order, before any later access that does stop
/// a CPU, and before anyone who stops the CPUs looks at the device; but a timer or a backend may find them not yet
/// made.
struct DeferrableWrites {
  u64 offset = 0;
  u64 size = 0;
  bool operator==(const DeferrableWrites&) const = default;
};

struct WriteHints {
  std::vector<Doorbell> doorbells;
  std::vector<DeferrableWrites> deferrable;
};

}  // namespace solder::memory
