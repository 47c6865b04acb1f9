/// The allocator's vector registers.
#include <bit>

#include "base/check.h"
#include "translator/host_x64/allocator.h"

namespace solder::host_x64 {

u8 Allocator::allocate_x() {
  const u32 candidates = (bit_of(kXmmTemps) - 1) & ~locked_x_;
  if (const u32 free = candidates & ~used_x_; free != 0) return static_cast<u8>(std::countr_zero(free));
  SOLDER_CHECK(candidates != 0, "an instruction locks every vector register");
  u8 best = 0;
  u32 best_score = 0;
  for (u32 rest = candidates; rest != 0; rest &= rest - 1) {
    const u8 reg = static_cast<u8>(std::countr_zero(rest));
    const ValueState& v = values_[owner_x_[reg]];
    u32 score = v.next == kNone ? kNone : v.next + 1;
    if (v.next != kNone && (v.home != kNone || v.slot >= 0)) score += 12;
    if (score > best_score) {
      best_score = score;
      best = reg;
    }
  }
  evict_x(best);
  return best;
}

void Allocator::evict_x(u8 reg) {
  const u32 value = owner_x_[reg];
  ValueState& v = values_[value];
  if (v.next != kNone && v.home == kNone) spill(value);
  v.reg = -1;
  used_x_ &= ~bit_of(reg);
}

void Allocator::load_into_x(u8 reg, u32 value) {
  const ValueState& v = values_[value];
  if (v.reg >= 0) {
    if (static_cast<u8>(v.reg) != reg) a_.vmovaps(a_.x(reg), a_.x(static_cast<u8>(v.reg)));
  } else if (v.home != kNone) {
    a_.vmovups(a_.x(reg), a_.ptr[a_.state(v.home)]);
  } else {
    SOLDER_CHECK(v.slot >= 0, "a vector is used that nothing has made");
    a_.vmovaps(a_.x(reg), a_.ptr[a_.frame(spill_offset(v.slot))]);
  }
}

u8 Allocator::use_x(u32 value) {
  ValueState& v = values_[value];
  if (v.reg < 0) {
    const u8 reg = allocate_x();
    load_into_x(reg, value);
    v.reg = static_cast<i8>(reg);
    owner_x_[reg] = value;
    used_x_ |= bit_of(reg);
  }
  locked_x_ |= bit_of(static_cast<u8>(v.reg));
  return static_cast<u8>(v.reg);
}

bool Allocator::better_in_memory_x(u32 value) const {
  const ValueState& v = values_[value];
  return v.reg < 0 && v.next == kNone;
}

Xbyak::Address Allocator::memory_operand_x(u32 value) {
  const ValueState& v = values_[value];
  return a_.ptr[v.home != kNone ? a_.state(v.home) : a_.frame(spill_offset(v.slot))];
}

u8 Allocator::define_x(u32 value) {
  ValueState& v = values_[value];
  v.next = analysis_.first_use[value];
  defined_.push_back(value);
  const u8 reg = allocate_x();
  v.reg = static_cast<i8>(reg);
  owner_x_[reg] = value;
  used_x_ |= bit_of(reg);
  locked_x_ |= bit_of(reg);
  return reg;
}

}  // namespace solder::host_x64
