#include "translator/passes/optimize.h"

#include <algorithm>

#include "translator/ir/op_info.h"

namespace solder::passes {
namespace {

/// The bytes of piece `piece` that [offset, offset + size) covers.
u8 covered(u32 piece, u32 offset, u32 size) {
  const u32 first = std::max(offset, piece * 8) - piece * 8;
  const u32 last = std::min(offset + size, piece * 8 + 8) - piece * 8;
  return static_cast<u8>(((1U << last) - 1) & ~((1U << first) - 1));
}

}  // namespace

bool Optimizer::is_overwritten(u32 offset, u32 size) const {
  for (u32 piece = offset / 8; piece <= (offset + size - 1) / 8; ++piece) {
    const Overwritten& entry = pieces_[piece % kPieces];
    const u8 wanted = covered(piece, offset, size);
    if (entry.epoch != epoch_ || entry.piece != piece || (entry.bytes & wanted) != wanted) return false;
  }
  return true;
}

void Optimizer::overwrite(u32 offset, u32 size) {
  for (u32 piece = offset / 8; piece <= (offset + size - 1) / 8; ++piece) {
    Overwritten& entry = pieces_[piece % kPieces];
    if (entry.epoch != epoch_ || entry.piece != piece) entry = {epoch_, piece, 0};
    entry.bytes |= covered(piece, offset, size);
  }
}

void Optimizer::read(u32 offset, u32 size) {
  for (u32 piece = offset / 8; piece <= (offset + size - 1) / 8; ++piece) {
    Overwritten& entry = pieces_[piece % kPieces];
    if (entry.epoch == epoch_ && entry.piece == piece) entry.bytes &= static_cast<u8>(~covered(piece, offset, size));
  }
}

void Optimizer::run(ir::Block& block) {
  used_.assign(block.insts.size(), 0);
  ++epoch_;
  for (usize i = block.insts.size(); i-- > 0;) {
    ir::Inst& inst = block.insts[i];
    const ir::OpInfo& op = ir::info(inst.op);
    // A sticky floating-point flag is an effect, used or not.
    if (used_[i] == 0 && (op.traits & (ir::kEffect | ir::kSticky)) == 0) {
      inst = {};
      continue;
    }
    // State must be exact where the block can be left, and for whom reads it.
    if ((op.traits & ir::kMayLeave) != 0) ++epoch_;
    if (inst.op == ir::Op::put) {
      const u32 size = ir::state_bytes(block.insts[inst.b].type);
      if (is_overwritten(inst.a, size)) {
        inst = {};
        continue;
      }
      overwrite(inst.a, size);
    } else if (inst.op == ir::Op::get) {
      read(inst.a, ir::state_bytes(inst.type));
    }
    if (ir::is_value(op.a) && inst.a != ~u32{0}) used_[inst.a] = 1;
    if (ir::is_value(op.b) && inst.b != ~u32{0}) used_[inst.b] = 1;
    if (ir::is_value(op.c) && inst.c != ~u32{0}) used_[inst.c] = 1;
  }
}

}  // namespace solder::passes
