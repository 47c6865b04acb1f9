#include "translator/host_x64/allocator.h"

#include <bit>
#include <cstddef>

#include "base/check.h"
#include "translator/ir/op_info.h"

namespace solder::host_x64 {

using ir::Type;

void Allocator::start(usize state_size) {
  used_ = locked_ = used_x_ = locked_x_ = free_at_end_x_ = 0;
  keep_flags_ = false;
  values_.assign(insts().size(), {});
  occupants_.assign(state_size / 8 + 3, kNone);
  free_slots_.clear();
  slots_ = 0;
  defined_.clear();
}

void Allocator::begin(u32 index) {
  index_ = index;
  const ir::Inst& inst = insts()[index];
  const ir::OpInfo& info = ir::info(inst.op);
  const auto& next = analysis_.next_use[index];
  free_at_end_x_ = 0;
  // Operands stay where they are, even those with no use after this.
  const auto advance = [&](u32 value, usize field) {
    values_[value].next = next[field];
    if (values_[value].reg < 0) return;
    const u32 reg = bit_of(static_cast<u8>(values_[value].reg));
    if (!is_vector(value)) {
      locked_ |= reg;
    } else {
      locked_x_ |= reg;
      if (next[field] == kNone) free_at_end_x_ |= reg;
    }
  };
  if (ir::is_value(info.a) && inst.a != kNone) advance(inst.a, 0);
  if (ir::is_value(info.b) && inst.b != kNone) advance(inst.b, 1);
  if (ir::is_value(info.c) && inst.c != kNone) advance(inst.c, 2);
}

void Allocator::end() {
  const ir::Inst& inst = insts()[index_];
  const ir::OpInfo& info = ir::info(inst.op);
  const auto finish = [&](u32 value) {
    if (values_[value].next == kNone) release(value);
  };
  if (ir::is_value(info.a) && inst.a != kNone) finish(inst.a);
  if (ir::is_value(info.b) && inst.b != kNone) finish(inst.b);
  if (ir::is_value(info.c) && inst.c != kNone) finish(inst.c);
  for (const u32 value : defined_) finish(value);
  defined_.clear();
  locked_ = locked_x_ = 0;
}

void Allocator::advance_through(u32 index) {
  const ir::Inst& inst = insts()[index];
  const auto advance = [&](u32 value, usize field) {
    if (value != kNone && values_[value].next == index) values_[value].next = analysis_.next_use[index][field];
  };
  const ir::OpInfo& info = ir::info(inst.op);
  if (ir::is_value(info.a)) advance(inst.a, 0);
  if (ir::is_value(info.b)) advance(inst.b, 1);
  if (ir::is_value(info.c)) advance(inst.c, 2);
}

void Allocator::release(u32 value) {
  ValueState& v = values_[value];
  if (v.reg >= 0) {
    if (is_vector(value)) {
      used_x_ &= ~bit_of(static_cast<u8>(v.reg));
    } else {
      used_ &= ~bit_of(static_cast<u8>(v.reg));
    }
    v.reg = -1;
  }
  if (v.slot >= 0) {
    free_slots_.push_back(v.slot);
    v.slot = -1;
  }
}

i16 Allocator::new_slot() {
  if (!free_slots_.empty()) {
    const i16 slot = free_slots_.back();
    free_slots_.pop_back();
    return slot;
  }
  if (static_cast<unsigned>(slots_) == kSpillSlots) throw TooComplex{};
  return slots_++;
}

u64 Allocator::constant(u32 value) const {
  const ir::Inst& inst = insts()[value];
  return inst.type == Type::i32 ? static_cast<u32>(inst.imm_ab()) : inst.imm_ab();
}

std::optional<i32> Allocator::imm32(u32 value, bool wide) const {
  if (!is_constant(value)) return std::nullopt;
  const u64 v = constant(value);
  if (!wide) return static_cast<i32>(v);
  if (static_cast<i64>(v) == static_cast<i32>(v)) return static_cast<i32>(v);
  return std::nullopt;
}

int Allocator::home_pin(u32 value) const {
  const u32 home = values_[value].home;
  if (home == kNone || is_vector(value)) return -1;
  const int pin = pins_.find(home);
  if (pin < 0 || pins_.offset(static_cast<unsigned>(pin)) != home) return -1;
  return pin;
}

int Allocator::current(u32 value) const {
  const ValueState& v = values_[value];
  if (v.reg >= 0) return v.reg;
  if (const int pin = home_pin(value); pin >= 0) return Pins::reg(static_cast<unsigned>(pin));
  return -1;
}

void Allocator::move_constant(u8 reg, u64 value, bool wide) {
  if (value == 0 && !keep_flags_) {
    a_.xor_(a_.g32(reg), a_.g32(reg));
  } else if (!wide || value <= 0xffff'ffff) {
    a_.mov(a_.g32(reg), static_cast<u32>(value));
  } else {
    a_.mov(a_.g64(reg), value);
  }
}

void Allocator::load_into(u8 reg, u32 value, bool wide) {
  const ValueState& v = values_[value];
  if (v.reg >= 0) {
    if (static_cast<u8>(v.reg) != reg) a_.mov(a_.gpr(reg, wide), a_.gpr(static_cast<u8>(v.reg), wide));
  } else if (is_constant(value)) {
    move_constant(reg, constant(value), wide);
  } else if (const int pin = home_pin(value); pin >= 0) {
    const bool whole = wide && v.home_bytes == 8;
    a_.mov(a_.gpr(reg, whole), a_.gpr(Pins::reg(static_cast<unsigned>(pin)), whole));
  } else if (v.home != kNone) {
    if (insts()[value].type == Type::flags) {
      a_.movzx(a_.g32(reg), a_.word[a_.state(v.home)]);
    } else if (wide && v.home_bytes == 8) {
      a_.mov(a_.g64(reg), a_.qword[a_.state(v.home)]);
    } else {
      a_.mov(a_.g32(reg), a_.dword[a_.state(v.home)]);
    }
  } else {
    SOLDER_CHECK(v.slot >= 0, "a value is used that nothing has made");
    if (wide) {
      a_.mov(a_.g64(reg), a_.qword[a_.frame(spill_offset(v.slot))]);
    } else {
      a_.mov(a_.g32(reg), a_.dword[a_.frame(spill_offset(v.slot))]);
    }
  }
}

u8 Allocator::use(u32 value, bool wide) {
  ValueState& v = values_[value];
  if (v.reg >= 0) {
    locked_ |= bit_of(static_cast<u8>(v.reg));
    return static_cast<u8>(v.reg);
  }
  if (const int pin = home_pin(value); pin >= 0 && (!wide || v.home_bytes == 8)) {
    const u8 reg = Pins::reg(static_cast<unsigned>(pin));
    locked_ |= bit_of(reg);
    return reg;
  }
  const u8 reg = allocate();
  // The whole value: other uses may be wide.
  load_into(reg, value, insts()[value].type != Type::i32);
  assign(reg, value);
  return reg;
}

bool Allocator::better_in_memory(u32 value, bool wide) const {
  const ValueState& v = values_[value];
  if (v.reg >= 0 || is_constant(value) || insts()[value].type == Type::flags) return false;
  if (home_pin(value) >= 0) return false;
  if (v.home != kNone) return v.next == kNone && (!wide || v.home_bytes == 8);
  return v.slot >= 0 && v.next == kNone;
}

Xbyak::Address Allocator::memory_operand(u32 value, bool wide) {
  const ValueState& v = values_[value];
  const Xbyak::RegExp at = v.home != kNone ? a_.state(v.home) : a_.frame(spill_offset(v.slot));
  return wide ? a_.qword[at] : a_.dword[at];
}

void Allocator::assign(u8 reg, u32 value) {
  values_[value].reg = static_cast<i8>(reg);
  owner_[reg] = value;
  used_ |= bit_of(reg);
  locked_ |= bit_of(reg);
}

void Allocator::spill(u32 value) {
  ValueState& v = values_[value];
  if (v.slot >= 0) return;
  v.slot = new_slot();
  if (is_vector(value)) {
    a_.vmovaps(a_.ptr[a_.frame(spill_offset(v.slot))], a_.x(static_cast<u8>(v.reg)));
  } else {
    a_.mov(a_.qword[a_.frame(spill_offset(v.slot))], a_.g64(static_cast<u8>(v.reg)));
  }
}

void Allocator::evict(u8 reg) {
  const u32 value = owner_[reg];
  ValueState& v = values_[value];
  // A home of four bytes is enough for an i32; constants are made again.
  if (v.next != kNone && v.home == kNone && !is_constant(value)) spill(value);
  v.reg = -1;
  used_ &= ~bit_of(reg);
}

u8 Allocator::allocate() {
  const u32 candidates = temps_ & ~locked_;
  if (const u32 free = candidates & ~used_; free != 0) {
    // The low ones first: shorter encodings.
    return static_cast<u8>(std::countr_zero(free));
  }
  SOLDER_CHECK(candidates != 0, "an instruction locks every register");
  u8 best = 0;
  u32 best_score = 0;
  for (u32 rest = candidates; rest != 0; rest &= rest - 1) {
    const u8 reg = static_cast<u8>(std::countr_zero(rest));
    const ValueState& v = values_[owner_[reg]];
    u32 score = v.next == kNone ? kNone : v.next + 1;
    // What need not be stored is given up sooner, as if used a little later.
    if (v.next != kNone && (v.home != kNone || v.slot >= 0 || is_constant(owner_[reg]))) score += 12;
    if (score > best_score) {
      best_score = score;
      best = reg;
    }
  }
  evict(best);
  return best;
}

u8 Allocator::settle(u32 value) {
  const u8 reg = allocate();
  const u32 locked = locked_;
  assign(reg, value);
  locked_ = locked;
  defined_.push_back(value);
  return reg;
}

u8 Allocator::temporary() {
  const u8 reg = allocate();
  locked_ |= bit_of(reg);
  return reg;
}

void Allocator::take(u8 reg) {
  if ((used_ & bit_of(reg)) != 0) {
    const u32 value = owner_[reg];
    if ((locked_ & bit_of(reg)) != 0) {
      // An operand of this very instruction: it moves to another register.
      const u8 other = allocate();
      a_.mov(a_.g64(other), a_.g64(reg));
      used_ &= ~bit_of(reg);
      assign(other, value);
    } else {
      evict(reg);
    }
  }
  locked_ |= bit_of(reg);
}

bool Allocator::try_hint(u32 value, u32 avoid, u32 avoid2, u8& reg) {
  const i8 hint = analysis_.pin_hint[value];
  if (hint < 0) return false;
  const unsigned pin = static_cast<u8>(hint);
  reg = Pins::reg(pin);
  const u32 home = pins_.offset(pin);
  const u32 old = occupant(home);
  if (old != kNone && values_[old].home != kNone) {
    // The register still holds an older value of the guest register.
    const bool live = values_[old].next != kNone && values_[old].reg < 0;
    if (old == avoid || old == avoid2) return false;
    if (live) {
      if (analysis_.last_use[old] <= analysis_.pin_put[value]) return false;
      leave_home(old);
    }
    values_[old].home = kNone;
    occupants_[home / 8] = kNone;
  }
  values_[value].reg = static_cast<i8>(reg);
  locked_ |= bit_of(reg);
  defined_.push_back(value);
  values_[value].next = analysis_.first_use[value];
  return true;
}

u8 Allocator::define(u32 value, u32 avoid, u32 avoid2) {
  return define_like(value, kNone, avoid, avoid2);
}

u8 Allocator::define_like(u32 value, u32 like, u32 avoid, u32 avoid2) {
  u8 reg = 0;
  if (try_hint(value, avoid, avoid2, reg)) return reg;
  values_[value].next = analysis_.first_use[value];
  defined_.push_back(value);
  const auto reusable = [&](u32 operand) {
    if (operand == kNone || operand == avoid || operand == avoid2 || is_constant(operand)) return false;
    const ValueState& v = values_[operand];
    return v.next == kNone && v.reg >= 0 && !is_vector(operand) && (temps_ & bit_of(static_cast<u8>(v.reg))) != 0 &&
           owner_[static_cast<u8>(v.reg)] == operand && (used_ & bit_of(static_cast<u8>(v.reg))) != 0;
  };
  if (like != kNone && reusable(like)) {
    reg = static_cast<u8>(values_[like].reg);
    // Emission may still read the operand through its register number; only ownership changes.
    values_[like].reg = -1;
    assign(reg, value);
    return reg;
  }
  reg = allocate();
  assign(reg, value);
  return reg;
}

u8 Allocator::define_apart(u32 value) {
  u8 reg = 0;
  // A pinned home is fine unless an operand is read from it.
  const i8 hint = analysis_.pin_hint[value];
  if (hint >= 0 && (locked_ & bit_of(Pins::reg(static_cast<u8>(hint)))) == 0 && try_hint(value, kNone, kNone, reg)) {
    return reg;
  }
  values_[value].next = analysis_.first_use[value];
  defined_.push_back(value);
  reg = allocate();
  assign(reg, value);
  return reg;
}

}  // namespace solder::host_x64
