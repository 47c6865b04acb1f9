/// The allocator's view of guest state: which values live in it, and what reading and writing it takes.
#include "translator/host_x64/allocator.h"
#include "translator/ir/op_info.h"

namespace solder::host_x64 {

using ir::Type;

void Allocator::leave_home(u32 value) {
  ValueState& v = values_[value];
  if (v.next == kNone || v.reg >= 0 || v.slot >= 0 || is_constant(value)) return;
  if (is_vector(value)) {
    const u8 reg = allocate_x();
    load_into_x(reg, value);
    v.reg = static_cast<i8>(reg);
    owner_x_[reg] = value;
    used_x_ |= bit_of(reg);
    return;
  }
  const u8 reg = allocate();
  load_into(reg, value, insts()[value].type != Type::i32);
  const u32 locked = locked_;
  assign(reg, value);
  // Free to move on: if it is an operand of the current instruction, the caller has read its number already.
  locked_ = locked;
}

void Allocator::before_write(u32 offset, u32 bytes) {
  // A value that starts in the piece before may reach into this one.
  const u32 first = offset / 8 == 0 ? 0 : offset / 8 - 1;
  for (u32 piece = first; piece <= (offset + bytes - 1) / 8; ++piece) {
    const u32 value = occupants_[piece];
    if (value == kNone) continue;
    ValueState& v = values_[value];
    if (v.home == kNone || v.home / 8 != piece) {
      occupants_[piece] = kNone;
      continue;
    }
    if (v.home + v.home_bytes <= offset || offset + bytes <= v.home) continue;
    leave_home(value);
    v.home = kNone;
    occupants_[piece] = kNone;
  }
}

void Allocator::note_home(u32 value, u32 offset, u32 bytes) {
  if (occupants_[offset / 8] != kNone) {
    // Another value lives in the same eight bytes (two words): only one can be told.
    const u32 other = occupants_[offset / 8];
    if (values_[other].home != kNone && values_[other].home / 8 == offset / 8) {
      leave_home(other);
      values_[other].home = kNone;
    }
  }
  ValueState& v = values_[value];
  if (v.home != kNone) {
    // Told of two homes; the pinned one is the better.
    if (home_pin(value) >= 0) return;
    if (occupants_[v.home / 8] == value) occupants_[v.home / 8] = kNone;
  }
  v.home = offset;
  v.home_bytes = static_cast<u8>(bytes);
  occupants_[offset / 8] = value;
}

void Allocator::get(u32 value, u32 offset) {
  const Type type = insts()[value].type;
  const u32 bytes = ir::state_bytes(type);
  values_[value].next = analysis_.first_use[value];
  const int pin = pins_.find(offset);
  const bool pinned_apart = (pin >= 0 && (pins_.offset(static_cast<unsigned>(pin)) != offset || type == Type::v128)) ||
                            (type == Type::v128 && pins_.find(offset + 8) >= 0);
  if (pinned_apart) {
    // Part of a pinned register, or across one: through memory, which the register's home is brought up to date for.
    for (u32 at = offset & ~7U; at < offset + bytes; at += 8) {
      const int part = pins_.find(at);
      if (part >= 0) {
        a_.mov(a_.qword[a_.state(pins_.offset(static_cast<unsigned>(part)))],
               a_.g64(Pins::reg(static_cast<unsigned>(part))));
      }
    }
  }
  const u32 other = occupants_[offset / 8];
  const bool taken = other != kNone && values_[other].home != kNone && values_[other].home / 8 == offset / 8 &&
                     values_[other].next != kNone && values_[other].reg < 0;
  const bool upper_taken = type == Type::v128 && occupants_[offset / 8 + 1] != kNone;
  if (!taken && !upper_taken && !pinned_apart) {
    note_home(value, offset, bytes);
    return;
  }
  // The piece is another value's home: load at once.
  if (type == Type::v128) {
    const u8 reg = allocate_x();
    a_.vmovups(a_.x(reg), a_.ptr[a_.state(offset)]);
    values_[value].reg = static_cast<i8>(reg);
    owner_x_[reg] = value;
    used_x_ |= bit_of(reg);
  } else {
    const u8 reg = allocate();
    if (pin >= 0 && !pinned_apart) {
      a_.mov(a_.gpr(reg, bytes == 8), a_.gpr(Pins::reg(static_cast<unsigned>(pin)), bytes == 8));
    } else if (type == Type::flags) {
      a_.movzx(a_.g32(reg), a_.word[a_.state(offset)]);
    } else if (bytes == 8) {
      a_.mov(a_.g64(reg), a_.qword[a_.state(offset)]);
    } else {
      a_.mov(a_.g32(reg), a_.dword[a_.state(offset)]);
    }
    assign(reg, value);
  }
}

void Allocator::put(u32 offset, u32 value, Type type) {
  const u32 bytes = ir::state_bytes(type);
  ValueState& v = values_[value];
  const int pin = pins_.find(offset);
  if (pin >= 0 && pins_.offset(static_cast<unsigned>(pin)) == offset && bytes == 8) {
    const u8 home = Pins::reg(static_cast<unsigned>(pin));
    if (v.reg == static_cast<i8>(home)) {
      // Computed in place.
      v.reg = -1;
      v.home = kNone;
      note_home(value, offset, 8);
      return;
    }
    if (home_pin(value) == pin) {
      // The same register, perhaps with an upper half to clear.
      if (v.home_bytes == 4) a_.mov(a_.g32(home), a_.g32(home));
      v.home_bytes = 8;
      return;
    }
    before_write(offset, 8);
    load_into(home, value, true);
    if (v.reg >= 0 && (temps_ & bit_of(static_cast<u8>(v.reg))) != 0 && owner_[static_cast<u8>(v.reg)] == value) {
      // The pin serves from now on.
      used_ &= ~bit_of(static_cast<u8>(v.reg));
      v.reg = -1;
    }
    if (v.reg < 0) note_home(value, offset, 8);
    return;
  }
  if (type == Type::v128) {
    const u8 reg = use_x(value);
    before_write(offset, 16);
    const auto each_pin = [&](auto f) {
      for (u32 at = offset & ~7U; at < offset + 16; at += 8) {
        const int part = pins_.find(at);
        if (part >= 0) {
          f(a_.qword[a_.state(pins_.offset(static_cast<unsigned>(part)))],
            a_.g64(Pins::reg(static_cast<unsigned>(part))));
        }
      }
    };
    each_pin([&](const Xbyak::Address& memory, const Xbyak::Reg64& pin_reg) { a_.mov(memory, pin_reg); });
    a_.vmovups(a_.ptr[a_.state(offset)], a_.x(reg));
    each_pin([&](const Xbyak::Address& memory, const Xbyak::Reg64& pin_reg) { a_.mov(pin_reg, memory); });
    if (pins_.find(offset) < 0 && pins_.find(offset + 8) < 0 && offset % 8 == 0) note_home(value, offset, 16);
    return;
  }
  const bool wide = bytes == 8;
  if (pin >= 0) {
    // Part of a pinned register: through memory.
    const u16 whole = pins_.offset(static_cast<unsigned>(pin));
    const u8 home = Pins::reg(static_cast<unsigned>(pin));
    const u8 reg = use(value, wide);
    before_write(offset, bytes);
    a_.mov(a_.qword[a_.state(whole)], a_.g64(home));
    a_.mov(wide ? a_.qword[a_.state(offset)] : a_.dword[a_.state(offset)], a_.gpr(reg, wide));
    a_.mov(a_.g64(home), a_.qword[a_.state(whole)]);
    return;
  }
  if (v.home == offset && v.home_bytes >= bytes) return;
  if (const auto imm = imm32(value, wide); imm && v.reg < 0) {
    before_write(offset, bytes);
    if (wide) {
      a_.mov(a_.qword[a_.state(offset)], *imm);
    } else {
      a_.mov(a_.dword[a_.state(offset)], *imm);
    }
    return;
  }
  const u8 reg = use(value, wide);
  before_write(offset, bytes);
  a_.mov(wide ? a_.qword[a_.state(offset)] : a_.dword[a_.state(offset)], a_.gpr(reg, wide));
  // A register computed ahead for a pin keeps being the value's place until its put.
  if (wide || insts()[value].type == Type::i32) note_home(value, offset, bytes);
}

void Allocator::forget_homes() {
  for (u32& value : occupants_) {
    if (value == kNone) continue;
    if (values_[value].home != kNone) {
      leave_home(value);
      values_[value].home = kNone;
    }
    value = kNone;
  }
}

}  // namespace solder::host_x64
