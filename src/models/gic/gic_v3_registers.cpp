// The CPU interface of GICv3: ICC_* system registers, specification section 12.2.
#include "base/bits.h"
#include "models/gic/gic_v3.h"

namespace solder::models::gic {

namespace {

constexpr u32 encoding(u32 crn, u32 crm, u32 op2) {
  return 3u << 14 | crn << 7 | crm << 3 | op2;
}

constexpr u32 kPmr = encoding(4, 6, 0);
constexpr u32 kIar0 = encoding(12, 8, 0);
constexpr u32 kEoir0 = encoding(12, 8, 1);
constexpr u32 kHppir0 = encoding(12, 8, 2);
constexpr u32 kBpr0 = encoding(12, 8, 3);
constexpr u32 kAp0r0 = encoding(12, 8, 4);
constexpr u32 kAp1r0 = encoding(12, 9, 0);
constexpr u32 kDir = encoding(12, 11, 1);
constexpr u32 kRpr = encoding(12, 11, 3);
constexpr u32 kSgi1r = encoding(12, 11, 5);
constexpr u32 kAsgi1r = encoding(12, 11, 6);
constexpr u32 kSgi0r = encoding(12, 11, 7);
constexpr u32 kIar1 = encoding(12, 12, 0);
constexpr u32 kEoir1 = encoding(12, 12, 1);
constexpr u32 kHppir1 = encoding(12, 12, 2);
constexpr u32 kBpr1 = encoding(12, 12, 3);
constexpr u32 kCtlr = encoding(12, 12, 4);
constexpr u32 kSre = encoding(12, 12, 5);
constexpr u32 kIgrpen0 = encoding(12, 12, 6);
constexpr u32 kIgrpen1 = encoding(12, 12, 7);

// ICC_CTLR_EL1: 5 priority bits, 16 id bits, A3V, RSS.
constexpr u64 kControlFixed = u64{4} << 8 | u64{1} << 15 | u64{1} << 18;

}  // namespace

bool GicV3::has(u32 register_encoding) const {
  switch (register_encoding) {
    case kPmr:
    case kIar0:
    case kEoir0:
    case kHppir0:
    case kBpr0:
    case kAp0r0:
    case kAp1r0:
    case kDir:
    case kRpr:
    case kSgi1r:
    case kAsgi1r:
    case kSgi0r:
    case kIar1:
    case kEoir1:
    case kHppir1:
    case kBpr1:
    case kCtlr:
    case kSre:
    case kIgrpen0:
    case kIgrpen1:
      return true;
    default:
      return false;
  }
}

u64 GicV3::read(u32 cpu, u32 register_encoding) {
  if (register_encoding == kSre) return 7;  // system registers only: SRE, DFB and DIB read as one
  if (cpu >= cpus_.size()) return 0;
  const std::lock_guard guard(lock_);
  const Cpu& c = cpus_[cpu];
  const CpuInterface& interface = c.interface;
  switch (register_encoding) {
    case kPmr:
      return interface.priority_mask;
    case kIar0:
      return acknowledge(cpu, 0);
    case kIar1:
      return acknowledge(cpu, 1);
    case kHppir0:
    case kHppir1: {
      const Best next = best(cpu);
      return next.id != kSpurious && next.group == (register_encoding == kHppir1) ? next.id : kSpurious;
    }
    case kBpr0:
      return interface.binary_point[0];
    case kBpr1:
      return interface.common_binary_point ? std::min(7, interface.binary_point[0] + 1) : interface.binary_point[1];
    case kAp0r0:
      return interface.active_priorities[0];
    case kAp1r0:
      return interface.active_priorities[1];
    case kRpr:
      return interface.running_priority();
    case kCtlr:
      return kControlFixed | u64{interface.common_binary_point} | u64{interface.drop_only} << 1;
    case kIgrpen0:
      return c.group_enabled[0];
    case kIgrpen1:
      return c.group_enabled[1];
    default:
      return 0;
  }
}

void GicV3::write(u32 cpu, u32 register_encoding, u64 value) {
  if (cpu >= cpus_.size()) return;
  const u32 id = static_cast<u32>(value & 0xffffff);
  if (watchers_.any() && (register_encoding == kEoir0 || register_encoding == kEoir1 || register_encoding == kDir))
    tell_end(cpu, id, register_encoding == kDir);
  const std::lock_guard guard(lock_);
  Cpu& c = cpus_[cpu];
  CpuInterface& interface = c.interface;
  switch (register_encoding) {
    case kPmr:
      interface.priority_mask = static_cast<u8>(value) & kPriorityMask;
      break;
    case kBpr0:
      interface.set_binary_point(0, static_cast<u32>(value));
      break;
    case kBpr1:
      if (!interface.common_binary_point) interface.set_binary_point(1, static_cast<u32>(value));
      break;
    case kAp0r0:
      interface.active_priorities[0] = static_cast<u32>(value);
      break;
    case kAp1r0:
      interface.active_priorities[1] = static_cast<u32>(value);
      break;
    case kCtlr:
      interface.common_binary_point = bit(value, 0);
      interface.drop_only = bit(value, 1);
      break;
    case kIgrpen0:
    case kIgrpen1:
      c.group_enabled[register_encoding == kIgrpen1] = bit(value, 0);
      resolve_shared_routes();
      break;
    case kEoir0:
      return end_of_interrupt(cpu, 0, id);
    case kEoir1:
      return end_of_interrupt(cpu, 1, id);
    case kDir:
      if (interface.drop_only) deactivate(cpu, id);
      return;
    case kSgi0r:
    // The other security state's group 1, which with GICD_CTLR.DS set is group 0 (section 4.6.2).
    case kAsgi1r:
      return send_sgi(cpu, value, 0);
    case kSgi1r:
      return send_sgi(cpu, value, 1);
    default:
      return;
  }
  update(cpu);
}

u32 GicV3::acknowledge(u32 cpu, u32 group) {
  CpuInterface& interface = cpus_[cpu].interface;
  const Best next = best(cpu);
  if (next.group != group || !interface.signals(next)) return kSpurious;
  interface.activate(next);
  interrupts_.acknowledge(cpu, next.id);
  update(cpu);
  return next.id;
}

void GicV3::end_of_interrupt(u32 cpu, u32 group, u32 id) {
  if (id >= kSpecialIds) return;
  CpuInterface& interface = cpus_[cpu].interface;
  if (interface.active_group() != group) return;
  interface.drop(group);
  if (!interface.drop_only) deactivate(cpu, id);
  update(cpu);
}

void GicV3::watch_eoi(u32 pin, std::function<void()> watcher) {
  watchers_.watch(pin, std::move(watcher));
}

void GicV3::tell_end(u32 cpu, u32 id, bool by_dir) {
  {
    const std::lock_guard guard(lock_);
    if (cpus_[cpu].interface.drop_only != by_dir) return;
  }
  watchers_.tell(id);
}

void GicV3::deactivate(u32 cpu, u32 id) {
  if (id >= kSpecialIds || id / 32 >= words_) return;
  interrupts_.deactivate(cpu, id);
  update_interrupt(cpu, id);
}

void GicV3::send_sgi(u32 cpu, u64 value, u32 group) {
  const u32 id = static_cast<u32>(bits(value, 27, 24));
  const bool all_others = bit(value, 40);
  const u32 cluster =
      static_cast<u32>(bits(value, 55, 48) << 24 | bits(value, 39, 32) << 16 | bits(value, 23, 16) << 8);
  const u32 first = static_cast<u32>(bits(value, 47, 44)) * 16;
  for (u32 i = 0; i < cpus_.size(); ++i) {
    const u32 affinity = cpus_[i].affinity;
    const u32 place = (affinity & 0xff) - first;
    const bool named = (affinity & ~0xffu) == cluster && place < 16 && bit(value, place);
    if (all_others ? i == cpu : !named) continue;
    // The receiver's configuration decides: an SGI of another group than it is set to does not arrive.
    if (((interrupts_.word(i, 0).group1 >> id) & 1) != group) continue;
    interrupts_.latch(i, id);
    update(i);
  }
}

}  // namespace solder::models::gic
