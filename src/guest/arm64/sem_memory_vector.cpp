// Loads and stores of SIMD&FP registers with a general addressing mode (DDI 0487, C4.1.88).
#include "guest/arm64/decode.h"
#include "guest/arm64/sem_memory.h"
#include "guest/arm64/translator.h"

namespace solder::arm64::sem {

using ir::MemAttr;
using ir::Type;
using ir::Value;

namespace {

/// B, H, S, D by the size field, Q by opc<1>.
unsigned size_of(Insn i) {
  return i.bit(23) ? 4 : i.bits(31, 30);
}

void access(Translate& t, Insn i, const Address& address) {
  const MemAttr attr = t.memory(size_of(i));
  if (i.bit(22)) {
    t.set_v(i.rt(), t.ir.load(Type::v128, address.base, attr, address.offset));
  } else {
    t.ir.store(address.base, t.v(i.rt()), attr, address.offset);
  }
  write_back(t, i, address);
}

}  // namespace

void VectorLoadStoreUnsigned(Translate& t, Insn i) {
  if (t.fp_access_check()) access(t, i, unsigned_address(t, i, size_of(i)));
}

void VectorLoadStoreUnscaled(Translate& t, Insn i) {
  if (t.fp_access_check()) access(t, i, unscaled_address(t, i));
}

void VectorLoadStorePostIndex(Translate& t, Insn i) {
  if (t.fp_access_check()) access(t, i, post_index_address(t, i));
}

void VectorLoadStorePreIndex(Translate& t, Insn i) {
  if (t.fp_access_check()) access(t, i, pre_index_address(t, i));
}

void VectorLoadStoreRegisterOffset(Translate& t, Insn i) {
  if (t.fp_access_check()) access(t, i, register_address(t, i, size_of(i)));
}

void VectorLoadLiteral(Translate& t, Insn i) {
  if (!t.fp_access_check()) return;
  const Value address = t.ir.pc_rel(t.delta() + static_cast<u64>(i.simm(23, 5) << 2));
  t.set_v(i.rt(), t.ir.load(Type::v128, address, t.memory(2 + i.bits(31, 30))));
}

void VectorStorePair(Translate& t, Insn i) {
  if (!t.fp_access_check()) return;
  const unsigned size = 2 + i.bits(31, 30);
  const Address address = pair_address(t, i, size);
  const MemAttr attr = t.memory(size);
  t.ir.store(address.base, t.v(i.rt()), attr, address.offset);
  t.ir.store(address.base, t.v(i.rt2()), attr, address.offset + (1 << size));
  write_back(t, i, address);
}

void VectorLoadPair(Translate& t, Insn i) {
  if (!t.fp_access_check()) return;
  const unsigned size = 2 + i.bits(31, 30);
  const Address address = pair_address(t, i, size);
  const MemAttr attr = t.memory(size);
  const Value first = t.ir.load(Type::v128, address.base, attr, address.offset);
  const Value second = t.ir.load(Type::v128, address.base, attr, address.offset + (1 << size));
  t.set_v(i.rt(), first);
  t.set_v(i.rt2(), second);
  write_back(t, i, address);
}

}  // namespace solder::arm64::sem
