/// The part of a guest CPU's state that every guest architecture has, at the front of its state record.
/// The interpreter, the emitters and the run time know these fields; everything else is reached by `get`/`put` offsets.
#pragma once

#include <atomic>

#include "base/types.h"
#include "translator/ir/ir.h"

namespace solder::ir {

struct Context;  // translator/ir/context.h

/// Flags image: one bit each where x86's LAHF and SETO leave them, so that storing and testing flags is cheap.
inline constexpr u32 kFlagN = 1U << 15;
inline constexpr u32 kFlagZ = 1U << 14;
inline constexpr u32 kFlagC = 1U << 8;
inline constexpr u32 kFlagV = 1U << 0;

/// Sticky floating-point status, laid out as A64's FPSR: IOC, DZC, OFC, UFC, IXC, IDC and the saturation flag QC.
inline constexpr u32 kFpInvalid = 1U << 0;
inline constexpr u32 kFpDivideByZero = 1U << 1;
inline constexpr u32 kFpOverflow = 1U << 2;
inline constexpr u32 kFpUnderflow = 1U << 3;
inline constexpr u32 kFpInexact = 1U << 4;
inline constexpr u32 kFpInputDenormal = 1U << 7;
inline constexpr u32 kFpSaturated = 1U << 27;

/// No exclusive reservation.
inline constexpr u64 kNoMonitor = ~u64{0};

/// Front of every guest's state record. Generated code addresses it through one host register.
struct alignas(64) CoreState {
  /// Bits of `ExitRequest`; nonzero makes generated code leave at the next block entry. Written by any thread.
  std::atomic<u32> exit_request{0};
  /// N, Z, C, V image (kFlag…). The flags of `get`/`put` with Type::flags live here, at this offset.
  u32 flags = 0;
  /// Exact whenever the CPU is out of translated code, and in helpers with kReadsState.
  u64 pc = 0;
  /// Virtual address of the page that holds the running block; generated code makes virtual pcs from it.
  u64 pc_page = 0;
  /// TLB and jump cache of the current translation regime, and of the unprivileged one (MmuIndex::unprivileged).
  Context* context = nullptr;
  Context* unprivileged = nullptr;
  /// Sticky FP status. In generated code part of it is still in the host's MXCSR; merged before kReadsState helpers and
  /// whenever generated code is left.
  u32 fp_status = 0;
  /// Host MXCSR value for the guest's rounding mode, exceptions masked, sticky bits clear. The guest computes it.
  u32 host_mxcsr = 0x1f80;
  /// Exclusive monitor of load_ex/store_ex: virtual address, size in bytes, value read.
  u64 monitor_address = kNoMonitor;
  u64 monitor_size = 0;
  V128 monitor_value{};
  /// Block key of the current mode (see GuestCpu::key). The guest keeps it current.
  u64 key = 0;
  /// Whoever runs this CPU, for its own entry points from translated code.
  void* runtime = nullptr;
};

/// Why generated code should stop.
enum ExitRequest : u32 {
  kExitInterrupt = 1,  ///< an interrupt line changed
  kExitKick = 2,       ///< the thread is wanted (queued work, pause)
  kExitShootdown = 4,  ///< TLB invalidations of other CPUs wait in the queue
  kExitFlush = 8,      ///< the code cache is about to be emptied
};

}  // namespace solder::ir
