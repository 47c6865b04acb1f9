/// The state of an x86 vCPU as KVM keeps it, read and written as a whole, and its fields by name.
#pragma once

#include <span>
#include <vector>

#include "accel/kvm/kvm_abi.h"
#include "accel/kvm/vm.h"
#include "base/result.h"
#include "base/types.h"
#include "cpu/vcpu.h"

namespace solder::accel::kvm::x86 {

static_assert(sizeof(kvm_msrs) == 8 && sizeof(kvm_msr_list) == 4 && sizeof(kvm_cpuid2) == 8 &&
              sizeof(kvm_xsave) == 4096);

/// Everything but the local APIC, which belongs to the interrupt controllers.
struct CpuState {
  kvm_regs regs{};
  kvm_sregs sregs{};
  kvm_debugregs debug{};
  kvm_xcrs xcrs{};
  kvm_vcpu_events events{};
  kvm_mp_state mp{};
  std::vector<u8> xsave;  ///< the standard form of XSAVE (SDM volume 1, 13.4)
  std::vector<kvm_msr_entry> msrs;
};

/// Reads and writes the states of one vCPU.
class StateAccess {
 public:
  /// `fd` is the vCPU's and stays the caller's. `kernel_lapic`: mp_state has other values than "runnable".
  StateAccess(const Vm& vm, int fd, bool kernel_lapic);
  [[nodiscard]] Result<CpuState> read();
  /// Errors: the part, or the MSR, that KVM refuses. An MSR that refuses to be written but has the value is no error.
  /// `msrs` false leaves the MSRs as they are.
  [[nodiscard]] Status write(const CpuState& state, bool msrs = true);
  /// One MSR. Errors: KVM does not read it.
  [[nodiscard]] Result<u64> read_msr(u32 msr) const;

 private:
  Status list_msrs();
  Status read_msrs(std::vector<kvm_msr_entry>& msrs);
  Status write_msrs(std::span<const kvm_msr_entry> msrs);
  const Vm& vm_;
  int fd_;
  bool kernel_lapic_;
  usize xsave_size_;
  bool has_xcrs_;
  std::vector<u32> msr_list_;  // those that this vCPU can read; empty: not asked yet
};

/// All fields by name: rax … r15, rip, rflags; cs.selector, cs.base, cs.limit, cs.attributes (the access rights of SDM
/// volume 3, table 25-2) and so for ds es fs gs ss tr ldt; gdt.base, gdt.limit, idt.*; cr0 cr2 cr3 cr4 cr8 efer
/// apic_base xcr0; dr0 … dr3, dr6, dr7; fcw fsw ftw fop fip fdp mxcsr st0 … st7, xmm0 …, ymm0_high …, xstate_bv,
/// xsave_<offset>; event_*; mp_state; msr_<hexadecimal number>.
[[nodiscard]] std::vector<cpu::RegisterValue> named_values(CpuState& state);
/// Sets one of them. False: there is no field of this name.
[[nodiscard]] bool set_named_value(CpuState& state, const cpu::RegisterValue& value);

/// SDM volume 3, table 25-2, and back.
[[nodiscard]] u32 access_rights(const kvm_segment& segment);
void set_access_rights(kvm_segment& segment, u32 rights);

}  // namespace solder::accel::kvm::x86
