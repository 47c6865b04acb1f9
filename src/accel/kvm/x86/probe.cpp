#include "accel/kvm/probe.h"

#include <fmt/core.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <ctime>
#include <limits>

#include "accel/kvm/run_gate.h"
#include "accel/kvm/vcpu_run.h"
#include "models/apic/ioapic_state.h"

namespace solder::accel::kvm {

namespace {

using std::chrono::steady_clock;
using Microseconds = std::chrono::duration<double, std::micro>;

constexpr usize kPage = 4096;
// Much slower than the processor: emulated. An emulator that decodes each instruction is hundreds of times slower; a
// busy host is not ten times slower in the best of several rounds.
constexpr double kSlow = 10;

/// One page of guest memory.
class Page {
 public:
  Page() : at_(::mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) {}
  ~Page() {
    if (at_ != MAP_FAILED) ::munmap(at_, kPage);
  }
  Page(const Page&) = delete;
  Page& operator=(const Page&) = delete;
  [[nodiscard]] u8* get() const { return at_ == MAP_FAILED ? nullptr : static_cast<u8*>(at_); }

 private:
  void* at_;
};

/// Real mode, CPL 0: counts ECX down, then leaves by a port that every KVM exits for.
constexpr std::array<u8, 8> kLoop{0x66, 0x49,   // 0: dec ecx
                                  0x75, 0xfc,   // jnz 0
                                  0xe6, 0x80,   // out 0x80, al
                                  0xeb, 0xfe};  // not reached

/// Processor time of the calling thread, KVM's work for it included. When it is used up, KVM_RUN returns.
class TimeLimit {
 public:
  explicit TimeLimit(std::chrono::nanoseconds limit) : end_(now() + std::max<i64>(limit.count(), 1)) {
    sigevent event{};
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = VcpuRun::signal();
    event._sigev_un._tid = static_cast<pid_t>(::syscall(SYS_gettid));
    armed_ = ::timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &timer_) == 0;
    // Again and again: one that comes just before KVM_RUN is lost.
    itimerspec times{{0, 1'000'000}, {end_ / 1'000'000'000, end_ % 1'000'000'000}};
    if (armed_) ::timer_settime(timer_, TIMER_ABSTIME, &times, nullptr);
  }
  ~TimeLimit() {
    if (armed_) ::timer_delete(timer_);
  }
  TimeLimit(const TimeLimit&) = delete;
  TimeLimit& operator=(const TimeLimit&) = delete;
  [[nodiscard]] bool passed() const { return now() >= end_; }

 private:
  static i64 now() {
    timespec time{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return i64{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
  }
  i64 end_;
  timer_t timer_{};
  bool armed_ = false;
};

constexpr double kForEver = std::numeric_limits<double>::infinity();

class TimedGuest {
 public:
  [[nodiscard]] Status make(const std::string& path) {
    vm_ = SOLDER_TRY(Vm::open(path));
    if (page_.get() == nullptr) return fail("", "no memory");
    std::copy(kLoop.begin(), kLoop.end(), page_.get());
    kvm_userspace_memory_region region{};
    region.memory_size = kPage;
    region.userspace_addr = reinterpret_cast<u64>(page_.get());
    SOLDER_TRY_STATUS(vm_->call(SOLDER_KVM(KVM_SET_USER_MEMORY_REGION), &region));
    // For the host's sake: the first vCPU without a local APIC in KVM, and the end of the last one, have Linux patch
    // KVM's code and interrupt every CPU for it (the static key kvm_has_noapic_vcpu).
    if (vm_->check(KVM_CAP_SPLIT_IRQCHIP) != 0) {
      SOLDER_TRY_STATUS(vm_->enable(KVM_CAP_SPLIT_IRQCHIP, "KVM_CAP_SPLIT_IRQCHIP", models::apic::kIoApicPins));
    }
    vcpu_ = SOLDER_TRY(VcpuRun::create(*vm_, gate_, 0));
    vcpu_->bind_thread();
    kvm_sregs sregs{};
    SOLDER_TRY_STATUS(control(vcpu_->fd(), SOLDER_KVM(KVM_GET_SREGS), &sregs));
    sregs.cs.selector = 0;
    sregs.cs.base = 0;
    SOLDER_TRY_STATUS(control(vcpu_->fd(), SOLDER_KVM(KVM_SET_SREGS), &sregs));
    return {};
  }

  /// Microseconds for `rounds` of the loop, entry and exit included; for ever, when the limit has passed.
  [[nodiscard]] Result<double> run(u32 rounds, const TimeLimit& limit) {
    kvm_regs regs{};
    regs.rcx = rounds;
    regs.rflags = 2;
    SOLDER_TRY_STATUS(control(vcpu_->fd(), SOLDER_KVM(KVM_SET_REGS), &regs));
    const auto begin = steady_clock::now();
    int error = 0;
    do {
      error = ::ioctl(vcpu_->fd(), KVM_RUN, 0) < 0 ? errno : 0;
    } while (error == EINTR && !limit.passed());
    const Microseconds taken = steady_clock::now() - begin;
    if (error == EINTR || (error == 0 && limit.passed())) return kForEver;
    if (error != 0) return ioctl_error(SOLDER_KVM(KVM_RUN), error);
    if (vcpu_->page().exit_reason != KVM_EXIT_IO) {
      return fail("KVM", "a loop of three instructions ended with KVM_EXIT_" + exit_name(vcpu_->page().exit_reason));
    }
    return taken.count();
  }

 private:
  Page page_;  // outlives the VM
  std::unique_ptr<Vm> vm_;
  RunGate gate_;
  std::unique_ptr<VcpuRun> vcpu_;
};

/// Microseconds for `rounds` of the loop in this process. As many as the clock can tell from none.
double host_loop(u32 rounds) {
  constexpr u32 kLeast = 1u << 16;
  const double scale = rounds < kLeast ? static_cast<double>(rounds) / kLeast : 1;
  rounds = std::max(rounds, kLeast);
  const auto begin = steady_clock::now();
  __asm__ volatile(
      "1: decl %0\n"
      "jnz 1b\n"
      : "+r"(rounds)
      :
      : "cc");
  return Microseconds(steady_clock::now() - begin).count() * scale;
}

/// How many times longer the guest takes for the loop than this process.
Result<double> measure(TimedGuest& guest, std::chrono::nanoseconds most) {
  const TimeLimit limit(most);
  const auto begin = steady_clock::now();
  (void)SOLDER_TRY(guest.run(1, limit));  // the first entry builds tables
  constexpr double kPatience = 5000;
  // What the loop must take beyond an exit, microseconds, to stand out from the exit's own ups and downs. An emulator
  // of 1 MIPS takes it for 75 rounds, a processor for some hundred thousand.
  constexpr double kEnough = 150;
  constexpr u32 kMostRounds = 1'000'000;
  for (u32 rounds = 128;; rounds *= 4) {
    double in_guest = SOLDER_TRY(guest.run(rounds, limit));
    double empty = SOLDER_TRY(guest.run(1, limit));
    if (limit.passed()) return kForEver;
    const auto enough = [&] { return in_guest - empty >= std::max(kEnough, empty); };
    const bool last = rounds >= kMostRounds;
    if (!enough() && !last) continue;
    double here = host_loop(rounds);
    // The best of three; on a host so busy that one takes long, of fewer.
    for (int again = 0; again < 2 && Microseconds(steady_clock::now() - begin).count() < kPatience; ++again) {
      in_guest = std::min(in_guest, SOLDER_TRY(guest.run(rounds, limit)));
      empty = std::min(empty, SOLDER_TRY(guest.run(1, limit)));
      here = std::min(here, host_loop(rounds));
    }
    // Another process had the CPU in the first one.
    if (!enough() && !last) continue;
    return std::max(in_guest - empty, 0.001) / std::max(here, 0.001);
  }
}

}  // namespace

Probe probe(const std::string& path, std::chrono::nanoseconds limit) {
  const auto guest = std::make_shared<TimedGuest>();
  if (const Status made = guest->make(path); !made) {
    return {false, false, made.error().where + ": " + made.error().what, made.error().fix};
  }
  const auto ratio = measure(*guest, limit);
  if (!ratio) return {false, false, "KVM does not run code: " + ratio.error().what, "use --accel translator"};
  if (*ratio == kForEver)
    return {true,
            false,
            fmt::format("KVM on this host emulates kernel-mode code: it did not get through a short loop in {} ms",
                        std::chrono::duration<double, std::milli>(limit).count()),
            {},
            guest};
  if (*ratio <= kSlow) return {true, true, "KVM runs kernel-mode code at the processor's speed", {}, guest};
  return {true,
          false,
          fmt::format("KVM on this host emulates kernel-mode code: it takes {:.0f} times as long as the processor "
                      "itself, and may fail on instructions that its emulator lacks",
                      *ratio),
          {},
          guest};
}

}  // namespace solder::accel::kvm
