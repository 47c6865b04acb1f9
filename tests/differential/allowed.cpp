#include "differential/allowed.h"

#include <string_view>

#include "guest/arm64/insn.h"

namespace solder::differential {

bool unpredictable(const Case& test) {
  const std::string_view name = test.encoding->name;
  const arm64::Insn i{test.word};
  const bool indexed =
      name.find("post-index") != std::string_view::npos || name.find("pre-index") != std::string_view::npos;
  const bool vector = i.bit(26);
  const bool load_pair = name.starts_with("LDP") || name.starts_with("LDNP");
  const bool pair = load_pair || name.starts_with("STP") || name.starts_with("STNP");
  if (std::string_view(test.encoding->table) != "memory") return false;
  // Write-back to a register that is transferred (C6.2, each instruction).
  if (indexed && !vector && i.rn() != 31 && (i.rt() == i.rn() || (pair && i.rt2() == i.rn()))) return true;
  // Two registers loaded into one.
  if (load_pair && i.rt() == i.rt2()) return true;
  if (name.starts_with("LDXP") && i.rt() == i.rt2()) return true;
  // The status register of a store-exclusive is one of its operands.
  if (name.starts_with("STX") &&
      (i.rs() == i.rt() || (i.rs() == i.rn() && i.rn() != 31) || (name.starts_with("STXP") && i.rs() == i.rt2()))) {
    return true;
  }
  return false;
}

bool is_allowed(const Case&, const Outcome&, const Outcome&) {
  return false;
}

}  // namespace solder::differential
