#include "accel/kvm/x86/kernel_devices.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <optional>
#include <utility>

#include "accel/kvm/x86/irqchip_devices.h"
#include "base/log.h"
#include "models/apic/ioapic_state.h"
#include "tree/resolve.h"

namespace solder::accel::kvm::x86 {

namespace {

enum Kind : u8 { kLapic, kIoApic, kPic, kPit, kKinds };

// What KVM has, and where: it can be nowhere else.
struct Place {
  tree::Space space;
  u64 address;
};
struct Known {
  std::string_view compatible;
  std::string_view name;
  std::vector<Place> places;  // of the reg entries
};

const std::array<Known, kKinds>& known() {
  static const std::array<Known, kKinds> all{{
      {"intel,ce4100-lapic", "local APICs", {{tree::Space::memory, 0xfee0'0000}}},
      {"intel,ce4100-ioapic", "I/O APIC", {{tree::Space::memory, 0xfec0'0000}}},
      {"intel,i8259", "i8259 pair", {{tree::Space::port, 0x20}, {tree::Space::port, 0xa0}, {tree::Space::port, 0x4d0}}},
      {"intel,i8254", "i8254", {{tree::Space::port, 0x40}, {tree::Space::port, 0x61}}},
  }};
  return all;
}

std::optional<Kind> kind_of(std::span<const std::string> compatibles) {
  for (const std::string& compatible : compatibles)
    for (u8 kind = 0; kind < kKinds; ++kind)
      if (known()[kind].compatible == compatible) return static_cast<Kind>(kind);
  return std::nullopt;
}

using Candidate = device::KernelDevices::Candidate;

bool in_kernel(IrqchipMode mode, Kind kind) {
  return mode == IrqchipMode::kernel || (mode == IrqchipMode::split && kind == kLapic);
}
bool accepts(const Candidate& candidate, bool kernel) {
  const auto& list = candidate.backends;
  return list.empty() || std::ranges::find(list, kernel ? "kernel" : "user") != list.end();
}
bool prefers(const Candidate& candidate, bool kernel) {
  return candidate.backends.empty() ? kernel : candidate.backends.front() == (kernel ? "kernel" : "user");
}

std::string wishes(std::span<const Candidate> candidates) {
  std::string out;
  for (const Candidate& candidate : candidates) {
    if (candidate.backends.empty()) continue;
    if (!out.empty()) out += ", ";
    out += fmt::format("{}: {}", candidate.node->path(), fmt::join(candidate.backends, " or "));
  }
  return out;
}

Status check_place(const tree::Tree& tree, const tree::Node& node, const Known& device) {
  const auto ranges = SOLDER_TRY(tree::translate_reg(tree, node));
  for (usize i = 0; i < device.places.size(); ++i) {
    const Place& place = device.places[i];
    if (i < ranges.size() && ranges[i].address == place.address && ranges[i].space == place.space) continue;
    const std::string_view what = place.space == tree::Space::port ? "port" : "address";
    return fail(node.place("reg"),
                i < ranges.size() ? fmt::format("entry {}: KVM has its {} at {} {:#x}, and cannot have it at {:#x}", i,
                                                device.name, what, place.address, ranges[i].address)
                                  : fmt::format("KVM has its {} also at {} {:#x}, and there is no entry {}",
                                                device.name, what, place.address, i),
                R"(use KVM's, or solder,backend = "user" for the interrupt controllers)");
  }
  return {};
}

}  // namespace

KernelControllers::KernelControllers(Vm& vm) : vm_(vm), routing_(vm) {}

bool KernelControllers::knows(std::span<const std::string> compatibles) const {
  return kind_of(compatibles).has_value();
}

void KernelControllers::connect(interrupt::RoutingTable& routes) {
  routes_ = &routes;
  routes.set_kernel(&routing_);
}

// Linux's modules tell whether they use what the processors call APIC virtualization; what inhibits it for one VM at a
// time (ExtINT, a PIT that is reinjected) they do not tell.
std::string KernelControllers::presents() const {
  for (const auto& [parameter, text] :
       {std::pair{"/sys/module/kvm_intel/parameters/enable_apicv", "the hardware (APICv), or KVM where it cannot"},
        std::pair{"/sys/module/kvm_amd/parameters/avic", "the hardware (AVIC), or KVM where it cannot"}}) {
    std::ifstream file(parameter);
    char value = 0;
    if (file >> value && (value == 'Y' || value == '1')) return text;
  }
  return "KVM";
}

void KernelControllers::pause_time() {
  if (!paused_) paused_ = std::make_unique<PausedTime>(vm_, mode_ != IrqchipMode::user, timer_);
}

void KernelControllers::resume_time(bool saving) {
  if (const auto paused = std::exchange(paused_, nullptr)) paused->end(saving);
}

void KernelControllers::state(device::Archive& archive) {
  kvm_clock_data now{};
  if (vm_.check(KVM_CAP_ADJUST_CLOCK) == 0 || !vm_.call(SOLDER_KVM(KVM_GET_CLOCK), &now)) now.clock = 0;
  u64 clock = now.clock;
  archive("kvmclock", clock);
  if (archive.mode() != device::Archive::Mode::load || !archive.status() || clock == 0) return;
  kvm_clock_data then{};
  then.clock = clock;
  if (const Status done = vm_.call(SOLDER_KVM(KVM_SET_CLOCK), &then); !done) log::warn(done.error().text());
}

Status KernelControllers::choose(const tree::Tree& tree, std::span<Candidate> candidates) {
  std::array<u32, kKinds> nodes{};
  for (const Candidate& candidate : candidates) ++nodes[*kind_of(candidate.node->compatible())];
  const bool one_of_each = nodes[kLapic] == 1 && nodes[kIoApic] == 1 && nodes[kPic] == 1 && nodes[kPit] <= 1;
  const bool common =
      vm_.check(KVM_CAP_IRQ_ROUTING) > 0 && vm_.check(KVM_CAP_SIGNAL_MSI) != 0 && vm_.check(KVM_CAP_IRQFD) != 0;
  const auto possible = [&](IrqchipMode mode) {
    switch (mode) {
      case IrqchipMode::kernel:
        return one_of_each && common && vm_.check(KVM_CAP_IRQCHIP) != 0 &&
               (nodes[kPit] == 0 || vm_.check(KVM_CAP_PIT2) != 0);
      case IrqchipMode::split:
        return nodes[kLapic] == 1 && common && vm_.check(KVM_CAP_SPLIT_IRQCHIP) != 0;
      case IrqchipMode::user:
        return true;
    }
    return false;
  };

  // Among the modes that every list allows, the one with the most first wishes; among equals the one with most in KVM.
  std::optional<IrqchipMode> best;
  std::optional<IrqchipMode> nearest;
  usize best_wishes = 0;
  usize nearest_count = 0;
  bool impossible = false;
  for (const IrqchipMode mode : {IrqchipMode::kernel, IrqchipMode::split, IrqchipMode::user}) {
    usize allowed = 0;
    usize wished = 0;
    for (const Candidate& candidate : candidates) {
      const bool kernel = in_kernel(mode, *kind_of(candidate.node->compatible()));
      allowed += accepts(candidate, kernel);
      wished += prefers(candidate, kernel);
    }
    if (allowed == candidates.size() && !possible(mode)) impossible = true;
    if (allowed == candidates.size() && possible(mode) && (!best || wished > best_wishes)) {
      best = mode;
      best_wishes = wished;
    }
    if (!nearest || allowed > nearest_count) {
      nearest = mode;
      nearest_count = allowed;
    }
  }
  if (!best) {
    const auto offender = std::ranges::find_if(candidates, [&](const Candidate& candidate) {
      return !accepts(candidate, in_kernel(*nearest, *kind_of(candidate.node->compatible())));
    });
    const Candidate& blamed = offender != candidates.end() ? *offender : candidates.front();
    if (impossible)
      return fail(
          blamed.node->place("solder,backend"),
          fmt::format("KVM cannot run this in the kernel here: {}",
                      one_of_each || nodes[kLapic] != 1
                          ? "this host's KVM lacks what it takes"
                          : fmt::format("it needs one local APIC, one I/O APIC, one i8259 and at most one i8254, "
                                        "and the tree has {}, {}, {} and {}",
                                        nodes[kLapic], nodes[kIoApic], nodes[kPic], nodes[kPit])),
          nodes[kLapic] == 1 ? R"(use --irqchip split or user, or allow "user" too)" : R"(allow "user" too)");
    return fail(blamed.node->place("solder,backend"),
                fmt::format("KVM runs local APICs, I/O APIC, i8259 and i8254 all in the kernel, or only the local "
                            "APICs, or none; the tree asks for {}",
                            wishes(candidates)),
                "choose one of these, or use --irqchip kernel, split or user");
  }

  mode_ = *best;
  for (Candidate& candidate : candidates) {
    const Kind kind = *kind_of(candidate.node->compatible());
    candidate.in_kernel = in_kernel(mode_, kind);
    if (candidate.in_kernel) {
      SOLDER_TRY_STATUS(check_place(tree, *candidate.node, known()[kind]));
      candidate.reason = mode_ == IrqchipMode::split ? "kernel: KVM_CAP_SPLIT_IRQCHIP"
                         : kind == kPit              ? "kernel: KVM_CREATE_PIT2"
                                                     : "kernel: KVM_CREATE_IRQCHIP";
    } else {
      candidate.reason = mode_ == IrqchipMode::split  ? "user: only the local APICs of a split irqchip are in KVM"
                         : candidate.backends.empty() ? "user: KVM cannot run these controllers"
                                                      : "user: as solder,backend says";
    }
  }
  return create(nodes[kPit] != 0);
}

Status KernelControllers::create(bool with_timer) {
  if (mode_ == IrqchipMode::user) return {};
  constexpr unsigned long kWideIds = 1;  // KVM_X2APIC_API_USE_32BIT_IDS
  if ((vm_.check(KVM_CAP_X2APIC_API) & static_cast<int>(kWideIds)) != 0) {
    SOLDER_TRY_STATUS(vm_.enable(KVM_CAP_X2APIC_API, "KVM_CAP_X2APIC_API", kWideIds));
    wide_ids_ = true;
  }
  if (mode_ == IrqchipMode::split) {
    SOLDER_TRY_STATUS(vm_.enable(KVM_CAP_SPLIT_IRQCHIP, "KVM_CAP_SPLIT_IRQCHIP", models::apic::kIoApicPins));
  } else {
    SOLDER_TRY_STATUS(vm_.call(SOLDER_KVM(KVM_CREATE_IRQCHIP)));
    if (with_timer) {
      kvm_pit_config config{};
      config.flags = KVM_PIT_SPEAKER_DUMMY;  // with port 0x61
      SOLDER_TRY_STATUS(vm_.call(SOLDER_KVM(KVM_CREATE_PIT2), &config));
      timer_ = true;
    }
  }
  routing_.enable();
  // KVM's own numbers: the I/O APIC's pins.
  if (routes_ != nullptr) routes_->reserve(models::apic::kIoApicPins);
  return {};
}

Result<std::unique_ptr<device::Device>> KernelControllers::make(device::Ports& ports) {
  const IrqchipOptions options{.kernel_pic = mode_ == IrqchipMode::kernel, .wide_ids = wide_ids_};
  switch (kind_of(ports.node().compatible()).value_or(kKinds)) {
    case kLapic:
      return make_kernel_lapic(ports, vm_, options);
    case kIoApic:
      return make_kernel_ioapic(ports, vm_);
    case kPic:
      return make_kernel_pic(ports, vm_);
    case kPit:
      return make_kernel_pit(ports, vm_);
    default:
      return fail(ports.node().place(), "is none of the devices that KVM runs");
  }
}

}  // namespace solder::accel::kvm::x86
