/// The system registers as data: one line each in system_registers.inc.
#pragma once

#include <span>

#include "base/types.h"

namespace solder::arm64 {

class Arm64Cpu;

/// op0:op1:CRn:CRm:op2 as MRS and MSR have them in bits 20..5.
[[nodiscard]] constexpr u16 sysreg_encoding(u32 op0, u32 op1, u32 crn, u32 crm, u32 op2) {
  return static_cast<u16>((op0 << 14) | (op1 << 11) | (crn << 7) | (crm << 3) | op2);
}

/// What EL0 may do; "trap" is exception class 0x18, otherwise the access is UNDEFINED.
enum class El0Access : u8 {
  none,  ///< UNDEFINED
  read,
  read_write,
  cache_type,         ///< read unless SCTLR_EL1.UCT traps
  context_number,     ///< unless SCTLR_EL1.TSCXT traps
  interrupt_mask,     ///< SCTLR_EL1.UMA
  physical_count,     ///< CNTKCTL_EL1.EL0PCTEN
  virtual_count,      ///< CNTKCTL_EL1.EL0VCTEN
  counter_frequency,  ///< read with either
  physical_timer,     ///< CNTKCTL_EL1.EL0PTEN
  virtual_timer,      ///< CNTKCTL_EL1.EL0VTEN
  pmu,                ///< PMUSERENR_EL0.EN
  pmu_cycles,         ///< read also with CR
  pmu_increment,      ///< write also with SW
  pmu_event,          ///< read also with ER
  pmu_select,         ///< also with ER
  debug_comms,        ///< read unless MDSCR_EL1.TDCC traps
};

struct SystemRegister {
  const char* name;
  u16 encoding;
  El0Access el0;
  u32 offset;                           ///< in Arm64State; 0: not plain storage
  u64 writable;                         ///< mask for plain storage
  u64 (*read)(Arm64Cpu& cpu);           ///< null: write-only, or storage
  void (*write)(Arm64Cpu& cpu, u64 v);  ///< null: read-only, or storage
  bool ends_block;                      ///< a write changes mode, regime or interrupt masking

  [[nodiscard]] bool readable_el1() const { return offset != 0 || read != nullptr; }
  [[nodiscard]] bool writable_el1() const { return (offset != 0 && writable != 0) || write != nullptr; }
};

[[nodiscard]] std::span<const SystemRegister> system_registers();
/// Null: not one of ours. Devices' registers (ICC_*) are looked for when the instruction runs.
[[nodiscard]] const SystemRegister* find_system_register(u32 encoding);

/// Identification registers at op0 = 3, op1 = 0, CRn = 0, CRm = 1..7 that we do not define read as zero
/// (DDI 0487, D12.3.1).
[[nodiscard]] constexpr bool is_id_space(u32 encoding) {
  return (encoding & 0xff80) == sysreg_encoding(3, 0, 0, 0, 0) && ((encoding >> 3) & 0xf) >= 1 &&
         ((encoding >> 3) & 0xf) <= 7;
}

}  // namespace solder::arm64
