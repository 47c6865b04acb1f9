#include "accel/kvm/x86/fault.h"

#include <fmt/core.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "accel/kvm/vcpu_run.h"
#include "accel/kvm/x86/disassemble.h"

namespace solder::accel::kvm::x86 {

namespace {

constexpr usize kLongestInstruction = 15;

const char* internal_error(u32 suberror) {
  switch (suberror) {
    case KVM_INTERNAL_ERROR_EMULATION:
      return "the host's KVM cannot emulate an instruction";
    case KVM_INTERNAL_ERROR_SIMUL_EX:
      return "two exceptions at once";
    case KVM_INTERNAL_ERROR_DELIVERY_EV:
      return "an exit while an event was delivered";
    case KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON:
      return "an exit of the processor that the host's KVM does not know";
    default:
      return "internal error";
  }
}

/// Up to 15 bytes at a linear address: through the guest's page tables, RAM only.
std::vector<u8> fetch(int vcpu_fd, u64 linear, const memory::AddressSpace& memory) {
  std::vector<u8> bytes;
  while (bytes.size() < kLongestInstruction) {
    kvm_translation translation{};
    translation.linear_address = linear + bytes.size();
    if (::ioctl(vcpu_fd, KVM_TRANSLATE, &translation) < 0 || translation.valid == 0) break;
    const u64 in_page = memory::kPageSize - translation.physical_address % memory::kPageSize;
    const u64 size = std::min<u64>(in_page, kLongestInstruction - bytes.size());
    const u8* host = memory.ram_pointer(translation.physical_address, size);
    if (host == nullptr) break;
    bytes.insert(bytes.end(), host, host + size);
  }
  return bytes;
}

std::string hex(std::span<const u8> bytes) {
  std::string out;
  for (const u8 byte : bytes) out += fmt::format("{}{:02x}", out.empty() ? "" : " ", byte);
  return out;
}

std::string where(int vcpu_fd, std::span<const u8> reported, const memory::AddressSpace* memory) {
  kvm_regs r{};
  kvm_sregs s{};
  if (::ioctl(vcpu_fd, KVM_GET_REGS, &r) < 0 || ::ioctl(vcpu_fd, KVM_GET_SREGS, &s) < 0) return "";
  constexpr u64 kLongModeActive = 1U << 10;
  const unsigned mode = (s.efer & kLongModeActive) != 0 && s.cs.l != 0 ? 64 : s.cs.db != 0 ? 32 : 16;
  const u64 linear = mode == 64 ? r.rip : static_cast<u32>(s.cs.base + r.rip);
  std::vector<u8> bytes(reported.begin(), reported.end());
  if (bytes.empty() && memory != nullptr) bytes = fetch(vcpu_fd, linear, *memory);
  std::string out =
      fmt::format("\n  at cs:rip {:04x}:{:016x}, linear {:#x}, {}-bit code, CPL {}", static_cast<u16>(s.cs.selector),
                  static_cast<u64>(r.rip), linear, mode, static_cast<unsigned>(s.ss.dpl));
  if (bytes.empty()) {
    out += ", which is not in memory";
  } else {
    out += "\n  bytes there: " + hex(bytes);
    if (const std::string text = disassemble(bytes, r.rip, mode); !text.empty()) out += "\n  instruction: " + text;
  }
  const auto line = [&out](const char* format, auto... values) {
    out += "\n  " + fmt::format(fmt::runtime(format), static_cast<u64>(values)...);
  };
  line("rax {:016x} rbx {:016x} rcx {:016x} rdx {:016x}", r.rax, r.rbx, r.rcx, r.rdx);
  line("rsi {:016x} rdi {:016x} rbp {:016x} rsp {:016x}", r.rsi, r.rdi, r.rbp, r.rsp);
  line("r8  {:016x} r9  {:016x} r10 {:016x} r11 {:016x}", r.r8, r.r9, r.r10, r.r11);
  line("r12 {:016x} r13 {:016x} r14 {:016x} r15 {:016x}", r.r12, r.r13, r.r14, r.r15);
  line("rflags {:08x} cr0 {:08x} cr2 {:016x} cr3 {:016x} cr4 {:08x} efer {:x}", r.rflags, s.cr0, s.cr2, s.cr3, s.cr4,
       s.efer);
  line("cs base {:x} limit {:x}  ss {:04x} base {:x}  ds {:04x} base {:x}  gdt {:x}+{:x}  idt {:x}+{:x}", s.cs.base,
       s.cs.limit, s.ss.selector, s.ss.base, s.ds.selector, s.ds.base, s.gdt.base, s.gdt.limit, s.idt.base,
       s.idt.limit);
  return out;
}

}  // namespace

std::string describe_exit(u32 cpu, int vcpu_fd, const kvm_run& page, const memory::AddressSpace* memory) {
  std::string out = fmt::format("KVM stopped CPU {}: KVM_EXIT_{}", cpu, exit_name(page.exit_reason));
  std::span<const u8> reported;
  switch (page.exit_reason) {
    case KVM_EXIT_INTERNAL_ERROR: {
      out += fmt::format(": {} (suberror {}", internal_error(page.internal.suberror),
                         static_cast<u32>(page.internal.suberror));
      const auto& emulation = page.emulation_failure;
      if (page.internal.suberror == KVM_INTERNAL_ERROR_EMULATION && emulation.ndata >= 3 &&
          (emulation.flags & KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES) != 0) {
        reported = {emulation.insn_bytes, std::min<usize>(emulation.insn_size, sizeof emulation.insn_bytes)};
      } else {
        for (u32 i = 0; i < std::min<u32>(page.internal.ndata, 16); ++i) {
          out += fmt::format("{}{:#x}", i == 0 ? ", data " : " ", static_cast<u64>(page.internal.data[i]));
        }
      }
      out += ")";
      break;
    }
    case KVM_EXIT_FAIL_ENTRY:
      out += fmt::format(": the processor refuses to enter the guest, hardware reason {:#x}",
                         static_cast<u64>(page.fail_entry.hardware_entry_failure_reason));
      break;
    case KVM_EXIT_UNKNOWN:
      out += fmt::format(": hardware exit reason {:#x}", static_cast<u64>(page.hw.hardware_exit_reason));
      break;
    case KVM_EXIT_EXCEPTION:
      out += fmt::format(": exception {}, error code {:#x}", static_cast<u32>(page.ex.exception),
                         static_cast<u32>(page.ex.error_code));
      break;
    case KVM_EXIT_SYSTEM_EVENT:
      out += fmt::format(": type {}", static_cast<u32>(page.system_event.type));
      break;
    default:
      break;
  }
  out += where(vcpu_fd, reported, memory);
  if (page.exit_reason == KVM_EXIT_INTERNAL_ERROR && page.internal.suberror == KVM_INTERNAL_ERROR_EMULATION)
    out +=
        "\n  The emulator of the host's kernel knows few instructions. Hosts whose processor runs kernel-mode code by\n"
        "  itself need it for accesses to devices only; of others a warning at the start tells.";
  return out;
}

std::string describe_failure(u32 cpu, int vcpu_fd, const kvm_run& page, const memory::AddressSpace* memory, int error) {
  std::string out = fmt::format("KVM_RUN of CPU {} failed: {} (errno {})", cpu, std::strerror(error), error);
  if (page.exit_reason == 39) out += ": a fault on the guest's memory";  // KVM_EXIT_MEMORY_FAULT, since Linux 6.8
  return out + where(vcpu_fd, {}, memory);
}

}  // namespace solder::accel::kvm::x86
