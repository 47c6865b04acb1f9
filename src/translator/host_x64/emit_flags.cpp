/// Flags: kept in the host's own as long as possible, as an image (core_state.h) otherwise.
#include <cstddef>

#include "translator/host_x64/emitter.h"

namespace solder::host_x64 {

using ir::Cond;
using ir::Op;
using ir::Type;

bool Emitter::flags(u32 i) {
  const Inst& inst = an_.insts[i];
  switch (inst.op) {
    case Op::adc:
    case Op::sbc:
    case Op::flags_adc:
    case Op::flags_sbc:
      with_carry(i);
      return true;
    case Op::flags_add:
    case Op::flags_sub:
      compare(i);
      return true;
    case Op::flags_logic:
      flags_logic(i);
      return true;
    case Op::flags_pack:
      flags_pack(i);
      return true;
    case Op::flags_unpack:
      flags_unpack(i);
      return true;
    case Op::flags_select:
    case Op::select:
      select(i);
      return true;
    case Op::select_nz:
      select_nz(i);
      return true;
    default:
      return false;
  }
}

void Emitter::produce_flags(u32 value, FlagsKind kind) {
  host_flags_ = value;
  host_kind_ = kind;
  r_.keep_host_flags(true);
}

void Emitter::image_to_rax() {
  if (host_kind_ == FlagsKind::fp) {
    // ucomisd: unordered ZF,PF,CF = 111, greater 000, less 001, equal 100. Moves leave the flags as they are.
    a_.mov(a_.eax, ir::kFlagC);
    a_.mov(a_.ecx, ir::kFlagN);
    a_.cmovcc(Cc::b, a_.gpr(kRax, false), a_.ecx);
    a_.mov(a_.ecx, ir::kFlagZ | ir::kFlagC);
    a_.cmovcc(Cc::e, a_.gpr(kRax, false), a_.ecx);
    a_.mov(a_.ecx, ir::kFlagC | ir::kFlagV);
    a_.cmovcc(Cc::p, a_.gpr(kRax, false), a_.ecx);
    return;
  }
  if (host_kind_ == FlagsKind::sub) {
    a_.cmc();
    host_kind_ = FlagsKind::add;
  }
  a_.lahf();
  // The other bits of ah (AF, PF, a one) stay in the image; whoever tests it masks, and thunks clean what C will see.
  a_.seto(a_.al);
}

void Emitter::preserve_flags() {
  if (host_flags_ == kNone || !r_.needed_later(host_flags_)) return;
  if (r_.has_home(host_flags_) || r_.in_register_or_slot(host_flags_)) return;
  image_to_rax();
  a_.movzx(a_.g32(r_.settle(host_flags_)), a_.ax);
}

void Emitter::clobber_flags() {
  preserve_flags();
  host_flags_ = result_flags_ = kNone;
  r_.keep_host_flags(false);
}

void Emitter::put_flags(u32 i) {
  const Inst& inst = an_.insts[i];
  const auto memory = a_.word[a_.state(inst.a)];
  if (r_.has_home(inst.b) && r_.home(inst.b) == inst.a) return;
  if (host_flags_ == inst.b) {
    image_to_rax();
    r_.before_write(inst.a, 4);
    a_.mov(memory, a_.ax);
  } else if (const int reg = r_.current(inst.b); reg >= 0) {
    r_.before_write(inst.a, 4);
    a_.mov(memory, a_.g16(static_cast<u8>(reg)));
  } else {
    r_.load_into(kRax, inst.b, false);
    r_.before_write(inst.a, 4);
    a_.mov(memory, a_.ax);
  }
  if (r_.needed_later(inst.b)) r_.note_home(inst.b, inst.a, 4);
}

Emitter::Condition Emitter::condition(u32 value, Cond cond) {
  using Parity = Condition::Parity;
  if (cond == Cond::al || cond == Cond::nv) return {Cc::e, Parity::ignore, true};
  if (host_flags_ == value) {
    if (host_kind_ == FlagsKind::fp) {
      static constexpr Condition kFp[14] = {{Cc::e, Parity::and_clear},
                                            {Cc::ne, Parity::or_set},
                                            {Cc::ae, Parity::or_set},
                                            {Cc::b, Parity::and_clear},
                                            {Cc::b, Parity::and_clear},
                                            {Cc::ae, Parity::or_set},
                                            {Cc::p},
                                            {Cc::np},
                                            {Cc::a, Parity::or_set},
                                            {Cc::be, Parity::and_clear},
                                            {Cc::ae},
                                            {Cc::b},
                                            {Cc::a},
                                            {Cc::be}};
      return kFp[static_cast<usize>(cond)];
    }
    if (host_kind_ == FlagsKind::add && (cond == Cond::hi || cond == Cond::ls)) {
      a_.cmc();
      host_kind_ = FlagsKind::sub;
    }
    const bool borrow = host_kind_ == FlagsKind::sub;
    switch (cond) {
      case Cond::eq:
        return {Cc::e};
      case Cond::ne:
        return {Cc::ne};
      case Cond::cs:
        return {borrow ? Cc::ae : Cc::b};
      case Cond::cc:
        return {borrow ? Cc::b : Cc::ae};
      case Cond::mi:
        return {Cc::s};
      case Cond::pl:
        return {Cc::ns};
      case Cond::vs:
        return {Cc::o};
      case Cond::vc:
        return {Cc::no};
      case Cond::hi:
        return {Cc::a};
      case Cond::ls:
        return {Cc::be};
      case Cond::ge:
        return {Cc::ge};
      case Cond::lt:
        return {Cc::l};
      case Cond::gt:
        return {Cc::g};
      default:
        return {Cc::le};
    }
  }
  // From the image.
  clobber_flags();
  r_.keep_host_flags(true);
  u32 mask = 0;
  switch (cond) {
    case Cond::eq:
    case Cond::ne:
      mask = ir::kFlagZ;
      break;
    case Cond::cs:
    case Cond::cc:
      mask = ir::kFlagC;
      break;
    case Cond::mi:
    case Cond::pl:
      mask = ir::kFlagN;
      break;
    case Cond::vs:
    case Cond::vc:
      mask = ir::kFlagV;
      break;
    default:
      break;
  }
  const bool inverted = (static_cast<u8>(cond) & 1) != 0;
  if (mask != 0) {
    if (const int reg = r_.current(value); reg >= 0) {
      a_.test(a_.g32(static_cast<u8>(reg)), mask);
    } else if (r_.has_home(value)) {
      const bool high = mask > 0xff;
      a_.test(a_.byte[a_.state(r_.home(value) + (high ? 1 : 0))], high ? mask >> 8 : mask);
    } else {
      r_.load_into(kRax, value, false);
      a_.test(a_.eax, mask);
    }
    return {inverted ? Cc::e : Cc::ne};
  }
  r_.load_into(kRax, value, false);
  if (cond == Cond::hi || cond == Cond::ls) {
    a_.and_(a_.eax, ir::kFlagC | ir::kFlagZ);
    a_.cmp(a_.eax, ir::kFlagC);
    return {inverted ? Cc::ne : Cc::e};
  }
  // OF from V: 1 + 0x7f overflows; then SF, ZF, CF from the upper byte.
  a_.add(a_.al, 0x7f);
  a_.sahf();
  switch (cond) {
    case Cond::ge:
      return {Cc::ge};
    case Cond::lt:
      return {Cc::l};
    case Cond::gt:
      return {Cc::g};
    default:
      return {Cc::le};
  }
}

void Emitter::load_carry(u32 value, bool inverted) {
  if (host_flags_ == value && host_kind_ != FlagsKind::fp) {
    preserve_flags();
    if ((host_kind_ == FlagsKind::sub) != inverted) a_.cmc();
    return;
  }
  if (host_flags_ == value) {
    preserve_flags();
    image_to_rax();
    a_.bt(a_.eax, 8);
    if (inverted) a_.cmc();
    return;
  }
  if (const int reg = r_.current(value); reg >= 0) {
    a_.bt(a_.g32(static_cast<u8>(reg)), 8);
  } else {
    r_.load_into(kRax, value, false);
    a_.bt(a_.eax, 8);
  }
  if (inverted) a_.cmc();
}

u32 Emitter::find_fused(u32 i, Op op) const {
  const Inst& inst = an_.insts[i];
  const auto same = [&](u32 x, u32 y) {
    return x == y || (r_.is_constant(x) && r_.is_constant(y) && r_.constant(x) == r_.constant(y));
  };
  const bool carry = inst.op == Op::adc || inst.op == Op::sbc;
  const u32 end = std::min<u32>(i + 4, static_cast<u32>(an_.insts.size()));
  for (u32 j = i + 1; j < end; ++j) {
    const Inst& other = an_.insts[j];
    if (other.op == op && an_.skip[j] == 0 && other.a == inst.a && same(other.b, inst.b) &&
        static_cast<Type>(other.sub) == inst.type && (!carry || other.c == inst.c)) {
      return j;
    }
  }
  return kNone;
}

void Emitter::fuse(u32, u32 flags_inst, FlagsKind kind) {
  fused_[flags_inst] = 1;
  r_.mark_defined(flags_inst);
  produce_flags(flags_inst, kind);
}

void Emitter::with_carry(u32 i) {
  const Inst& inst = an_.insts[i];
  const bool only_flags = inst.op == Op::flags_adc || inst.op == Op::flags_sbc;
  const bool subtract = inst.op == Op::sbc || inst.op == Op::flags_sbc;
  const bool wide = (only_flags ? static_cast<Type>(inst.sub) : inst.type) == Type::i64;
  u32 flags_inst = kNone;
  if (!only_flags) {
    flags_inst = find_fused(i, subtract ? Op::flags_sbc : Op::flags_adc);
    if (flags_inst != kNone) r_.advance_through(flags_inst);
  }
  if (host_flags_ != inst.c) clobber_flags();
  r_.keep_host_flags(true);
  // All moves first: the carry is loaded last.
  r_.load_into(kRcx, inst.a, wide);
  const bool in_memory = r_.better_in_memory(inst.b, wide);
  const auto imm = r_.imm32(inst.b, wide);
  const u8 b = in_memory || imm ? 0 : r_.use(inst.b, wide);
  // An fp image is made through rcx.
  if (host_flags_ == inst.c && host_kind_ == FlagsKind::fp) {
    load_carry(inst.c, subtract);
    r_.load_into(kRcx, inst.a, wide);
  } else {
    load_carry(inst.c, subtract);
  }
  host_flags_ = result_flags_ = kNone;
  const auto target = a_.gpr(kRcx, wide);
  const auto apply = [&](const auto& source) {
    if (subtract) {
      a_.sbb(target, source);
    } else {
      a_.adc(target, source);
    }
  };
  if (imm) {
    apply(static_cast<u32>(*imm));
  } else if (in_memory) {
    apply(r_.memory_operand(inst.b, wide));
  } else {
    apply(a_.gpr(b, wide));
  }
  const FlagsKind kind = subtract ? FlagsKind::sub : FlagsKind::add;
  if (only_flags) {
    r_.mark_defined(i);
    produce_flags(i, kind);
    return;
  }
  const u8 to = r_.define_like(i, inst.a);
  a_.mov(a_.gpr(to, wide), target);
  if (flags_inst != kNone) {
    fuse(i, flags_inst, kind);
  } else {
    r_.keep_host_flags(false);
  }
}

void Emitter::compare(u32 i) {
  const Inst& inst = an_.insts[i];
  const bool wide = static_cast<Type>(inst.sub) == Type::i64;
  clobber_flags();
  const auto imm = r_.imm32(inst.b, wide);
  if (inst.op == Op::flags_add) {
    r_.load_into(kRax, inst.a, wide);
    const auto target = a_.gpr(kRax, wide);
    if (imm) {
      a_.add(target, static_cast<u32>(*imm));
    } else if (r_.better_in_memory(inst.b, wide)) {
      a_.add(target, r_.memory_operand(inst.b, wide));
    } else {
      a_.add(target, a_.gpr(r_.use(inst.b, wide), wide));
    }
    r_.mark_defined(i);
    produce_flags(i, FlagsKind::add);
    return;
  }
  const bool left_in_memory = r_.better_in_memory(inst.a, wide);
  if (imm) {
    // x - 0: test sets the same flags but CF, which cmp clears too.
    if (left_in_memory) {
      a_.cmp(r_.memory_operand(inst.a, wide), static_cast<u32>(*imm));
    } else {
      const u8 a = r_.use(inst.a, wide);
      if (*imm == 0) {
        a_.test(a_.gpr(a, wide), a_.gpr(a, wide));
      } else {
        a_.cmp(a_.gpr(a, wide), static_cast<u32>(*imm));
      }
    }
  } else if (left_in_memory && inst.a != inst.b) {
    const u8 b = r_.use(inst.b, wide);
    a_.cmp(r_.memory_operand(inst.a, wide), a_.gpr(b, wide));
  } else {
    const u8 a = r_.use(inst.a, wide);
    if (r_.better_in_memory(inst.b, wide)) {
      a_.cmp(a_.gpr(a, wide), r_.memory_operand(inst.b, wide));
    } else {
      a_.cmp(a_.gpr(a, wide), a_.gpr(r_.use(inst.b, wide), wide));
    }
  }
  r_.mark_defined(i);
  produce_flags(i, FlagsKind::sub);
}

void Emitter::test_value(u32 value, bool wide) {
  clobber_flags();
  if (r_.better_in_memory(value, wide)) {
    a_.cmp(r_.memory_operand(value, wide), 0);
  } else {
    const u8 a = r_.use(value, wide);
    a_.test(a_.gpr(a, wide), a_.gpr(a, wide));
  }
}

void Emitter::flags_logic(u32 i) {
  const Inst& inst = an_.insts[i];
  const bool wide = static_cast<Type>(inst.sub) == Type::i64;
  const Op made_by = an_.insts[inst.a].op;
  const bool logic = made_by == Op::and_ || made_by == Op::or_ || made_by == Op::xor_ || made_by == Op::and_not;
  if (!(result_flags_ == inst.a && result_wide_ == wide && logic && host_flags_ == kNone)) test_value(inst.a, wide);
  r_.mark_defined(i);
  produce_flags(i, FlagsKind::add);
}

void Emitter::flags_pack(u32 i) {
  // N, Z: bits 31, 30 to 15, 14. C: 29 to 8. V: 28 to 0.
  const Inst& inst = an_.insts[i];
  clobber_flags();
  r_.load_into(kRcx, inst.a, false);
  const u8 to = r_.define(i);
  a_.mov(a_.eax, a_.ecx);
  a_.shr(a_.eax, 16);
  a_.and_(a_.eax, ir::kFlagN | ir::kFlagZ);
  a_.mov(a_.g32(to), a_.ecx);
  a_.shr(a_.ecx, 21);
  a_.and_(a_.ecx, ir::kFlagC);
  a_.or_(a_.eax, a_.ecx);
  a_.shr(a_.g32(to), 28);
  a_.and_(a_.g32(to), 1);
  a_.or_(a_.g32(to), a_.eax);
}

void Emitter::flags_unpack(u32 i) {
  const Inst& inst = an_.insts[i];
  if (host_flags_ == inst.a) {
    preserve_flags();
    image_to_rax();
    host_flags_ = result_flags_ = kNone;
  } else {
    clobber_flags();
    r_.load_into(kRax, inst.a, false);
  }
  r_.keep_host_flags(false);
  const u8 to = r_.define(i);
  const auto target = a_.g32(to);
  a_.mov(target, a_.eax);
  a_.mov(a_.ecx, a_.eax);
  a_.and_(target, ir::kFlagN | ir::kFlagZ);
  a_.shl(target, 16);
  a_.and_(a_.ecx, ir::kFlagC);
  a_.shl(a_.ecx, 21);
  a_.or_(target, a_.ecx);
  a_.and_(a_.eax, 1);
  a_.shl(a_.eax, 28);
  a_.or_(target, a_.eax);
}

void Emitter::select(u32 i) {
  const Inst& inst = an_.insts[i];
  if (inst.op == Op::flags_select) {
    // The chosen ones as images first; the host's flags may be one of the three.
    preserve_flags();
    const auto image_needed = [&](u32 value) {
      if (host_flags_ != value || r_.has_home(value) || r_.in_register_or_slot(value)) return;
      image_to_rax();
      a_.movzx(a_.g32(r_.settle(value)), a_.ax);
      // To stay there until it is read below, even if this is its last use.
      r_.use(value, false);
    };
    image_needed(inst.b);
    image_needed(inst.c);
  }
  const Condition c = condition(inst.a, static_cast<Cond>(inst.sub));
  r_.keep_host_flags(true);
  select_with(i, c, inst.b, inst.c);
  r_.keep_host_flags(host_flags_ != kNone);
}

void Emitter::select_nz(u32 i) {
  const Inst& inst = an_.insts[i];
  const bool wide = static_cast<Type>(inst.sub) == Type::i64;
  if (!(result_flags_ == inst.a && result_wide_ == wide)) test_value(inst.a, wide);
  r_.keep_host_flags(true);
  select_with(i, {Cc::ne}, inst.b, inst.c);
  r_.keep_host_flags(host_flags_ != kNone);
}

void Emitter::select_with(u32 i, Condition c, u32 if_true, u32 if_false) {
  using Parity = Condition::Parity;
  const Inst& inst = an_.insts[i];
  if (inst.type == Type::v128) {
    const u8 yes = r_.use_x(if_true);
    const u8 no = r_.use_x(if_false);
    const u8 to = r_.define_x(i);
    if (c.always) {
      a_.vmovaps(a_.x(to), a_.x(yes));
      return;
    }
    // `to` differs from both.
    a_.vmovaps(a_.x(to), a_.x(yes));
    if (c.parity == Parity::or_set) {
      const Short unordered = a_.jcc_short(Cc::p);
      const Short taken = a_.jcc_short(c.cc);
      a_.vmovaps(a_.x(to), a_.x(no));
      a_.bind(unordered);
      a_.bind(taken);
    } else {
      Short unordered{};
      if (c.parity == Parity::and_clear) unordered = a_.jcc_short(Cc::p);
      const Short taken = a_.jcc_short(c.cc);
      if (c.parity == Parity::and_clear) a_.bind(unordered);
      a_.vmovaps(a_.x(to), a_.x(no));
      a_.bind(taken);
    }
    return;
  }
  const bool wide = inst.type == Type::i64;
  const auto t = a_.gpr(kRcx, wide);
  if (c.always) {
    r_.load_into(kRcx, if_true, wide);
    a_.mov(a_.gpr(r_.define_like(i, if_true), wide), t);
    return;
  }
  // 1 or 0: a byte.
  if (c.parity == Parity::ignore && r_.is_constant(if_true) && r_.is_constant(if_false)) {
    const u64 x = r_.constant(if_true);
    const u64 y = r_.constant(if_false);
    if ((x == 1 && y == 0) || (x == 0 && y == 1)) {
      a_.setcc(x == 1 ? c.cc : invert(c.cc), kRax);
      a_.movzx(a_.g32(r_.define(i)), a_.al);
      return;
    }
  }
  if (c.parity == Parity::or_set) {
    // The same as: the opposite and not parity, the other way round.
    std::swap(if_true, if_false);
    c = {invert(c.cc), Parity::and_clear};
  }
  if (c.parity == Parity::and_clear) {
    r_.load_into(kRcx, if_false, wide);
    r_.load_into(kRax, if_true, wide);
    a_.cmovcc(Cc::p, a_.gpr(kRax, wide), a_.gpr(kRcx, wide));
    a_.cmovcc(invert(c.cc), a_.gpr(kRax, wide), a_.gpr(kRcx, wide));
    a_.mov(a_.gpr(r_.define(i), wide), a_.gpr(kRax, wide));
    return;
  }
  // The operand that ends here becomes the result, the other one is moved over it.
  if (r_.dies(if_true) && !r_.dies(if_false)) {
    std::swap(if_true, if_false);
    c.cc = invert(c.cc);
  }
  const bool memory = r_.better_in_memory(if_true, wide);
  const u8 yes = memory ? 0 : r_.use(if_true, wide);
  const u8 no = r_.use(if_false, wide);
  const u8 to = r_.define_like(i, if_false, if_true == if_false ? kNone : if_true);
  if (to != no) a_.mov(a_.gpr(to, wide), a_.gpr(no, wide));
  if (memory) {
    a_.cmovcc(c.cc, a_.gpr(to, wide), r_.memory_operand(if_true, wide));
  } else {
    a_.cmovcc(c.cc, a_.gpr(to, wide), a_.gpr(yes, wide));
  }
}

}  // namespace solder::host_x64
