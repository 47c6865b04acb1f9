#include "accel/kvm/x86/cpu_state.h"

#include <fmt/core.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "accel/kvm/x86/msr.h"

namespace solder::accel::kvm::x86 {

namespace {

/// kvm_msrs: a header, then entries.
struct MsrBuffer {
  explicit MsrBuffer(usize count) : words((sizeof(kvm_msrs) + count * sizeof(kvm_msr_entry)) / sizeof(u64)) {}
  kvm_msrs& header() { return *reinterpret_cast<kvm_msrs*>(words.data()); }
  kvm_msr_entry* entries() { return header().entries; }
  std::vector<u64> words;
};

}  // namespace

StateAccess::StateAccess(const Vm& vm, int fd, bool kernel_lapic)
    : vm_(vm),
      fd_(fd),
      kernel_lapic_(kernel_lapic),
      xsave_size_(static_cast<usize>(std::max(vm.check(KVM_CAP_XSAVE2), static_cast<int>(sizeof(kvm_xsave))))),
      has_xcrs_(vm.check(KVM_CAP_XCRS) != 0) {}

Result<u64> StateAccess::read_msr(u32 msr) const {
  return x86::read_msr(fd_, msr);
}

Status StateAccess::list_msrs() {
  kvm_msr_list count{};
  // With no room it says how many there are, and E2BIG.
  if (::ioctl(vm_.system_fd(), KVM_GET_MSR_INDEX_LIST, &count) < 0 && errno != E2BIG) {
    return ioctl_error(SOLDER_KVM(KVM_GET_MSR_INDEX_LIST), errno);
  }
  std::vector<u32> buffer(1 + count.nmsrs);
  buffer[0] = count.nmsrs;
  SOLDER_TRY_STATUS(control(vm_.system_fd(), SOLDER_KVM(KVM_GET_MSR_INDEX_LIST), buffer.data()));
  std::vector<u32> all(buffer.begin() + 1, buffer.begin() + 1 + std::min<u32>(buffer[0], count.nmsrs));
  // Some exist only with CPUID bits that this vCPU has not: KVM_GET_MSRS stops at the first of these.
  for (usize next = 0; next < all.size();) {
    MsrBuffer buffered(all.size() - next);
    buffered.header().nmsrs = static_cast<u32>(all.size() - next);
    for (usize i = next; i < all.size(); ++i) buffered.entries()[i - next].index = all[i];
    const int done = ::ioctl(fd_, KVM_GET_MSRS, buffered.words.data());
    if (done < 0) return ioctl_error(SOLDER_KVM(KVM_GET_MSRS), errno);
    const auto good = std::min(static_cast<usize>(done), all.size() - next);
    msr_list_.insert(msr_list_.end(), all.begin() + static_cast<long>(next),
                     all.begin() + static_cast<long>(next + good));
    next += good + 1;
  }
  return {};
}

Status StateAccess::read_msrs(std::vector<kvm_msr_entry>& msrs) {
  if (msr_list_.empty()) SOLDER_TRY_STATUS(list_msrs());
  MsrBuffer buffer(msr_list_.size());
  buffer.header().nmsrs = static_cast<u32>(msr_list_.size());
  for (usize i = 0; i < msr_list_.size(); ++i) buffer.entries()[i].index = msr_list_[i];
  const auto done = static_cast<usize>(SOLDER_TRY(control(fd_, SOLDER_KVM(KVM_GET_MSRS), buffer.words.data())));
  msrs.assign(buffer.entries(), buffer.entries() + std::min(done, msr_list_.size()));
  if (done < msr_list_.size()) {
    return fail("KVM", fmt::format("KVM_GET_MSRS does not read MSR {:#x}", msr_list_[done]));
  }
  return {};
}

Status StateAccess::write_msrs(std::span<const kvm_msr_entry> msrs) {
  while (!msrs.empty()) {
    MsrBuffer buffer(msrs.size());
    buffer.header().nmsrs = static_cast<u32>(msrs.size());
    std::copy(msrs.begin(), msrs.end(), buffer.entries());
    const auto done = static_cast<usize>(SOLDER_TRY(control(fd_, SOLDER_KVM(KVM_SET_MSRS), buffer.words.data())));
    if (done >= msrs.size()) return {};
    const auto now = read_msr(msrs[done].index);
    if (!now || *now != msrs[done].data) {
      return fail("KVM", fmt::format("KVM_SET_MSRS does not take {:#x} for MSR {:#x}", msrs[done].data,
                                     static_cast<u32>(msrs[done].index)));
    }
    msrs = msrs.subspan(done + 1);
  }
  return {};
}

Result<CpuState> StateAccess::read() {
  CpuState state;
  // mp_state first: reading it lets KVM take a pending INIT or start-up IPI, which changes the rest.
  SOLDER_TRY_STATUS(control(fd_, SOLDER_KVM(KVM_GET_MP_STATE), &state.mp));
  SOLDER_TRY_STATUS(control(fd_, SOLDER_KVM(KVM_GET_REGS), &state.regs));
  SOLDER_TRY_STATUS(control(fd_, SOLDER_KVM(KVM_GET_SREGS), &state.sregs));
  SOLDER_TRY_STATUS(control(fd_, SOLDER_KVM(KVM_GET_DEBUGREGS), &state.debug));
  if (has_xcrs_) SOLDER_TRY_STATUS(control(fd_, SOLDER_KVM(KVM_GET_XCRS), &state.xcrs));
  SOLDER_TRY_STATUS(control(fd_, SOLDER_KVM(KVM_GET_VCPU_EVENTS), &state.events));
  state.xsave.resize(xsave_size_);
  const Request get_xsave = xsave_size_ > sizeof(kvm_xsave) ? SOLDER_KVM(KVM_GET_XSAVE2) : SOLDER_KVM(KVM_GET_XSAVE);
  SOLDER_TRY_STATUS(control(fd_, get_xsave, state.xsave.data()));
  SOLDER_TRY_STATUS(read_msrs(state.msrs));
  return state;
}

Status StateAccess::write(const CpuState& state, bool msrs) {
  CpuState copy = state;  // ioctls take their arguments as not const
  // What is being delivered is told by the events; the bitmap of sregs would queue it a second time.
  std::memset(copy.sregs.interrupt_bitmap, 0, sizeof copy.sregs.interrupt_bitmap);
  SOLDER_TRY_STATUS(control(fd_, SOLDER_KVM(KVM_SET_SREGS), &copy.sregs));
  if (has_xcrs_) SOLDER_TRY_STATUS(control(fd_, SOLDER_KVM(KVM_SET_XCRS), &copy.xcrs));
  SOLDER_TRY_STATUS(control(fd_, SOLDER_KVM(KVM_SET_XSAVE), copy.xsave.data()));
  SOLDER_TRY_STATUS(control(fd_, SOLDER_KVM(KVM_SET_REGS), &copy.regs));
  SOLDER_TRY_STATUS(control(fd_, SOLDER_KVM(KVM_SET_DEBUGREGS), &copy.debug));
  if (msrs) SOLDER_TRY_STATUS(write_msrs(copy.msrs));
  // Last: the calls above drop pending events.
  SOLDER_TRY_STATUS(control(fd_, SOLDER_KVM(KVM_SET_VCPU_EVENTS), &copy.events));
  if (kernel_lapic_) SOLDER_TRY_STATUS(control(fd_, SOLDER_KVM(KVM_SET_MP_STATE), &copy.mp));
  return {};
}

}  // namespace solder::accel::kvm::x86
