// Loads and stores of general registers (DDI 0487, C4.1.88). State is written only after every access that can fault.
#include "guest/arm64/sem_memory.h"
#include "guest/arm64/decode.h"
#include "guest/arm64/translator.h"

namespace solder::arm64::sem {

using ir::MemAttr;
using ir::Type;
using ir::Value;

Address unsigned_address(Translate& t, Insn i, unsigned size_log2) {
  return {t.base(i.rn()), static_cast<i32>(i.bits(21, 10) << size_log2), false, 0};
}

Address unscaled_address(Translate& t, Insn i) {
  return {t.base(i.rn()), static_cast<i32>(i.simm(20, 12)), false, 0};
}

Address post_index_address(Translate& t, Insn i) {
  return {t.base(i.rn()), 0, true, i.simm(20, 12)};
}

Address pre_index_address(Translate& t, Insn i) {
  return {t.base(i.rn()), static_cast<i32>(i.simm(20, 12)), true, i.simm(20, 12)};
}

Address register_address(Translate& t, Insn i, unsigned size_log2) {
  const Value base = t.base(i.rn());
  const Value offset = extended_offset(t, i, i.bit(12) ? size_log2 : 0);
  return {t.ir.add(base, offset), 0, false, 0};
}

Address pair_address(Translate& t, Insn i, unsigned size_log2) {
  const i64 offset = i.simm(21, 15) << size_log2;
  const u32 mode = i.bits(24, 23);  // 0 no allocate, 1 post-index, 2 offset, 3 pre-index
  return {t.base(i.rn()), mode == 1 ? 0 : static_cast<i32>(offset), (mode & 1) != 0, offset};
}

void write_back(Translate& t, Insn i, const Address& address) {
  if (!address.write_back) return;
  t.set_base(i.rn(), t.ir.add(address.base, t.ir.c64(static_cast<u64>(address.step))), address.step);
}

Value extended_offset(Translate& t, Insn i, unsigned shift) {
  Value m;
  switch (i.bits(15, 13)) {
    case 2:
      m = t.ir.zext32(t.w(i.rm()));
      break;
    case 6:
      m = t.ir.sext32(t.w(i.rm()));
      break;
    default:
      m = t.x(i.rm());
      break;  // LSL and SXTX
  }
  return shift == 0 ? m : t.ir.shl(m, t.ir.c64(shift));
}

namespace {

/// STR, LDR, LDRS of one general register.
void access(Translate& t, Insn i, const Address& address, MemAttr attr) {
  const u32 opc = i.bits(23, 22);
  if (opc == 0) {
    const Value value = attr.size_log2 == 3 ? t.x(i.rt()) : t.w(i.rt());
    t.ir.store(address.base, value, attr, address.offset);
    return write_back(t, i, address);
  }
  attr.sign = opc >= 2;
  const bool wide = attr.size_log2 == 3 || opc == 2;
  const Value value = t.ir.load(wide ? Type::i64 : Type::i32, address.base, attr, address.offset);
  t.set_r(i.rt(), value);
  write_back(t, i, address);
}

}  // namespace

void LoadStoreUnsigned(Translate& t, Insn i) {
  const unsigned size = i.bits(31, 30);
  access(t, i, unsigned_address(t, i, size), t.memory(size));
}

void LoadStoreUnscaled(Translate& t, Insn i) {
  access(t, i, unscaled_address(t, i), t.memory(i.bits(31, 30)));
}

void LoadStorePostIndex(Translate& t, Insn i) {
  access(t, i, post_index_address(t, i), t.memory(i.bits(31, 30)));
}

void LoadStorePreIndex(Translate& t, Insn i) {
  access(t, i, pre_index_address(t, i), t.memory(i.bits(31, 30)));
}

void LoadStoreRegisterOffset(Translate& t, Insn i) {
  const unsigned size = i.bits(31, 30);
  access(t, i, register_address(t, i, size), t.memory(size));
}

void LoadStoreUnprivileged(Translate& t, Insn i) {
  MemAttr attr = t.memory(i.bits(31, 30));
  if (t.el1() && !t.has_key(key::kUao)) attr.mmu = ir::MmuIndex::unprivileged;
  access(t, i, unscaled_address(t, i), attr);
}

void LoadLiteral(Translate& t, Insn i) {
  const Value address = t.ir.pc_rel(t.delta() + static_cast<u64>(i.simm(23, 5) << 2));
  switch (i.bits(31, 30)) {
    case 0:
      return t.set_w(i.rt(), t.ir.load(Type::i32, address, t.memory(2)));
    case 1:
      return t.set_x(i.rt(), t.ir.load(Type::i64, address, t.memory(3)));
    default:
      return t.set_x(i.rt(), t.ir.load(Type::i64, address, t.memory(2, true)));
  }
}

void StorePair(Translate& t, Insn i) {
  const unsigned size = i.sf() ? 3 : 2;
  const Address address = pair_address(t, i, size);
  const MemAttr attr = t.memory(size);
  t.ir.store(address.base, t.r(i.rt(), i.sf()), attr, address.offset);
  t.ir.store(address.base, t.r(i.rt2(), i.sf()), attr, address.offset + (1 << size));
  write_back(t, i, address);
}

void LoadPair(Translate& t, Insn i) {
  const u32 opc = i.bits(31, 30);
  const unsigned size = opc == 2 ? 3 : 2;
  const Address address = pair_address(t, i, size);
  const MemAttr attr = t.memory(size, opc == 1);
  const Type type = opc == 0 ? Type::i32 : Type::i64;
  const Value first = t.ir.load(type, address.base, attr, address.offset);
  const Value second = t.ir.load(type, address.base, attr, address.offset + (1 << size));
  t.set_r(i.rt(), first);
  t.set_r(i.rt2(), second);
  write_back(t, i, address);
}

/// Prefetches are hints and never fault.
void Prefetch(Translate&, Insn) {}
void PrefetchLiteral(Translate&, Insn) {}

}  // namespace solder::arm64::sem
