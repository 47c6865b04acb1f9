// Hints, barriers, PSTATE fields, cache and TLB maintenance, system registers (DDI 0487, C4.1.87, C5).
#include "guest/arm64/decode.h"
#include "guest/arm64/id_registers.h"
#include "guest/arm64/system_registers.h"
#include "guest/arm64/translator.h"

namespace solder::arm64::sem {

using ir::Order;
using ir::Type;
using ir::Value;

namespace {

/// Syndrome of this system instruction or register move, trapped from EL0.
u32 trap_syndrome(Insn i) {
  return syndrome(0x18, (i.bits(20, 19) << 20) | (i.bits(7, 5) << 17) | (i.bits(18, 16) << 14) |
                            (i.bits(15, 12) << 10) | (i.rt() << 5) | (i.bits(11, 8) << 1) | i.bits(21, 21));
}

u32 encoding_of(Insn i) {
  return i.bits(20, 5);
}

constexpr u32 kSpEl0Register = sysreg_encoding(3, 0, 4, 1, 0);
constexpr u32 kCurrentEl = sysreg_encoding(3, 0, 4, 2, 2);
constexpr u32 kNzcv = sysreg_encoding(3, 3, 4, 2, 0);
constexpr u32 kDaif = sysreg_encoding(3, 3, 4, 2, 1);
constexpr u32 kFpcr = sysreg_encoding(3, 3, 4, 4, 0);
constexpr u32 kFpsr = sysreg_encoding(3, 3, 4, 4, 1);

/// Plain storage that the current level reads or writes without asking anybody.
bool plain(const Translate& t, const SystemRegister& reg, bool write) {
  if (reg.offset == 0 || (write && reg.writable == 0)) return false;
  if (t.el1()) return true;
  return reg.el0 == El0Access::read_write || (!write && reg.el0 == El0Access::read);
}

Value daif(Translate& t) {
  return t.ir.get(Type::i32, SOLDER_ARM64_OFFSET(daif));
}

void check_el0(Translate& t, Insn i, El0Check check) {
  if (t.el1()) return;
  t.helper(Type::i64, HelperId::el0_trap_check, t.ir.c64(static_cast<u64>(check)), t.ir.c64(trap_syndrome(i)));
}

/// DAIF changes through a helper that looks for interrupts; those are then taken at the next block's entry.
void set_daif(Translate& t, Value value) {
  t.helper(Type::i64, HelperId::write_daif, value);
  t.end_direct();
}

void cache_operation(Translate& t, Insn i, CacheOp operation) {
  t.helper(Type::i64, HelperId::cache_by_address, t.x(i.rt()), t.ir.c64(static_cast<u64>(operation)),
           t.ir.c64(trap_syndrome(i)));
}

}  // namespace

void Hint(Translate& t, Insn i) {
  switch (i.bits(11, 5)) {
    case 2:  // WFE
      t.helper(Type::i64, HelperId::wait, t.ir.c64(1));
      return;
    case 3:  // WFI
      t.helper(Type::i64, HelperId::wait, t.ir.c64(0));
      t.end_dispatch();
      return;
    case 4:  // SEV
    case 5:  // SEVL
      t.helper(Type::i64, HelperId::send_event);
      return;
    default:
      return;  // NOP, YIELD, and hints of extensions that are not here
  }
}

void ClearExclusive(Translate& t, Insn) {
  t.ir.put(static_cast<u32>(offsetof(ir::CoreState, monitor_address)), t.ir.c64(ir::kNoMonitor));
}

void DataSynchronization(Translate& t, Insn) {
  t.ir.fence(Order::acquire_release);
  if (t.el1()) t.helper(Type::i64, HelperId::tlb_barrier);
}

void DataMemoryBarrier(Translate& t, Insn i) {
  switch (i.bits(9, 8)) {
    case 1:
      return t.ir.fence(Order::acquire);
    case 2:
      return t.ir.fence(Order::release);
    default:
      return t.ir.fence(Order::acquire_release);
  }
}

/// Everything that changes how instructions are fetched or understood ends its block itself; code that was written is
/// noticed as it is written.
void InstructionSynchronization(Translate& t, Insn) {
  t.end_direct();
}

void SetUao(Translate& t, Insn i) {
  if (!t.el1()) return t.undefined();
  t.helper(Type::i64, HelperId::write_uao, t.ir.c64(i.bits(8, 8)));
  t.end_dispatch();
}

void SetPan(Translate& t, Insn i) {
  if (!t.el1()) return t.undefined();
  t.helper(Type::i64, HelperId::write_pan, t.ir.c64(i.bits(8, 8)));
  t.end_dispatch();
}

void SetSpSel(Translate& t, Insn i) {
  if (!t.el1()) return t.undefined();
  t.helper(Type::i64, HelperId::write_sp_sel, t.ir.c64(i.bits(8, 8)));
  t.end_dispatch();
}

void DaifSet(Translate& t, Insn i) {
  check_el0(t, i, El0Check::interrupt_mask);
  const Value masked = t.ir.or_(daif(t), t.ir.c32(i.bits(11, 8) << 6));
  if (t.el1() && t.has_key(key::kStep)) return set_daif(t, masked);  // masking D ends stepping
  t.ir.put(SOLDER_ARM64_OFFSET(daif), masked);
}

void DaifClear(Translate& t, Insn i) {
  check_el0(t, i, El0Check::interrupt_mask);
  set_daif(t, t.ir.and_(daif(t), t.ir.c32(~(i.bits(11, 8) << 6))));
}

void CacheIvau(Translate& t, Insn i) {
  cache_operation(t, i, CacheOp::invalidate_instruction);
}

void CacheAddress(Translate& t, Insn i) {
  cache_operation(t, i, CacheOp::clean);
}

void CacheAddressEl1(Translate& t, Insn i) {
  if (!t.el1()) return t.undefined();
  cache_operation(t, i, CacheOp::invalidate_data);
}

/// Whole caches and sets and ways: memory is always coherent.
void CacheAll(Translate& t, Insn) {
  if (!t.el1()) t.undefined();
}

void ZeroBlock(Translate& t, Insn i) {
  check_el0(t, i, El0Check::dc_zva);
  const Value start = t.ir.and_(t.x(i.rt()), t.ir.c64(~u64{id::kZeroBlock - 1}));
  const Value zero = t.ir.v_const(0);
  ir::MemAttr attr;
  attr.size_log2 = 4;
  for (unsigned at = 0; at < id::kZeroBlock; at += 16) t.ir.store(start, zero, attr, static_cast<i32>(at));
}

void AddressTranslate(Translate& t, Insn i) {
  if (!t.el1()) return t.undefined();
  t.helper(Type::i64, HelperId::address_translate, t.x(i.rt()), t.ir.c64((i.bits(8, 8) << 3) | i.bits(7, 5)));
}

void TlbInvalidate(Translate& t, Insn i) {
  if (!t.el1()) return t.undefined();
  t.helper(Type::i64, HelperId::tlb_invalidate, t.x(i.rt()), t.ir.c64(i.bits(11, 5)));
  t.end_dispatch();  // what was fetched through the old mapping is not run on
}

void MoveFromSystem(Translate& t, Insn i) {
  const u32 encoding = encoding_of(i);
  switch (encoding) {
    case kNzcv:
      return t.set_x(i.rt(), t.ir.zext32(t.ir.flags_unpack(t.flags())));
    case kFpcr:
      if (!t.fp_access_check()) return;
      return t.set_x(i.rt(), t.ir.zext32(t.ir.get(Type::i32, SOLDER_ARM64_OFFSET(fpcr))));
    case kFpsr:
      if (!t.fp_access_check()) return;
      break;
    case kDaif:
      if (t.el1()) return t.set_x(i.rt(), t.ir.zext32(daif(t)));
      break;
    case kCurrentEl:
      if (t.el1()) return t.set_x(i.rt(), t.ir.c64(4));
      break;
    case kSpEl0Register:
      if (!t.el1() || t.has_key(key::kSpEl0)) return t.undefined();
      return t.set_x(i.rt(), t.ir.get(Type::i64, SOLDER_ARM64_OFFSET(sp_el0)));
    default:
      break;
  }
  const SystemRegister* reg = find_system_register(encoding);
  if (reg != nullptr && plain(t, *reg, false)) return t.set_x(i.rt(), t.ir.get(Type::i64, reg->offset));
  if (!t.el1() && (reg == nullptr || reg->el0 == El0Access::none)) return t.undefined();
  t.helper(Type::i64, HelperId::read_sysreg, t.ir.c64(encoding), t.ir.c64(i.rt()));
}

void MoveToSystem(Translate& t, Insn i) {
  const u32 encoding = encoding_of(i);
  const Value value = t.x(i.rt());
  switch (encoding) {
    case kNzcv:
      return t.set_flags(t.ir.flags_pack(t.ir.trunc(value)));
    case kFpcr:
    case kFpsr:
      if (!t.fp_access_check()) return;
      break;
    case kDaif:
      if (t.el1()) return set_daif(t, value);
      break;
    case kSpEl0Register:
      if (!t.el1() || t.has_key(key::kSpEl0)) return t.undefined();
      return t.ir.put(SOLDER_ARM64_OFFSET(sp_el0), value);
    default:
      break;
  }
  const SystemRegister* reg = find_system_register(encoding);
  if (reg != nullptr && plain(t, *reg, true)) {
    const Value kept = reg->writable == ~u64{0} ? value : t.ir.and_(value, t.ir.c64(reg->writable));
    return t.ir.put(reg->offset, kept);
  }
  if (!t.el1() && (reg == nullptr || reg->el0 == El0Access::none)) return t.undefined();
  t.helper(Type::i64, HelperId::write_sysreg, t.ir.c64(encoding | (i.rt() << 16)), value);
  if (reg != nullptr && reg->ends_block) t.end_dispatch();
}

}  // namespace solder::arm64::sem
