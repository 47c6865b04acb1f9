// Registers by name: for snapshots, debuggers and fault reports.
#include <fmt/format.h>

#include <charconv>

#include "guest/arm64/cpu.h"
#include "guest/arm64/exception_bits.h"
#include "guest/arm64/system_registers.h"

namespace solder::arm64 {
namespace {

u64& storage(Arm64State& state, u32 offset) {
  return *reinterpret_cast<u64*>(reinterpret_cast<u8*>(&state) + offset);
}

const u64& storage(const Arm64State& state, u32 offset) {
  return *reinterpret_cast<const u64*>(reinterpret_cast<const u8*>(&state) + offset);
}

/// What the system-register table has no plain storage for, by name.
struct Named {
  const char* name;
  u64 Arm64State::*field;
};
constexpr Named kNamed[] = {
    {"SCTLR_EL1", &Arm64State::sctlr_el1}, {"CPACR_EL1", &Arm64State::cpacr_el1},
    {"TTBR0_EL1", &Arm64State::ttbr0_el1}, {"MDSCR_EL1", &Arm64State::mdscr_el1},
    {"OSDLR_EL1", &Arm64State::osdlr_el1}, {"OSLAR_EL1", &Arm64State::os_lock},
    {"TTBR1_EL1", &Arm64State::ttbr1_el1}, {"TCR_EL1", &Arm64State::tcr_el1},
    {"MAIR_EL1", &Arm64State::mair_el1},   {"sp", &Arm64State::sp},
    {"SP_EL0", &Arm64State::sp_el0},       {"SP_EL1", &Arm64State::sp_el1},
};

/// "x12" -> 12 when below `count`.
std::optional<unsigned> numbered(const std::string& name, char prefix, unsigned count) {
  if (name.size() < 2 || name[0] != prefix) return std::nullopt;
  unsigned n = 0;
  const auto [end, error] = std::from_chars(name.data() + 1, name.data() + name.size(), n);
  if (error != std::errc{} || end != name.data() + name.size() || n >= count) return std::nullopt;
  return n;
}

}  // namespace

std::vector<cpu::RegisterValue> Arm64Cpu::registers() const {
  std::vector<cpu::RegisterValue> all;
  const Arm64State& s = state_;
  const auto add = [&](std::string name, u64 low, u64 high = 0) { all.push_back({std::move(name), {low, high}}); };
  for (unsigned n = 0; n < 31; ++n) add(fmt::format("x{}", n), s.x[n]);
  add("pc", s.core.pc);
  add("pstate", pstate());
  for (const Named& named : kNamed) add(named.name, s.*named.field);
  for (const SystemRegister& reg : system_registers()) {
    if (reg.offset != 0) add(reg.name, storage(s, reg.offset));
  }
  for (unsigned n = 0; n < 32; ++n) add(fmt::format("v{}", n), s.v[n].d[0], s.v[n].d[1]);
  add("FPCR", s.fpcr);
  add("FPSR", s.core.fp_status);
  return all;
}

Status Arm64Cpu::set_register(const cpu::RegisterValue& value) {
  Arm64State& s = state_;
  const u64 low = value.value[0];
  if (const auto n = numbered(value.name, 'x', 31)) {
    s.x[*n] = low;
    return {};
  }
  if (const auto n = numbered(value.name, 'v', 32)) {
    s.v[*n].d = value.value;
    return {};
  }
  if (value.name == "pc") {
    s.core.pc = low;
    return {};
  }
  if (value.name == "FPSR") {
    s.core.fp_status = static_cast<u32>(low);
    return {};
  }
  if (value.name == "FPCR") {
    s.fpcr = static_cast<u32>(low) & kFpcrMask;
    mode_changed();
    return {};
  }
  if (value.name == "pstate") {
    const u64 mode = low & 0x1f;
    if (mode != 0 && mode != 4 && mode != 5) {
      return fail("pstate", fmt::format("mode {:#x} is neither EL0t, EL1t nor EL1h", mode));
    }
    s.core.flags = flags_of(low);
    s.daif = static_cast<u32>(low) & (kDaifD | kDaifA | kDaifI | kDaifF);
    s.pan = (low & spsr::kPan) != 0;
    s.uao = (low & spsr::kUao) != 0;
    s.illegal = (low & spsr::kIllegal) != 0;
    s.ss = (low & spsr::kSoftwareStep) != 0;
    s.el = mode == 0 ? 0 : 1;  // the stack pointers are registers of their own here: no exchange
    s.sp_sel = mode == 4 ? 0 : 1;
    mode_changed();
    return {};
  }
  for (const Named& named : kNamed) {
    if (value.name != named.name) continue;
    s.*named.field = low;
    if (tlb_ != nullptr) tlb_->flush_all(false);
    mode_changed();
    return {};
  }
  for (const SystemRegister& reg : system_registers()) {
    if (reg.offset != 0 && value.name == reg.name) {
      storage(s, reg.offset) = low;
      return {};
    }
  }
  return fail(value.name, "an arm64 CPU has no register of this name");
}

}  // namespace solder::arm64
