/// Integer arithmetic and shifts.
#include <cstddef>

#include "translator/host_x64/emitter.h"

namespace solder::host_x64 {

using ir::Op;
using ir::Type;

bool Emitter::integer(u32 i) {
  const Inst& inst = an_.insts[i];
  const bool wide = inst.type == Type::i64;
  switch (inst.op) {
    case Op::add:
    case Op::sub:
    case Op::and_:
    case Op::or_:
    case Op::xor_:
      binary(i);
      return true;
    case Op::and_not: {
      const u8 a = r_.use(inst.a, wide);
      const u8 b = r_.use(inst.b, wide);
      const u8 to = r_.define_like(i, inst.a);
      a_.andn(a_.gpr(to, wide), a_.gpr(b, wide), a_.gpr(a, wide));
      result_flags_ = i;
      result_wide_ = wide;
      return true;
    }
    case Op::or_not:
    case Op::xor_not: {
      // a | ~b, a ^ ~b = ~(a ^ b)
      const u8 a = r_.use(inst.a, wide);
      const u8 b = r_.use(inst.b, wide);
      a_.mov(a_.gpr(kRax, wide), a_.gpr(b, wide));
      a_.not_(a_.gpr(kRax, wide));
      if (inst.op == Op::or_not) {
        a_.or_(a_.gpr(kRax, wide), a_.gpr(a, wide));
      } else {
        a_.xor_(a_.gpr(kRax, wide), a_.gpr(a, wide));
      }
      const u8 to = r_.define_like(i, inst.a);
      a_.mov(a_.gpr(to, wide), a_.gpr(kRax, wide));
      return true;
    }
    case Op::not_:
    case Op::neg: {
      const u8 a = r_.use(inst.a, wide);
      const u8 to = r_.define_like(i, inst.a);
      if (to != a) a_.mov(a_.gpr(to, wide), a_.gpr(a, wide));
      if (inst.op == Op::not_) {
        a_.not_(a_.gpr(to, wide));
      } else {
        a_.neg(a_.gpr(to, wide));
      }
      // A 32-bit not or neg of a register in place also clears the upper half: the instruction writes all of it.
      return true;
    }
    case Op::mul:
    case Op::mul_hi_u:
    case Op::mul_hi_s:
      multiply(i);
      return true;
    case Op::div_u:
    case Op::div_s:
      divide(i);
      return true;
    case Op::shl:
    case Op::shr_u:
    case Op::shr_s:
    case Op::ror:
      shift(i);
      return true;
    case Op::zext32: {
      const u8 a = r_.use(inst.a, false);
      const u8 to = r_.define_like(i, inst.a);
      a_.mov(a_.g32(to), a_.g32(a));
      return true;
    }
    case Op::sext32: {
      if (r_.better_in_memory(inst.a, false)) {
        const auto memory = r_.memory_operand(inst.a, false);
        a_.movsxd(a_.g64(r_.define(i)), memory);
        return true;
      }
      const u8 a = r_.use(inst.a, false);
      const u8 to = r_.define_like(i, inst.a);
      a_.movsxd(a_.g64(to), a_.g32(a));
      return true;
    }
    case Op::pc_rel: {
      const u8 to = r_.define(i);
      const i64 offset = static_cast<i64>(inst.imm_ab() + page_offset_);
      a_.mov(a_.g64(to), a_.qword[a_.state(offsetof(ir::CoreState, pc_page))]);
      if (offset == static_cast<i32>(offset)) {
        if (offset != 0) a_.add(a_.g64(to), static_cast<u32>(offset));
      } else {
        a_.mov(a_.rax, static_cast<u64>(offset));
        a_.add(a_.g64(to), a_.rax);
      }
      return true;
    }
    default:
      return bits(i);
  }
}

void Emitter::binary(u32 i) {
  const Inst& inst = an_.insts[i];
  const bool wide = inst.type == Type::i64;
  u32 a = inst.a;
  u32 b = inst.b;
  const bool commutative = inst.op != Op::sub;
  u32 flags_inst = kNone;
  if (inst.op == Op::add) flags_inst = find_fused(i, Op::flags_add);
  if (inst.op == Op::sub) flags_inst = find_fused(i, Op::flags_sub);
  if (flags_inst != kNone) r_.advance_through(flags_inst);

  // and only to be tested: no result register.
  if (inst.op == Op::and_ && an_.uses[i] == 1 && i + 1 < an_.insts.size()) {
    const u32 user = an_.first_use[i];
    const Inst& next = an_.insts[user];
    if (user == i + 1 && next.op == Op::flags_logic && static_cast<Type>(next.sub) == inst.type) {
      const u8 left = r_.use(a, wide);
      if (const auto imm = r_.imm32(b, wide)) {
        a_.test(a_.gpr(left, wide), static_cast<u32>(*imm));
      } else {
        a_.test(a_.gpr(left, wide), a_.gpr(r_.use(b, wide), wide));
      }
      result_flags_ = i;
      result_wide_ = wide;
      r_.mark_defined(user);
      produce_flags(user, FlagsKind::add);
      fused_[user] = 1;
      return;
    }
  }
  // The operand that ends here goes left, where its register becomes the result's.
  if (commutative && !r_.is_constant(b) && !r_.dies(a) && r_.dies(b)) std::swap(a, b);
  // An operand that already lives in the register the result is wanted in goes left too.
  const i8 hint = an_.pin_hint[i];
  if (commutative && hint >= 0 && r_.current(b) == Pins::reg(static_cast<u8>(hint))) std::swap(a, b);

  if (r_.is_constant(a) && commutative && !r_.is_constant(b)) std::swap(a, b);
  const auto imm = r_.imm32(b, wide);
  int left = -1;
  int right = -1;
  if (!r_.better_in_memory(a, wide) && !r_.is_constant(a)) left = r_.use(a, wide);
  const bool right_in_memory = !imm && r_.better_in_memory(b, wide) && a != b;
  if (!imm && !right_in_memory) right = r_.use(b, wide);
  const u8 to = r_.define_like(i, a, b == a ? kNone : b);
  const bool may_lea = flags_inst == kNone && left >= 0 && left != to && (imm || right >= 0) &&
                       (inst.op == Op::add || (inst.op == Op::sub && imm && *imm != INT32_MIN));
  if (may_lea) {
    // lea keeps both operands; its result's flags are nobody's.
    if (imm) {
      a_.lea(a_.gpr(to, wide), a_.ptr[a_.g64(static_cast<u8>(left)) + (inst.op == Op::add ? *imm : -*imm)]);
    } else {
      a_.lea(a_.gpr(to, wide), a_.ptr[a_.g64(static_cast<u8>(left)) + a_.g64(static_cast<u8>(right))]);
    }
    return;
  }
  if (left < 0) {
    if (r_.is_constant(a)) {
      r_.keep_host_flags(true);
      r_.load_into(to, a, wide);
      r_.keep_host_flags(false);
    } else {
      a_.mov(a_.gpr(to, wide), r_.memory_operand(a, wide));
    }
  } else if (left != to) {
    a_.mov(a_.gpr(to, wide), a_.gpr(static_cast<u8>(left), wide));
  }
  const auto apply = [&](const auto& source) {
    const auto target = a_.gpr(to, wide);
    switch (inst.op) {
      case Op::add:
        a_.add(target, source);
        break;
      case Op::sub:
        a_.sub(target, source);
        break;
      case Op::and_:
        a_.and_(target, source);
        break;
      case Op::or_:
        a_.or_(target, source);
        break;
      default:
        a_.xor_(target, source);
        break;
    }
  };
  if (imm) {
    apply(static_cast<u32>(*imm));
  } else if (right_in_memory) {
    apply(r_.memory_operand(b, wide));
  } else {
    apply(a_.gpr(static_cast<u8>(right), wide));
  }
  result_flags_ = i;
  result_wide_ = wide;
  if (flags_inst != kNone) fuse(i, flags_inst, inst.op == Op::add ? FlagsKind::add : FlagsKind::sub);
}

void Emitter::shift(u32 i) {
  const Inst& inst = an_.insts[i];
  const bool wide = inst.type == Type::i64;
  if (r_.is_constant(inst.b)) {
    const u8 amount = static_cast<u8>(r_.constant(inst.b) & (wide ? 63 : 31));
    const u8 a = r_.use(inst.a, wide);
    const u8 to = r_.define_like(i, inst.a);
    const auto target = a_.gpr(to, wide);
    if (inst.op == Op::ror && to != a) {
      a_.rorx(target, a_.gpr(a, wide), amount);
      return;
    }
    if (inst.op == Op::shl && to != a && amount >= 1 && amount <= 3) {
      if (amount == 1) {
        a_.lea(target, a_.ptr[a_.g64(a) + a_.g64(a)]);
      } else {
        a_.lea(target, a_.ptr[a_.g64(a) * (1 << amount)]);
      }
      return;
    }
    if (to != a) a_.mov(target, a_.gpr(a, wide));
    if (amount == 0) {
      if (to == a && !wide) a_.mov(target, target);
      return;
    }
    switch (inst.op) {
      case Op::shl:
        a_.shl(target, amount);
        break;
      case Op::shr_u:
        a_.shr(target, amount);
        break;
      case Op::shr_s:
        a_.sar(target, amount);
        break;
      default:
        a_.ror(target, amount);
        break;
    }
    return;
  }
  const u8 a = r_.use(inst.a, wide);
  if (inst.op == Op::ror) {
    r_.load_into(kRcx, inst.b, wide);
    const u8 to = r_.define_like(i, inst.a);
    if (to != a) a_.mov(a_.gpr(to, wide), a_.gpr(a, wide));
    a_.ror(a_.gpr(to, wide), a_.cl);
    return;
  }
  const u8 b = r_.use(inst.b, wide);
  const u8 to = r_.define_like(i, inst.a);
  const auto target = a_.gpr(to, wide);
  switch (inst.op) {
    case Op::shl:
      a_.shlx(target, a_.gpr(a, wide), a_.gpr(b, wide));
      break;
    case Op::shr_u:
      a_.shrx(target, a_.gpr(a, wide), a_.gpr(b, wide));
      break;
    default:
      a_.sarx(target, a_.gpr(a, wide), a_.gpr(b, wide));
      break;
  }
}

void Emitter::multiply(u32 i) {
  const Inst& inst = an_.insts[i];
  const bool wide = inst.type == Type::i64;
  if (inst.op == Op::mul) {
    if (const auto imm = r_.imm32(inst.b, wide)) {
      const u8 a = r_.use(inst.a, wide);
      a_.imul(a_.gpr(r_.define_like(i, inst.a), wide), a_.gpr(a, wide), *imm);
      return;
    }
    const u8 a = r_.use(inst.a, wide);
    const u8 b = r_.use(inst.b, wide);
    const u8 to = r_.define_like(i, inst.a, inst.a == inst.b ? kNone : inst.b);
    if (to != a) a_.mov(a_.gpr(to, wide), a_.gpr(a, wide));
    a_.imul(a_.gpr(to, wide), a_.gpr(to == a || a != b ? b : to, wide));
    return;
  }
  r_.take(kRdx);
  r_.load_into(kRax, inst.a, wide);
  const u8 b = r_.use(inst.b, wide);
  if (inst.op == Op::mul_hi_u) {
    a_.mul(a_.gpr(b, wide));
  } else {
    a_.imul(a_.gpr(b, wide));
  }
  a_.mov(a_.gpr(r_.define(i), wide), a_.gpr(kRdx, wide));
}

void Emitter::divide(u32 i) {
  const Inst& inst = an_.insts[i];
  const bool wide = inst.type == Type::i64;
  const bool is_signed = inst.op == Op::div_s;
  r_.take(kRdx);
  r_.load_into(kRcx, inst.b, wide);
  r_.load_into(kRax, inst.a, wide);
  const auto divisor = a_.gpr(kRcx, wide);
  const auto quotient = a_.gpr(kRax, wide);
  // x/0 = 0; min/-1 = min, which is -min: the host would trap on both.
  a_.test(divisor, divisor);
  const Short by_zero = a_.jcc_short(Cc::e);
  Short by_minus_one{};
  if (is_signed) {
    a_.cmp(divisor, -1);
    by_minus_one = a_.jcc_short(Cc::e);
    if (wide) {
      a_.cqo();
    } else {
      a_.cdq();
    }
    a_.idiv(divisor);
  } else {
    a_.xor_(a_.edx, a_.edx);
    a_.div(divisor);
  }
  const Short done = a_.jmp_short();
  a_.bind(by_zero);
  a_.xor_(a_.eax, a_.eax);
  if (is_signed) {
    const Short zero_done = a_.jmp_short();
    a_.bind(by_minus_one);
    a_.neg(quotient);
    a_.bind(zero_done);
  }
  a_.bind(done);
  a_.mov(a_.gpr(r_.define(i), wide), quotient);
}

}  // namespace solder::host_x64
