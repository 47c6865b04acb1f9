/// From IR to x86-64 code: what the run time asks of an emitter.
///
/// The translation ABI. One host register holds the CoreState, one the current Context; the hottest guest registers
/// (GuestLayout::hot_registers) live in fixed host registers for as long as translated code runs; everything else is in
/// memory. At every block entry and at every guest instruction boundary, state is exact: a register is either in its
/// fixed home or in the state record, never in a temporary. The stack pointer is constant in translated code, so
/// leaving from anywhere is one jump.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/types.h"
#include "translator/ir/guest.h"
#include "translator/ir/ir.h"

namespace solder::host_x64 {

/// C entry points into the run time for what translated code does not do itself. All get the exact guest pc in state.
/// Each returns 0 to go on, or nonzero when the block is left (an exception was taken: state is final).
/// `attr` is MemAttr::pack(); values are numbers in the guest's terms (the hook swaps big-endian ones), zero-extended;
/// sign extension is the emitter's. `attr_and_op` is the same with the Rmw in bits 31..16.
struct RuntimeHooks {
  u64 (*load)(ir::CoreState* state, u64 address, u32 attr, ir::V128* value);
  u64 (*store)(ir::CoreState* state, u64 address, u32 attr, const ir::V128* value);
  u64 (*compare_exchange)(ir::CoreState* state, u64 address, u32 attr, const ir::V128* expected,
                          const ir::V128* desired, ir::V128* old);
  u64 (*read_modify_write)(ir::CoreState* state, u64 address, u32 attr_and_op, u64 operand, u64* old);
};

/// Why translated code was left.
enum class Leave : u8 {
  dispatch,   ///< state is exact, pc is set: look at interrupts and mode, go on
  requested,  ///< exit_request was set at a block entry; pc is that block's
  lookup,     ///< an indirect or cross-page jump missed the jump cache; pc is set
  link,       ///< a direct exit that is not linked yet; pc is set, `slot` says which
  interpret,  ///< the instruction at pc is to be interpreted, alone
};
struct LeaveInfo {
  Leave why = Leave::dispatch;
  u8* slot = nullptr;  ///< for link: the patchable place (executable address), for `Compiler::link`
};

/// A direct exit within the same page, to be linked.
struct LinkSlot {
  u32 offset = 0;        ///< of the patchable jump from the block's entry
  u64 target_delta = 0;  ///< relative to the block's guest start
};
/// Host offset of the start of a guest instruction's code, to guest pc. For listings and profiles: slow paths and
/// helpers find the exact pc in state.
struct PcEntry {
  u32 host_offset = 0;
  u32 guest_delta = 0;
};

/// One compiled block. Lives in the code buffer until the buffer is emptied.
struct Compiled {
  u8* entry = nullptr;  ///< executable address
  u32 size = 0;
  std::vector<LinkSlot> links;
  std::vector<PcEntry> pcs;
};

struct CompilerOptions {
  u64 buffer_bytes = u64{256} << 20;
  bool force_slow_memory = false;  ///< stress: never use the TLB fast path
  bool force_fallback = false;     ///< stress: every operation that can goes through the interpreter's function
  bool record_pcs = false;         ///< fill Compiled::pcs
};

/// Emits into one code buffer, mapped twice (W^X). Thread-safe: several vCPUs compile at once, each call is atomic.
class Compiler {
 public:
  [[nodiscard]] static Result<std::unique_ptr<Compiler>> create(const ir::GuestLayout& layout,
                                                                std::span<const ir::Helper> helpers,
                                                                const RuntimeHooks& hooks, CompilerOptions options);
  virtual ~Compiler() = default;

  /// Compiles one block whose first instruction lies at `page_offset` (0..4095) of its page: exits to the same page
  /// become link slots. Null when the buffer is full: the caller stops all vCPUs and calls `reset`.
  [[nodiscard]] virtual std::unique_ptr<Compiled> compile(const ir::Block& block, u32 page_offset) = 0;
  /// Runs translated code from `entry` until it leaves. state.pc is the block's virtual address; pc_page is set from
  /// it. MXCSR is the guest's meanwhile; sticky bits are merged on leaving.
  virtual LeaveInfo enter(ir::CoreState* state, const u8* entry) = 0;
  /// Makes a slot jump straight to `target`. Atomic towards running vCPUs.
  virtual void link(u8* slot, const u8* target) = 0;
  /// Makes a slot leave again.
  virtual void unlink(u8* slot) = 0;
  /// Makes the block at `entry` leave (Leave::lookup, pc set) for whoever still jumps there. Atomic towards running
  /// vCPUs; memory is not reused before `reset`.
  virtual void kill(u8* entry) = 0;
  /// Empties the buffer. No vCPU is in translated code.
  virtual void reset() = 0;
  [[nodiscard]] virtual u64 bytes_used() const = 0;
  /// Host code as text (when built with Zydis), for golden tests and `--translator dump`.
  [[nodiscard]] virtual std::string disassemble(const Compiled& compiled) const = 0;
};

}  // namespace solder::host_x64
