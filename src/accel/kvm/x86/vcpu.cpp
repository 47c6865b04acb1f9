#include "accel/kvm/x86/vcpu.h"

#include <sys/ioctl.h>

#include <cerrno>
#include <utility>

#include "accel/kvm/x86/fault.h"
#include "base/check.h"

namespace solder::accel::kvm::x86 {

Result<std::unique_ptr<X86Vcpu>> X86Vcpu::create(Vm& vm, RunGate& gate, const VcpuOptions& options,
                                                 const cpu::CpuRequest& request,
                                                 std::function<Status(X86Vcpu&)> before_first_run) {
  auto run = SOLDER_TRY(VcpuRun::create(vm, gate, static_cast<u32>(request.hardware_id)));
  std::unique_ptr<X86Vcpu> vcpu(new X86Vcpu(vm, options, request, std::move(run)));
  vcpu->before_first_run_ = std::move(before_first_run);
  vm.set_vcpu_fd(request.index, vcpu->fd());
  return vcpu;
}

X86Vcpu::X86Vcpu(Vm& vm, const VcpuOptions& options, const cpu::CpuRequest& request, std::unique_ptr<VcpuRun> run)
    : vm_(vm),
      options_(options),
      index_(request.index),
      apic_id_(static_cast<u32>(request.hardware_id)),
      run_(std::move(run)),
      memory_space_(request.memory),
      memory_(request.memory != nullptr ? *request.memory : no_space_),
      ports_(request.ports != nullptr ? *request.ports : no_space_),
      access_(vm, run_->fd(), options.kernel_lapic) {}

X86Vcpu::~X86Vcpu() {
  vm_.set_vcpu_fd(index_, -1);
}

void X86Vcpu::kick() {
  kicked_.store(true, std::memory_order_seq_cst);
  run_->poke();
}

// KVM notes that a local APIC's timer has run out, and sends the interrupt when the CPU runs next; until then none of
// KVM's records has it. The same holds for an INIT or a start-up from another CPU.
void X86Vcpu::catch_up() {
  if (!options_.kernel_lapic || before_first_run_ || staged_ || owed_) return;
  catching_up_ = true;
  kicked_.store(true, std::memory_order_seq_cst);
  if (const auto reason = run(); reason != cpu::ExitReason::kicked) owed_ = reason;
  kicked_.store(false, std::memory_order_seq_cst);
  catching_up_ = false;
}

void X86Vcpu::set_line(cpu::Line line, bool level) {
  if (line == cpu::Line::nmi && level) raise_nmi();
  if (line != cpu::Line::irq || options_.kernel_pic) return;
  line_.store(level, std::memory_order_seq_cst);
  if (!level) return;  // seen when the CPU interface is asked
  attention_.store(true, std::memory_order_seq_cst);
  run_->poke();
  if (!options_.kernel_lapic && wake_) wake_();
}

void X86Vcpu::raise_nmi() {
  nmi_.store(true, std::memory_order_seq_cst);
  attention_.store(true, std::memory_order_seq_cst);
  run_->poke();
  if (!options_.kernel_lapic && wake_) wake_();
}

bool X86Vcpu::has_wake_reason() const {
  // HLT ends by an NMI or an interrupt that IF lets in; SDM volume 2, HLT. if_flag is that of the exit for HLT.
  return nmi_.load(std::memory_order_seq_cst) || vector_.has_value() ||
         (line_.load(std::memory_order_seq_cst) && run_->page().if_flag != 0);
}

// Whether a CPU in HLT stays there. The interrupt is acknowledged here, so that one which was withdrawn meanwhile does
// not end the HLT.
bool X86Vcpu::still_halted() {
  if (!has_wake_reason()) return true;
  if (!nmi_.load(std::memory_order_seq_cst) && !vector_) {
    if (interface_ != nullptr) vector_ = interface_->acknowledge();
    if (!vector_) return true;
  }
  halted_ = false;
  return false;
}

// The instruction after STI is executed before an NMI may come, and is often HLT (SDM volume 2, STI); an emulator looks
// for NMIs at exits only. The NMI then waits in KVM, and the HLT that KVM tells of is over.
bool X86Vcpu::nmi_waits_in_kvm() {
  if (!nmi_given_) return false;
  kvm_vcpu_events events{};
  nmi_given_ =
      ::ioctl(run_->fd(), KVM_GET_VCPU_EVENTS, &events) == 0 && (events.nmi.pending | events.nmi.injected) != 0;
  return nmi_given_ && events.nmi.masked == 0;
}

cpu::ExitReason X86Vcpu::fail_with(std::string text) {
  fault_ = std::move(text);
  return cpu::ExitReason::fault;
}

// Everything here happens before the thread announces itself at the gate: the CPU interface takes its model's lock, and
// the holder of that lock may be waiting for the gate.
void X86Vcpu::service_interrupts() {
  if (attention_.load(std::memory_order_relaxed)) {
    // Cleared before the causes are looked at: what comes later sets it again.
    attention_.store(false, std::memory_order_seq_cst);
    if (nmi_.exchange(false, std::memory_order_seq_cst)) nmi_given_ = ::ioctl(run_->fd(), KVM_NMI, 0) == 0;
  }
  if (options_.kernel_pic || interface_ == nullptr) return;
  kvm_run& page = run_->page();
  if (may_inject_ && !vector_ && line_.load(std::memory_order_seq_cst)) vector_ = interface_->acknowledge();
  if (vector_ && may_inject_) {
    kvm_interrupt interrupt{};
    interrupt.irq = *vector_;
    if (::ioctl(run_->fd(), KVM_INTERRUPT, &interrupt) == 0) {
      vector_.reset();
      may_inject_ = false;
    }
  }
  page.request_interrupt_window = vector_ || line_.load(std::memory_order_seq_cst) ? 1 : 0;
  if (!options_.kernel_lapic) page.cr8 = interface_->task_priority();
}

cpu::ExitReason X86Vcpu::run() {
  run_->bind_thread();
  if (owed_) [[unlikely]] {
    return *std::exchange(owed_, std::nullopt);
  }
  if (staged_ || before_first_run_ || !state_status_) [[unlikely]] {
    if (const Status done = flush_state(); !done) return fail_with(done.error().text());
  }
  kvm_run& page = run_->page();
  if (halted_ && still_halted()) {
    kicked_.store(false, std::memory_order_seq_cst);  // halted is as good an answer to a kick
    return cpu::ExitReason::halted;
  }
  const bool user_lapic = !options_.kernel_lapic;
  for (;;) {
    service_interrupts();
    const u64 priority = page.cr8;
    run_->prepare();
    const bool kicked = kicked_.load(std::memory_order_seq_cst);
    if (kicked && !catching_up_) {
      // An access that the last exit was for is finished all the same, so that the registers are those between two
      // instructions; KVM_RUN then returns EINTR.
      run_->complete_only();
    } else if (!kicked && attention_.load(std::memory_order_seq_cst)) {
      run_->cancel();
      continue;
    }
    const int error = kicked && catching_up_ ? run_->enter_interrupted() : run_->enter();
    may_inject_ = page.ready_for_interrupt_injection != 0;
    if (user_lapic && page.cr8 != priority && interface_ != nullptr) {
      interface_->set_task_priority(static_cast<u8>(page.cr8 & 0xf));
    }
    if (error == 0) {
      if (const auto reason = handle_exit()) return *reason;
    } else if (error == EINTR) {
      if (kicked_.exchange(false, std::memory_order_seq_cst)) return cpu::ExitReason::kicked;
    } else {
      return fail_with(describe_failure(index_, run_->fd(), page, memory_space_, error));
    }
  }
}

}  // namespace solder::accel::kvm::x86
