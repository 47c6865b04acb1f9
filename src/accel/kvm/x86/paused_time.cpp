#include "accel/kvm/x86/paused_time.h"

#include <fmt/core.h>
#include <sys/ioctl.h>

#include <cstring>

#include "accel/kvm/x86/msr.h"
#include "base/log.h"

namespace solder::accel::kvm::x86 {

namespace {

constexpr u32 kMsrTsc = 0x10;
constexpr u32 kMsrTscDeadline = 0x6e0;
// A counter of the i8254 in this mode waits for its gate, and KVM has no timer for it (i8254.c, pit_load_count).
constexpr u8 kWaitsForGate = 5;

// Registers of the local APIC's page (Intel SDM volume 3, table 11-1).
constexpr u32 kRequests = 0x200, kLvtTimer = 0x320, kCurrentCount = 0x390;
u32 word(const kvm_lapic_state& page, u32 offset) {
  u32 out = 0;
  std::memcpy(&out, &page.regs[offset], sizeof out);
  return out;
}

// 0 for one that this KVM does not have.
u64 get_msr(int fd, u32 msr) {
  return read_msr(fd, msr).value_or(0);
}
void set_msr(int fd, u32 msr, u64 value) {
  if (const Status done = write_msr(fd, msr, value); !done) log::warn(done.error().text());
}

}  // namespace

PausedTime::PausedTime(const Vm& vm, bool kernel_lapic, bool kernel_pit) : vm_(vm), kernel_lapic_(kernel_lapic) {
  for (u32 i = 0; vm.vcpu_fd(i) >= 0; ++i) {
    Cpu cpu;
    cpu.fd = vm.vcpu_fd(i);
    cpu.tsc = get_msr(cpu.fd, kMsrTsc);
    if (kernel_lapic) {
      if (::ioctl(cpu.fd, KVM_GET_LAPIC, &cpu.apic) != 0) cpu.apic = {};
      cpu.deadline = get_msr(cpu.fd, kMsrTscDeadline);
    }
    // One that has passed, and whose interrupt KVM has not yet sent, is sent when the deadline is set again.
    if (cpu.deadline != 0) set_msr(cpu.fd, kMsrTscDeadline, 0);
    cpus_.push_back(cpu);
  }
  if (vm.check(KVM_CAP_ADJUST_CLOCK) != 0) {
    clock_.emplace();
    if (!vm.call(SOLDER_KVM(KVM_GET_CLOCK), &*clock_)) clock_.reset();
  }
  if (!kernel_pit) return;
  pit_.emplace();
  if (!vm.call(SOLDER_KVM(KVM_GET_PIT2), &*pit_)) {
    pit_.reset();
    return;
  }
  kvm_pit_state2 still = *pit_;
  still.channels[0].mode = kWaitsForGate;
  if (const Status done = vm.call(SOLDER_KVM(KVM_SET_PIT2), &still); !done) log::warn(done.error().text());
}

// The offset of each counter goes back by what one of them has counted meanwhile, so that they stay in step
// (Documentation/virt/kvm/devices/vcpu.rst, section 4). Writing the counters would not do: KVM takes values that are
// near to what it expects for an attempt to synchronize them (x86.c, kvm_synchronize_tsc).
void PausedTime::move_counters_back() const {
  if (cpus_.empty()) return;
  u64 offset = 0;
  kvm_device_attr attribute{};
  attribute.group = KVM_VCPU_TSC_CTRL;
  attribute.attr = KVM_VCPU_TSC_OFFSET;
  attribute.addr = reinterpret_cast<u64>(&offset);
  // Linux before 5.16 has none: the counters run on then.
  if (::ioctl(cpus_[0].fd, KVM_HAS_DEVICE_ATTR, &attribute) != 0) return;
  const u64 passed = get_msr(cpus_[0].fd, kMsrTsc) - cpus_[0].tsc;
  for (const Cpu& cpu : cpus_) {
    if (::ioctl(cpu.fd, KVM_GET_DEVICE_ATTR, &attribute) != 0) continue;
    offset -= passed;
    if (::ioctl(cpu.fd, KVM_SET_DEVICE_ATTR, &attribute) != 0)
      log::warn("KVM refuses to set the offset of a time-stamp counter");
  }
}

// A timer that ran out in the pause has left no trace: KVM sends its interrupt when the CPU runs. One that KVM has sent
// all the same (with hardware that delivers it without the CPU's exit) stays as it is.
void PausedTime::set_timer_back(const Cpu& cpu) const {
  const u32 count = word(cpu.apic, kCurrentCount);
  if (count == 0) return;
  kvm_lapic_state now{};
  if (::ioctl(cpu.fd, KVM_GET_LAPIC, &now) != 0) return;
  const u32 vector = word(now, kLvtTimer) & 0xff;
  const u32 at = kRequests + 0x10 * (vector / 32);
  if (((word(now, at) ^ word(cpu.apic, at)) >> vector % 32 & 1) != 0) return;
  std::memcpy(&now.regs[kCurrentCount], &count, sizeof count);
  if (::ioctl(cpu.fd, KVM_SET_LAPIC, &now) != 0) log::warn("KVM refuses to set a local APIC's timer back");
}

void PausedTime::end(bool saving) const {
  move_counters_back();
  if (clock_) {
    // Its flags and host times are KVM's answer, and would move the clock on.
    kvm_clock_data then{};
    then.clock = clock_->clock;
    if (const Status done = vm_.call(SOLDER_KVM(KVM_SET_CLOCK), &then); !done) log::warn(done.error().text());
  }
  if (pit_) {
    kvm_pit_state2 then = *pit_;
    if (const Status done = vm_.call(SOLDER_KVM(KVM_SET_PIT2), &then); !done) log::warn(done.error().text());
  }
  for (const Cpu& cpu : cpus_) {
    if (cpu.deadline != 0) set_msr(cpu.fd, kMsrTscDeadline, cpu.deadline);
    if (saving && kernel_lapic_) set_timer_back(cpu);
  }
}

}  // namespace solder::accel::kvm::x86
