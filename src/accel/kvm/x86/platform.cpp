// x86 hosts: what a VM needs before its CPUs, the CPUs, and the interrupt controllers in the kernel.
#include "accel/kvm/platform.h"

#include <fmt/core.h>

#include <algorithm>

#include "accel/kvm/x86/cpuid.h"
#include "accel/kvm/x86/kernel_devices.h"
#include "accel/kvm/x86/vcpu.h"

namespace solder::accel::kvm {

namespace x86 {
namespace {

// Pages that processors without unrestricted guests need for real mode (KVM_SET_IDENTITY_MAP_ADDR: one;
// KVM_SET_TSS_ADDR: three). Between the I/O APIC's neighbourhood and the firmware, where no board has anything.
constexpr u64 kIdentityMap = 0xfeffc000;
constexpr u64 kTaskState = 0xfeffd000;

class X86Platform final : public Platform {
 public:
  X86Platform(Vm& vm, RunGate& gate) : vm_(vm), gate_(gate), controllers_(vm) {}

  Status prepare() {
    if (vm_.check(KVM_CAP_SET_IDENTITY_MAP_ADDR) != 0) {
      u64 address = kIdentityMap;
      SOLDER_TRY_STATUS(vm_.call(SOLDER_KVM(KVM_SET_IDENTITY_MAP_ADDR), &address));
    }
    if (vm_.check(KVM_CAP_SET_TSS_ADDR) != 0) {
      SOLDER_TRY_STATUS(vm_.call(SOLDER_KVM(KVM_SET_TSS_ADDR), static_cast<unsigned long>(kTaskState)));
    }
    return {};
  }

  Result<std::unique_ptr<cpu::Vcpu>> create_vcpu(const cpu::CpuRequest& request) override {
    if (!runs(request.compatible)) {
      return fail("", "KVM on this host runs x86-64 CPUs, not one with compatible \"" + request.compatible + "\"",
                  "use --accel translator");
    }
    const int limit = vm_.check(KVM_CAP_MAX_VCPU_ID);
    if (request.hardware_id >= static_cast<u64>(limit != 0 ? limit : vm_.check(KVM_CAP_NR_VCPUS))) {
      return fail("", fmt::format("KVM on this host has no CPU with the APIC ID {}", request.hardware_id));
    }
    if (request.index == 0 && request.hardware_id != 0) {
      SOLDER_TRY_STATUS(vm_.call(SOLDER_KVM(KVM_SET_BOOT_CPU_ID), static_cast<unsigned long>(request.hardware_id)));
    }
    const VcpuOptions options = options_now();
    auto vcpu = SOLDER_TRY(
        X86Vcpu::create(vm_, gate_, options, request, [this, options](X86Vcpu& cpu) { return finish(cpu, options); }));
    ++cpus_;
    highest_apic_id_ = std::max(highest_apic_id_, static_cast<u32>(request.hardware_id));
    return vcpu;
  }

  device::KernelDevices* kernel_devices() override { return &controllers_; }
  // INIT and start-up go through the local APICs: where these are, there the other CPUs wait.
  bool parks_cpus() const override { return controllers_.mode() != IrqchipMode::user; }

 private:
  [[nodiscard]] VcpuOptions options_now() const {
    return {.kernel_lapic = controllers_.mode() != IrqchipMode::user,
            .kernel_pic = controllers_.mode() == IrqchipMode::kernel};
  }

  // Before a CPU runs first, when all are known.
  Status finish(const X86Vcpu& cpu, const VcpuOptions& options) {
    if (supported_.empty()) supported_ = SOLDER_TRY(supported_cpuid(vm_));
    const CpuidOptions cpuid{
        .apic_id = cpu.apic_id(),
        .highest_apic_id = highest_apic_id_,
        .cpus = cpus_,
        .tsc_deadline = options.kernel_lapic ? vm_.check(KVM_CAP_TSC_DEADLINE_TIMER) != 0 : cpu.read_tsc().has_value()};
    return set_cpuid(cpu.fd(), make_cpuid(supported_, cpuid));
  }

  Vm& vm_;
  RunGate& gate_;
  KernelControllers controllers_;
  std::vector<kvm_cpuid_entry2> supported_;
  u32 cpus_ = 0;
  u32 highest_apic_id_ = 0;
};

}  // namespace
}  // namespace x86

bool Platform::runs(std::string_view compatible) {
  return compatible == "x86-64";
}

Result<std::unique_ptr<Platform>> Platform::create(Vm& vm, RunGate& gate) {
  auto platform = std::make_unique<x86::X86Platform>(vm, gate);
  SOLDER_TRY_STATUS(platform->prepare());
  return platform;
}

}  // namespace solder::accel::kvm
