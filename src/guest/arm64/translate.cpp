// The front end's loop: from guest words to one block of IR.
#include "guest/arm64/decode.h"
#include "guest/arm64/translator.h"

namespace solder::arm64 {

using ir::Type;
using ir::Value;

bool Translate::fp_access_check() {
  if (!has_key(key::kFpTrapped)) return true;
  raise(syndrome(0x07, 0x1e00000));  // CV = 1, COND = AL
  return false;
}

Value Translate::base(unsigned n) {
  if (n != 31) return x(n);
  const Value sp = x_sp(31);
  if (has_key(key::kSpCheck) && !sp_aligned_) {
    // An unaligned SP leaves to an odd address, whose block raises the fault (HelperId::pc_misaligned). So the check
    // costs a test and a branch, and only once while SP moves by multiples of 16.
    ir.exit_if(ir::ExitTest::nonzero64, ir.and_(sp, ir.c64(15)), delta_ + 1);
    sp_aligned_ = true;
  }
  return sp;
}

void Translate::set_base(unsigned n, Value v, i64 step) {
  const bool aligned = sp_aligned_ && (step & 15) == 0;
  set_x_sp(n, v);
  if (n == 31) sp_aligned_ = aligned;
}

void Translate::undefined() {
  raise(syndrome(0, 0));
}

void Translate::raise(u32 esr, u64 return_offset) {
  helper(Type::i64, HelperId::raise, ir.c64(esr), ir.c64(return_offset));
  ir.exit_dispatch();
  ended_ = true;
}

void Translate::end_dispatch() {
  ir.put(kPcOffset, ir.pc_rel(next_));
  ir.exit_dispatch();
  ended_ = true;
}

void Translate::end_direct() {
  ir.exit_direct(next_);
  ended_ = true;
}

void Translate::jump(u64 target) {
  // Only forwards: a loop shall end in a link to its own block, not be unrolled.
  const u64 size = request_.code.size();
  if (!request_.single && target > delta_ && size >= 4 && target <= size - 4) {
    next_ = target;
    return;
  }
  ir.exit_direct(target);
  ended_ = true;
}

void Translate::run() {
  ir::Block& block = ir.block();
  block.fp_rules = ir::FpRules::arm;
  if (has_key(key::kStepPending) || (request_.pc & 3) != 0) {
    ir.insn_start(0);
    // An odd pc may be the way out of a stepped instruction's SP check, so it comes first.
    helper(Type::i64, (request_.pc & 3) != 0 ? HelperId::pc_misaligned : HelperId::step_exception);
    ir.exit_dispatch();
    block.guest_insts = 1;
    block.guest_bytes = 1;
    return;
  }
  const std::span<const u8> code = request_.code;
  const u32 limit = request_.single || has_key(key::kStep) ? 1 : request_.max_insts;
  while (!ended_) {
    if (block.guest_insts != 0 && (block.guest_insts >= limit || next_ + 4 > code.size())) {
      ir.exit_direct(next_);
      return;
    }
    delta_ = next_;
    next_ = delta_ + 4;
    // In one piece: another CPU may be writing it, and then either the old or the new instruction runs (DDI 0487,
    // B2.2.5). A64 instructions are little-endian whatever the data are, and so is every host.
    const Insn insn{__atomic_load_n(reinterpret_cast<const u32*>(code.data() + delta_), __ATOMIC_RELAXED)};
    ir.insn_start(delta_);
    ++block.guest_insts;
    if (block.guest_bytes < next_) block.guest_bytes = static_cast<u32>(next_);
    if (has_key(key::kStep)) {
      const bool load_exclusive = (insn.word & 0x3fc00000) == 0x08400000;
      helper(Type::i64, HelperId::step_begin, ir.c64(load_exclusive ? 3 : 1));
    }
    if (has_key(key::kIllegal)) {
      raise(syndrome(0x0e, 0));
      continue;
    }
    const Encoding* encoding = decode(insn.word);
    if (encoding == nullptr) {
      undefined();
    } else {
      encoding->handler(*this, insn);
    }
  }
}

}  // namespace solder::arm64
