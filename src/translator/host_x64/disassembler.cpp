#include "translator/host_x64/disassembler.h"

#include <Zydis/Zydis.h>
#include <fmt/format.h>

namespace solder::host_x64 {

namespace {

/// Code and data shared by all blocks lie at distances that change with every build: shown as such.
bool leaves_block(const ZydisDisassembledInstruction& instruction, u64 address, usize size) {
  for (u32 i = 0; i < instruction.info.operand_count_visible; ++i) {
    const ZydisDecodedOperand& operand = instruction.operands[i];
    const bool relative_jump = operand.type == ZYDIS_OPERAND_TYPE_IMMEDIATE && operand.imm.is_relative != 0;
    const bool relative_data = operand.type == ZYDIS_OPERAND_TYPE_MEMORY && operand.mem.base == ZYDIS_REGISTER_RIP;
    if (!relative_jump && !relative_data) continue;
    ZyanU64 target = 0;
    if (ZYAN_FAILED(ZydisCalcAbsoluteAddress(&instruction.info, &operand, address, &target))) continue;
    if (target >= size) return true;
  }
  return false;
}

}  // namespace

std::string disassemble_code(const u8* code, usize size) {
  std::string text;
  usize at = 0;
  while (at < size) {
    ZydisDisassembledInstruction instruction;
    if (ZYAN_FAILED(ZydisDisassembleIntel(ZYDIS_MACHINE_MODE_LONG_64, at, code + at, size - at, &instruction))) break;
    std::string line = instruction.text;
    if (leaves_block(instruction, at, size)) {
      // Keep the mnemonic and the first operand's register, replace the address.
      const usize bracket = line.find('[');
      const usize number = line.find("0x");
      line = line.substr(0, bracket != std::string::npos ? bracket : number) + "<shared>";
    }
    text += fmt::format("{:4x}  {}\n", at, line);
    at += instruction.info.length;
  }
  return text;
}

}  // namespace solder::host_x64
