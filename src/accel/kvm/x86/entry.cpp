#include "accel/kvm/x86/entry.h"

namespace solder::accel::kvm::x86 {

namespace {

constexpr u64 kCr0Pe = 1;
constexpr u64 kCr0Et = 1U << 4;
constexpr u64 kCr0Pg = u64{1} << 31;
constexpr u64 kCr4Pae = 1U << 5;
constexpr u64 kEferLme = 1U << 8;
constexpr u64 kEferLma = 1U << 10;
// Selectors of Linux's boot protocol (__BOOT_CS, __BOOT_DS); protected-mode protocols leave theirs open.
constexpr u16 kCodeSelector = 0x10;
constexpr u16 kDataSelector = 0x18;
constexpr u64 kResetVector = 0xfffffff0;

kvm_segment flat(u16 selector, u8 type, bool code64) {
  kvm_segment segment{};
  segment.selector = selector;
  segment.limit = 0xffffffff;
  segment.type = type;
  segment.present = 1;
  segment.s = 1;
  segment.g = 1;
  segment.l = code64 ? 1 : 0;
  segment.db = code64 ? 0 : 1;
  return segment;
}

void enter_flat(kvm_sregs& s, const cpu::EntryState& entry, bool code64) {
  s.cs = flat(kCodeSelector, 0xb, code64);  // execute, read, accessed
  s.ds = flat(kDataSelector, 0x3, false);   // read, write, accessed
  s.es = s.fs = s.gs = s.ss = s.ds;
  s.tr = {};
  s.tr.limit = 0x67;
  s.tr.type = 0xb;  // a busy 32-bit TSS; in 64-bit mode, a busy 64-bit one
  s.tr.present = 1;
  s.ldt = {};
  s.ldt.unusable = 1;
  s.gdt.base = entry.descriptor_table;
  s.gdt.limit = entry.descriptor_table != 0 ? kDataSelector + 7 : 0;
  s.idt.base = 0;
  s.idt.limit = 0;
}

}  // namespace

void apply_entry(CpuState& state, const cpu::EntryState& entry) {
  kvm_regs& r = state.regs;
  kvm_sregs& s = state.sregs;
  r.rbx = entry.arguments[0];
  r.rsi = entry.arguments[1];
  r.rax = entry.arguments[2];
  r.rsp = entry.arguments[3];
  r.rflags = 2;  // bit 1 is always set
  switch (entry.mode) {
    case cpu::EntryMode::real:
      if (entry.pc == kResetVector) return;  // as it comes out of reset
      s.cs.selector = static_cast<u16>(entry.pc >> 4);
      s.cs.base = static_cast<u64>(s.cs.selector) << 4;
      r.rip = entry.pc & 0xf;
      return;
    case cpu::EntryMode::protected_:
      enter_flat(s, entry, false);
      s.cr0 = kCr0Pe | kCr0Et;
      break;
    case cpu::EntryMode::long_:
      enter_flat(s, entry, true);
      s.cr0 = kCr0Pe | kCr0Et | kCr0Pg;
      s.cr3 = entry.page_table;
      s.cr4 = kCr4Pae;
      s.efer = kEferLme | kEferLma;
      break;
  }
  r.rip = entry.pc;
}

}  // namespace solder::accel::kvm::x86
