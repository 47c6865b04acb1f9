#include "translator/host_x64/analysis.h"

#include "translator/ir/op_info.h"

namespace solder::host_x64 {
namespace {

using ir::Inst;
using ir::Op;
using ir::Type;

/// Whether guest state may be looked at, or the block left, by this instruction.
bool observes(const Inst& inst) {
  return (ir::info(inst.op).traits & ir::kMayLeave) != 0;
}

}  // namespace

/// A page address from a pc (A64's ADRP), and offsets from it, are constants but for pc_page.
void Analysis::fold_pc_relative(Inst& inst, u32 page_offset) const {
  u64 offset = insts[inst.a].imm_ab() + page_offset;
  const u64 operand = insts[inst.b].imm_ab();
  if (inst.op == Op::add) {
    offset += operand;
  } else if (operand == ~u64{0xfff}) {
    offset &= operand;
  } else {
    return;
  }
  offset -= page_offset;
  inst = {Op::pc_rel, Type::i64, 0, static_cast<u32>(offset), static_cast<u32>(offset >> 32)};
}

void Analysis::resolve(const ir::Block& block, u32 page_offset) {
  const u32 count = static_cast<u32>(block.insts.size());
  insts.assign(block.insts.begin(), block.insts.end());
  alias_.resize(count);
  for (u32 i = 0; i < count; ++i) {
    Inst& inst = insts[i];
    alias_[i] = i;
    if (inst.op == Op::put) inst.type = block.insts[inst.b].type;
    const ir::OpInfo& info = ir::info(inst.op);
    if (ir::is_value(info.a) && inst.a != kNone) inst.a = alias_[inst.a];
    if (ir::is_value(info.b) && inst.b != kNone) inst.b = alias_[inst.b];
    if (ir::is_value(info.c) && inst.c != kNone) inst.c = alias_[inst.c];
    if ((inst.op == Op::and_ || inst.op == Op::add) && inst.type == Type::i64 && insts[inst.a].op == Op::pc_rel &&
        insts[inst.b].op == Op::constant) {
      fold_pc_relative(inst, page_offset);
    }
    if (inst.op == Op::trunc) {
      alias_[i] = inst.a;
      inst.op = Op::nop;
    } else if (inst.op == Op::zext32 && insts[inst.a].type == Type::i32) {
      // Whatever makes an i32 leaves the upper half of its register zero; only views of an i64 (trunc) do not.
      alias_[i] = inst.a;
      inst.op = Op::nop;
    }
  }
}

void Analysis::walk_back(const Pins& pins) {
  const u32 count = static_cast<u32>(insts.size());
  next_use.resize(count);
  first_use.assign(count, kNone);
  last_use.assign(count, kNone);
  uses.assign(count, 0);
  skip.assign(count, 0);
  pin_hint.assign(count, -1);
  pin_put.assign(count, kNone);

  // By pin: the value that the next put will bring there, and that put, while nobody looks in between.
  std::array<u32, kPinRegs.size()> coming{};
  std::array<u32, kPinRegs.size()> coming_put{};
  coming.fill(kNone);

  for (u32 i = count; i-- > 0;) {
    Inst& inst = insts[i];
    const ir::OpInfo& info = ir::info(inst.op);
    if (inst.op == Op::nop) {
      skip[i] = 1;
      continue;
    }
    if (inst.op == Op::put) {
      const u32 bytes = ir::state_bytes(inst.type);
      const u32 first = inst.a / 8;
      const u32 last = (inst.a + bytes - 1) / 8;
      const bool whole = inst.a % 8 == 0 && bytes >= 8;
      // Flags share their eight bytes with exit_request, which is never put: they may count as whole.
      const bool tracked = whole || inst.type == Type::flags;
      if (tracked) {
        bool dead = true;
        for (u32 piece = first; piece <= last; ++piece) dead = dead && overwritten_[piece] == generation_;
        if (dead) {
          skip[i] = 1;
          continue;
        }
        for (u32 piece = first; piece <= last; ++piece) overwritten_[piece] = generation_;
      }
      const int pin = pins.find(inst.a);
      if (pin >= 0) {
        const bool direct = inst.a == pins.offset(static_cast<unsigned>(pin)) && bytes == 8;
        coming[static_cast<usize>(pin)] = direct ? inst.b : kNone;
        coming_put[static_cast<usize>(pin)] = i;
      }
      if (bytes == 16) {
        if (const int other = pins.find(inst.a + 8); other >= 0) coming[static_cast<usize>(other)] = kNone;
      }
    } else if (inst.op == Op::get) {
      if (uses[i] == 0) {
        skip[i] = 1;
        continue;
      }
      const u32 bytes = ir::state_bytes(inst.type);
      for (u32 piece = inst.a / 8; piece <= (inst.a + bytes - 1) / 8; ++piece) overwritten_[piece] = 0;
      for (u32 at = inst.a; at < inst.a + bytes; at += 4) {
        if (const int pin = pins.find(at); pin >= 0) coming[static_cast<usize>(pin)] = kNone;
      }
    } else if ((info.traits & (ir::kEffect | ir::kSticky)) == 0 && uses[i] == 0) {
      skip[i] = 1;
      continue;
    }
    for (usize pin = 0; pin < pins.count(); ++pin) {
      if (coming[pin] != i) continue;
      pin_hint[i] = static_cast<i8>(pin);
      pin_put[i] = coming_put[pin];
      coming[pin] = kNone;
    }
    if (observes(inst)) {
      ++generation_;
      coming.fill(kNone);
    }
    std::array<u32, 3>& next = next_use[i];
    next = {kNone, kNone, kNone};
    const auto count_use = [&](u32 operand, usize field) {
      next[field] = first_use[operand];
      first_use[operand] = i;
      if (last_use[operand] == kNone) last_use[operand] = i;
      ++uses[operand];
    };
    // In reverse, so that a value used twice by one instruction ends with its next use elsewhere.
    if (ir::is_value(info.c) && inst.c != kNone) count_use(inst.c, 2);
    if (ir::is_value(info.b) && inst.b != kNone) count_use(inst.b, 1);
    if (ir::is_value(info.a) && inst.a != kNone) count_use(inst.a, 0);
  }
}

void Analysis::run(const ir::Block& block, u32 page_offset, const Pins& pins, usize state_size) {
  resolve(block, page_offset);
  overwritten_.resize(state_size / 8 + 3, 0);
  if (generation_ > 0xffff'0000) {
    overwritten_.assign(overwritten_.size(), 0);
    generation_ = 0;
  }
  ++generation_;
  walk_back(pins);
}

}  // namespace solder::host_x64
