/// What the models of ACPI's hardware and the tables that describe it must agree on (ACPI 6.5, section 4.8 "ACPI
/// Register Model", and 5.6.9 "Interrupt-signaled ACPI events").
#pragma once

#include "base/types.h"

namespace solder::device::acpi {

/// "solder,acpi-pm": the entries of `reg`, in this order.
enum class PmWindow : u32 {
  event = 0,    ///< PM1a_EVT_BLK: status, then enable; 4 bytes
  control = 1,  ///< PM1a_CNT_BLK: 2 bytes
  timer = 2,    ///< PM_TMR_BLK: 4 bytes
  reset = 3,    ///< RESET_REG: 1 byte; may be missing
};

/// PM1 status and enable bits (tables 4.11 and 4.12). The hardware has those of `kPm1Bits`; SCI_EN reads as 1 from the
/// start, so the FADT has no SMI_CMD.
constexpr u16 kPm1Timer = 1U << 0;
constexpr u16 kPm1PowerButton = 1U << 8;
constexpr u16 kPm1Wake = 1U << 15;  ///< status only
constexpr u16 kPm1Bits = kPm1Timer | kPm1PowerButton;

/// PM1 control bits (table 4.13).
constexpr u16 kPm1SciEnable = 1U << 0;
constexpr unsigned kPm1SleepTypeShift = 10;  ///< three bits
constexpr u16 kPm1SleepEnable = 1U << 13;
/// SLP_TYP of the soft-off state: the first two elements of \_S5. No other sleep state exists.
constexpr u8 kSleepTypeS5 = 5;

/// The timer counts 32 bits (FADT flag TMR_VAL_EXT).
constexpr u64 kPmTimerHz = 3'579'545;

/// What the FADT's RESET_VALUE writes to RESET_REG: a reset of the CPUs and the system, as port 0xcf9 has it.
constexpr u8 kResetValue = 0x06;

/// "solder,acpi-ged": one 32-bit register at offset 0. A read returns the events that happened and clears them.
constexpr u32 kGedEventRegister = 0x0;
constexpr u32 kGedHotPlug = 1U << 0;      ///< memory or CPUs came or go
constexpr u32 kGedPowerButton = 1U << 1;  ///< only in a machine without "solder,acpi-pm"

}  // namespace solder::device::acpi
