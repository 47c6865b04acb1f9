/// One instruction as text, for fault reports.
#pragma once

#include <span>
#include <string>

#include "base/types.h"

namespace solder::accel::kvm::x86 {

/// The first instruction of `code` at `address` in a code segment of 16, 32 or 64 bits; empty when it is none.
[[nodiscard]] std::string disassemble(std::span<const u8> code, u64 address, unsigned mode_bits);

}  // namespace solder::accel::kvm::x86
