// The vCPU's state: reset, registers by name, what is set before it runs first.
#include <sys/ioctl.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string_view>
#include <utility>

#include "accel/kvm/x86/entry.h"
#include "accel/kvm/x86/vcpu.h"
#include "base/log.h"

namespace solder::accel::kvm::x86 {

namespace {

// MSR_KVM_ASYNC_PF_EN, MSR_KVM_PV_EOI_EN, MSR_KVM_ASYNC_PF_INT: a guest may have set them without being offered them.
constexpr std::array<std::string_view, 3> kOfKernelLapic{"msr_4b564d02", "msr_4b564d04", "msr_4b564d06"};

constexpr u32 kMsrTsc = 0x10;
constexpr u32 kMsrApicBase = 0x1b;
constexpr u32 kMsrTscDeadline = 0x6e0;
constexpr u64 kApicBaseReset = 0xfee00000;
constexpr u64 kApicEnabled = 1U << 11;
constexpr u64 kApicBootCpu = 1U << 8;

/// KVM asks this process before it answers for `msr`.
kvm_msr_filter_range ask_for(u32 msr, u8& bitmap) {
  bitmap = 0;  // one MSR, refused to KVM
  kvm_msr_filter_range range{};
  range.flags = KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE;
  range.base = msr;
  range.nmsrs = 1;
  range.bitmap = &bitmap;
  return range;
}

}  // namespace

// What can be done only once all CPUs are known; then the state after reset is what KVM has made.
Status X86Vcpu::first_run() {
  if (!before_first_run_) return {};
  const auto prepare = std::exchange(before_first_run_, nullptr);
  SOLDER_TRY_STATUS(prepare(*this));
  initial_ = SOLDER_TRY(access_.read());
  if (!options_.kernel_lapic) {
    // KVM, without a local APIC, keeps the MSR for CPUID's sake: bit 9 of leaf 1's EDX says that there is one.
    initial_->sregs.apic_base = kApicBaseReset | kApicEnabled | (index_ == 0 ? kApicBootCpu : 0);
    SOLDER_TRY_STATUS(kvm::control(run_->fd(), SOLDER_KVM(KVM_SET_SREGS), &initial_->sregs));
  }
  // The time-stamp counters run on over a reset: KVM keeps them in step only as long as nobody writes them.
  std::erase_if(initial_->msrs, [](const kvm_msr_entry& msr) { return msr.index == kMsrTsc; });
  return {};
}

Status X86Vcpu::flush_state() {
  if (!state_status_) return state_status_;
  SOLDER_TRY_STATUS(first_run());
  if (!staged_) return {};
  const CpuState state = *std::exchange(staged_, std::nullopt);
  SOLDER_TRY_STATUS(access_.write(state));
  may_inject_ = false;  // unknown until KVM tells
  vector_.reset();
  nmi_.store(false, std::memory_order_seq_cst);
  // What KVM already has for it ends a HLT; a local APIC in KVM would not have let it stay there.
  const kvm_vcpu_events& events = state.events;
  const bool has_event = events.nmi.pending != 0 || events.nmi.injected != 0 || events.interrupt.injected != 0 ||
                         events.exception.pending != 0 || events.exception.injected != 0;
  halted_ = !options_.kernel_lapic && state.mp.mp_state == KVM_MP_STATE_HALTED && !has_event;
  if (halted_) run_->page().if_flag = (state.regs.rflags >> 9 & 1) != 0 ? 1 : 0;
  return {};
}

void X86Vcpu::reset(const cpu::EntryState& entry) {
  const bool fresh = static_cast<bool>(before_first_run_);
  if (state_status_) state_status_ = first_run();
  if (!state_status_) return;
  staged_.reset();
  owed_.reset();
  vector_.reset();
  may_inject_ = false;
  halted_ = false;
  nmi_.store(false, std::memory_order_seq_cst);
  run_->page().request_interrupt_window = 0;
  CpuState state = *initial_;
  apply_entry(state, entry);
  if (options_.kernel_lapic) {
    state.mp.mp_state = entry.parked ? u32{KVM_MP_STATE_UNINITIALIZED} : u32{KVM_MP_STATE_RUNNABLE};
  }
  state_status_ = access_.write(state, !fresh);
}

Result<CpuState> X86Vcpu::read_state() const {
  if (staged_) return *staged_;
  CpuState state = SOLDER_TRY(access_.read());
  // What this process holds for KVM belongs to the state too.
  if (halted_) state.mp.mp_state = KVM_MP_STATE_HALTED;
  if (nmi_.load(std::memory_order_seq_cst)) {
    state.events.nmi.pending = 1;
    state.events.flags |= KVM_VCPUEVENT_VALID_NMI_PENDING;
  }
  if (vector_) {
    state.events.interrupt.injected = 1;
    state.events.interrupt.nr = *vector_;
    state.events.interrupt.soft = 0;
  }
  return state;
}

std::vector<cpu::RegisterValue> X86Vcpu::registers() const {
  auto state = read_state();
  if (!state) {
    log::warn(state.error().text());
    return {};
  }
  return named_values(*state);
}

Status X86Vcpu::set_register(const cpu::RegisterValue& value) {
  if (!options_.kernel_lapic && std::ranges::find(kOfKernelLapic, value.name) != kOfKernelLapic.end() &&
      value.value[0] != 0) {
    return fail("", "KVM has `" + value.name + "` only with a local APIC of its own");
  }
  SOLDER_TRY_STATUS(first_run());
  if (!staged_) staged_ = SOLDER_TRY(read_state());
  if (!set_named_value(*staged_, value)) {
    return fail("", "the host's KVM has no CPU register `" + value.name + "`");
  }
  return {};
}

void X86Vcpu::connect_output(u32 index, interrupt::LevelWire wire) {
  // x86 CPUs have no outputs: their timers are in the local APIC.
  (void)index;
  (void)wire;
}

void X86Vcpu::add_system_registers(cpu::SystemRegisters& registers) {
  system_registers_.push_back(&registers);
  if (vm_.check(KVM_CAP_X86_USER_SPACE_MSR) == 0 || vm_.check(KVM_CAP_X86_MSR_FILTER) == 0) {
    log::warn(
        "this host's KVM answers for all MSRs itself: those of the local APIC in this process do not work\n"
        "  fix: use Linux 5.10 or later, or a local APIC in the kernel (solder,backend = \"kernel\")");
    return;
  }
  // MSRs that KVM does not know, x2APIC's among them as long as the local APIC is not KVM's, come here by themselves.
  Status done = vm_.enable(KVM_CAP_X86_USER_SPACE_MSR, "KVM_CAP_X86_USER_SPACE_MSR",
                           KVM_MSR_EXIT_REASON_INVAL | KVM_MSR_EXIT_REASON_UNKNOWN | KVM_MSR_EXIT_REASON_FILTER);
  if (done) {
    kvm_msr_filter filter{};
    filter.flags = KVM_MSR_FILTER_DEFAULT_ALLOW;
    std::array<u8, 2> bitmaps{};
    usize used = 0;
    for (const u32 msr : {kMsrApicBase, kMsrTscDeadline}) {
      const bool owned = std::any_of(system_registers_.begin(), system_registers_.end(),
                                     [msr](cpu::SystemRegisters* owner) { return owner->has(msr); });
      if (!owned) continue;
      filter.ranges[used] = ask_for(msr, bitmaps[used]);
      ++used;
    }
    if (used != 0) done = vm_.call(SOLDER_KVM(KVM_X86_SET_MSR_FILTER), &filter);
  }
  if (!done) log::warn(done.error().text());
}

std::optional<cpu::Vcpu::TscReading> X86Vcpu::read_tsc() const {
  const int khz = ::ioctl(run_->fd(), KVM_GET_TSC_KHZ, 0);
  if (khz <= 0) return std::nullopt;
  const auto value = access_.read_msr(kMsrTsc);
  if (!value) return std::nullopt;
  return TscReading{*value, static_cast<u64>(khz) * 1000};
}

Status X86Vcpu::set_debug(bool single_step, bool breakpoints) {
  kvm_guest_debug debug{};
  if (single_step || breakpoints) debug.control |= KVM_GUESTDBG_ENABLE;
  if (single_step) debug.control |= KVM_GUESTDBG_SINGLESTEP;
  if (breakpoints) debug.control |= KVM_GUESTDBG_USE_SW_BP;
  SOLDER_TRY_STATUS(kvm::control(run_->fd(), SOLDER_KVM(KVM_SET_GUEST_DEBUG), &debug));
  return {};
}

}  // namespace solder::accel::kvm::x86
