/// The C++ functions that arm64 IR calls.
#pragma once

#include <span>

#include "translator/ir/guest.h"

namespace solder::arm64 {

/// Numbers in the helper table, the `sub` of a call. Arguments are a, b, c.
enum class HelperId : u16 {
  raise,              ///< takes an exception to EL1: a = ESR, b = what to add to pc for ELR
  pc_misaligned,      ///< PC alignment fault, or SP alignment fault of the instruction before an odd pc
  read_sysreg,        ///< MRS: a = encoding, b = Rt
  write_sysreg,       ///< MSR: a = encoding | Rt << 16, b = value
  write_daif,         ///< a = new DAIF
  write_sp_sel,       ///< a = new PSTATE.SP
  write_pan,          ///< a = new PSTATE.PAN
  write_uao,          ///< a = new PSTATE.UAO
  daif_from_el0,      ///< access check of DAIF at EL0: a = ESR of the trap
  eret,               ///< exception return; sets pc
  wait,               ///< WFI (a = 0), WFE (a = 1): may wait; pc moves on
  send_event,         ///< SEV, SEVL
  hypervisor_call,    ///< HVC (a = 0), SMC (a = 1): to the machine's firmware
  cache_by_address,   ///< DC and IC by address: a = address, b = CacheOp, c = ESR of EL0's trap
  address_translate,  ///< AT: a = address, b = CRm<0>:op2
  tlb_invalidate,     ///< TLBI: a = Xt, b = CRm:op2
  tlb_barrier,        ///< DSB
  step_begin,         ///< before the stepped instruction: a = 1, or 3 for a load-exclusive
  step_exception,     ///< the software step exception
  el0_trap_check,     ///< a = El0Check, b = ESR: raises it at EL0 when the control bit says so
  count
};

/// Controls of SCTLR_EL1 that let EL0 use an instruction: DZE, UMA (el0_trap_check).
enum class El0Check : u8 { dc_zva, interrupt_mask };

/// What a cache operation by address needs of the page.
enum class CacheOp : u8 { clean, invalidate_data, invalidate_instruction };

[[nodiscard]] std::span<const ir::Helper> helper_table();

}  // namespace solder::arm64
