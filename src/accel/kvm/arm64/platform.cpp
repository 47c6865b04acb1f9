// arm64 hosts: what a VM needs before its CPUs, the CPUs, and the devices in the kernel.
#include "accel/kvm/platform.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "accel/kvm/arm64/kernel_devices.h"
#include "accel/kvm/arm64/vcpu.h"

namespace solder::accel::kvm {

namespace arm64 {
namespace {

/// Vendors whose CPU nodes are AArch64 cores, as the translator has them: the node says which core a board has, and
/// what runs is the host's.
constexpr std::array<std::string_view, 14> kVendors = {"arm,",       "qcom,",    "nvidia,",  "apple,",      "brcm,",
                                                       "cavium,",    "fujitsu,", "marvell,", "ampere,",     "phytium,",
                                                       "hisilicon,", "samsung,", "apm,",     "solder,arm64"};

class Arm64Platform final : public Platform {
 public:
  Arm64Platform(Vm& vm, RunGate& gate) : vm_(vm), gate_(gate), devices_(vm) {}

  Status prepare() {
    if (vm_.check(KVM_CAP_ONE_REG) == 0 || vm_.check(KVM_CAP_ARM_PSCI_0_2) == 0 || vm_.check(KVM_CAP_MP_STATE) == 0) {
      return fail("KVM", "this host's kernel is too old", "use Linux 4.13 or later");
    }
    // Accesses that the processor does not describe come here and are told, instead of failing KVM_RUN.
    if (vm_.check(KVM_CAP_ARM_NISV_TO_USER) == 0) return {};
    return vm_.enable(KVM_CAP_ARM_NISV_TO_USER, "KVM_CAP_ARM_NISV_TO_USER");
  }

  Result<std::unique_ptr<cpu::Vcpu>> create_vcpu(const cpu::CpuRequest& request) override {
    if (!runs(request.compatible)) {
      return fail("", "KVM on this host runs arm64 CPUs, not one with compatible \"" + request.compatible + "\"",
                  "use --accel translator");
    }
    constexpr u32 kMostCpusV2 = 8;
    if (devices_.gic_version() == 2 && request.index >= kMostCpusV2) {
      return fail("", "a GICv2 serves at most 8 CPUs", "use \"arm,gic-v3\" or fewer CPUs");
    }
    const int limit = vm_.check(KVM_CAP_MAX_VCPUS);
    if (limit > 0 && request.index >= static_cast<u32>(limit)) {
      return fail("", fmt::format("KVM on this host runs at most {} CPUs a machine", limit), "use fewer CPUs");
    }
    return Arm64Vcpu::create(vm_, gate_, {.kernel_gic = devices_.gic_version() != 0, .pmu = devices_.wants_pmu()},
                             request);
  }

  device::KernelDevices* kernel_devices() override { return &devices_; }
  // PSCI is KVM's, so CPU_ON is too.
  bool parks_cpus() const override { return true; }

 private:
  Vm& vm_;
  RunGate& gate_;
  KernelDevices devices_;
};

}  // namespace
}  // namespace arm64

bool Platform::runs(std::string_view compatible) {
  return std::ranges::any_of(arm64::kVendors, [&](std::string_view vendor) { return compatible.starts_with(vendor); });
}

Result<std::unique_ptr<Platform>> Platform::create(Vm& vm, RunGate& gate) {
  auto platform = std::make_unique<arm64::Arm64Platform>(vm, gate);
  SOLDER_TRY_STATUS(platform->prepare());
  return platform;
}

}  // namespace solder::accel::kvm
