/// Who watches accesses to devices: the trace of `solder ctl trace`.
#pragma once

#include <string>

#include "base/types.h"
#include "memory/mmio.h"

namespace solder::memory {

/// One access to a window, after it was made. Times are CLOCK_MONOTONIC, in nanoseconds.
struct IoAccess {
  static constexpr u32 kThisThread = ~u32{0};
  u32 cpu = kThisThread;  ///< index; kThisThread: that of the calling thread (cpu::current_cpu)
  u64 address = 0;        ///< in its space
  u8 size = 0;            ///< bytes
  bool write = false;
  bool port = false;             ///< x86's I/O ports
  bool system_register = false;  ///< a register that is reached by instructions of its own; `address` is its number
  u64 value = 0;
  const std::string* owner = nullptr;    ///< the region's name; lives as long as the space
  const MmioHandler* handler = nullptr;  ///< lives as long as the machine
  u64 offset = 0;                        ///< of the access in the window
  u64 begin_ns = 0;                      ///< the handler was called
  u64 end_ns = 0;                        ///< … and returned
  u64 exit_ns = 0;                       ///< the accelerator left the guest; 0: unknown
};

/// Called on the accessing thread, concurrently, without locks held by the memory. Must not access the space.
class IoObserver {
 public:
  virtual ~IoObserver() = default;
  virtual void accessed(const IoAccess& access) noexcept = 0;
};

}  // namespace solder::memory
