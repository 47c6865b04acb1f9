#include "models/gic/gic_v2.h"

#include <fmt/format.h>

#include <bit>

#include "base/bits.h"
#include "base/check.h"
#include "cpu/cpu_set.h"
#include "cpu/current.h"
#include "device/registry.h"
#include "models/gic/register_names.h"
#include "models/gic/saved_state.h"
#include "models/gic/specifier.h"

namespace solder::models::gic {

namespace {

constexpr u32 kMaxCpus = 8;                 // specification section 1.3: one bit each in GICD_ITARGETSR
constexpr u32 kSmallestWords = 9;           // 256 SPIs where the tree names no higher one
constexpr u32 kDistributorId = 0x0200143b;  // GIC-400, Arm
constexpr u32 kInterfaceId = 0x0202143b;

// GICC_CTLR, section 4.4.1, the format without Security Extensions.
constexpr u32 kAckControl = 1u << 2;
constexpr u32 kFiqEnable = 1u << 3;
constexpr u32 kCommonBinaryPoint = 1u << 4;
constexpr u32 kEoiMode = 1u << 9;
constexpr u32 kControlMask = 0x3ff;

// Registers of the CPU interface that end an interrupt.
constexpr u32 kEoir = 0x10;
constexpr u32 kAliasedEoir = 0x24;
constexpr u32 kDir = 0x1000;

}  // namespace

/// The distributor banks its private registers by the CPU that reads them.
class GicV2::DistributorWindow final : public memory::MmioHandler {
 public:
  explicit DistributorWindow(GicV2& gic) : gic_(gic) {}
  u64 read(u64 offset, unsigned size) override {
    if (offset >= 0x1000 || offset % size != 0) return 0;
    const std::lock_guard guard(gic_.lock_);
    const u32 cpu = gic_.cpus_.size() > cpu::current_cpu() ? cpu::current_cpu() : 0;
    const u32 at = static_cast<u32>(offset);
    if (size == 8) return gic_.read_distributor(cpu, at) | u64{gic_.read_distributor(cpu, at + 4)} << 32;
    return gic_.read_distributor(cpu, at & ~3u) >> (8 * (at & 3)) & mask64(8 * size);
  }
  void write(u64 offset, unsigned size, u64 value) override {
    if (offset >= 0x1000 || offset % size != 0) return;
    const std::lock_guard guard(gic_.lock_);
    const u32 cpu = gic_.cpus_.size() > cpu::current_cpu() ? cpu::current_cpu() : 0;
    const u32 at = static_cast<u32>(offset);
    if (size == 1) {
      gic_.write_byte(cpu, at, static_cast<u8>(value));
    } else if (size >= 4) {
      gic_.write_distributor(cpu, at, static_cast<u32>(value));
      if (size == 8) gic_.write_distributor(cpu, at + 4, static_cast<u32>(value >> 32));
    }
  }
  [[nodiscard]] std::string register_name(u64 offset) const override { return distributor_v2_name(offset); }

 private:
  GicV2& gic_;
};

class GicV2::CpuWindow final : public memory::MmioHandler {
 public:
  explicit CpuWindow(GicV2& gic) : gic_(gic) {}
  u64 read(u64 offset, unsigned size) override {
    if (size != 4 || offset % 4 != 0 || offset >= 0x2000) return 0;
    const std::lock_guard guard(gic_.lock_);
    const u32 cpu = cpu::current_cpu();
    return cpu < gic_.cpus_.size() ? gic_.read_interface(cpu, static_cast<u32>(offset)) : 0;
  }
  void write(u64 offset, unsigned size, u64 value) override {
    if (size != 4 || offset % 4 != 0 || offset >= 0x2000) return;
    const u32 cpu = cpu::current_cpu();
    if (cpu >= gic_.cpus_.size()) return;
    if (gic_.watchers_.any()) gic_.tell_end(cpu, static_cast<u32>(offset), static_cast<u32>(value));
    const std::lock_guard guard(gic_.lock_);
    gic_.write_interface(cpu, static_cast<u32>(offset), static_cast<u32>(value));
  }
  [[nodiscard]] std::string register_name(u64 offset) const override { return cpu_interface_name(offset); }

 private:
  GicV2& gic_;
};

/// GICH and GICV: without EL2 there is no virtual interface behind them.
class GicV2::ReservedWindow final : public memory::MmioHandler {
 public:
  u64 read(u64, unsigned) override { return 0; }
  void write(u64, unsigned, u64) override {}
};

GicV2::GicV2(device::Ports& ports)
    : ports_(ports),
      lock_(ports.lock()),
      cpus_(ports.cpu_count()),
      interrupts_(ports.cpu_count()),
      words_(kSmallestWords),
      target_masks_(kMaxWords * 32, 0) {}

GicV2::~GicV2() = default;

Result<std::unique_ptr<device::Device>> GicV2::create(device::Ports& ports) {
  if (ports.cpu_count() > kMaxCpus) {
    return fail(ports.node().place(),
                fmt::format("a GICv2 serves at most 8 CPUs, but the tree has {}", ports.cpu_count()),
                "use \"arm,gic-v3\" or fewer CPUs");
  }
  if (ports.window_count() < 2) {
    return fail(ports.node().place("reg"), "a GICv2 needs two entries: the distributor's and the CPU interface's");
  }
  std::unique_ptr<GicV2> gic(new GicV2(ports));
  gic->windows_.push_back(std::make_unique<DistributorWindow>(*gic));
  gic->windows_.push_back(std::make_unique<CpuWindow>(*gic));
  while (gic->windows_.size() < ports.window_count()) gic->windows_.push_back(std::make_unique<ReservedWindow>());
  for (u32 i = 0; i < gic->windows_.size(); ++i) ports.window(i, *gic->windows_[i]);
  gic->reset();
  ports.provide_controller(*gic);
  return gic;
}

void GicV2::reset() {
  const std::lock_guard guard(lock_);
  interrupts_.reset();
  control_ = 0;
  for (Cpu& cpu : cpus_) {
    cpu.control = 0;
    cpu.interface = {};
    cpu.sgi_sources = {};
  }
  // A uniprocessor's SPIs all go to its one CPU (section 4.3.12).
  for (u32 id = kPrivateIds; id < kSpecialIds; ++id) set_targets(id, cpus_.size() == 1 ? 1 : 0);
  update_all();
}

void GicV2::state(device::Archive& archive) {
  std::vector<CpuRecordV2> records;
  records.reserve(cpus_.size());
  for (const Cpu& cpu : cpus_) records.push_back({cpu.control, cpu.interface, cpu.sgi_sources});
  archive_v2(archive, interrupts_, control_, target_masks_, records);
  if (archive.mode() != device::Archive::Mode::load) return;
  for (usize i = 0; i < cpus_.size(); ++i) {
    cpus_[i].control = records[i].control;
    cpus_[i].interface = records[i].interface;
    cpus_[i].sgi_sources = records[i].sgi_sources;
  }
  for (u32 id = kPrivateIds; id < kSpecialIds; ++id) set_targets(id, target_masks_[id]);
  update_all();
}

Status GicV2::start() {
  for (u32 i = 0; i < cpus_.size(); ++i) cpus_[i].vcpu = &ports_.cpus()[i].vcpu();
  return {};
}

std::string GicV2::describe() const {
  return fmt::format("GICv2, {} SPIs, {} CPUs", std::min((words_ - 1) * 32, kSpecialIds - 32), cpus_.size());
}

Result<interrupt::Controller::Input> GicV2::input(std::span<const u32> specifier, u32 cpu) {
  const Specifier parsed = SOLDER_TRY(parse_specifier(specifier, 3));
  if (cpu >= cpus_.size()) return fail("", fmt::format("there is no cpu {}: the tree has {}", cpu, cpus_.size()));
  // The tree decides how many SPIs GICD_TYPER reports: as many as are wired, at least 256.
  const std::lock_guard guard(lock_);
  words_ = std::max(words_, parsed.id / 32 + 1);
  return make_input(parsed, cpu, *this);
}

void GicV2::set_level(u32 pin, bool level) {
  const u32 id = pin & 0xffff;
  const u32 cpu = pin >> 16;
  SOLDER_CHECK(id < kSpecialIds && cpu < cpus_.size(), "a wire ends at a pin that input() did not give out");
  const std::lock_guard guard(lock_);
  interrupts_.set_line(cpu, id, level);
  update_interrupt(cpu, id);
}

void GicV2::pulse(u32 pin) {
  const u32 id = pin & 0xffff;
  const u32 cpu = pin >> 16;
  SOLDER_CHECK(id < kSpecialIds && cpu < cpus_.size(), "a wire ends at a pin that input() did not give out");
  const std::lock_guard guard(lock_);
  interrupts_.set_line(cpu, id, true);
  interrupts_.set_line(cpu, id, false);
  update_interrupt(cpu, id);
}

void GicV2::watch_eoi(u32 pin, std::function<void()> watcher) {
  watchers_.watch(pin, std::move(watcher));
}

void GicV2::tell_end(u32 cpu, u32 offset, u32 value) {
  if (offset != kEoir && offset != kAliasedEoir && offset != kDir) return;
  {
    const std::lock_guard guard(lock_);
    if (cpus_[cpu].interface.drop_only != (offset == kDir)) return;
  }
  watchers_.tell(value & 0x3ff);
}

u8 GicV2::targets(u32 cpu, u32 id) const {
  if (cpus_.size() == 1) return 0;  // RAZ/WI on a uniprocessor
  return id < kPrivateIds ? static_cast<u8>(1u << cpu) : target_masks_[id];
}

void GicV2::set_targets(u32 id, u8 mask) {
  mask &= static_cast<u8>((1u << cpus_.size()) - 1);
  target_masks_[id] = mask;
  for (u32 cpu = 0; cpu < cpus_.size(); ++cpu) interrupts_.route(cpu, id, bit(mask, cpu));
}

u32 GicV2::read_distributor(u32 cpu, u32 offset) {
  switch (offset) {
    case 0x0:
      return control_;
    case 0x4:
      return (words_ - 1) | (static_cast<u32>(cpus_.size()) - 1) << 5;
    case 0x8:
      return kDistributorId;
    // Identification as GIC-400's (DDI 0471 section 3.3).
    case 0xfd0:
      return 0x04;
    case 0xfe0:
      return 0x90;
    case 0xfe4:
      return 0xb4;
    case 0xfe8:
      return 0x2b;
    case 0xff0:
      return 0x0d;
    case 0xff4:
      return 0xf0;
    case 0xff8:
      return 0x05;
    case 0xffc:
      return 0xb1;
    default:
      break;
  }
  u32 value = 0;
  if (offset >= 0x800 && offset < 0xc00) {
    const u32 first = offset - 0x800;
    for (u32 i = 0; i < 4 && first / 32 < words_; ++i) value |= u32{targets(cpu, first + i)} << (8 * i);
    return value;
  }
  if (offset >= 0xf10 && offset < 0xf30) {  // CPENDSGIR and SPENDSGIR read alike
    for (u32 i = 0; i < 4; ++i) value |= u32{cpus_[cpu].sgi_sources[(offset & 0xf) + i]} << (8 * i);
    return value;
  }
  return interrupts_.read_register(cpu, offset, words_);
}

void GicV2::write_distributor(u32 cpu, u32 offset, u32 value) {
  if (offset == 0) {
    control_ = value & 3;
    update_all();
  } else if ((offset >= 0x800 && offset < 0xc00) || (offset >= 0xf10 && offset < 0xf30)) {
    for (u32 i = 0; i < 4; ++i) write_byte(cpu, offset + i, static_cast<u8>(value >> (8 * i)));
  } else if (offset == 0xf00) {
    send_sgi(cpu, value);
  } else {
    // SGIs are made pending by their own registers only (section 4.3.7).
    if (offset == 0x200 || offset == 0x280) value &= ~u32{0xffff};
    interrupts_.write_register(cpu, offset, value, words_);
    // Configuration is written rarely: no need to know whom it concerns.
    update_all();
  }
}

void GicV2::write_byte(u32 cpu, u32 offset, u8 value) {
  if (offset >= 0x400 && offset < 0x800) {
    const u32 id = offset - 0x400;
    if (id / 32 >= words_) return;
    interrupts_.set_priority(cpu, id, value);
    update_interrupt(cpu, id);
  } else if (offset >= 0x800 + kPrivateIds && offset < 0x800 + kSpecialIds) {
    const u32 id = offset - 0x800;
    if (id / 32 >= words_ || cpus_.size() == 1) return;
    set_targets(id, value);
    update_all();
  } else if (offset >= 0xf10 && offset < 0xf30) {
    const u32 id = offset & 0xf;
    const u8 old = cpus_[cpu].sgi_sources[id];
    const u8 existing = static_cast<u8>(value & ((1u << cpus_.size()) - 1));
    set_sgi_sources(cpu, id, offset < 0xf20 ? old & static_cast<u8>(~value) : old | existing);
    update(cpu);
  }
}

void GicV2::send_sgi(u32 cpu, u32 value) {
  u32 receivers = bits(value, 23, 16);
  switch (bits(value, 25, 24)) {
    case 0:
      break;
    case 1:
      receivers = ~(1u << cpu);
      break;
    case 2:
      receivers = 1u << cpu;
      break;
    default:
      return;
  }
  const u32 id = value & 0xf;
  for (u32 i = 0; i < cpus_.size(); ++i) {
    if (!bit(receivers, i)) continue;
    set_sgi_sources(i, id, cpus_[i].sgi_sources[id] | static_cast<u8>(1u << cpu));
    update(i);
  }
}

void GicV2::set_sgi_sources(u32 cpu, u32 id, u8 sources) {
  cpus_[cpu].sgi_sources[id] = sources;
  u32& latched = interrupts_.word(cpu, 0).latched;
  latched = sources != 0 ? latched | (1u << id) : latched & ~(1u << id);
}

u32 GicV2::read_interface(u32 cpu, u32 offset) {
  const Cpu& c = cpus_[cpu];
  const CpuInterface& interface = c.interface;
  switch (offset) {
    case 0x00:
      return c.control;
    case 0x04:
      return interface.priority_mask;
    case 0x08:
      return interface.binary_point[0];
    case 0x0c:
      return acknowledge(cpu, false);
    case 0x14:
      return interface.running_priority();
    case 0x18:
      return visible_id(cpu, best(cpu), false);
    case 0x1c:
      return interface.binary_point[1];
    case 0x20:
      return acknowledge(cpu, true);
    case 0x28:
      return visible_id(cpu, best(cpu), true);
    case 0xd0:
      return interface.active_priorities[0];
    case 0xe0:
      return interface.active_priorities[1];
    case 0xfc:
      return kInterfaceId;
    default:
      return 0;
  }
}

void GicV2::write_interface(u32 cpu, u32 offset, u32 value) {
  Cpu& c = cpus_[cpu];
  switch (offset) {
    case 0x00:
      c.control = value & kControlMask;
      c.interface.common_binary_point = (value & kCommonBinaryPoint) != 0;
      c.interface.drop_only = (value & kEoiMode) != 0;
      break;
    case 0x04:
      c.interface.priority_mask = static_cast<u8>(value) & kPriorityMask;
      break;
    case 0x08:
      c.interface.set_binary_point(0, value);
      break;
    case 0x1c:
      c.interface.set_binary_point(1, value);
      break;
    case kEoir:
    case kAliasedEoir:
      return end_of_interrupt(cpu, value);
    case 0xd0:
      c.interface.active_priorities[0] = value;
      break;
    case 0xe0:
      c.interface.active_priorities[1] = value;
      break;
    case kDir: {
      const u32 id = value & 0x3ff;
      if (!c.interface.drop_only || id >= kSpecialIds || id / 32 >= words_) return;
      interrupts_.deactivate(cpu, id);
      return update_interrupt(cpu, id);
    }
    default:
      return;
  }
  update(cpu);
}

Best GicV2::best(u32 cpu) const {
  return interrupts_.best(cpu, control_ & cpus_[cpu].control & 3);
}

u32 GicV2::shown_id(u32 cpu, const Best& next) const {
  if (next.id >= 16) return next.id;
  // One request at a time, the lowest source first; a latch that software set without a source counts as CPU 0's.
  const u8 sources = cpus_[cpu].sgi_sources[next.id];
  return next.id | (sources == 0 ? 0 : static_cast<u32>(std::countr_zero(sources)) << 10);
}

u32 GicV2::visible_id(u32 cpu, const Best& next, bool alias) const {
  if (next.id == kSpurious) return kSpurious;
  if (alias) return next.group == 1 ? shown_id(cpu, next) : kSpurious;
  return next.group == 1 && (cpus_[cpu].control & kAckControl) == 0 ? kGroupOneInstead : shown_id(cpu, next);
}

u32 GicV2::acknowledge(u32 cpu, bool alias) {
  Cpu& c = cpus_[cpu];
  const Best next = best(cpu);
  if (!c.interface.signals(next)) return kSpurious;
  const u32 shown = visible_id(cpu, next, alias);
  if ((shown & 0x3ff) >= kSpecialIds) return shown;
  c.interface.activate(next);
  interrupts_.acknowledge(cpu, next.id);
  if (next.id < 16) {
    const u8 sources = c.sgi_sources[next.id];
    set_sgi_sources(cpu, next.id, sources & static_cast<u8>(sources - 1));
  }
  // A shared interrupt may have been offered to others too.
  update_interrupt(cpu, next.id);
  return shown;
}

void GicV2::end_of_interrupt(u32 cpu, u32 value) {
  const u32 id = value & 0x3ff;
  if (id >= kSpecialIds || id / 32 >= words_) return;
  CpuInterface& interface = cpus_[cpu].interface;
  const u32 group = interface.active_group();
  if (group > 1) return;
  interface.drop(group);
  if (!interface.drop_only) interrupts_.deactivate(cpu, id);
  update(cpu);
  update_interrupt(cpu, id);
}

void GicV2::update(u32 cpu) {
  Cpu& c = cpus_[cpu];
  if (c.vcpu == nullptr) return;
  const Best next = best(cpu);
  const bool signal = c.interface.signals(next);
  const bool fiq = signal && next.group == 0 && (c.control & kFiqEnable) != 0;
  const bool irq = signal && !fiq;
  if (irq != c.irq) c.vcpu->set_line(cpu::Line::irq, irq);
  if (fiq != c.fiq) c.vcpu->set_line(cpu::Line::fiq, fiq);
  c.irq = irq;
  c.fiq = fiq;
}

void GicV2::update_all() {
  for (u32 cpu = 0; cpu < cpus_.size(); ++cpu) update(cpu);
}

void GicV2::update_interrupt(u32 cpu, u32 id) {
  if (id < kPrivateIds) return update(cpu);
  for (u32 mask = target_masks_[id]; mask != 0; mask &= mask - 1) update(static_cast<u32>(std::countr_zero(mask)));
}

constexpr std::string_view kSummary = "Arm Generic Interrupt Controller v2 (IHI 0048)";
const device::Registration kGic400{"arm,gic-400", GicV2::create, kSummary};
const device::Registration kGicV2{"arm,gic-v2", GicV2::create, kSummary};
const device::Registration kCortexA15{"arm,cortex-a15-gic", GicV2::create, kSummary};
const device::Registration kCortexA7{"arm,cortex-a7-gic", GicV2::create, kSummary};
const device::Registration kCortexA9{"arm,cortex-a9-gic", GicV2::create, kSummary};
const device::Registration kQgic2{"qcom,msm-qgic2", GicV2::create, kSummary};

}  // namespace solder::models::gic
