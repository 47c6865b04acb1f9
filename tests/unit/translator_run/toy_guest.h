/// A guest with a handful of instructions and a one-level page table, for testing the run time alone.
#pragma once

#include <array>
#include <atomic>
#include <cstring>
#include <memory>
#include <mutex>
#include <vector>

#include "memory/address_space.h"
#include "translator/ir/guest.h"
#include "translator/run/engine.h"
#include "translator/run/runner.h"

namespace solder::run::toy {

/// Instruction words: op | a << 8 | b << 16 | c << 24; c is signed.
enum class Insn : u8 {
  halt,      ///< waits for the line, then goes on
  li,        ///< ra = b:c
  add_imm,   ///< ra = rb + c
  add,       ///< ra = ra + rb
  load,      ///< ra = 64 bits at rb + c
  store,     ///< 64 bits at rb + c = ra
  store32,   ///< 32 bits at rb + c = ra
  jump,      ///< pc += c * 4
  jump_nz,   ///< if ra != 0: pc += c * 4
  jump_reg,  ///< pc = ra
  flush,     ///< TLB: the page of ra, all CPUs
  barrier,
  set_asid,    ///< a
  store_pair,  ///< ra at rc, rb at rc + 8, then rc += 16
  atomic_add,  ///< ra = 64 bits at rb, which grows by rc
  stop,        ///< kicks itself
};

[[nodiscard]] constexpr u32 word(Insn op, u32 a = 0, u32 b = 0, int c = 0) {
  return static_cast<u32>(op) | a << 8 | b << 16 | static_cast<u32>(c & 0xff) << 24;
}

struct ToyState {
  ir::CoreState core;
  std::array<u64, 8> r{};
  std::atomic<bool> line{false};
  bool waiting = false;
  u64 asid = 0;
};

/// Pages of [kMapped, kMapped + 64 pages) go through the table at physical kTable + asid * 512: physical page | kValid
/// | kWritable. All other addresses are physical.
inline constexpr u64 kMapped = 0x100000;
inline constexpr u64 kTable = 0x8000;
inline constexpr u64 kValid = 1;
inline constexpr u64 kWritable = 2;

class ToyGuest final : public ir::GuestCpu {
 public:
  explicit ToyGuest(memory::AddressSpace& space) : space_(space) {}

  ToyState toy;
  std::vector<ir::MemoryFault> faults;
  std::vector<u64> fault_pcs;
  u64 handler = 0;  ///< where faults go on
  u64 irq_handler = 0;
  std::vector<u64> irq_pcs;

  ir::CoreState& state() override { return toy.core; }
  const ir::GuestLayout& layout() const override {
    static const std::array<u16, 4> hot{
        static_cast<u16>(offsetof(ToyState, r)), static_cast<u16>(offsetof(ToyState, r) + 8),
        static_cast<u16>(offsetof(ToyState, r) + 16), static_cast<u16>(offsetof(ToyState, r) + 24)};
    static const ir::GuestLayout layout{hot, sizeof(ToyState)};
    return layout;
  }
  std::span<const ir::Helper> helpers() const override {
    static const std::array<ir::Helper, 5> table{ir::Helper{"wait", &wait, ir::kReadsState | ir::kWritesState},
                                                 ir::Helper{"flush", &flush_page, ir::kReadsState},
                                                 ir::Helper{"barrier", &wait_for_others, ir::kReadsState},
                                                 ir::Helper{"set_asid", &set_asid, ir::kReadsState | ir::kWritesState},
                                                 ir::Helper{"stop", &stop, ir::kReadsState}};
    return table;
  }
  u64 key() const override { return 0; }
  ir::ContextKey context_key() const override { return {0, static_cast<u32>(toy.asid), 1}; }
  ir::ContextKey unprivileged_context_key() const override { return {0, static_cast<u32>(toy.asid), 0}; }

  void translate(const ir::TranslateRequest& request, ir::Block& block) const override {
    ir::Builder b(block);
    const auto reg = [&](u32 n) { return b.get(ir::Type::i64, offset(n)); };
    u64 delta = 0;
    for (u32 count = 0;; ++count) {
      if (count == request.max_insts || delta + 4 > request.code.size()) {
        b.exit_direct(delta);
        break;
      }
      // Another CPU may be writing it.
      const u32 insn = __atomic_load_n(reinterpret_cast<const u32*>(request.code.data() + delta), __ATOMIC_RELAXED);
      b.insn_start(delta);
      ++block.guest_insts;
      block.guest_bytes = static_cast<u32>(delta + 4);
      const u32 ra = insn >> 8 & 7;
      const u32 rb = insn >> 16 & 7;
      const i64 c = static_cast<i8>(insn >> 24);
      const auto imm = [&](i64 v) { return b.c64(static_cast<u64>(v)); };
      const u64 target = delta + static_cast<u64>(c * 4);
      bool ended = false;
      switch (static_cast<Insn>(insn & 0xff)) {
        case Insn::halt:
          b.call(ir::Type::i32, 0);
          b.put(offsetof(ir::CoreState, pc), b.pc_rel(delta + 4));
          b.exit_dispatch();
          ended = true;
          break;
        case Insn::li:
          b.put(offset(ra), b.c64(insn >> 16));
          break;
        case Insn::add_imm:
          b.put(offset(ra), b.add(reg(rb), imm(c)));
          break;
        case Insn::add:
          b.put(offset(ra), b.add(reg(ra), reg(rb)));
          break;
        case Insn::load:
          b.put(offset(ra), b.load(ir::Type::i64, reg(rb), {}, static_cast<i32>(c)));
          break;
        case Insn::store:
          b.store(reg(rb), reg(ra), {}, static_cast<i32>(c));
          break;
        case Insn::store32: {
          ir::MemAttr attr;
          attr.size_log2 = 2;
          b.store(reg(rb), reg(ra), attr, static_cast<i32>(c));
          break;
        }
        case Insn::jump:
          b.exit_direct(target);
          ended = true;
          break;
        case Insn::jump_nz:
          b.exit_if(ir::ExitTest::nonzero64, reg(ra), target);
          break;
        case Insn::jump_reg:
          b.exit_indirect(reg(ra), ir::ExitHint::jump);
          ended = true;
          break;
        case Insn::flush:
          b.call(ir::Type::i32, 1, reg(ra));
          break;
        case Insn::barrier:
          b.call(ir::Type::i32, 2);
          break;
        case Insn::set_asid:
          b.call(ir::Type::i32, 3, b.c64(ra));
          b.put(offsetof(ir::CoreState, pc), b.pc_rel(delta + 4));
          b.exit_dispatch();
          ended = true;
          break;
        case Insn::store_pair: {
          const u32 rc = static_cast<u32>(c) & 7;
          b.store(reg(rc), reg(ra), {});
          b.store(reg(rc), reg(rb), {}, 8);
          b.put(offset(rc), b.add(reg(rc), b.c64(16)));
          break;
        }
        case Insn::atomic_add: {
          const u32 rc = static_cast<u32>(c) & 7;
          b.put(offset(ra), b.atomic(ir::Type::i64, ir::Rmw::add, reg(rb), reg(rc), {}));
          break;
        }
        case Insn::stop:
          b.call(ir::Type::i32, 4);
          b.put(offsetof(ir::CoreState, pc), b.pc_rel(delta + 4));
          b.exit_dispatch();
          ended = true;
          break;
      }
      delta += 4;
      if (ended) break;
    }
  }

  std::expected<ir::Translation, ir::MemoryFault> walk(u64 va, ir::AccessKind kind, ir::MmuIndex) override {
    ++walks;
    if (va - kMapped >= 64 * memory::kPageSize) return ir::Translation{va, 12, true, true, true, false};
    const u64 entry = space_.load(kTable + toy.asid * 512 + ((va - kMapped) >> 12) * 8, 8).value;
    const bool ok = (entry & kValid) != 0 && (kind != ir::AccessKind::write || (entry & kWritable) != 0);
    if (!ok) return std::unexpected(ir::MemoryFault{va, kind, 7});
    return ir::Translation{(entry & ~u64{0xfff}) | (va & 0xfff), 12, true, (entry & kWritable) != 0, true, false};
  }
  u64 canonical(u64 va) const override { return va; }
  ir::MemoryFault alignment_fault(u64 va, ir::AccessKind kind) const override { return {va, kind, 33}; }
  ir::MemoryFault bus_fault(u64 va, ir::AccessKind kind) const override { return {va, kind, 16}; }
  void raise_memory_fault(const ir::MemoryFault& fault) override {
    faults.push_back(fault);
    fault_pcs.push_back(toy.core.pc);
    toy.core.pc = handler;
  }
  bool take_interrupt() override {
    if (!toy.line.load() || irq_handler == 0) return false;
    toy.line = false;
    irq_pcs.push_back(toy.core.pc);
    toy.core.pc = irq_handler;
    return true;
  }
  bool halted() const override { return toy.waiting; }
  bool has_wake_reason() const override { return toy.line.load(); }
  void wake_up() override { toy.waiting = false; }
  void set_line(cpu::Line, bool level) override {
    toy.line = level;
    toy.core.exit_request.fetch_or(ir::kExitInterrupt);
  }
  void reset(const cpu::EntryState& entry) override { toy.core.pc = entry.pc; }
  void connect_output(u32, interrupt::LevelWire) override {}
  void add_system_registers(cpu::SystemRegisters&) override {}
  void set_firmware(cpu::FirmwareCalls*) override {}
  std::vector<cpu::RegisterValue> registers() const override { return {}; }
  Status set_register(const cpu::RegisterValue&) override { return {}; }
  std::string disassemble(std::span<const u8>, u64) const override { return "?"; }

  u64 walks = 0;

 private:
  static u32 offset(u32 n) { return static_cast<u32>(offsetof(ToyState, r) + n * 8); }
  static ToyGuest& of(ir::CoreState* state) {
    return static_cast<ToyGuest&>(static_cast<Runner*>(state->runtime)->guest());
  }
  static u64 wait(ir::CoreState* state, u64, u64, u64) {
    of(state).toy.waiting = true;
    return 0;
  }
  static u64 flush_page(ir::CoreState* state, u64 address, u64, u64) {
    of(state).tlb_->flush_range(address, memory::kPageSize, std::nullopt, true);
    return 0;
  }
  static u64 wait_for_others(ir::CoreState* state, u64, u64, u64) {
    of(state).tlb_->barrier();
    return 0;
  }
  static u64 set_asid(ir::CoreState* state, u64 asid, u64, u64) {
    of(state).toy.asid = asid;
    of(state).tlb_->regime_changed();
    return 0;
  }
  static u64 stop(ir::CoreState* state, u64, u64, u64) {
    state->exit_request.fetch_or(ir::kExitKick);
    return 0;
  }
  memory::AddressSpace& space_;
};

}  // namespace solder::run::toy
