#include "accel/kvm/x86/disassemble.h"

#include <Zydis/Zydis.h>

namespace solder::accel::kvm::x86 {

std::string disassemble(std::span<const u8> code, u64 address, unsigned mode_bits) {
  const ZydisMachineMode mode = mode_bits == 64   ? ZYDIS_MACHINE_MODE_LONG_64
                                : mode_bits == 32 ? ZYDIS_MACHINE_MODE_LEGACY_32
                                                  : ZYDIS_MACHINE_MODE_LEGACY_16;
  ZydisDisassembledInstruction instruction;
  if (ZYAN_SUCCESS(ZydisDisassembleIntel(mode, address, code.data(), code.size(), &instruction))) {
    return instruction.text;
  }
  return {};
}

}  // namespace solder::accel::kvm::x86
