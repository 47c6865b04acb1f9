#include "models/gic/interrupt_state.h"

#include <algorithm>
#include <bit>

namespace solder::models::gic {

namespace {

// SGIs are always edge-triggered.
constexpr u32 kSgis = 0xffff;
// Bits of the last word that are interrupts.
constexpr u32 usable(u32 index) {
  return index == kMaxWords - 1 ? 0x0fffffff : ~u32{0};
}

}  // namespace

void Word::state(device::Archive& archive) {
  archive("enabled", enabled)("latched", latched)("line", line)("active", active)("edge", edge)("group1", group1);
}

InterruptState::InterruptState(u32 cpus) : private_(cpus), private_priority_(cpus), routes_(cpus) {
  reset();
}

void InterruptState::reset() {
  for (Word& w : private_) w = Word{.line = w.line, .edge = kSgis};
  for (Word& w : shared_) w = Word{.line = w.line};
  for (auto& p : private_priority_) p.fill(0);
  for (auto& r : routes_) r.fill(0);
  priority_.fill(0);
  ready_.fill(0);
  summary_ = 0;
}

void InterruptState::state(device::Archive& archive) {
  for (Word& w : private_) archive("private", w);
  for (auto& p : private_priority_) archive("priorities", p);
  for (Word& w : shared_) archive("shared", w);
  archive("priority", priority_);
  for (auto& r : routes_) archive("routes", r);
  for (u32 w = 1; w < kMaxWords; ++w) changed(w);
}

void InterruptState::changed(u32 index) {
  if (index == 0) return;
  ready_[index] = shared_[index].ready();
  const u32 flag = u32{1} << index;
  summary_ = ready_[index] != 0 ? summary_ | flag : summary_ & ~flag;
}

void InterruptState::set_priority(u32 cpu, u32 id, u8 value) {
  u8& slot = id < kPrivateIds ? private_priority_[cpu][id] : priority_[id];
  slot = value & kPriorityMask;
}

void InterruptState::route(u32 cpu, u32 id, bool on) {
  const u32 flag = u32{1} << (id % 32);
  u32& routes = routes_[cpu][id / 32];
  routes = on ? routes | flag : routes & ~flag;
}

void InterruptState::set_line(u32 cpu, u32 id, bool level) {
  Word& w = word(cpu, id / 32);
  const u32 flag = u32{1} << (id % 32);
  if (level && (w.line & flag) == 0 && (w.edge & flag) != 0) w.latched |= flag;
  w.line = level ? w.line | flag : w.line & ~flag;
  changed(id / 32);
}

void InterruptState::latch(u32 cpu, u32 id) {
  word(cpu, id / 32).latched |= u32{1} << (id % 32);
  changed(id / 32);
}

void InterruptState::acknowledge(u32 cpu, u32 id) {
  Word& w = word(cpu, id / 32);
  const u32 flag = u32{1} << (id % 32);
  w.latched &= ~flag;
  w.active |= flag;
  changed(id / 32);
}

void InterruptState::deactivate(u32 cpu, u32 id) {
  word(cpu, id / 32).active &= ~(u32{1} << (id % 32));
  changed(id / 32);
}

Best InterruptState::best(u32 cpu, u32 groups) const {
  Best best;
  const auto consider = [&](u32 index, const Word& w, u32 candidates, const u8* priorities) {
    if (groups != 3) candidates &= groups == 0 ? 0 : groups == 1 ? ~w.group1 : w.group1;
    for (; candidates != 0; candidates &= candidates - 1) {
      const u32 n = static_cast<u32>(std::countr_zero(candidates));
      if (priorities[n] < best.priority) {
        best = Best{.id = index * 32 + n, .priority = priorities[n], .group = static_cast<u8>((w.group1 >> n) & 1)};
      }
    }
  };
  consider(0, private_[cpu], private_[cpu].ready(), private_priority_[cpu].data());
  for (u32 words = summary_; words != 0; words &= words - 1) {
    const u32 index = static_cast<u32>(std::countr_zero(words));
    consider(index, shared_[index], ready_[index] & routes_[cpu][index], priority_.data() + index * 32);
  }
  return best;
}

u32 InterruptState::read_register(u32 cpu, u32 offset, u32 words) const {
  const u32 index = (offset & 0x7c) / 4;
  if (offset >= 0x80 && offset < 0x400) {
    if (index >= words) return 0;
    const Word& w = word(cpu, index);
    switch (offset >> 7) {
      case 1:
        return w.group1;
      case 2:
      case 3:
        return w.enabled;
      case 4:
      case 5:
        return w.pending();
      default:
        return w.active;
    }
  }
  if (offset >= 0x400 && offset < 0x800) {
    const u32 first = offset - 0x400;
    if (first / 32 >= words) return 0;
    u32 value = 0;
    for (u32 i = 0; i < 4; ++i) value |= u32{priority(cpu, first + i)} << (8 * i);
    return value;
  }
  if (offset >= 0xc00 && offset < 0xd00) {
    const u32 first = (offset - 0xc00) * 4;
    if (first / 32 >= words) return 0;
    const u32 edges = word(cpu, first / 32).edge >> (first % 32);
    u32 value = 0;
    for (u32 i = 0; i < 16; ++i) value |= ((edges >> i) & 1) << (2 * i + 1);
    return value;
  }
  return 0;
}

void InterruptState::write_register(u32 cpu, u32 offset, u32 value, u32 words) {
  const u32 index = (offset & 0x7c) / 4;
  if (offset >= 0x80 && offset < 0x400) {
    if (index >= words) return;
    Word& w = word(cpu, index);
    value &= usable(index);
    switch (offset >> 7) {
      case 1:
        w.group1 = value;
        break;
      case 2:
        w.enabled |= value;
        break;
      case 3:
        w.enabled &= ~value;
        break;
      case 4:
        w.latched |= value;
        break;
      case 5:
        w.latched &= ~value;
        break;
      case 6:
        w.active |= value;
        break;
      default:
        w.active &= ~value;
        break;
    }
    changed(index);
  } else if (offset >= 0x400 && offset < 0x800) {
    const u32 first = offset - 0x400;
    if (first / 32 >= words) return;
    for (u32 i = 0; i < 4; ++i) set_priority(cpu, first + i, static_cast<u8>(value >> (8 * i)));
  } else if (offset >= 0xc04 && offset < 0xd00) {  // ICFGR0, the SGIs', is read-only
    const u32 first = (offset - 0xc00) * 4;
    if (first / 32 >= words) return;
    Word& w = word(cpu, first / 32);
    u32 edges = 0;
    for (u32 i = 0; i < 16; ++i) edges |= ((value >> (2 * i + 1)) & 1) << i;
    const u32 half = u32{0xffff} << (first % 32);
    w.edge = (w.edge & ~half) | (edges << (first % 32));
    changed(first / 32);
  }
}

void CpuInterface::state(device::Archive& archive) {
  archive("priority_mask", priority_mask)("binary_point", binary_point)("active_priorities", active_priorities)(
      "common_binary_point", common_binary_point)("drop_only", drop_only);
  for (u8 group = 0; group < 2; ++group) set_binary_point(group, binary_point[group]);
}

u8 CpuInterface::running_priority() const {
  const u32 active = active_priorities[0] | active_priorities[1];
  return active == 0 ? kIdlePriority : static_cast<u8>(std::countr_zero(active) << 3);
}

u8 CpuInterface::group_priority_mask(u8 group) const {
  // Group 0's binary point N leaves bits 7..N+1, group 1's bits 7..N, unless both share group 0's.
  const u32 low = group == 0 || common_binary_point ? binary_point[0] + 1u : binary_point[1];
  return static_cast<u8>(0xff << low);
}

bool CpuInterface::signals(const Best& best) const {
  if (best.id == kSpurious || best.priority >= priority_mask) return false;
  return (best.priority & group_priority_mask(best.group)) < running_priority();
}

void CpuInterface::activate(const Best& best) {
  active_priorities[best.group] |= u32{1} << ((best.priority & group_priority_mask(best.group)) >> 3);
}

u32 CpuInterface::active_group() const {
  if ((active_priorities[0] | active_priorities[1]) == 0) return 2;
  return std::countr_zero(active_priorities[0]) <= std::countr_zero(active_priorities[1]) ? 0 : 1;
}

void CpuInterface::set_binary_point(u8 group, u32 value) {
  binary_point[group] = std::max(kMinimumBinaryPoint[group], static_cast<u8>(value & 7));
}

}  // namespace solder::models::gic
