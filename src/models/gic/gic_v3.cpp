#include "models/gic/gic_v3.h"

#include <fmt/format.h>

#include "base/bits.h"
#include "base/check.h"
#include "cpu/cpu_set.h"
#include "device/registry.h"
#include "models/gic/register_names.h"
#include "models/gic/saved_state.h"
#include "models/gic/specifier.h"

namespace solder::models::gic {

namespace {

constexpr u32 kFrame = 0x10000;  // specification section 12.10: frames of 64 KiB
constexpr u32 kRedistributorStride = 2 * kFrame;
constexpr u32 kSmallestWords = 9;     // 256 SPIs where the tree names no higher one
constexpr u32 kImplementer = 0x43b;   // Arm, no product
constexpr u32 kPeripheralId2 = 0x3b;  // ArchRev 3

constexpr u32 kEnableGroup0 = 1u << 0;
constexpr u32 kEnableGroup1 = 1u << 1;
constexpr u32 kAffinityRouting = 1u << 4;
constexpr u32 kDisableSecurity = 1u << 6;

constexpr u64 kRoutingMode = u64{1} << 31;
constexpr u64 kRouterMask = 0xff'80ff'ffff;

// GICD_IROUTER and MPIDR have Aff3 in bits 39..32; a TYPER's Affinity_Value is Aff3.Aff2.Aff1.Aff0.
constexpr u32 pack_affinity(u64 mpidr) {
  return static_cast<u32>((mpidr >> 8) & 0xff000000) | (mpidr & 0xffffff);
}

u32 identification(u32 offset) {
  switch (offset) {
    case 0xffd0:
      return 0x04;
    case 0xffe0:
      return 0x92;
    case 0xffe4:
      return 0xb4;
    case 0xffe8:
      return kPeripheralId2;
    case 0xfff0:
      return 0x0d;
    case 0xfff4:
      return 0xf0;
    case 0xfff8:
      return 0x05;
    case 0xfffc:
      return 0xb1;
    default:
      return 0;
  }
}

}  // namespace

/// Splits accesses into the 32-bit ones of the register descriptions; bytes reach the priorities only (section 12.1.3).
class GicV3::DistributorWindow final : public memory::MmioHandler {
 public:
  explicit DistributorWindow(GicV3& gic) : gic_(gic) {}
  u64 read(u64 offset, unsigned size) override {
    if (offset >= kFrame || offset % size != 0) return 0;
    const std::lock_guard guard(gic_.lock_);
    const u32 at = static_cast<u32>(offset);
    if (size == 8) return gic_.read_distributor(at) | u64{gic_.read_distributor(at + 4)} << 32;
    return gic_.read_distributor(at & ~3u) >> (8 * (at & 3)) & mask64(8 * size);
  }
  void write(u64 offset, unsigned size, u64 value) override {
    if (offset >= kFrame || offset % size != 0) return;
    const std::lock_guard guard(gic_.lock_);
    const u32 at = static_cast<u32>(offset);
    if (size >= 4) {
      gic_.write_distributor(at, static_cast<u32>(value));
      if (size == 8) gic_.write_distributor(at + 4, static_cast<u32>(value >> 32));
    } else if (size == 1 && at >= 0x400 + kPrivateIds && at < 0x800) {
      gic_.write_priority_byte(0, at - 0x400, static_cast<u8>(value));
    }
  }
  [[nodiscard]] std::string register_name(u64 offset) const override { return distributor_v3_name(offset); }

 private:
  GicV3& gic_;
};

/// One redistributor region: two frames for each of its CPUs, `stride` apart.
class GicV3::RedistributorWindow final : public memory::MmioHandler {
 public:
  RedistributorWindow(GicV3& gic, u32 first, u32 count, u64 stride)
      : gic_(gic), first_(first), count_(count), stride_(stride) {}
  u64 read(u64 offset, unsigned size) override {
    const u64 index = offset / stride_;
    if (index >= count_ || offset % size != 0) return 0;
    const std::lock_guard guard(gic_.lock_);
    const u32 cpu = first_ + static_cast<u32>(index);
    const u64 wide = offset % stride_;
    if (wide >= kRedistributorStride) return 0;
    const u32 at = static_cast<u32>(wide);
    if (size == 8) return gic_.read_redistributor(cpu, at) | u64{gic_.read_redistributor(cpu, at + 4)} << 32;
    return gic_.read_redistributor(cpu, at & ~3u) >> (8 * (at & 3)) & mask64(8 * size);
  }
  void write(u64 offset, unsigned size, u64 value) override {
    const u64 index = offset / stride_;
    if (index >= count_ || offset % size != 0) return;
    const std::lock_guard guard(gic_.lock_);
    const u32 cpu = first_ + static_cast<u32>(index);
    const u64 wide = offset % stride_;
    if (wide >= kRedistributorStride) return;
    const u32 at = static_cast<u32>(wide);
    if (size >= 4) {
      gic_.write_redistributor(cpu, at, static_cast<u32>(value));
      if (size == 8) gic_.write_redistributor(cpu, at + 4, static_cast<u32>(value >> 32));
    } else if (size == 1 && at >= kFrame + 0x400 && at < kFrame + 0x420) {
      gic_.write_priority_byte(cpu, at - kFrame - 0x400, static_cast<u8>(value));
    }
  }
  // "GICR_WAKER@1": of CPU 1.
  [[nodiscard]] std::string register_name(u64 offset) const override {
    const u64 index = offset / stride_;
    const std::string name = index < count_ ? redistributor_name(offset % stride_) : std::string{};
    return name.empty() ? name : fmt::format("{}@{}", name, first_ + index);
  }

 private:
  GicV3& gic_;
  u32 first_;
  u32 count_;
  u64 stride_;
};

/// The GICv2 compatibility frames: this GIC has none, but the tree may give them addresses.
class GicV3::ReservedWindow final : public memory::MmioHandler {
 public:
  u64 read(u64, unsigned) override { return 0; }
  void write(u64, unsigned, u64) override {}
};

GicV3::GicV3(device::Ports& ports)
    : ports_(ports),
      lock_(ports.lock()),
      cpus_(ports.cpu_count()),
      interrupts_(ports.cpu_count()),
      words_(kSmallestWords),
      routers_(kMaxWords * 32, 0),
      targets_(kMaxWords * 32, -1) {
  for (u32 i = 0; i < cpus_.size(); ++i) cpus_[i].affinity = pack_affinity(ports.cpu_hardware_id(i));
}

GicV3::~GicV3() = default;

Result<std::unique_ptr<device::Device>> GicV3::create(device::Ports& ports) {
  std::unique_ptr<GicV3> gic(new GicV3(ports));
  gic->windows_.push_back(std::make_unique<DistributorWindow>(*gic));
  ports.window(0, *gic->windows_.back());
  SOLDER_TRY_STATUS(gic->place_redistributors());
  gic->reset();
  ports.provide_controller(*gic);
  return gic;
}

Status GicV3::place_redistributors() {
  const tree::Node& node = ports_.node();
  const u32 regions = node.u32_value("#redistributor-regions").value_or(1);
  const u64 stride = node.number("redistributor-stride").value_or(kRedistributorStride);
  if (stride < kRedistributorStride || stride % kFrame != 0) {
    return fail(
        node.place("redistributor-stride"),
        fmt::format("{:#x} is no stride of GICv3 redistributors: they need 0x20000 bytes each, in steps of 0x10000",
                    stride),
        "leave the property out");
  }
  if (regions == 0 || regions >= ports_.window_count()) {
    return fail(node.place("reg"),
                fmt::format("#redistributor-regions says {}, but reg has {} entries and the first is the distributor",
                            regions, ports_.window_count()),
                "give each redistributor region an entry in reg");
  }
  u64 room = 0;
  for (u32 region = 0; region < regions; ++region) {
    const u64 fits = ports_.window_size(region + 1) / stride;
    const u64 first = std::min<u64>(room, cpus_.size());
    const u64 count = std::min<u64>(fits, cpus_.size() - first);
    if (count != 0) cpus_[first + count - 1].last_in_region = true;
    windows_.push_back(
        std::make_unique<RedistributorWindow>(*this, static_cast<u32>(first), static_cast<u32>(count), stride));
    ports_.window(region + 1, *windows_.back());
    room += fits;
  }
  if (room < cpus_.size()) {
    return fail(node.place("reg"),
                fmt::format("the redistributor regions have room for {} CPUs ({:#x} bytes each), but the tree has {}",
                            room, stride, cpus_.size()),
                "make the regions larger or remove CPUs");
  }
  for (u32 i = regions + 1; i < ports_.window_count(); ++i) {
    windows_.push_back(std::make_unique<ReservedWindow>());
    ports_.window(i, *windows_.back());
  }
  return {};
}

void GicV3::reset() {
  const std::lock_guard guard(lock_);
  interrupts_.reset();
  control_ = 0;
  std::fill(routers_.begin(), routers_.end(), 0);
  one_of_n_ = 0;
  for (Cpu& cpu : cpus_) {
    cpu.asleep = true;
    cpu.group_enabled = {};
    cpu.interface = {};
  }
  for (u32 id = kPrivateIds; id < kSpecialIds; ++id) resolve_route(id);
  update_all();
}

void GicV3::state(device::Archive& archive) {
  std::vector<CpuRecordV3> records;
  for (const Cpu& cpu : cpus_) {
    const u8 flags = static_cast<u8>(cpu.asleep | cpu.group_enabled[0] << 1 | cpu.group_enabled[1] << 2);
    records.push_back({flags, cpu.interface});
  }
  archive_v3(archive, interrupts_, control_, routers_, records);
  if (archive.mode() != device::Archive::Mode::load) return;
  for (usize i = 0; i < cpus_.size(); ++i) {
    cpus_[i].asleep = bit(records[i].flags, 0);
    cpus_[i].group_enabled = {bit(records[i].flags, 1), bit(records[i].flags, 2)};
    cpus_[i].interface = records[i].interface;
  }
  one_of_n_ = 0;
  for (u32 id = kPrivateIds; id < kSpecialIds; ++id) {
    one_of_n_ += (routers_[id] & kRoutingMode) != 0;
    resolve_route(id);
  }
  update_all();
}

Status GicV3::start() {
  for (u32 i = 0; i < cpus_.size(); ++i) {
    cpus_[i].vcpu = &ports_.cpus()[i].vcpu();
    cpus_[i].vcpu->add_system_registers(*this);
  }
  return {};
}

std::string GicV3::describe() const {
  return fmt::format("GICv3, {} SPIs, {} CPUs", std::min((words_ - 1) * 32, kSpecialIds - 32), cpus_.size());
}

Result<interrupt::Controller::Input> GicV3::input(std::span<const u32> specifier, u32 cpu) {
  const Specifier parsed = SOLDER_TRY(parse_specifier(specifier, 4));
  if (cpu >= cpus_.size()) return fail("", fmt::format("there is no cpu {}: the tree has {}", cpu, cpus_.size()));
  // The tree decides how many SPIs GICD_TYPER reports: as many as are wired, at least 256.
  const std::lock_guard guard(lock_);
  words_ = std::max(words_, parsed.id / 32 + 1);
  return make_input(parsed, cpu, *this);
}

void GicV3::set_level(u32 pin, bool level) {
  const u32 id = pin & 0xffff;
  const u32 cpu = pin >> 16;
  SOLDER_CHECK(id < kSpecialIds && cpu < cpus_.size(), "a wire ends at a pin that input() did not give out");
  const std::lock_guard guard(lock_);
  interrupts_.set_line(cpu, id, level);
  update_interrupt(cpu, id);
}

void GicV3::pulse(u32 pin) {
  const u32 id = pin & 0xffff;
  const u32 cpu = pin >> 16;
  SOLDER_CHECK(id < kSpecialIds && cpu < cpus_.size(), "a wire ends at a pin that input() did not give out");
  const std::lock_guard guard(lock_);
  interrupts_.set_line(cpu, id, true);
  interrupts_.set_line(cpu, id, false);
  update_interrupt(cpu, id);
}

u32 GicV3::read_distributor(u32 offset) {
  if (offset >= 0x6000 + 8 * kPrivateIds && offset < 0x6000 + 8 * kSpecialIds) {
    const u32 id = (offset - 0x6000) / 8;
    if (id / 32 >= words_) return 0;
    return static_cast<u32>(routers_[id] >> (offset % 8 == 0 ? 0 : 32));
  }
  switch (offset) {
    case 0x0:
      return control_ | kAffinityRouting | kDisableSecurity;
    // TYPER: 10 bits of interrupt id, A3V (Aff3 is there), RSS (SGIs reach Aff0 above 15).
    case 0x4:
      return (words_ - 1) | 9u << 19 | 1u << 24 | 1u << 26;
    case 0x8:
      return kImplementer;
    default:
      break;
  }
  if (offset >= 0xffd0) return identification(offset);
  if (offset >= 0xd00) return 0;
  // With affinity routing the private interrupts are the redistributors' (section 12.9).
  const bool private_one = (offset >= 0x80 && offset < 0x400 && (offset & 0x7c) == 0) ||
                           (offset >= 0x400 && offset < 0x420) || (offset >= 0xc00 && offset < 0xc08);
  return private_one ? 0 : interrupts_.read_register(0, offset, words_);
}

void GicV3::write_distributor(u32 offset, u32 value) {
  if (offset >= 0x6000 + 8 * kPrivateIds && offset < 0x6000 + 8 * kSpecialIds) {
    const u32 id = (offset - 0x6000) / 8;
    if (id / 32 >= words_) return;
    const u64 old = routers_[id];
    set_route_register(id, offset % 8 == 0 ? (old & ~u64{0xffffffff}) | value : (old & 0xffffffff) | u64{value} << 32);
    return;
  }
  switch (offset) {
    case 0x0:
      control_ = value & (kEnableGroup0 | kEnableGroup1);
      update_all();
      return;
    case 0x40:  // SETSPI_NSR, and the secure one: messages to SPIs (MBIS) are not implemented
    case 0x50:
      return;
    default:
      break;
  }
  if (offset >= 0xd00) return;
  const bool private_one = (offset >= 0x80 && offset < 0x400 && (offset & 0x7c) == 0) ||
                           (offset >= 0x400 && offset < 0x420) || (offset >= 0xc00 && offset < 0xc08);
  if (private_one) return;
  interrupts_.write_register(0, offset, value, words_);
  update_all();
}

u32 GicV3::read_redistributor(u32 cpu, u32 offset) {
  const Cpu& c = cpus_[cpu];
  switch (offset) {
    case 0x4:
      return kImplementer;
    case 0x8:
      return (c.last_in_region ? 1u << 4 : 0) | cpu << 8;  // TYPER, the processor number
    case 0xc:
      return c.affinity;
    case 0x14:
      return c.asleep ? 6 : 0;  // WAKER: ProcessorSleep and ChildrenAsleep
    default:
      break;
  }
  if (offset < kFrame) return offset >= 0xffd0 ? identification(offset) : 0;
  const u32 at = offset - kFrame;
  const bool known =
      (at >= 0x80 && at < 0x400 && (at & 0x7c) == 0) || (at >= 0x400 && at < 0x420) || (at & ~4u) == 0xc00;
  return known ? interrupts_.read_register(cpu, at, 1) : 0;
}

void GicV3::write_redistributor(u32 cpu, u32 offset, u32 value) {
  if (offset == 0x14) {
    cpus_[cpu].asleep = (value & 2) != 0;
    resolve_shared_routes();
    update(cpu);
    return;
  }
  if (offset < kFrame) return;
  const u32 at = offset - kFrame;
  const bool known =
      (at >= 0x80 && at < 0x400 && (at & 0x7c) == 0) || (at >= 0x400 && at < 0x420) || (at & ~4u) == 0xc00;
  if (!known) return;
  interrupts_.write_register(cpu, at, value, 1);
  update(cpu);
}

void GicV3::write_priority_byte(u32 cpu, u32 id, u8 value) {
  if (id / 32 >= words_) return;
  interrupts_.set_priority(cpu, id, value);
  update_interrupt(cpu, id);
}

void GicV3::set_route_register(u32 id, u64 value) {
  value &= kRouterMask;
  one_of_n_ += ((value & kRoutingMode) != 0) - ((routers_[id] & kRoutingMode) != 0);
  const i32 before = targets_[id];
  routers_[id] = value;
  resolve_route(id);
  if (before >= 0 && before != targets_[id]) update(static_cast<u32>(before));
  if (targets_[id] >= 0) update(static_cast<u32>(targets_[id]));
}

void GicV3::resolve_route(u32 id) {
  i32 target = -1;
  const u64 router = routers_[id];
  for (u32 i = 0; i < cpus_.size() && target < 0; ++i) {
    const Cpu& cpu = cpus_[i];
    // "1 of N": any participating CPU may take it; the first that is awake and takes interrupts does.
    const bool takes = (router & kRoutingMode) != 0 ? !cpu.asleep && (cpu.group_enabled[0] || cpu.group_enabled[1])
                                                    : cpu.affinity == pack_affinity(router);
    if (takes) target = static_cast<i32>(i);
  }
  if (target == targets_[id] && (target < 0 || interrupts_.routed(static_cast<u32>(target), id))) return;
  for (u32 i = 0; i < cpus_.size(); ++i) interrupts_.route(i, id, static_cast<i32>(i) == target);
  targets_[id] = target;
}

void GicV3::resolve_shared_routes() {
  if (one_of_n_ == 0) return;
  for (u32 id = kPrivateIds; id < kSpecialIds; ++id) {
    if ((routers_[id] & kRoutingMode) != 0) resolve_route(id);
  }
  update_all();
}

u32 GicV3::signalling_groups(const Cpu& cpu) const {
  if (cpu.asleep) return 0;
  return control_ & (u32{cpu.group_enabled[0]} | u32{cpu.group_enabled[1]} << 1);
}

Best GicV3::best(u32 cpu) const {
  return interrupts_.best(cpu, signalling_groups(cpus_[cpu]));
}

void GicV3::update(u32 cpu) {
  Cpu& c = cpus_[cpu];
  const Best next = best(cpu);
  const bool signal = c.interface.signals(next);
  const bool irq = signal && next.group == 1;
  const bool fiq = signal && next.group == 0;
  if (c.vcpu == nullptr) return;
  if (irq != c.irq) c.vcpu->set_line(cpu::Line::irq, irq);
  if (fiq != c.fiq) c.vcpu->set_line(cpu::Line::fiq, fiq);
  c.irq = irq;
  c.fiq = fiq;
}

void GicV3::update_all() {
  for (u32 cpu = 0; cpu < cpus_.size(); ++cpu) update(cpu);
}

void GicV3::update_interrupt(u32 cpu, u32 id) {
  if (id < kPrivateIds) {
    update(cpu);
  } else if (targets_[id] >= 0) {
    update(static_cast<u32>(targets_[id]));
  }
}

const device::Registration kGicV3{"arm,gic-v3", GicV3::create,
                                  "Arm Generic Interrupt Controller v3 (IHI 0069), without LPIs"};

}  // namespace solder::models::gic
