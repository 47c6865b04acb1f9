#include "accel/kvm/arm64/kernel_devices.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "base/check.h"
#include "base/log.h"

namespace solder::accel::kvm::arm64 {

namespace {

enum class Kind : u8 { gic_v2, gic_v3, its, timer, pmu, psci };

struct Known {
  std::string_view compatible;
  Kind kind;
};
constexpr std::array<Known, 10> kKnown = {{{"arm,gic-v3", Kind::gic_v3},
                                           {"arm,gic-v3-its", Kind::its},
                                           {"arm,cortex-a15-gic", Kind::gic_v2},
                                           {"arm,cortex-a7-gic", Kind::gic_v2},
                                           {"arm,gic-400", Kind::gic_v2},
                                           {"arm,armv8-timer", Kind::timer},
                                           {"arm,armv7-timer", Kind::timer},
                                           {"arm,psci-1.0", Kind::psci},
                                           {"arm,psci-0.2", Kind::psci},
                                           {"arm,psci", Kind::psci}}};

std::optional<Kind> kind_of(std::span<const std::string> compatibles) {
  for (const std::string& name : compatibles) {
    const auto known = std::ranges::find(kKnown, name, &Known::compatible);
    if (known != kKnown.end()) return known->kind;
    // The PMU's names are those of the cores: "arm,cortex-a72-pmu".
    if (name == "arm,armv8-pmuv3" || (name.starts_with("arm,cortex-a") && name.ends_with("-pmu"))) return Kind::pmu;
  }
  return std::nullopt;
}

std::optional<Kind> kind_of(const device::KernelDevices::Candidate& candidate) {
  return kind_of(candidate.node->compatible());
}

bool allows(const device::KernelDevices::Candidate& candidate, std::string_view backend) {
  return candidate.backends.empty() || std::ranges::find(candidate.backends, backend) != candidate.backends.end();
}

std::string asked_at(const tree::Node& node) {
  return node.place(node.has("solder,backend") ? "solder,backend" : "compatible");
}

}  // namespace

HostFeatures HostFeatures::of(const Vm& vm) {
  HostFeatures host;
  host.gic_v2 = KernelDevice::offered(vm, KVM_DEV_TYPE_ARM_VGIC_V2);
  host.gic_v3 = KernelDevice::offered(vm, KVM_DEV_TYPE_ARM_VGIC_V3);
  host.its = KernelDevice::offered(vm, KVM_DEV_TYPE_ARM_VGIC_ITS);
  host.pmu = vm.check(KVM_CAP_ARM_PMU_V3) != 0;
  host.user_irq = vm.check(KVM_CAP_ARM_USER_IRQ) != 0;
  return host;
}

KernelDevices::KernelDevices(Vm& vm) : vm_(vm), host_(HostFeatures::of(vm)), routes_(vm) {}
KernelDevices::~KernelDevices() = default;

bool KernelDevices::knows(std::span<const std::string> compatibles) const {
  const auto kind = kind_of(compatibles);
  // Only KVM has an ITS for us: a node that it cannot run must be nobody's.
  return kind && (*kind != Kind::its || host_.its);
}

Status KernelDevices::choose(const tree::Tree& tree, std::span<Candidate> candidates) {
  (void)tree;
  SOLDER_TRY_STATUS(choose_gic(candidates));
  SOLDER_TRY_STATUS(choose_its(candidates));
  return choose_cpu_parts(candidates);
}

// The first GIC is the CPUs'. Others can only be cascaded into it, and KVM has one.
Status KernelDevices::choose_gic(std::span<Candidate> candidates) {
  bool first = true;
  for (Candidate& candidate : candidates) {
    const auto kind = kind_of(candidate);
    if (kind != Kind::gic_v2 && kind != Kind::gic_v3) continue;
    if (first) {
      SOLDER_TRY_STATUS(place_gic(candidate, kind == Kind::gic_v3 ? 3 : 2));
    } else if (kind == Kind::gic_v3 || !allows(candidate, "user")) {
      return fail(asked_at(*candidate.node), "KVM runs one GIC a machine, and the first of the tree has its place",
                  "use a GICv2 with solder,backend = \"user\" here");
    } else {
      candidate.reason = "user: KVM runs one GIC a machine";
    }
    first = false;
  }
  return {};
}

Status KernelDevices::place_gic(Candidate& candidate, u32 version) {
  const bool offered = version == 3 ? host_.gic_v3 : host_.gic_v2;
  const u32 type = version == 3 ? KVM_DEV_TYPE_ARM_VGIC_V3 : KVM_DEV_TYPE_ARM_VGIC_V2;
  const std::vector<std::string> order =
      candidate.backends.empty() ? std::vector<std::string>{"kernel", "user"} : candidate.backends;
  std::string refusals;
  const auto refuse = [&](std::string text) { refusals += (refusals.empty() ? "" : "; ") + std::move(text); };
  for (const std::string& backend : order) {
    if (backend == "kernel") {
      if (!offered) {
        refuse(fmt::format("kernel: this host's KVM has no GICv{}{}", version,
                           version == 2 && host_.gic_v3   ? ", only a GICv3"
                           : version == 3 && host_.gic_v2 ? ", only a GICv2"
                                                          : ""));
        continue;
      }
      gic_ = SOLDER_TRY(KernelDevice::create(vm_, type));
      gic_version_ = version;
      candidate.in_kernel = true;
      candidate.reason = fmt::format("kernel: KVM_DEV_TYPE_ARM_VGIC_V{}", version);
      SOLDER_CHECK(table_ != nullptr, "the routing table is connected before backends are chosen");
      table_->set_kernel(&routes_);
      return {};
    }
    if (version == 3) {
      refuse("user: KVM gives the accesses to a GICv3's CPU interface registers (ICC_*) to nobody outside the kernel");
      continue;
    }
    if (!host_.user_irq) {
      refuse("user: this host's KVM does not tell the levels of the CPUs' timers (KVM_CAP_ARM_USER_IRQ)");
      continue;
    }
    candidate.reason = refusals.empty() ? "user: interrupts by KVM_IRQ_LINE, timers by KVM_CAP_ARM_USER_IRQ"
                                        : "user, since " + refusals;
    if (!refusals.empty()) {
      log::note(fmt::format("{} is in this process: {}", candidate.node->path(), refusals));
    }
    return {};
  }
  std::string fix = "use --accel translator";
  if (version == 2 && host_.gic_v3 && host_.user_irq) {
    fix =
        "describe a GICv3 (\"arm,gic-v3\"), or let the GICv2 be in this process: solder,backend = \"user\" or "
        "--irqchip user";
  } else if (version == 2 && host_.gic_v3) {
    fix = "describe a GICv3 (\"arm,gic-v3\"), or use --accel translator";
  } else if (version == 3 && host_.gic_v3) {
    fix = "leave the GICv3 in the kernel (--irqchip kernel), describe a GICv2, or use --accel translator";
  } else if (version == 3 && host_.gic_v2) {
    fix = "describe a GICv2 (\"arm,cortex-a15-gic\"), or use --accel translator";
  }
  return fail(asked_at(*candidate.node), refusals, fix);
}

Status KernelDevices::choose_its(std::span<Candidate> candidates) {
  bool first = true;
  for (Candidate& candidate : candidates) {
    if (kind_of(candidate) != Kind::its) continue;
    const std::string where = asked_at(*candidate.node);
    if (!allows(candidate, "kernel")) {
      return fail(where, "there is no ITS outside of the kernel",
                  "use solder,backend = \"kernel\", or disable the node (status = \"disabled\")");
    }
    if (gic_version_ != 3) {
      return fail(where, "an ITS belongs to a GICv3 in the kernel, and this machine has none",
                  "disable the node (status = \"disabled\")");
    }
    if (!first) return fail(where, "one ITS a machine is supported", "disable the others (status = \"disabled\")");
    first = false;
    candidate.in_kernel = true;
    candidate.reason = "kernel: KVM_DEV_TYPE_ARM_VGIC_ITS";
    routes_.set_takes_messages();
  }
  return {};
}

Status KernelDevices::choose_cpu_parts(std::span<Candidate> candidates) {
  const bool kernel_gic = gic_version_ != 0;
  for (Candidate& candidate : candidates) {
    const auto kind = kind_of(candidate);
    const tree::Node& node = *candidate.node;
    if (kind == Kind::psci) {
      if (!allows(candidate, "kernel")) {
        return fail(asked_at(node), "KVM answers PSCI calls itself", "remove \"user\" from solder,backend");
      }
      candidate.in_kernel = true;
      candidate.reason = "kernel: KVM_ARM_VCPU_PSCI_0_2";
    } else if (kind == Kind::timer || kind == Kind::pmu) {
      // They are the processor's either way; the question is who takes their interrupt to the GIC.
      if (!allows(candidate, kernel_gic ? "kernel" : "user")) {
        return fail(asked_at(node), "its interrupts go where the GIC is", "give it the backend of the GIC");
      }
      candidate.in_kernel = kernel_gic;
      candidate.reason =
          kernel_gic ? "kernel: its interrupts go to KVM's GIC" : "user: its levels by KVM_CAP_ARM_USER_IRQ";
      if (kind == Kind::timer || !(node.has("interrupts") || node.has("interrupts-extended"))) continue;
      pmu_ = host_.pmu;
      if (!host_.pmu) {
        candidate.reason = "this host's KVM has no PMU: the guest finds none";
        log::note(node.path() + ": " + candidate.reason);
      }
    }
  }
  return {};
}

Result<std::unique_ptr<device::Device>> KernelDevices::make(device::Ports& ports) {
  const auto kind = kind_of(ports.node().compatible());
  SOLDER_CHECK(kind.has_value(), "only a node that was chosen is made");
  switch (*kind) {
    case Kind::gic_v2:
    case Kind::gic_v3: {
      SOLDER_CHECK(gic_.has_value(), "the GIC was created when it was chosen");
      return make_vgic(ports, *this, gic_version_);
    }
    case Kind::its:
      return make_its(ports, *this);
    case Kind::timer:
      return make_timer(ports, *this);
    case Kind::pmu:
      return make_pmu(ports, *this);
    case Kind::psci:
      break;
  }
  return make_psci(ports);
}

// The GIC first: its node comes before the ITS's, which is below it.
Status KernelDevices::finish() {
  for (Finisher* finisher : finishers_) SOLDER_TRY_STATUS(finisher->finish());
  if (gic_version_ != 0) SOLDER_TRY_STATUS(routes_.activate());
  return {};
}

}  // namespace solder::accel::kvm::arm64
