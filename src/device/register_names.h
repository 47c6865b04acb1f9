/// Names of registers as data, for windows whose behaviour is no RegisterBlock's.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/types.h"

namespace solder::device {

/// One register, or `count` equal ones `stride` bytes apart.
struct RegisterName {
  std::string_view name;
  u64 offset = 0;
  unsigned width = 4;  ///< bytes
  u32 count = 1;
  u32 stride = 4;
};

/// How traces write byte `within` of the `index`-th of `count` registers: "GICD_CTLR", "GICD_ISENABLER[3]",
/// "MAIN_CNT+4".
[[nodiscard]] std::string register_text(std::string_view name, u32 count, u64 index, u64 within);

/// The register of `table` that holds byte `offset`, as MmioHandler::register_name says it. Empty: none does.
[[nodiscard]] std::string register_name(std::span<const RegisterName> table, u64 offset);

}  // namespace solder::device
