/// Leaving the block, and calling helpers.
#include <cstddef>

#include "translator/host_x64/emitter.h"
#include "translator/ir/context.h"

namespace solder::host_x64 {

using ir::Context;
using ir::CoreState;
using ir::ExitTest;
using ir::Op;
using ir::Type;

bool Emitter::control(u32 i) {
  const Inst& inst = an_.insts[i];
  switch (inst.op) {
    case Op::exit_if:
      exit_if(i);
      return true;
    case Op::exit_direct:
      exit_to(inst.imm_ab());
      return true;
    case Op::exit_indirect:
      r_.load_into(kRax, inst.a, true);
      exit_to_rax();
      return true;
    case Op::exit_dispatch:
      a_.jmp(static_cast<const void*>(config_.thunks.leave_dispatch), Xbyak::CodeGenerator::T_NEAR);
      return true;
    case Op::exit_interpret:
      a_.mov(a_.eax, pc_offset(inst.imm_ab()));
      a_.jmp(static_cast<const void*>(config_.thunks.leave_interpret), Xbyak::CodeGenerator::T_NEAR);
      return true;
    case Op::call:
      call_helper(i);
      return true;
    default:
      return false;
  }
}

/// Within the page: a jump to be linked. Elsewhere: by the jump cache, as the page may be mapped anywhere.
void Emitter::exit_to(u64 delta) {
  if (same_page(delta)) {
    a_.align_rel32(1);
    const Near slot = a_.jmp_near();
    links.push_back({slot.at - entry, delta});
    add_stub(&Emitter::link_stub, slot).p[0] = pc_offset(delta);
    return;
  }
  const i64 offset = static_cast<i64>(page_offset_ + delta);
  a_.mov(a_.rax, a_.qword[a_.state(offsetof(CoreState, pc_page))]);
  if (offset == static_cast<i32>(offset)) {
    a_.add(a_.rax, static_cast<u32>(offset));
  } else {
    a_.mov(a_.rcx, static_cast<u64>(offset));
    a_.add(a_.rax, a_.rcx);
  }
  exit_to_rax();
}

/// The place where a link slot points while it is not linked.
void Emitter::link_stub(const Stub& stub) {
  a_.mov(a_.eax, stub.p[0]);
  // The slot's address, for Compiler::link.
  const Near lea = a_.lea_forward(kRdx);
  a_.bind_to(lea, stub.from.at);
  a_.jmp(static_cast<const void*>(config_.thunks.leave_link), Xbyak::CodeGenerator::T_NEAR);
}

void Emitter::exit_to_rax() {
  constexpr int kJumps = static_cast<int>(offsetof(Context, jumps));
  static_assert(sizeof(ir::JumpEntry) == 16);
  // Context::jump_index, times 16.
  a_.mov(a_.ecx, a_.eax);
  a_.mov(a_.edx, a_.eax);
  a_.shr(a_.ecx, 2);
  a_.shr(a_.edx, 14);
  a_.xor_(a_.ecx, a_.edx);
  a_.and_(a_.ecx, (1U << ir::kJumpBits) - 1);
  a_.shl(a_.ecx, 4);
  const auto entry_at = a_.g64(kContextReg) + a_.rcx;
  a_.cmp(a_.rax, a_.qword[entry_at + kJumps + static_cast<int>(offsetof(ir::JumpEntry, pc))]);
  a_.jcc_thunk(Cc::ne, config_.thunks.leave_lookup);
  // A guest may jump to ~0, the pc of empty entries: those have no host code.
  a_.mov(a_.rcx, a_.qword[entry_at + kJumps + static_cast<int>(offsetof(ir::JumpEntry, host))]);
  a_.test(a_.rcx, a_.rcx);
  a_.jcc_thunk(Cc::e, config_.thunks.leave_lookup);
  a_.and_(a_.rax, -4096);
  a_.mov(a_.qword[a_.state(offsetof(CoreState, pc_page))], a_.rax);
  a_.jmp(a_.rcx);
}

void Emitter::exit_if(u32 i) {
  const Inst& inst = an_.insts[i];
  const u8 test = static_cast<u8>(inst.sub & 0xff);
  const u8 bit = static_cast<u8>(inst.sub >> 8);
  const u64 delta = inst.imm_bc();
  if (test <= static_cast<u8>(ExitTest::flags_last)) {
    exit_taken(condition(inst.a, static_cast<ir::Cond>(test)), delta);
  } else if (test == static_cast<u8>(ExitTest::bit_clear) || test == static_cast<u8>(ExitTest::bit_set)) {
    const bool set = test == static_cast<u8>(ExitTest::bit_set);
    clobber_flags();
    if (r_.better_in_memory(inst.a, bit >= 32)) {
      const bool in_home = r_.has_home(inst.a);
      if (in_home) {
        a_.test(a_.byte[a_.state(r_.home(inst.a) + bit / 8U)], 1U << (bit % 8));
        exit_taken({set ? Cc::ne : Cc::e}, delta);
        return;
      }
    }
    const u8 a = r_.use(inst.a, bit >= 32);
    if (bit < 8 && a < 4) {
      a_.test(a_.g8(a), 1U << bit);
      exit_taken({set ? Cc::ne : Cc::e}, delta);
    } else if (bit < 32) {
      a_.test(a_.g32(a), 1U << bit);
      exit_taken({set ? Cc::ne : Cc::e}, delta);
    } else {
      a_.bt(a_.g64(a), bit);
      exit_taken({set ? Cc::b : Cc::ae}, delta);
    }
  } else {
    const bool wide = test == static_cast<u8>(ExitTest::zero64) || test == static_cast<u8>(ExitTest::nonzero64);
    const bool zero = test == static_cast<u8>(ExitTest::zero32) || test == static_cast<u8>(ExitTest::zero64);
    if (!(result_flags_ == inst.a && result_wide_ == wide)) test_value(inst.a, wide);
    exit_taken({zero ? Cc::e : Cc::ne}, delta);
  }
}

void Emitter::exit_taken(Condition c, u64 delta) {
  using Parity = Condition::Parity;
  if (c.always) {
    exit_to(delta);
    return;
  }
  if (c.parity == Parity::ignore && same_page(delta)) {
    // Linked in place.
    a_.align_rel32(2);
    const Near slot = a_.jcc_near(c.cc);
    links.push_back({slot.at - entry, delta});
    add_stub(&Emitter::link_stub, slot).p[0] = pc_offset(delta);
    return;
  }
  Short unordered{};
  if (c.parity == Parity::and_clear) unordered = a_.jcc_short(Cc::p);
  Near also{};
  if (c.parity == Parity::or_set) also = a_.jcc_near(Cc::p);
  Stub& stub = add_stub(&Emitter::exit_stub, a_.jcc_near(c.cc));
  stub.extra = also;
  stub.p[0] = static_cast<u32>(delta);
  stub.p[1] = static_cast<u32>(delta >> 32);
  if (c.parity == Parity::and_clear) a_.bind(unordered);
}

void Emitter::exit_stub(const Stub& stub) {
  if (stub.extra.at != 0) a_.bind(stub.extra);
  exit_to(u64{stub.p[0]} | (u64{stub.p[1]} << 32));
}

void Emitter::call_helper(u32 i) {
  const Inst& inst = an_.insts[i];
  const Inst& original = block_->insts[i];
  const ir::Helper& helper = config_.helpers[inst.sub];
  const u8 effects = helper.effects & 7;
  if (inst.a != kNone) store_argument(0, inst.a, original.a);
  if (inst.b != kNone) store_argument(1, inst.b, original.b);
  if (inst.c != kNone) store_argument(2, inst.c, original.c);
  if ((effects & (ir::kWritesState | ir::kMayExit)) != 0) r_.forget_homes();
  a_.mov(a_.rax, reinterpret_cast<u64>(helper.function));
  if (effects != 0) a_.mov(a_.ecx, pc_offset(delta_));
  a_.call(static_cast<const void*>(config_.thunks.helper[effects][r_.vectors_live() ? 1 : 0]));
  if (inst.type == Type::none || (effects & ir::kMayExit) != 0) return;
  const u8 to = r_.define(i);
  a_.mov(a_.gpr(to, inst.type == Type::i64), a_.gpr(kRax, inst.type == Type::i64));
}

}  // namespace solder::host_x64
