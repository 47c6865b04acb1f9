/// What a guest architecture gives the translator, and what the translator gives the guest. One GuestCpu per vCPU.
#pragma once

#include <expected>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/types.h"
#include "cpu/vcpu.h"
#include "translator/ir/builder.h"
#include "translator/ir/core_state.h"
#include "translator/ir/ir.h"

namespace solder::ir {

/// A C++ function that IR can call. Arguments are the call's a, b, c (i32 zero-extended). For V128 work there are
/// vector operations, not helpers.
struct Helper {
  const char* name;
  u64 (*function)(CoreState* state, u64 a, u64 b, u64 c);
  u8 effects;  ///< Effect bits. With kMayExit: nonzero = leave the block, state (pc too) is final
};

enum class AccessKind : u8 { read, write, execute };

/// What a page-table walk found.
struct Translation {
  Gpa physical = 0;   ///< of the accessed byte
  u8 page_bits = 12;  ///< log2 of the mapping's size (large pages); the TLB holds 4 KiB pieces of it
  bool readable = false;
  bool writable = false;
  bool executable = false;
  bool device = false;  ///< device memory: unaligned accesses fault
};
/// A fault, in the guest's own terms; opaque to the run time, which hands it back to `raise_memory_fault`.
struct MemoryFault {
  u64 address = 0;
  AccessKind kind = AccessKind::read;
  u32 code = 0;  ///< the guest's fault code (A64: DFSC/IFSC)
};

/// Identity of a translation regime: contexts are pooled by it. Equal keys mean equal translations.
struct ContextKey {
  u64 base = 0;  ///< translation table base
  u32 asid = 0;
  u32 regime = 0;  ///< exception level or privilege, MMU on or off, whatever else changes a translation
  friend bool operator==(const ContextKey&, const ContextKey&) = default;
};

/// TLB maintenance as the guest's instructions ask for it. Implemented by the run time. Called on the CPU's own thread,
/// from helpers. `broadcast`: for all CPUs (inner shareable); others act when they reach a block boundary, and
/// `barrier` (DSB) waits until they have.
class TlbControl {
 public:
  virtual ~TlbControl() = default;
  virtual void flush_all(bool broadcast) = 0;
  /// Every context of this ASID (any regime), not global entries' contexts.
  virtual void flush_asid(u32 asid, bool broadcast) = 0;
  /// One virtual address range; `asid` empty: whatever the ASID.
  virtual void flush_range(u64 address, u64 length, std::optional<u32> asid, bool broadcast) = 0;
  /// DSB: waits for the shootdowns this CPU sent.
  virtual void barrier() = 0;
  /// The current regime may have changed (system register write, exception level): re-evaluate contexts and key.
  virtual void regime_changed() = 0;
  /// Instruction cache maintenance needs nothing: code is invalidated when RAM is written.
};

/// The fixed facts about a guest architecture that the emitter needs.
struct GuestLayout {
  std::span<const u16> hot_registers;  ///< state offsets of 64-bit registers, most used first: candidates for pinning
  usize state_size = 0;
};

/// A stretch of guest code to translate.
struct TranslateRequest {
  u64 pc = 0;                ///< virtual address (only its page offset may matter: blocks are pc-relative)
  std::span<const u8> code;  ///< from pc to the end of its page
  u64 key = 0;               ///< mode bits the code is translated for
  u32 max_insts = 64;
  bool single = false;  ///< one instruction only, and end the block after it
};

/// A guest CPU under the translator: its state, its semantics, its MMU, its exceptions.
class GuestCpu {
 public:
  virtual ~GuestCpu() = default;
  [[nodiscard]] virtual CoreState& state() = 0;
  [[nodiscard]] virtual const GuestLayout& layout() const = 0;
  [[nodiscard]] virtual std::span<const Helper> helpers() const = 0;
  void attach(TlbControl& tlb) { tlb_ = &tlb; }

  /// Mode bits that code depends on (exception level, FPCR modes, endianness, FP trapped…): equal keys, equal code.
  [[nodiscard]] virtual u64 key() const = 0;
  [[nodiscard]] virtual ContextKey context_key() const = 0;
  [[nodiscard]] virtual ContextKey unprivileged_context_key() const = 0;

  /// Fills `block` (cleared before). Never fails: what is undefined becomes a call that raises the exception.
  virtual void translate(const TranslateRequest& request, Block& block) const = 0;

  /// Walks the guest's tables. May write accessed/dirty bits. `va` may carry tag bits (TBI): the guest strips them.
  virtual std::expected<Translation, MemoryFault> walk(u64 va, AccessKind kind, MmuIndex mmu) = 0;
  /// Canonical form of an address for TLB lookup: top-byte-ignore stripped.
  [[nodiscard]] virtual u64 canonical(u64 va) const = 0;
  /// An unaligned access to device memory, or one with natural alignment demanded.
  [[nodiscard]] virtual MemoryFault alignment_fault(u64 va, AccessKind kind) const = 0;
  /// No RAM and no window at the physical address (external abort).
  [[nodiscard]] virtual MemoryFault bus_fault(u64 va, AccessKind kind) const = 0;
  /// Takes the exception: state().pc is that of the faulting instruction before, of the handler after.
  virtual void raise_memory_fault(const MemoryFault& fault) = 0;

  /// At a boundary: takes a pending unmasked interrupt, if any. True when pc changed.
  virtual bool take_interrupt() = 0;
  /// The CPU is waiting (WFI) and has nothing to do yet.
  [[nodiscard]] virtual bool halted() const = 0;
  [[nodiscard]] virtual bool has_wake_reason() const = 0;
  virtual void wake_up() = 0;                             ///< clears the waiting state
  virtual void set_line(cpu::Line line, bool level) = 0;  ///< any thread; sets exit_request
  virtual void reset(const cpu::EntryState& entry) = 0;

  virtual void connect_output(u32 index, interrupt::LevelWire wire) = 0;
  virtual void add_system_registers(cpu::SystemRegisters& registers) = 0;
  virtual void set_firmware(cpu::FirmwareCalls* firmware) = 0;
  [[nodiscard]] virtual std::vector<cpu::RegisterValue> registers() const = 0;
  virtual Status set_register(const cpu::RegisterValue& value) = 0;
  /// The guest instruction word(s) as text, for traces and fault reports; hexadecimal when no disassembler is there.
  [[nodiscard]] virtual std::string disassemble(std::span<const u8> code, u64 pc) const = 0;

 protected:
  TlbControl* tlb_ = nullptr;
};

/// Makes GuestCpus of one architecture; registered by the guest's folder with a static `GuestRegistration`.
using GuestFactory = Result<std::unique_ptr<GuestCpu>> (*)(const cpu::CpuRequest& request);
struct GuestInfo {
  std::string_view name;  ///< "arm64"
  /// Whether a CPU node with this `compatible` is one of ours.
  bool (*accepts)(std::string_view compatible);
  GuestFactory make;
};
class GuestRegistration {
 public:
  explicit GuestRegistration(const GuestInfo& info);
};
/// The guest for a CPU node's compatible, or null.
[[nodiscard]] const GuestInfo* find_guest(std::string_view compatible);

/// How interpreted code reaches guest memory; the run time implements it with the TLB, tests with an array.
/// False: a fault was raised (state is the exception's) and the instruction ends.
/// Values are numbers in the low bytes: the port honours `big_endian` (also in read_modify_write) and zero-extends to
/// 64 bits (16 bytes for 16-byte accesses); sign extension is the caller's. RuntimeHooks follow the same rule.
class MemoryPort {
 public:
  virtual ~MemoryPort() = default;
  virtual bool load(u64 address, MemAttr attr, V128& value) = 0;
  virtual bool store(u64 address, MemAttr attr, const V128& value) = 0;
  /// old = memory; memory = new if equal. Sizes 1..16, aligned or fault.
  virtual bool compare_exchange(u64 address, MemAttr attr, const V128& expected, const V128& desired, V128& old) = 0;
  virtual bool read_modify_write(u64 address, MemAttr attr, Rmw operation, u64 operand, u64& old) = 0;
  virtual void fence(Order order) = 0;
};

}  // namespace solder::ir
