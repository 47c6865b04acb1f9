// The names of CpuState's fields. One walk serves reading and writing, so that the two cannot disagree.
#include <cpuid.h>
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>

#include "accel/kvm/x86/cpu_state.h"

namespace solder::accel::kvm::x86 {

namespace {

using Value = std::array<u64, 2>;

// The XSAVE area (SDM volume 1, 13.4): the FXSAVE image, a header, then extended components.
constexpr usize kMxcsr = 24;
constexpr usize kSt0 = 32;
constexpr usize kXmm0 = 160;
constexpr usize kXstateBv = 512;
constexpr usize kYmmHigh0 = 576;
constexpr usize kAfterYmm = 832;
constexpr u64 kX87 = 1;
constexpr u64 kSse = 2;
constexpr u64 kAvx = 4;

/// How much of the XSAVE area has a meaning on this host.
usize xsave_used(usize size) {
  u32 eax = 0;
  u32 ebx = 0;
  u32 ecx = 0;
  u32 edx = 0;
  if (__get_cpuid_count(0xd, 0, &eax, &ebx, &ecx, &edx) == 0) return std::min<usize>(size, kYmmHigh0);
  return std::min<usize>(size, ecx);
}

/// Calls `visit(name, value)` for each field; where it returns true, `value` is stored into the field.
template <class Visit>
class Walk {
 public:
  Walk(CpuState& state, Visit& visit) : s_(state), visit_(visit) {}

  void all() {
    general();
    segments();
    control_registers();
    floating_point();
    events();
    field("mp_state", s_.mp.mp_state);
    for (kvm_msr_entry& msr : s_.msrs) field(fmt::format("msr_{:x}", static_cast<u32>(msr.index)), msr.data);
  }

 private:
  template <class T>
  void field(std::string_view name, T& member) {
    Value value{member, 0};
    if (visit_(name, value)) member = static_cast<T>(value[0]);
  }

  // Bytes of the XSAVE area. A component whose bit in XSTATE_BV is clear is in its initial state whatever its bytes
  // say, so a change sets the bit.
  void saved(std::string_view name, usize offset, usize size, u64 component) {
    if (offset + size > s_.xsave.size()) return;
    u8* bytes = s_.xsave.data() + offset;
    Value value{};
    std::memcpy(value.data(), bytes, size);
    Value before = value;
    if (!visit_(name, value) || value == before) return;
    std::memcpy(bytes, value.data(), size);
    u64 present = 0;
    std::memcpy(&present, s_.xsave.data() + kXstateBv, sizeof present);
    present |= component;
    std::memcpy(s_.xsave.data() + kXstateBv, &present, sizeof present);
  }

  void general() {
    kvm_regs& r = s_.regs;
    field("rax", r.rax);
    field("rbx", r.rbx);
    field("rcx", r.rcx);
    field("rdx", r.rdx);
    field("rsi", r.rsi);
    field("rdi", r.rdi);
    field("rbp", r.rbp);
    field("rsp", r.rsp);
    field("r8", r.r8);
    field("r9", r.r9);
    field("r10", r.r10);
    field("r11", r.r11);
    field("r12", r.r12);
    field("r13", r.r13);
    field("r14", r.r14);
    field("r15", r.r15);
    field("rip", r.rip);
    field("rflags", r.rflags);
  }

  void segment(const std::string& name, kvm_segment& segment) {
    field(name + ".selector", segment.selector);
    field(name + ".base", segment.base);
    field(name + ".limit", segment.limit);
    Value rights{access_rights(segment), 0};
    if (visit_(std::string_view(name + ".attributes"), rights)) {
      set_access_rights(segment, static_cast<u32>(rights[0]));
    }
  }
  void segments() {
    kvm_sregs& s = s_.sregs;
    segment("cs", s.cs);
    segment("ds", s.ds);
    segment("es", s.es);
    segment("fs", s.fs);
    segment("gs", s.gs);
    segment("ss", s.ss);
    segment("tr", s.tr);
    segment("ldt", s.ldt);
    field("gdt.base", s.gdt.base);
    field("gdt.limit", s.gdt.limit);
    field("idt.base", s.idt.base);
    field("idt.limit", s.idt.limit);
  }

  void control_registers() {
    kvm_sregs& s = s_.sregs;
    field("cr0", s.cr0);
    field("cr2", s.cr2);
    field("cr3", s.cr3);
    field("cr4", s.cr4);
    field("cr8", s.cr8);
    field("efer", s.efer);
    field("apic_base", s.apic_base);
    for (u32 i = 0; i < s_.xcrs.nr_xcrs && i < KVM_MAX_XCRS; ++i) {
      field(fmt::format("xcr{}", s_.xcrs.xcrs[i].xcr), s_.xcrs.xcrs[i].value);
    }
    for (usize i = 0; i < 4; ++i) field(fmt::format("dr{}", i), s_.debug.db[i]);
    field("dr6", s_.debug.dr6);
    field("dr7", s_.debug.dr7);
  }

  void floating_point() {
    saved("fcw", 0, 2, kX87);
    saved("fsw", 2, 2, kX87);
    saved("ftw", 4, 1, kX87);
    saved("fop", 6, 2, kX87);
    saved("fip", 8, 8, kX87);
    saved("fdp", 16, 8, kX87);
    saved("mxcsr", kMxcsr, 4, kSse);
    for (usize i = 0; i < 8; ++i) saved(fmt::format("st{}", i), kSt0 + 16 * i, 10, kX87);
    for (usize i = 0; i < 16; ++i) saved(fmt::format("xmm{}", i), kXmm0 + 16 * i, 16, kSse);
    const usize used = xsave_used(s_.xsave.size());
    for (usize i = 0; i < 16 && kYmmHigh0 + 16 * (i + 1) <= used; ++i) {
      saved(fmt::format("ymm{}_high", i), kYmmHigh0 + 16 * i, 16, kAvx);
    }
    for (usize offset = kAfterYmm; offset < used; offset += 16) {
      saved(fmt::format("xsave_{:x}", offset), offset, std::min<usize>(16, used - offset), 0);
    }
    saved("xstate_bv", kXstateBv, 8, 0);
  }

  void events() {
    kvm_vcpu_events& e = s_.events;
    field("event_exception_injected", e.exception.injected);
    field("event_exception_pending", e.exception.pending);
    field("event_exception_vector", e.exception.nr);
    field("event_exception_has_error_code", e.exception.has_error_code);
    field("event_exception_error_code", e.exception.error_code);
    field("event_exception_has_payload", e.exception_has_payload);
    field("event_exception_payload", e.exception_payload);
    field("event_interrupt_injected", e.interrupt.injected);
    field("event_interrupt_vector", e.interrupt.nr);
    field("event_interrupt_soft", e.interrupt.soft);
    field("event_interrupt_shadow", e.interrupt.shadow);
    field("event_nmi_injected", e.nmi.injected);
    field("event_nmi_pending", e.nmi.pending);
    field("event_nmi_masked", e.nmi.masked);
    field("event_sipi_vector", e.sipi_vector);
    field("event_smm", e.smi.smm);
    field("event_smi_pending", e.smi.pending);
    field("event_smm_inside_nmi", e.smi.smm_inside_nmi);
    field("event_latched_init", e.smi.latched_init);
    field("event_triple_fault", e.triple_fault.pending);
    field("event_flags", e.flags);
  }

  CpuState& s_;
  Visit& visit_;
};

template <class Visit>
void walk(CpuState& state, Visit visit) {
  Walk<Visit>(state, visit).all();
}

}  // namespace

u32 access_rights(const kvm_segment& s) {
  return (s.type & 0xfU) | (s.s & 1U) << 4 | (s.dpl & 3U) << 5 | (s.present & 1U) << 7 | (s.avl & 1U) << 12 |
         (s.l & 1U) << 13 | (s.db & 1U) << 14 | (s.g & 1U) << 15 | (s.unusable & 1U) << 16;
}

void set_access_rights(kvm_segment& s, u32 rights) {
  const auto part = [rights](unsigned shift, u32 mask) { return static_cast<u8>(rights >> shift & mask); };
  s.type = part(0, 0xf);
  s.s = part(4, 1);
  s.dpl = part(5, 3);
  s.present = part(7, 1);
  s.avl = part(12, 1);
  s.l = part(13, 1);
  s.db = part(14, 1);
  s.g = part(15, 1);
  s.unusable = part(16, 1);
}

std::vector<cpu::RegisterValue> named_values(CpuState& state) {
  std::vector<cpu::RegisterValue> values;
  walk(state, [&values](std::string_view name, const Value& value) {
    values.push_back({std::string(name), value});
    return false;
  });
  return values;
}

bool set_named_value(CpuState& state, const cpu::RegisterValue& wanted) {
  bool found = false;
  walk(state, [&](std::string_view name, Value& value) {
    if (name != wanted.name) return false;
    value = wanted.value;
    found = true;
    return true;
  });
  return found;
}

}  // namespace solder::accel::kvm::x86
