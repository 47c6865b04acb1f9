// What the exits of KVM_RUN ask for.
#include <fmt/core.h>

#include <cstring>

#include "accel/kvm/x86/fault.h"
#include "accel/kvm/x86/msr.h"
#include "accel/kvm/x86/vcpu.h"
#include "base/log.h"

namespace solder::accel::kvm::x86 {

namespace {

constexpr u32 kApicBase = 0x1b;  // IA32_APIC_BASE
constexpr u32 kBreakpoint = 3;   // the vector of #BP

}  // namespace

// Ports, also of string instructions: `count` elements one after the other in the shared page (SDM volume 2, INS,
// OUTS).
bool X86Vcpu::handle_io() {
  const auto& io = run_->page().io;
  const unsigned size = io.size;
  u8* data = run_->data(io.data_offset, u64{size} * io.count);
  if (data == nullptr) return false;
  const bool out = io.direction == KVM_EXIT_IO_OUT;
  const u64 exit_ns = ports_.exit_time();
  for (u32 i = 0; i < io.count; ++i, data += size) {
    u64 value = 0;
    if (out) {
      std::memcpy(&value, data, size);
      ports_.store(io.port, size, value, exit_ns);
    } else {
      value = ports_.load(io.port, size, exit_ns);
      std::memcpy(data, &value, size);
    }
  }
  return true;
}

void X86Vcpu::handle_mmio() {
  auto& mmio = run_->page().mmio;
  const unsigned size = mmio.len <= sizeof mmio.data ? mmio.len : sizeof mmio.data;
  u64 value = 0;
  if (mmio.is_write != 0) {
    std::memcpy(&value, mmio.data, size);
    memory_.store(mmio.phys_addr, size, value, memory_.exit_time());
  } else {
    value = memory_.load(mmio.phys_addr, size, memory_.exit_time());
    std::memcpy(mmio.data, &value, size);
  }
}

// KVM derives CPUID's APIC bit from its own copy of IA32_APIC_BASE, which it has not seen written.
void X86Vcpu::follow_apic_base(u64 value) {
  // The model has accepted the value; a KVM that does not keeps a CPUID bit that is out of date, and nothing else.
  [[maybe_unused]] const Status set = write_msr(run_->fd(), kApicBase, value);
}

void X86Vcpu::handle_msr(bool write) {
  const u64 exit_ns = memory_.exit_time();
  auto& msr = run_->page().msr;
  for (cpu::SystemRegisters* registers : system_registers_) {
    if (!registers->has(msr.index)) continue;
    msr.error = registers->allows(index_, msr.index, write, write ? msr.data : 0) ? 0 : 1;
    if (msr.error != 0) return;
    const u64 begin_ns = memory_.exit_time();
    if (write) {
      registers->write(index_, msr.index, msr.data);
      if (msr.index == kApicBase) follow_apic_base(msr.data);
    } else {
      msr.data = registers->read(index_, msr.index);
    }
    const auto name = exit_ns != 0 ? registers->trace_name(msr.index) : std::nullopt;
    if (name)
      memory_.report({.cpu = index_,
                      .address = msr.index,
                      .size = 8,
                      .write = write,
                      .system_register = true,
                      .value = msr.data,
                      .owner = name->node,
                      .handler = name->handler,
                      .offset = name->offset,
                      .begin_ns = begin_ns,
                      .end_ns = memory_.exit_time(),
                      .exit_ns = exit_ns});
    return;
  }
  msr.error = 1;  // #GP: nobody has it
}

std::optional<cpu::ExitReason> X86Vcpu::handle_exit() {
  kvm_run& page = run_->page();
  switch (page.exit_reason) {
    case KVM_EXIT_IO:
      if (!handle_io()) break;
      return {};
    case KVM_EXIT_MMIO:
      handle_mmio();
      return {};
    case KVM_EXIT_HLT:
      if (nmi_waits_in_kvm()) return {};
      halted_ = true;
      if (still_halted()) return cpu::ExitReason::halted;
      return {};
    case KVM_EXIT_IRQ_WINDOW_OPEN:  // the loop injects
    case KVM_EXIT_SET_TPR:          // the loop has told the CPU interface
    case KVM_EXIT_INTR:
      return {};
    case KVM_EXIT_IOAPIC_EOI:
      vm_.end_of_interrupt(page.eoi.vector);
      return {};
    case KVM_EXIT_X86_RDMSR:
      handle_msr(false);
      return {};
    case KVM_EXIT_X86_WRMSR:
      handle_msr(true);
      return {};
    case KVM_EXIT_DIRTY_RING_FULL:
      if (const Status done = vm_.dirty_ring_full(); !done) return fail_with(done.error().text());
      return {};
    case KVM_EXIT_DEBUG:
      // SDM volume 3, 17.2.3 and 6.15: #DB tells its cause in DR6, #BP has none.
      fault_ = fmt::format(
          "CPU {} stopped with {} at {:#x}, DR6 {:#x}", index_,
          page.debug.arch.exception == kBreakpoint ? "a breakpoint instruction (#BP)" : "a debug exception (#DB)",
          page.debug.arch.pc, page.debug.arch.dr6);
      return cpu::ExitReason::debug;
    case KVM_EXIT_SHUTDOWN:
      // A PC's chip set answers the shutdown cycle with a reset. KVM has reset the CPU on some hosts (svm.c,
      // shutdown_interception): where it was cannot be told.
      log::note(fmt::format("CPU {} has shut down (a triple fault): the machine is reset", index_));
      return cpu::ExitReason::reset;
    case KVM_EXIT_SYSTEM_EVENT:
      if (page.system_event.type == KVM_SYSTEM_EVENT_SHUTDOWN) return cpu::ExitReason::shutdown;
      if (page.system_event.type == KVM_SYSTEM_EVENT_RESET) return cpu::ExitReason::reset;
      break;
    default:
      break;
  }
  return fail_with(describe_exit(index_, run_->fd(), page, memory_space_));
}

}  // namespace solder::accel::kvm::x86
