/// A trace record in words.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "control/trace_ring.h"

namespace solder::control {

/// "UARTFR", "GICD_ISENABLER[3]", "HPET_CFG+4" for a byte inside a register; "+0x18" where no register is declared.
[[nodiscard]] std::string register_name(const memory::IoAccess& access);

/// One line: "12.345678 cpu0 exit 1.2us  read  /pl011@9000000 UARTFR = 0x97  (4 bytes at 0x9000018)  model 0.3us".
/// `exit`, from leaving the guest until the model had answered, is there when the accelerator noted it.
[[nodiscard]] std::string trace_text(const TraceRecord& record);

/// The same as an object, with the line as "text".
[[nodiscard]] nlohmann::json trace_json(const TraceRecord& record);

}  // namespace solder::control
