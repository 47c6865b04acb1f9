/// Where values are while a block is emitted: host registers, homes in guest state, the stack. Decides in one forward
/// pass, with the next uses that Analysis found.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "translator/host_x64/analysis.h"
#include "translator/host_x64/assembler.h"

namespace solder::host_x64 {

/// Thrown inside the room when a block needs more spill slots than the frame has; the block is then interpreted.
struct TooComplex {};

[[nodiscard]] constexpr u32 bit_of(u8 reg) {
  return 1U << reg;
}
/// A spill slot's place in the frame.
[[nodiscard]] constexpr usize spill_offset(i16 slot) {
  return offsetof(Frame, spill) + static_cast<usize>(slot) * 16;
}

class Allocator {
 public:
  Allocator(Assembler& a, const Pins& pins, Analysis& analysis) : a_(a), pins_(pins), analysis_(analysis) {
    for (usize i = 0; i < kTempRegs.size(); ++i) temps_ |= 1U << kTempRegs[i];
    for (unsigned i = pins.count(); i < kPinRegs.size(); ++i) temps_ |= 1U << kPinRegs[i];
  }

  /// Before the first instruction of a block.
  void start(usize state_size);
  /// Around every instruction: begin notes the operands' next uses, end frees what died and unlocks.
  void begin(u32 index);
  void end();
  /// The current instruction also does the work of that later one: its operands may die here.
  void advance_through(u32 index);

  // ---- reading integers (flags images too); the register stays untouched until `end` ----
  /// In a register, whose upper half is zero for an i32 that is read `wide`.
  u8 use(u32 value, bool wide);
  /// In a register or, when that is no worse, in memory.
  Xbyak::Address memory_operand(u32 value, bool wide);
  [[nodiscard]] bool better_in_memory(u32 value, bool wide) const;
  /// The constant's value, sign-extended from 32 bits when not wide, if it fits an imm32.
  [[nodiscard]] std::optional<i32> imm32(u32 value, bool wide) const;
  [[nodiscard]] bool is_constant(u32 value) const { return insts()[value].op == ir::Op::constant; }
  [[nodiscard]] u64 constant(u32 value) const;
  /// Copies into a given scratch register.
  void load_into(u8 reg, u32 value, bool wide);
  [[nodiscard]] bool dies(u32 value) const { return values_[value].next == kNone; }
  /// The register that holds it now, or -1.
  [[nodiscard]] int current(u32 value) const;

  // ---- results ----
  /// A register for the result. It may be the register of an operand that dies here, except `avoid`'s.
  u8 define(u32 value, u32 avoid = kNone, u32 avoid2 = kNone);
  /// The same, preferring the register of `like` when it dies here.
  u8 define_like(u32 value, u32 like, u32 avoid = kNone, u32 avoid2 = kNone);
  /// A register different from all operands'.
  u8 define_apart(u32 value);
  /// A register for a value that was defined before but lived elsewhere (in the host's flags).
  u8 settle(u32 value);
  /// One more register for the duration of the instruction.
  u8 temporary();
  /// Takes a certain temporary for the duration of the instruction, moving what is in it.
  void take(u8 reg);

  // ---- vectors ----
  u8 use_x(u32 value);
  /// Register or memory; VEX operands need no alignment.
  Xbyak::Address memory_operand_x(u32 value);
  [[nodiscard]] bool better_in_memory_x(u32 value) const;
  u8 define_x(u32 value);
  void load_into_x(u8 reg, u32 value);
  [[nodiscard]] bool vectors_live() const { return (used_x_ & ~free_at_end_x_) != 0; }

  // ---- guest state ----
  void get(u32 value, u32 offset);
  void put(u32 offset, u32 value, ir::Type type);
  /// Guest state is about to change behind our back: values that live there move out.
  void forget_homes();
  /// A flags image in guest state: whether the value is (only) there.
  [[nodiscard]] bool has_home(u32 value) const { return values_[value].home != kNone; }
  [[nodiscard]] u32 home(u32 value) const { return values_[value].home; }
  /// Notes that state at `offset` holds the value now (written by the caller).
  void note_home(u32 value, u32 offset, u32 bytes);
  /// Makes room for a write of state by the caller.
  void before_write(u32 offset, u32 bytes);
  /// Whether anybody will use it after the current instruction.
  [[nodiscard]] bool needed_later(u32 value) const { return values_[value].next != kNone; }
  [[nodiscard]] bool in_register_or_slot(u32 value) const {
    return values_[value].reg >= 0 || values_[value].slot >= 0;
  }
  /// While set, constants are not made by xor, which would change the host's flags.
  void keep_host_flags(bool keep) { keep_flags_ = keep; }
  /// A register assigned ahead of the value's own instruction (fused pairs).
  void mark_defined(u32 value) { values_[value].next = analysis_.first_use[value]; }

 private:
  struct ValueState {
    u32 next = kNone;  ///< next instruction that uses it
    u32 home = kNone;  ///< state offset that holds it
    i16 slot = -1;     ///< spill slot
    i8 reg = -1;       ///< host register (general or vector, by type); a pin only while computed ahead of its put
    u8 home_bytes = 0;
  };

  [[nodiscard]] const std::vector<ir::Inst>& insts() const { return analysis_.insts; }
  [[nodiscard]] bool is_vector(u32 value) const { return insts()[value].type == ir::Type::v128; }
  [[nodiscard]] int home_pin(u32 value) const;
  u8 allocate();
  u8 allocate_x();
  void assign(u8 reg, u32 value);
  void evict(u8 reg);
  void evict_x(u8 reg);
  void spill(u32 value);
  /// The value keeps a copy other than its home.
  void leave_home(u32 value);
  void release(u32 value);
  void move_constant(u8 reg, u64 value, bool wide);
  i16 new_slot();
  [[nodiscard]] u32 occupant(u32 offset) const { return occupants_[offset / 8]; }
  bool try_hint(u32 value, u32 avoid, u32 avoid2, u8& reg);

  Assembler& a_;
  const Pins& pins_;
  Analysis& analysis_;
  u32 temps_ = 0;   ///< registers for values
  u32 used_ = 0;    ///< of those, holding one
  u32 locked_ = 0;  ///< not to be moved during this instruction
  u32 used_x_ = 0;
  u32 locked_x_ = 0;
  u32 free_at_end_x_ = 0;
  bool keep_flags_ = false;
  u32 index_ = 0;
  std::array<u32, 16> owner_{};
  std::array<u32, 16> owner_x_{};
  std::vector<ValueState> values_;
  std::vector<u32> occupants_;  ///< by 8-byte piece of state: the value that lives there
  std::vector<i16> free_slots_;
  i16 slots_ = 0;
  std::vector<u32> defined_;  ///< by this instruction
};

}  // namespace solder::host_x64
