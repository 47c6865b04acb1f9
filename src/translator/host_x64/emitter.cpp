#include "translator/host_x64/emitter.h"

#include <cstddef>

#include "translator/interpreter/interpreter.h"
#include "translator/ir/op_info.h"

namespace solder::host_x64 {

using ir::CoreState;
using ir::Op;
using ir::Type;

namespace {

/// Bytes before the entry: the two ways out of it, ten bytes each.
constexpr u32 kEntryOffset = 32;

/// Emissions that leave the host's flags alone.
bool keeps_flags(Op op) {
  switch (op) {
    case Op::insn_start:
    case Op::constant:
    case Op::get:
    case Op::put:
    case Op::not_:
    case Op::sext32:
    case Op::zext32:
    case Op::push_return:
      return true;
    default:
      return false;
  }
}

/// Emissions that look after the flags themselves.
bool handles_flags(Op op) {
  switch (op) {
    case Op::adc:
    case Op::sbc:
    case Op::flags_adc:
    case Op::flags_sbc:
    case Op::flags_add:
    case Op::flags_sub:
    case Op::flags_logic:
    case Op::flags_unpack:
    case Op::flags_select:
    case Op::select:
    case Op::select_nz:
    case Op::exit_if:
      return true;
    default:
      return false;
  }
}

}  // namespace

Emitter::Emitter(const EmitterConfig& config) : config_(config), r_(a_, config.pins, an_) {}

void Emitter::prologue(u32 page_offset) {
  page_offset_ = page_offset;
  // Ways out, just before the entry so that both are in reach of a two-byte jump; see Compiler::kill.
  while (a_.position() < kEntryOffset - 20) a_.int3();
  a_.mov(a_.eax, page_offset);
  a_.jmp(static_cast<const void*>(config_.thunks.leave_requested), Xbyak::CodeGenerator::T_NEAR);
  a_.mov(a_.eax, page_offset);
  a_.jmp(static_cast<const void*>(config_.thunks.leave_killed), Xbyak::CodeGenerator::T_NEAR);
  entry = a_.position();
  a_.cmp(a_.dword[a_.state(offsetof(CoreState, exit_request))], 0);
  a_.db(0x75);
  a_.db(static_cast<int>(static_cast<u8>(-20 - 6)));
}

void Emitter::compile(const ir::Block& block, u32 page_offset, u8* begin, u8* end) {
  a_.set_buffer(begin, end);
  block_ = &block;
  delta_ = 0;
  host_flags_ = result_flags_ = kNone;
  links.clear();
  pcs.clear();
  stubs_.clear();
  calls_.clear();
  an_.run(block, page_offset, config_.pins, config_.state_size);
  r_.start(config_.state_size);
  fused_.assign(block.insts.size(), 0);
  prologue(page_offset);
  const u32 count = static_cast<u32>(an_.insts.size());
  for (u32 i = 0; i < count; ++i) {
    if (an_.skip[i] != 0) continue;
    r_.begin(i);
    if (fused_[i] == 0) emit(i);
    r_.end();
  }
  finish();
}

void Emitter::compile_interpret(u32 page_offset, u8* begin, u8* end) {
  a_.set_buffer(begin, end);
  links.clear();
  pcs.clear();
  prologue(page_offset);
  a_.mov(a_.eax, page_offset);
  a_.jmp(static_cast<const void*>(config_.thunks.leave_interpret), Xbyak::CodeGenerator::T_NEAR);
  size = a_.position();
}

void Emitter::finish() {
  // Stubs may add stubs.
  for (usize i = 0; i < stubs_.size(); ++i) {
    const Stub stub = stubs_[i];
    a_.bind(stub.from);
    (this->*stub.emit)(stub);
  }
  if (!calls_.empty()) {
    while ((a_.position() & 7) != 0) a_.int3();
    for (const PendingCall& pending : calls_) {
      a_.bind_to(pending.lea, a_.position());
      a_.db(reinterpret_cast<const u8*>(&pending.call), sizeof(PureCall));
    }
  }
  size = a_.position();
}

Emitter::Stub& Emitter::add_stub(void (Emitter::*emit_stub)(const Stub&), Near from) {
  Stub& stub = stubs_.emplace_back();
  stub.emit = emit_stub;
  stub.from = from;
  return stub;
}

void Emitter::emit(u32 i) {
  const Inst& inst = an_.insts[i];
  if (!keeps_flags(inst.op) && !handles_flags(inst.op)) clobber_flags();
  switch (inst.op) {
    case Op::nop:
    case Op::constant:
    case Op::push_return:
      return;
    case Op::insn_start:
      delta_ = inst.imm_ab();
      pcs.push_back({a_.position() - entry, static_cast<u32>(delta_)});
      return;
    case Op::get:
      r_.get(i, inst.a);
      return;
    case Op::put:
      if (inst.type == Type::flags) {
        put_flags(i);
      } else {
        r_.put(inst.a, inst.b, inst.type);
      }
      return;
    default:
      break;
  }
  const bool pure = (ir::info(inst.op).traits & ir::kPureOp) != 0 && inst.op != Op::pc_rel;
  if (pure && config_.options.force_fallback) {
    clobber_flags();
    fallback(i);
    return;
  }
  if (native(i)) return;
  SOLDER_CHECK(pure, "an operation with effects has no emission");
  clobber_flags();
  fallback(i);
}

bool Emitter::native(u32 i) {
  return integer(i) || flags(i) || memory(i) || control(i) || vector(i) || floating(i) || crypto(i);
}

void Emitter::store_argument(u32 field, u32 value, u32 original) {
  const usize at = offsetof(Frame, argument) + usize{field} * 16;
  if (an_.insts[value].type == Type::v128) {
    a_.vmovaps(a_.ptr[a_.frame(at)], a_.x(r_.use_x(value)));
    return;
  }
  const bool wide = !original_is_i32(original) && an_.insts[value].type != Type::flags;
  if (const auto imm = r_.imm32(value, true); imm && wide) {
    a_.mov(a_.qword[a_.frame(at)], *imm);
    return;
  }
  r_.load_into(kRax, value, wide);
  if (an_.insts[value].type == Type::flags) {
    a_.and_(a_.eax, ir::kFlagN | ir::kFlagZ | ir::kFlagC | ir::kFlagV);
  } else if (!wide) {
    a_.mov(a_.eax, a_.eax);
  }
  a_.mov(a_.qword[a_.frame(at)], a_.rax);
}

void Emitter::call_pure(const Inst& inst, bool vectors) {
  const interpreter::PureFunction function = interpreter::pure_function(inst.op);
  SOLDER_CHECK(function != nullptr, "a pure operation has no function");
  calls_.push_back(
      {a_.lea_forward(kRax), {inst, reinterpret_cast<const void*>(function), static_cast<u64>(block_->fp_rules)}});
  a_.call(static_cast<const void*>(config_.thunks.pure[vectors ? 1 : 0]));
}

void Emitter::fallback(u32 i) {
  const Inst& inst = an_.insts[i];
  const Inst& original = block_->insts[i];
  const ir::OpInfo& info = ir::info(inst.op);
  if (ir::is_value(info.a) && inst.a != kNone) store_argument(0, inst.a, original.a);
  if (ir::is_value(info.b) && inst.b != kNone) store_argument(1, inst.b, original.b);
  if (ir::is_value(info.c) && inst.c != kNone) store_argument(2, inst.c, original.c);
  call_pure(original, r_.vectors_live());
  const auto result = a_.frame(offsetof(Frame, result));
  if (inst.type == Type::v128) {
    a_.vmovaps(a_.x(r_.define_x(i)), a_.ptr[result]);
  } else {
    const u8 to = r_.define(i);
    if (inst.type == Type::i64) {
      a_.mov(a_.g64(to), a_.qword[result]);
    } else {
      a_.mov(a_.g32(to), a_.dword[result]);
    }
  }
}

}  // namespace solder::host_x64
