#include "accel/kvm/arm64/fault.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "accel/kvm/arm64/registers.h"
#include "accel/kvm/vcpu_run.h"

namespace solder::accel::kvm::arm64 {

namespace {

constexpr u64 kMmuEnabled = 1;  // SCTLR_EL1.M

class Registers {
 public:
  explicit Registers(int vcpu_fd) {
    RegisterFile file(vcpu_fd);
    if (auto all = file.read_all()) all_ = std::move(*all);
  }
  [[nodiscard]] bool empty() const { return all_.empty(); }
  [[nodiscard]] u64 operator[](std::string_view name) const {
    const auto it = std::ranges::find(all_, name, &cpu::RegisterValue::name);
    return it != all_.end() ? it->value[0] : 0;
  }

 private:
  std::vector<cpu::RegisterValue> all_;
};

std::string where(int vcpu_fd, const memory::AddressSpace* memory) {
  const Registers r(vcpu_fd);
  if (r.empty()) return "";
  const u64 pc = r["pc"];
  const u64 pstate = r["pstate"];
  std::string out = fmt::format("\n  at pc {:016x}, pstate {:08x} (EL{})", pc, pstate, pstate >> 2 & 3);
  // KVM translates no addresses for us on this architecture: without the guest's MMU they are physical.
  if ((r["SCTLR_EL1"] & kMmuEnabled) == 0 && memory != nullptr && pc % 4 == 0) {
    if (const u8* host = memory->ram_pointer(pc, 4)) {
      u32 word = 0;
      std::memcpy(&word, host, sizeof word);
      out += fmt::format(", instruction {:08x}", word);
    }
  }
  for (u32 n = 0; n < 31; ++n) {
    out += fmt::format("{}x{:<2} {:016x}", n % 4 == 0 ? "\n  " : " ", n, r[fmt::format("x{}", n)]);
  }
  out += fmt::format(" sp  {:016x}", r["sp"]);
  out += fmt::format("\n  SCTLR_EL1 {:x} VBAR_EL1 {:x} ESR_EL1 {:x} ELR_EL1 {:x} FAR_EL1 {:x} SPSR_EL1 {:x}",
                     r["SCTLR_EL1"], r["VBAR_EL1"], r["ESR_EL1"], r["ELR_EL1"], r["FAR_EL1"], r["SPSR_EL1"]);
  return out;
}

// An abort whose syndrome does not describe the access (ISS.ISV = 0; DDI 0487, D17.2.37).
std::string not_described(const kvm_run& page, const memory::AddressSpace* memory) {
  const u64 address = page.arm_nisv.fault_ipa;
  const memory::FlatRange* range = memory != nullptr ? memory->map().find(address) : nullptr;
  return fmt::format(
      ": the guest reaches {:#x} ({}) with an instruction that the processor does not describe to KVM: one that moves "
      "two registers, a SIMD register, or changes its address register (ldp, stp, ld1, ldr with write-back) does not "
      "work on devices, nor does code there (syndrome {:#x})",
      address, range != nullptr ? *range->name : "nothing is there", static_cast<u64>(page.arm_nisv.esr_iss));
}

}  // namespace

std::string describe_exit(u32 cpu, int vcpu_fd, const kvm_run& page, const memory::AddressSpace* memory) {
  std::string out = fmt::format("KVM stopped CPU {}: KVM_EXIT_{}", cpu, exit_name(page.exit_reason));
  switch (page.exit_reason) {
    case KVM_EXIT_ARM_NISV:
      out += not_described(page, memory);
      break;
    case KVM_EXIT_INTERNAL_ERROR:
      out += fmt::format(": internal error {}", static_cast<u32>(page.internal.suberror));
      for (u32 i = 0; i < std::min<u32>(page.internal.ndata, 16); ++i) {
        out += fmt::format("{}{:#x}", i == 0 ? ", data " : " ", static_cast<u64>(page.internal.data[i]));
      }
      break;
    case KVM_EXIT_FAIL_ENTRY:
      out += (page.fail_entry.hardware_entry_failure_reason & KVM_EXIT_FAIL_ENTRY_CPU_UNSUPPORTED) != 0
                 ? fmt::format(
                       ": the host's processor {} lacks what this CPU has (a PMU of another kind); bind Solder to "
                       "processors of one kind (taskset)",
                       static_cast<u32>(page.fail_entry.cpu))
                 : fmt::format(": the processor refuses to enter the guest, reason {:#x}",
                               static_cast<u64>(page.fail_entry.hardware_entry_failure_reason));
      break;
    case KVM_EXIT_SYSTEM_EVENT:
      out += page.system_event.type == KVM_SYSTEM_EVENT_CRASH
                 ? ": the guest says that it crashed"
                 : fmt::format(": event {} of the system", static_cast<u32>(page.system_event.type));
      break;
    case KVM_EXIT_UNKNOWN:
      out += fmt::format(": hardware exit reason {:#x}", static_cast<u64>(page.hw.hardware_exit_reason));
      break;
    default:
      break;
  }
  return out + where(vcpu_fd, memory);
}

std::string describe_failure(u32 cpu, int vcpu_fd, const memory::AddressSpace* memory, int error) {
  std::string out = fmt::format("KVM_RUN of CPU {} failed: {} (errno {})", cpu, std::strerror(error), error);
  if (error == ENOSYS) out += ": the guest reaches a device in a way that KVM does not describe to this process";
  if (error == EFAULT) out += ": a fault on the guest's memory";
  return out + where(vcpu_fd, memory);
}

}  // namespace solder::accel::kvm::arm64
