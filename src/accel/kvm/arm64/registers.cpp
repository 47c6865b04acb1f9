#include "accel/kvm/arm64/registers.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <string_view>

#include "accel/kvm/kvm_abi.h"
#include "accel/kvm/vm.h"

namespace solder::accel::kvm::arm64 {

namespace {

constexpr u64 kCore32 = KVM_REG_ARM64 | KVM_REG_SIZE_U32 | KVM_REG_ARM_CORE;
constexpr u64 kCore64 = KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE;
constexpr u64 kCore128 = KVM_REG_ARM64 | KVM_REG_SIZE_U128 | KVM_REG_ARM_CORE;
constexpr u64 kSystem = KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM64_SYSREG;

constexpr u64 core(u64 kind, usize offset) {
  return kind | offset / sizeof(u32);
}

constexpr u64 kSpEl0 = core(kCore64, offsetof(kvm_regs, regs.sp));
constexpr u64 kSpEl1 = core(kCore64, offsetof(kvm_regs, sp_el1));

constexpr u32 encoding(u32 op0, u32 op1, u32 crn, u32 crm, u32 op2) {
  return op0 << 14 | op1 << 11 | crn << 7 | crm << 3 | op2;
}

struct Named {
  u64 id;
  std::string_view name;
};

constexpr Named kCoreNames[] = {
    {core(kCore64, offsetof(kvm_regs, regs.pc)), "pc"},
    {core(kCore64, offsetof(kvm_regs, regs.pstate)), "pstate"},
    {kSpEl0, "SP_EL0"},
    {kSpEl1, "SP_EL1"},
    {core(kCore64, offsetof(kvm_regs, elr_el1)), "ELR_EL1"},
    {core(kCore64, offsetof(kvm_regs, spsr)), "SPSR_EL1"},
    {core(kCore64, offsetof(kvm_regs, spsr) + 8), "SPSR_abt"},
    {core(kCore64, offsetof(kvm_regs, spsr) + 16), "SPSR_und"},
    {core(kCore64, offsetof(kvm_regs, spsr) + 24), "SPSR_irq"},
    {core(kCore64, offsetof(kvm_regs, spsr) + 32), "SPSR_fiq"},
    {core(kCore32, offsetof(kvm_regs, fp_regs.fpsr)), "FPSR"},
    {core(kCore32, offsetof(kvm_regs, fp_regs.fpcr)), "FPCR"},
    // KVM's numbers of these two are each other's encodings, for ever (its <asm/kvm.h>).
    {KVM_REG_ARM_TIMER_CVAL, "CNTV_CVAL_EL0"},
    {KVM_REG_ARM_TIMER_CNT, "CNTVCT_EL0"},
    {KVM_REG_ARM_PSCI_VERSION, "PSCI_VERSION"},
};

// The translator's list, which has every register with its encoding, and what KVM has beyond it.
constexpr Named kSystemNames[] = {
#define STORAGE(name, op0, op1, crn, crm, op2, el0, field, writable) {encoding(op0, op1, crn, crm, op2), #name},
#define CONSTANT(name, op0, op1, crn, crm, op2, el0, value) {encoding(op0, op1, crn, crm, op2), #name},
#define COMPUTED(name, op0, op1, crn, crm, op2, el0, reader, writer, ends) {encoding(op0, op1, crn, crm, op2), #name},
#include "guest/arm64/system_registers.inc"
#undef STORAGE
#undef CONSTANT
#undef COMPUTED
    {encoding(3, 0, 0, 4, 4), "ID_AA64ZFR0_EL1"},  {encoding(3, 0, 0, 5, 1), "ID_AA64DFR1_EL1"},
    {encoding(3, 0, 0, 6, 2), "ID_AA64ISAR2_EL1"}, {encoding(3, 0, 2, 1, 0), "APIAKeyLo_EL1"},
    {encoding(3, 0, 2, 1, 1), "APIAKeyHi_EL1"},    {encoding(3, 0, 2, 1, 2), "APIBKeyLo_EL1"},
    {encoding(3, 0, 2, 1, 3), "APIBKeyHi_EL1"},    {encoding(3, 0, 2, 2, 0), "APDAKeyLo_EL1"},
    {encoding(3, 0, 2, 2, 1), "APDAKeyHi_EL1"},    {encoding(3, 0, 2, 2, 2), "APDBKeyLo_EL1"},
    {encoding(3, 0, 2, 2, 3), "APDBKeyHi_EL1"},    {encoding(3, 0, 2, 3, 0), "APGAKeyLo_EL1"},
    {encoding(3, 0, 2, 3, 1), "APGAKeyHi_EL1"},    {encoding(3, 0, 12, 1, 1), "DISR_EL1"},
};
constexpr u32 kOsLockStatus = encoding(2, 0, 1, 1, 4);  // OSLSR_EL1

/// Breakpoints and watchpoints 0 to 15 (DDI 0487, D17.3): op2 says which of four registers, CRm is the number.
std::string debug_name(u32 code) {
  static constexpr std::array<std::string_view, 4> kKinds = {"DBGBVR", "DBGBCR", "DBGWVR", "DBGWCR"};
  if ((code & ~u32{0x7b}) != encoding(2, 0, 0, 0, 4)) return {};
  return fmt::format("{}{}_EL1", kKinds[code & 3], code >> 3 & 0xf);
}

std::string core_name(u64 id) {
  const u64 index = id & 0xffff;
  constexpr u64 kX = offsetof(kvm_regs, regs.regs) / sizeof(u32);
  constexpr u64 kV = offsetof(kvm_regs, fp_regs.vregs) / sizeof(u32);
  if ((id & ~u64{0xffff}) == kCore64 && index >= kX && index < kX + 62) return fmt::format("x{}", (index - kX) / 2);
  if ((id & ~u64{0xffff}) == kCore128 && index >= kV && index < kV + 128) return fmt::format("v{}", (index - kV) / 4);
  return {};
}

}  // namespace

std::string register_name(u64 id) {
  for (const Named& named : kCoreNames) {
    if (named.id == id) return std::string(named.name);
  }
  std::string name = core_name(id);
  if (!name.empty()) return name;
  if ((id & ~u64{0xffff}) == kSystem) {
    const u32 code = static_cast<u32>(id & 0xffff);
    for (const Named& named : kSystemNames) {
      if (named.id == code) return std::string(named.name);
    }
    name = debug_name(code);
    if (!name.empty()) return name;
  }
  return fmt::format("reg_{:016x}", id);
}

u32 register_size(u64 id) {
  return 1U << ((id & KVM_REG_SIZE_MASK) >> KVM_REG_SIZE_SHIFT);
}

u64 id_of_x(u32 n) {
  return core(kCore64, offsetof(kvm_regs, regs.regs) + n * sizeof(u64));
}
u64 id_of_pc() {
  return core(kCore64, offsetof(kvm_regs, regs.pc));
}
u64 id_of_pstate() {
  return core(kCore64, offsetof(kvm_regs, regs.pstate));
}
u64 id_of_mpidr() {
  return kSystem | encoding(3, 0, 0, 0, 5);
}

Result<Value> get_register(int vcpu_fd, u64 id) {
  if (register_size(id) > sizeof(Value)) return fail("", register_name(id) + " is wider than 128 bits");
  Value value{};
  kvm_one_reg request{};
  request.id = id;
  request.addr = reinterpret_cast<u64>(value.data());
  SOLDER_TRY(control(vcpu_fd, SOLDER_KVM(KVM_GET_ONE_REG), &request));
  return value;
}

Status set_register(int vcpu_fd, u64 id, Value value) {
  if (register_size(id) > sizeof(Value)) return fail("", register_name(id) + " is wider than 128 bits");
  kvm_one_reg request{};
  request.id = id;
  request.addr = reinterpret_cast<u64>(value.data());
  SOLDER_TRY(control(vcpu_fd, SOLDER_KVM(KVM_SET_ONE_REG), &request));
  return {};
}

// The list never changes once the CPU was initialised.
Status RegisterFile::list() {
  if (!entries_.empty()) return {};
  kvm_reg_list head{};
  // Fails with E2BIG and tells how many there are.
  (void)control(fd_, SOLDER_KVM(KVM_GET_REG_LIST), &head);
  std::vector<u64> words(head.n + 1);
  words[0] = head.n;
  SOLDER_TRY(control(fd_, SOLDER_KVM(KVM_GET_REG_LIST), words.data()));
  for (usize i = 1; i <= words[0] && i < words.size(); ++i) {
    if (register_size(words[i]) <= sizeof(Value)) entries_.push_back({words[i], register_name(words[i])});
  }
  return {};
}

Result<u64> RegisterFile::stack_pointer_id() const {
  constexpr u64 kStackSelect = 1;  // PSTATE.SP; EL0's is 0
  const Value pstate = SOLDER_TRY(get_register(fd_, id_of_pstate()));
  return (pstate[0] & kStackSelect) != 0 ? kSpEl1 : kSpEl0;
}

Status RegisterFile::flush() {
  if (!sp_) return {};
  const u64 id = SOLDER_TRY(stack_pointer_id());
  SOLDER_TRY_STATUS(set_register(fd_, id, {*sp_, 0}));
  sp_.reset();
  return {};
}

Result<std::vector<cpu::RegisterValue>> RegisterFile::read_all() {
  SOLDER_TRY_STATUS(list());
  SOLDER_TRY_STATUS(flush());
  std::vector<cpu::RegisterValue> all;
  const u64 sp = SOLDER_TRY(stack_pointer_id());
  all.push_back({"sp", SOLDER_TRY(get_register(fd_, sp))});
  for (const Entry& entry : entries_) {
    const Value value = SOLDER_TRY(get_register(fd_, entry.id));
    if (entry.id == (kSystem | kOsLockStatus)) all.push_back({"OSLAR_EL1", {value[0] >> 1 & 1, 0}});
    all.push_back({entry.name, value});
  }
  return all;
}

Status RegisterFile::write(const cpu::RegisterValue& value) {
  SOLDER_TRY_STATUS(list());
  if (value.name == "sp") {
    sp_ = value.value[0];
    return {};
  }
  if (value.name == "OSLAR_EL1") {
    const u64 id = kSystem | kOsLockStatus;
    const Value now = SOLDER_TRY(get_register(fd_, id));
    return set_register(fd_, id, {(now[0] & ~u64{2}) | (value.value[0] & 1) << 1, 0});
  }
  const auto entry = std::ranges::find(entries_, value.name, &Entry::name);
  if (entry == entries_.end()) return fail(value.name, "the host's KVM has no CPU register of this name");
  if (auto done = set_register(fd_, entry->id, value.value); !done) {
    return fail(value.name, "KVM does not take this value: " + done.error().what);
  }
  return {};
}

}  // namespace solder::accel::kvm::arm64
