#include "accel/kvm/arm64/vcpu.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>

#include "accel/kvm/arm64/device_control.h"
#include "accel/kvm/arm64/fault.h"
#include "accel/kvm/arm64/kernel_routes.h"
#include "base/log.h"

namespace solder::accel::kvm::arm64 {

namespace {

constexpr u64 kAffinity = 0xff'00ff'ffff;  // MPIDR_EL1's Aff3..Aff0
constexpr u64 kEntryPstate = 0x3c5;        // EL1h; debug, SError, IRQ and FIQ masked

/// Which output (cpu/vcpu.h) a bit of kvm_sync_regs::device_irq_level is.
struct Output {
  u64 bit;
  usize index;
};
constexpr std::array<Output, 3> kOutputOf = {{{KVM_ARM_DEV_EL1_PTIMER, 1},  // non-secure physical
                                              {KVM_ARM_DEV_EL1_VTIMER, 2},  // virtual
                                              {KVM_ARM_DEV_PMU, 4}}};

}  // namespace

Result<std::unique_ptr<Arm64Vcpu>> Arm64Vcpu::create(Vm& vm, RunGate& gate, const VcpuOptions& options,
                                                     const cpu::CpuRequest& request) {
  // KVM numbers vCPUs, for interrupts too, in the order of their creation.
  auto run = SOLDER_TRY(VcpuRun::create(vm, gate, request.index));
  std::unique_ptr<Arm64Vcpu> vcpu(new Arm64Vcpu(vm, options, request, std::move(run)));
  SOLDER_TRY_STATUS(vcpu->initialize());
  vm.set_vcpu_fd(request.index, vcpu->run_->fd());
  return vcpu;
}

Arm64Vcpu::Arm64Vcpu(Vm& vm, const VcpuOptions& options, const cpu::CpuRequest& request, std::unique_ptr<VcpuRun> run)
    : vm_(vm),
      options_(options),
      index_(request.index),
      hardware_id_(request.hardware_id),
      run_(std::move(run)),
      memory_space_(request.memory),
      memory_(request.memory != nullptr ? *request.memory : no_space_),
      registers_(run_->fd()) {}

Arm64Vcpu::~Arm64Vcpu() {
  vm_.set_vcpu_fd(index_, -1);
}

// KVM_ARM_VCPU_INIT puts the CPU into its reset state each time.
Status Arm64Vcpu::initialize() {
  kvm_vcpu_init init{};
  SOLDER_TRY_STATUS(vm_.call(SOLDER_KVM(KVM_ARM_PREFERRED_TARGET), &init));
  init.features[0] |= 1U << KVM_ARM_VCPU_PSCI_0_2;
  if (options_.pmu) init.features[0] |= 1U << KVM_ARM_VCPU_PMU_V3;
  SOLDER_TRY(control(run_->fd(), SOLDER_KVM(KVM_ARM_VCPU_INIT), &init));
  return set_affinity();
}

// The guest's firmware calls, its GIC and its tree name CPUs by affinity, so MPIDR_EL1 must say what the tree says.
Status Arm64Vcpu::set_affinity() {
  const u64 id = id_of_mpidr();
  const u64 given = SOLDER_TRY(get_register(run_->fd(), id))[0];
  const u64 wanted = hardware_id_ & kAffinity;
  if ((given & kAffinity) == wanted) return {};
  const u64 value = (given & ~kAffinity) | wanted;
  (void)arm64::set_register(run_->fd(), id, {value, 0});
  const u64 now = SOLDER_TRY(get_register(run_->fd(), id))[0];
  if (now == value) return {};
  return fail("",
              fmt::format("this host's KVM gives CPU {} the affinity {:#x} (MPIDR_EL1), and the tree's reg says {:#x}",
                          index_, now & kAffinity, wanted),
              fmt::format("write reg = <{:#x}> and correct the unit address", now & kAffinity));
}

void Arm64Vcpu::kick() {
  kicked_.store(true, std::memory_order_seq_cst);
  run_->poke();
}

void Arm64Vcpu::set_line(cpu::Line line, bool level) {
  if (options_.kernel_gic || (line != cpu::Line::irq && line != cpu::Line::fiq)) return;
  kvm_irq_level request{};
  request.irq = line_code(KVM_ARM_IRQ_TYPE_CPU, index_,
                          line == cpu::Line::irq ? u32{KVM_ARM_IRQ_CPU_IRQ} : u32{KVM_ARM_IRQ_CPU_FIQ});
  request.level = level ? 1 : 0;
  if (const Status done = vm_.call(SOLDER_KVM(KVM_IRQ_LINE), &request); !done) log::warn(done.error().text());
}

void Arm64Vcpu::connect_output(u32 index, interrupt::LevelWire wire) {
  if (index < kOutputs) outputs_[index] = wire;
}

// KVM finishes an access that exited when KVM_RUN comes again: without that it would do so in the new state.
void Arm64Vcpu::finish_instruction() {
  for (int i = 0; i < 4; ++i) {  // a broken kernel must not hold us here
    run_->prepare();
    run_->complete_only();
    if (run_->enter() != 0) return;
  }
}

void Arm64Vcpu::reset(const cpu::EntryState& entry) {
  if (!fresh_) {
    finish_instruction();
    state_status_ = initialize();
  }
  fresh_ = false;
  if (state_status_) state_status_ = enter_at(entry);
}

Status Arm64Vcpu::enter_at(const cpu::EntryState& entry) {
  if (entry.exception_level != 1) {
    return fail("", fmt::format("KVM's CPUs start at EL1, and EL{} was asked for", entry.exception_level));
  }
  const int fd = run_->fd();
  for (u32 n = 0; n < entry.arguments.size(); ++n) {
    SOLDER_TRY_STATUS(arm64::set_register(fd, id_of_x(n), {entry.arguments[n], 0}));
  }
  SOLDER_TRY_STATUS(arm64::set_register(fd, id_of_pc(), {entry.pc, 0}));
  SOLDER_TRY_STATUS(arm64::set_register(fd, id_of_pstate(), {kEntryPstate, 0}));
  kvm_mp_state state{};
  state.mp_state = entry.parked ? KVM_MP_STATE_STOPPED : KVM_MP_STATE_RUNNABLE;
  SOLDER_TRY(control(fd, SOLDER_KVM(KVM_SET_MP_STATE), &state));
  return {};
}

Status Arm64Vcpu::prepare_first_run() {
  if (!state_status_) return state_status_;
  // With the GIC in the kernel the PMU's node does this, which knows its interrupt.
  if (!ran_ && options_.pmu && !options_.kernel_gic) {
    SOLDER_TRY_STATUS(set_attribute(run_->fd(), KVM_ARM_VCPU_PMU_V3_CTRL, KVM_ARM_VCPU_PMU_V3_INIT, nullptr));
  }
  ran_ = true;
  return registers_.flush();
}

std::vector<cpu::RegisterValue> Arm64Vcpu::registers() const {
  auto all = registers_.read_all();
  if (!all) {
    log::warn(all.error().text());
    return {};
  }
  return std::move(*all);
}

cpu::ExitReason Arm64Vcpu::fail_with(std::string text) {
  fault_ = std::move(text);
  return cpu::ExitReason::fault;
}

// KVM has put the access into the form of the guest's byte order, and extends what is read as the instruction says.
void Arm64Vcpu::handle_mmio() {
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

// KVM_CAP_ARM_USER_IRQ: the levels as of the last exit. A level that changes makes KVM_RUN return.
void Arm64Vcpu::update_outputs() {
  const u64 levels = run_->page().s.regs.device_irq_level;
  const u64 changed = levels ^ output_levels_;
  if (changed == 0) return;
  output_levels_ = levels;
  for (const Output& output : kOutputOf) {
    if ((changed & output.bit) != 0) outputs_[output.index].set((levels & output.bit) != 0);
  }
}

std::optional<cpu::ExitReason> Arm64Vcpu::handle_exit() {
  kvm_run& page = run_->page();
  switch (page.exit_reason) {
    case KVM_EXIT_MMIO:
      handle_mmio();
      return {};
    case KVM_EXIT_INTR:
      return {};
    case KVM_EXIT_DIRTY_RING_FULL:
      if (const Status done = vm_.dirty_ring_full(); !done) return fail_with(done.error().text());
      return {};
    case KVM_EXIT_DEBUG:
      fault_ = fmt::format("CPU {} stopped with a debug exception, ESR_EL2 {:#x}", index_,
                           static_cast<u32>(page.debug.arch.hsr));
      return cpu::ExitReason::debug;
    case KVM_EXIT_SYSTEM_EVENT:
      if (page.system_event.type == KVM_SYSTEM_EVENT_SHUTDOWN) return cpu::ExitReason::shutdown;
      if (page.system_event.type == KVM_SYSTEM_EVENT_RESET) return cpu::ExitReason::reset;
      break;
    default:
      break;
  }
  return fail_with(describe_exit(index_, run_->fd(), page, memory_space_));
}

cpu::ExitReason Arm64Vcpu::run() {
  run_->bind_thread();
  if (const Status ready = prepare_first_run(); !ready) return fail_with(ready.error().text());
  for (;;) {
    run_->prepare();
    // An access that the last exit was for is finished all the same, so that the registers are those between two
    // instructions; KVM_RUN then returns EINTR.
    if (kicked_.load(std::memory_order_seq_cst)) run_->complete_only();
    const int error = run_->enter();
    if (!options_.kernel_gic) update_outputs();
    if (error == 0) {
      if (const auto reason = handle_exit()) return *reason;
    } else if (error == EINTR) {
      if (kicked_.exchange(false, std::memory_order_seq_cst)) return cpu::ExitReason::kicked;
    } else {
      return fail_with(describe_failure(index_, run_->fd(), memory_space_, error));
    }
  }
}

}  // namespace solder::accel::kvm::arm64
