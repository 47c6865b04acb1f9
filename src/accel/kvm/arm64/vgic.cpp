#include "accel/kvm/arm64/vgic.h"

#include <fmt/format.h>

#include <algorithm>

#include "accel/kvm/arm64/vgic_state.h"
#include "base/log.h"
#include "models/gic/specifier.h"

namespace solder::accel::kvm::arm64 {

namespace {

using models::gic::parse_specifier;
using models::gic::Specifier;

constexpr u32 kPrivate = 32;        // SGIs and PPIs
constexpr u32 kSmallestSpis = 256;  // where the tree names no higher one, as the model in this process
constexpr u32 kMostSpis = 960;      // KVM_DEV_ARM_VGIC_GRP_NR_IRQS is a multiple of 32 below 1024
constexpr u64 kSmallPage = 0x1000;
constexpr u64 kFrame = 0x10000;
constexpr u64 kRedistributor = 2 * kFrame;
constexpr u64 kInterfaceV2 = 0x2000;
constexpr u32 kMostCpusV2 = 8;

}  // namespace

Vgic::Vgic(device::Ports& ports, KernelDevices& kernel, u32 version)
    : ports_(ports), kernel_(kernel), gic_(kernel.gic()), version_(version), spis_(kSmallestSpis), virqs_(kMostSpis) {}

Status Vgic::set_address(u32 type, u64 value, const std::string& what) {
  if (auto done = gic_.set(KVM_DEV_ARM_VGIC_GRP_ADDR, type, &value); !done) {
    return fail(ports_.node().place("reg"), fmt::format("KVM does not put {} there: {}", what, done.error().what),
                "correct the address; it must be within what this host's processor gives guests");
  }
  return {};
}

Status Vgic::place() {
  SOLDER_TRY_STATUS(version_ == 3 ? place_v3() : place_v2());
  for (u32 i = 0; i < ports_.window_count(); ++i) ports_.window(i, window_);
  return {};
}

Status Vgic::place_v2() {
  const std::string where = ports_.node().place("reg");
  if (ports_.cpu_count() > kMostCpusV2) {
    return fail(ports_.node().place(),
                fmt::format("a GICv2 serves at most 8 CPUs, but the tree has {}", ports_.cpu_count()),
                "use \"arm,gic-v3\" or fewer CPUs");
  }
  if (ports_.window_count() < 2) {
    return fail(where, "a GICv2 needs two entries: the distributor's and the CPU interface's");
  }
  for (u32 i = 0; i < 2; ++i) {
    const u64 size = i == 0 ? kSmallPage : kInterfaceV2;
    if (ports_.window_address(i) % kSmallPage != 0 || ports_.window_size(i) < size) {
      return fail(
          where,
          fmt::format("entry {}, {:#x} bytes at {:#x}, does not hold KVM's {}: {:#x} bytes in whole 4 KiB pages", i,
                      ports_.window_size(i), ports_.window_address(i), i == 0 ? "distributor" : "CPU interface", size),
          "correct the entry, or let the GIC be in this process (solder,backend = \"user\")");
    }
  }
  SOLDER_TRY_STATUS(set_address(KVM_VGIC_V2_ADDR_TYPE_DIST, ports_.window_address(0), "the distributor"));
  return set_address(KVM_VGIC_V2_ADDR_TYPE_CPU, ports_.window_address(1), "the CPU interface");
}

Status Vgic::place_v3() {
  if (ports_.window_count() < 2) {
    return fail(ports_.node().place("reg"), "a GICv3 needs two entries: the distributor's and the redistributors'");
  }
  if (ports_.window_address(0) % kFrame != 0 || ports_.window_size(0) < kFrame) {
    return fail(
        ports_.node().place("reg"),
        fmt::format("entry 0, {:#x} bytes at {:#x}, does not hold a distributor: 0x10000 bytes, aligned to them",
                    ports_.window_size(0), ports_.window_address(0)),
        "correct the entry");
  }
  SOLDER_TRY_STATUS(set_address(KVM_VGIC_V3_ADDR_TYPE_DIST, ports_.window_address(0), "the distributor"));
  return place_redistributors();
}

Status Vgic::place_redistributors() {
  const tree::Node& node = ports_.node();
  const u32 regions = node.u32_value("#redistributor-regions").value_or(1);
  const u64 stride = node.number("redistributor-stride").value_or(kRedistributor);
  if (stride != kRedistributor) {
    return fail(node.place("redistributor-stride"),
                fmt::format("is {:#x}, and KVM's redistributors are 0x20000 bytes apart", stride),
                "leave the property out");
  }
  if (regions == 0 || regions >= ports_.window_count()) {
    return fail(node.place("reg"),
                fmt::format("#redistributor-regions says {}, but reg has {} entries and the first is the distributor",
                            regions, ports_.window_count()),
                "give each redistributor region an entry in reg");
  }
  // Linux before 4.18 has one region of any size.
  const bool several = gic_.has(KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION);
  if (!several && regions > 1) {
    return fail(node.place("#redistributor-regions"), "this host's KVM has redistributors in one region only",
                "make it one region, or use Linux 4.18 or later");
  }
  u64 room = 0;
  for (u32 region = 0; region < regions; ++region) {
    const u64 base = ports_.window_address(region + 1);
    const u64 fits = std::min<u64>(ports_.window_size(region + 1) / kRedistributor, 0xfff);
    if (base % kFrame != 0 || fits == 0) {
      return fail(node.place("reg"),
                  fmt::format("entry {}, {:#x} bytes at {:#x}, does not hold a redistributor: 0x20000 bytes for each "
                              "CPU, aligned to 0x10000",
                              region + 1, ports_.window_size(region + 1), base),
                  "correct the entry");
    }
    room += fits;
    if (!several) {
      SOLDER_TRY_STATUS(set_address(KVM_VGIC_V3_ADDR_TYPE_REDIST, base, "the redistributors"));
      continue;
    }
    SOLDER_TRY_STATUS(set_address(KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION, fits << 52 | base | region,
                                  fmt::format("redistributor region {}", region)));
  }
  if (room < ports_.cpu_count()) {
    return fail(node.place("reg"),
                fmt::format("the redistributor regions have room for {} CPUs (0x20000 bytes each), but the tree has {}",
                            room, ports_.cpu_count()),
                "make the regions larger or remove CPUs");
  }
  return {};
}

void Vgic::state(device::Archive& archive) {
  VgicShape shape;
  shape.version = version_;
  shape.words = 1 + spis_ / 32;
  shape.affinities = affinities(ports_);
  shape.lines = kernel_.routes().levels(shape.words);
  if (const Status done = archive_vgic(gic_, shape, archive); !done) {
    log::warn(ports_.node().path() + ": its state: " + done.error().text());
  }
}

std::string Vgic::describe() const {
  return fmt::format("GICv{} in KVM, {} SPIs, {} CPUs", version_, spis_, ports_.cpu_count());
}

Result<interrupt::Virq> Vgic::virq_of(u32 spi) {
  if (spi < virqs_.size() && virqs_[spi]) return *virqs_[spi];
  if (spi >= (finished_ ? spis_ : kMostSpis)) {
    return fail("", finished_
                        ? fmt::format("SPI {} was not wired when KVM's GIC was set up with {} SPIs", spi, spis_)
                        : fmt::format("cell 1 (SPI number) is {}: KVM's GIC has SPIs 0 to {}", spi, kMostSpis - 1));
  }
  interrupt::RoutingTable& routes = ports_.routes();
  const std::string name = fmt::format("SPI {}", spi);
  const std::string node = ports_.node().path();
  const interrupt::Virq virq = routes.allocate(node + " " + name);
  routes.set(virq, {interrupt::PinTarget{
                       .sink = nullptr, .controller = 0, .pin = spi, .in_kernel = true, .name = name, .node = node}});
  virqs_[spi] = virq;
  if (!finished_) spis_ = std::max(spis_, (spi / 32 + 1) * 32);
  return virq;
}

Result<interrupt::Controller::Input> Vgic::input(std::span<const u32> specifier, u32 cpu) {
  const Specifier parsed = SOLDER_TRY(parse_specifier(specifier, version_ == 3 ? 4 : 3));
  if (cpu >= ports_.cpu_count()) {
    return fail("", fmt::format("there is no cpu {}: the tree has {}", cpu, ports_.cpu_count()));
  }
  Input out = models::gic::make_input(parsed, cpu, *this);
  out.in_kernel = true;
  if (parsed.id >= kPrivate) {
    const std::lock_guard guard(ports_.lock());
    out.virq = SOLDER_TRY(virq_of(parsed.id - kPrivate));
  }
  return out;
}

void Vgic::set_level(u32 pin, bool level) {
  const u32 id = pin & 0xffff;
  if (id >= kPrivate) {
    ports_.routes().set_level(*virqs_[id - kPrivate], level);
    return;
  }
  kvm_irq_level line{};
  line.irq = line_code(KVM_ARM_IRQ_TYPE_PPI, pin >> 16, id);
  line.level = level ? 1 : 0;
  if (const Status done = kernel_.vm().call(SOLDER_KVM(KVM_IRQ_LINE), &line); !done) log::warn(done.error().text());
}

void Vgic::pulse(u32 pin) {
  const u32 id = pin & 0xffff;
  if (id >= kPrivate) {
    ports_.routes().raise(*virqs_[id - kPrivate]);
    return;
  }
  set_level(pin, true);
  set_level(pin, false);
}

Status Vgic::finish() {
  finished_ = true;
  const u32 interrupts = kPrivate + spis_;
  SOLDER_TRY_STATUS(gic_.set(KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, &interrupts));
  return gic_.set(KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, nullptr);
}

Result<std::unique_ptr<device::Device>> make_vgic(device::Ports& ports, KernelDevices& kernel, u32 version) {
  auto vgic = std::make_unique<Vgic>(ports, kernel, version);
  SOLDER_TRY_STATUS(vgic->place());
  ports.provide_controller(*vgic);
  kernel.add_finisher(*vgic);
  return vgic;
}

}  // namespace solder::accel::kvm::arm64
