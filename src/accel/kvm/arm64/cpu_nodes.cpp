// Nodes that describe parts of the CPUs: with the GIC in the kernel their interrupts never come to this process.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

#include "accel/kvm/arm64/kernel_devices.h"

namespace solder::accel::kvm::arm64 {

namespace {

constexpr u32 kFirstPpi = 16;
constexpr u32 kFirstSpi = 32;

u64 host_timer_hz() {
  u64 hz = 0;
  __asm__ volatile("mrs %0, cntfrq_el0" : "=r"(hz));
  return hz;
}

/// The GIC's number of the node's `index`-th interrupt; none: it goes to another controller than KVM's.
Result<std::optional<u32>> interrupt_id(device::Ports& ports, u32 index, u32 cpu) {
  const auto input = SOLDER_TRY(ports.interrupt_input(index, cpu));
  if (!input.in_kernel) return std::nullopt;
  return input.pin & 0xffff;  // models::gic::pin_of
}

/// "arm,armv8-timer": KVM has the virtual and the physical timer of EL1, on PPIs of its own unless told otherwise.
class Timer final : public device::Device {
 public:
  Timer(device::Ports& ports, KernelDevices& kernel) : ports_(ports), kernel_(kernel) {}

  Status start() override {
    const tree::Node& node = ports_.node();
    // Guests believe the tree's rate before CNTFRQ_EL0 (binding timer/arm,arch_timer).
    if (const auto hz = node.u32_value("clock-frequency"); hz && *hz != 0 && *hz != host_timer_hz()) {
      return fail(node.place("clock-frequency"),
                  fmt::format("says {} Hz, but this host's timers, which KVM gives the guest, run at {} Hz", *hz,
                              host_timer_hz()),
                  "remove the property");
    }
    static constexpr std::array<std::string_view, 4> kNames = {"sec-phys", "phys", "virt", "hyp-phys"};
    const std::vector<std::string> names = node.string_list("interrupt-names");
    for (u32 i = 0; i < ports_.interrupt_count(); ++i) {
      usize which = i;
      if (i < names.size()) which = static_cast<usize>(std::ranges::find(kNames, names[i]) - kNames.begin());
      if (which == 1) SOLDER_TRY_STATUS(set(i, KVM_ARM_VCPU_TIMER_IRQ_PTIMER));
      if (which == 2) SOLDER_TRY_STATUS(set(i, KVM_ARM_VCPU_TIMER_IRQ_VTIMER));
    }
    return {};
  }

 private:
  // One number serves all CPUs, whichever it is told for.
  Status set(u32 index, u32 attribute) {
    const std::string where = ports_.node().place("interrupts");
    const auto id = SOLDER_TRY(interrupt_id(ports_, index, 0));
    if (!id || *id >= kFirstSpi) return fail(where, "a CPU's timer has a PPI of the CPUs' GIC", "use a PPI");
    const int cpu = kernel_.vm().vcpu_fd(0);
    u32 now = 0;
    SOLDER_TRY_STATUS(get_attribute(cpu, KVM_ARM_VCPU_TIMER_CTRL, attribute, &now));
    if (now == *id) return {};
    if (auto done = set_attribute(cpu, KVM_ARM_VCPU_TIMER_CTRL, attribute, &*id); !done) {
      return fail(where, fmt::format("KVM does not take PPI {} for a timer: {}", *id - kFirstPpi, done.error().what),
                  "use another PPI");
    }
    return {};
  }

  device::Ports& ports_;
  KernelDevices& kernel_;
};

/// "arm,armv8-pmuv3", binding arm/pmu: a PPI for all CPUs, or an SPI for each in the order of interrupt-affinity.
class Pmu final : public device::Device {
 public:
  Pmu(device::Ports& ports, KernelDevices& kernel) : ports_(ports), kernel_(kernel) {}

  Status start() override {
    if (!kernel_.wants_pmu()) return {};
    const std::string where = ports_.node().place("interrupts");
    for (u32 cpu = 0; cpu < ports_.cpu_count(); ++cpu) {
      const auto index = interrupt_of(cpu);
      if (!index) {
        return fail(where, fmt::format("no interrupt is for cpu {}", cpu),
                    "give the PMU a PPI, or an interrupt for each CPU");
      }
      const auto id = SOLDER_TRY(interrupt_id(ports_, *index, cpu));
      if (!id) return fail(where, "a CPU's PMU interrupts at the CPUs' GIC", "use an interrupt of that");
      const int fd = kernel_.vm().vcpu_fd(cpu);
      if (auto done = set_attribute(fd, KVM_ARM_VCPU_PMU_V3_CTRL, KVM_ARM_VCPU_PMU_V3_IRQ, &*id); !done) {
        return fail(where, fmt::format("KVM does not take interrupt id {} for a PMU: {}", *id, done.error().what),
                    "use a PPI that is free");
      }
      SOLDER_TRY_STATUS(set_attribute(fd, KVM_ARM_VCPU_PMU_V3_CTRL, KVM_ARM_VCPU_PMU_V3_INIT, nullptr));
    }
    return {};
  }

 private:
  [[nodiscard]] std::optional<u32> interrupt_of(u32 cpu) const {
    const u32 count = ports_.interrupt_count();
    const tree::Node& node = ports_.node();
    if (!node.has("interrupt-affinity")) {
      if (count == 1) return 0;
      return cpu < count ? std::optional(cpu) : std::nullopt;
    }
    const u32 phandle = cpu_phandle(cpu);
    const std::vector<u32> affinity = node.cell_list("interrupt-affinity");
    const auto at = std::ranges::find(affinity, phandle);
    const u32 index = static_cast<u32>(at - affinity.begin());
    return phandle != 0 && index < count ? std::optional(index) : std::nullopt;
  }

  /// 0: nothing refers to it.
  [[nodiscard]] u32 cpu_phandle(u32 cpu) const {
    const tree::Node* root = &ports_.node();
    while (root->parent() != nullptr) root = root->parent();
    const tree::Node* cpus = root->child("cpus");
    if (cpus == nullptr) return 0;
    for (const auto& child : cpus->children()) {
      if (child->string("device_type") != "cpu" || !child->enabled()) continue;
      if (cpu == 0) return child->phandle();
      --cpu;
    }
    return 0;
  }

  device::Ports& ports_;
  KernelDevices& kernel_;
};

/// "arm,psci-0.2" and later: KVM answers.
class Psci final : public device::Device {
 public:
  [[nodiscard]] std::string describe() const override { return "PSCI in KVM, by HVC"; }
};

}  // namespace

Result<std::unique_ptr<device::Device>> make_timer(device::Ports& ports, KernelDevices& kernel) {
  return std::make_unique<Timer>(ports, kernel);
}

Result<std::unique_ptr<device::Device>> make_pmu(device::Ports& ports, KernelDevices& kernel) {
  return std::make_unique<Pmu>(ports, kernel);
}

Result<std::unique_ptr<device::Device>> make_psci(device::Ports& ports) {
  const tree::Node& node = ports.node();
  if (node.string("method") != "hvc") {
    return fail(node.place("method"), "KVM takes PSCI calls by HVC only: a guest's SMC goes to the guest's own EL1",
                "write method = \"hvc\"");
  }
  if (!node.is_compatible("arm,psci-1.0") && !node.is_compatible("arm,psci-0.2")) {
    return fail(node.place("compatible"),
                "PSCI 0.1 has functions that the tree numbers, and KVM has numbers of its own", "add \"arm,psci-0.2\"");
  }
  return std::make_unique<Psci>();
}

}  // namespace solder::accel::kvm::arm64
