#include "accel/kvm/vcpu_run.h"

#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "accel/kvm/run_gate.h"
#include "base/check.h"

namespace solder::accel::kvm {

namespace {

int kick_signal() {
  return SIGRTMIN + 3;
}

// Once a process: the handler does nothing, and belongs to nobody else.
void install_handler() {
  [[maybe_unused]] static const bool done = [] {
    struct sigaction action {};
    action.sa_handler = [](int) {};
    action.sa_flags = SA_RESTART;
    return ::sigaction(kick_signal(), &action, nullptr) == 0;
  }();
}

pid_t own_thread() {
  thread_local const pid_t id = static_cast<pid_t>(::syscall(SYS_gettid));
  return id;
}

}  // namespace

int VcpuRun::signal() {
  return kick_signal();
}

Result<std::unique_ptr<VcpuRun>> VcpuRun::create(const Vm& vm, RunGate& gate, u32 id) {
  install_handler();
  if (vm.check(KVM_CAP_IMMEDIATE_EXIT) == 0) {
    return fail("KVM", "the host's kernel has no KVM_CAP_IMMEDIATE_EXIT", "use Linux 4.13 or later");
  }
  if (vm.run_size() < sizeof(kvm_run)) return fail("KVM", "KVM_GET_VCPU_MMAP_SIZE is less than struct kvm_run");
  UniqueFd fd = SOLDER_TRY(vm.create_vcpu(id));
  void* page = ::mmap(nullptr, vm.run_size(), PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  if (page == MAP_FAILED) {
    return fail("KVM", std::string("the vCPU's shared page cannot be mapped: ") + std::strerror(errno));
  }
  std::unique_ptr<VcpuRun> run(new VcpuRun(gate, id, std::move(fd), static_cast<kvm_run*>(page), vm.run_size()));
  if (vm.dirty_ring_entries() != 0) {
    run->dirty_ring_ = SOLDER_TRY(DirtyRing::map(run->fd(), vm.dirty_ring_entries()));
  }
  run->deferred_ = vm.deferred_writes();
  if (run->deferred_ != nullptr) run->deferred_->map_ring(run->fd());
  gate.add(*run);
  return run;
}

VcpuRun::VcpuRun(RunGate& gate, u32 id, UniqueFd fd, kvm_run* page, usize size)
    : gate_(gate), id_(id), fd_(std::move(fd)), page_(page), size_(size) {}

VcpuRun::~VcpuRun() {
  gate_.remove(*this);
  ::munmap(page_, size_);
}

u8* VcpuRun::data(u64 offset, u64 size) {
  if (offset > size_ || size > size_ - offset) return nullptr;
  return reinterpret_cast<u8*>(page_) + offset;
}

bool VcpuRun::on_own_thread() const {
  return thread_.load(std::memory_order_relaxed) == own_thread();
}

void VcpuRun::bind_thread() {
  const pid_t self = own_thread();
  if (thread_.load(std::memory_order_relaxed) == self) return;
  thread_.store(self, std::memory_order_seq_cst);
  // A thread inherits its mask: whoever made this one may have blocked everything.
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, kick_signal());
  ::pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

void VcpuRun::set_immediate_exit(u8 value) {
  // The kernel reads this byte, other threads write it.
  std::atomic_ref<u8>(page_->immediate_exit).store(value, std::memory_order_seq_cst);
}

void VcpuRun::poke() {
  // The requester's flag may have been stored with any order: this makes it the first of the two steps.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (!inside_.load(std::memory_order_seq_cst)) return;
  set_immediate_exit(1);
  const pid_t thread = thread_.load(std::memory_order_seq_cst);
  if (thread == own_thread()) return;
  // The thread may have ended meanwhile; then nobody, or another thread's empty handler, takes the signal.
  ::syscall(SYS_tgkill, ::getpid(), thread, kick_signal());
}

void VcpuRun::prepare() {
  inside_.store(true, std::memory_order_seq_cst);
  while (gate_.closed()) [[unlikely]] {
    inside_.store(false, std::memory_order_seq_cst);
    gate_.wait_open();
    inside_.store(true, std::memory_order_seq_cst);
  }
}

int VcpuRun::enter() {
  const int result = ::ioctl(fd_.get(), KVM_RUN, 0);
  const int error = result < 0 ? errno : 0;
  inside_.store(false, std::memory_order_release);
  if (deferred_ != nullptr && deferred_->pending()) deferred_->drain();
  if (error == 0) {
    count(page_->exit_reason);
    return 0;
  }
  if (error == EINTR || error == EAGAIN) {
    set_immediate_exit(0);
    count(kInterrupted);
    return EINTR;
  }
  return error;
}

// `immediate_exit` ends KVM_RUN before it looks at anything. A signal that is pending, blocked for this thread and let
// in by KVM_RUN's own mask (KVM_SET_SIGNAL_MASK) ends it where guest code would begin; its handler never runs.
int VcpuRun::enter_interrupted() {
  sigset_t kick;
  sigset_t before;
  sigemptyset(&kick);
  sigaddset(&kick, kick_signal());
  ::pthread_sigmask(SIG_BLOCK, &kick, &before);
  sigset_t inside = before;
  sigdelset(&inside, kick_signal());
  // The kernel's sigset_t: 64 signals.
  std::array<u8, sizeof(kvm_signal_mask) + sizeof(u64)> mask{};
  const u32 length = sizeof(u64);
  std::memcpy(mask.data(), &length, sizeof length);
  std::memcpy(mask.data() + sizeof(kvm_signal_mask), &inside, sizeof(u64));
  ::ioctl(fd_.get(), KVM_SET_SIGNAL_MASK, mask.data());
  ::syscall(SYS_tgkill, ::getpid(), own_thread(), kick_signal());
  const int result = enter();
  ::ioctl(fd_.get(), KVM_SET_SIGNAL_MASK, nullptr);
  const timespec now{};
  while (::sigtimedwait(&kick, nullptr, &now) > 0) {
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return result;
}

std::string exit_name(u32 reason) {
  switch (reason) {
#define SOLDER_EXIT(name) \
  case KVM_EXIT_##name:   \
    return #name
    SOLDER_EXIT(UNKNOWN);
    SOLDER_EXIT(EXCEPTION);
    SOLDER_EXIT(IO);
    SOLDER_EXIT(HYPERCALL);
    SOLDER_EXIT(DEBUG);
    SOLDER_EXIT(HLT);
    SOLDER_EXIT(MMIO);
    SOLDER_EXIT(IRQ_WINDOW_OPEN);
    SOLDER_EXIT(SHUTDOWN);
    SOLDER_EXIT(FAIL_ENTRY);
    SOLDER_EXIT(INTR);
    SOLDER_EXIT(SET_TPR);
    SOLDER_EXIT(TPR_ACCESS);
    SOLDER_EXIT(NMI);
    SOLDER_EXIT(INTERNAL_ERROR);
    SOLDER_EXIT(SYSTEM_EVENT);
    SOLDER_EXIT(IOAPIC_EOI);
    SOLDER_EXIT(ARM_NISV);
    SOLDER_EXIT(X86_RDMSR);
    SOLDER_EXIT(X86_WRMSR);
    SOLDER_EXIT(DIRTY_RING_FULL);
    SOLDER_EXIT(X86_BUS_LOCK);
    SOLDER_EXIT(NOTIFY);
#undef SOLDER_EXIT
    default:
      return "exit " + std::to_string(reason);
  }
}

}  // namespace solder::accel::kvm
