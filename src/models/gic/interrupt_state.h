/// The state of a GIC's interrupts and the search for the most urgent one. Both GICv2 and GICv3 stand on it.
/// References: IHI 0048B (GICv2) and IHI 0069H (GICv3/4), "the specification" below.
#pragma once

#include <array>
#include <vector>

#include "base/types.h"
#include "device/archive.h"

namespace solder::models::gic {

inline constexpr u32 kPrivateIds = 32;         ///< SGIs 0..15 and PPIs 16..31, one set per CPU
inline constexpr u32 kMaxWords = 32;           ///< 32 interrupts each: ids 0..1023
inline constexpr u32 kSpecialIds = 1020;       ///< 1020..1023 are not interrupts
inline constexpr u32 kGroupOneInstead = 1022;  ///< GICv2: the pending interrupt is of group 1 and AckCtl is 0
inline constexpr u32 kSpurious = 1023;
inline constexpr u8 kIdlePriority = 0xff;
inline constexpr u8 kPriorityMask = 0xf8;  ///< 32 levels, as GIC-400, GIC-500 and GIC-600 have them

/// 32 interrupts, one bit each.
struct Word {
  u32 enabled = 0;
  u32 latched = 0;  ///< pending by an edge, a software write or an SGI
  u32 line = 0;     ///< the input's level
  u32 active = 0;
  u32 edge = 0;  ///< edge-triggered by ICFGR
  u32 group1 = 0;

  [[nodiscard]] u32 pending() const { return latched | (line & ~edge); }
  [[nodiscard]] u32 ready() const { return pending() & enabled & ~active; }
  void state(device::Archive& archive);
};

/// The most urgent interrupt that could be signalled.
struct Best {
  u32 id = kSpurious;
  u8 priority = kIdlePriority;
  u8 group = 0;
};

/// All interrupts of one distributor. Not locked: the controller's lock protects it.
/// Shared interrupts reach the CPUs that `route` says; a summary of words with something ready makes `best` cost what
/// is ready, not what exists.
class InterruptState {
 public:
  explicit InterruptState(u32 cpus);
  /// Power-on values; input levels stay, they belong to the devices.
  void reset();
  void state(device::Archive& archive);

  /// Word 0 is the CPU's own, the others are shared. After changing one call `changed`.
  [[nodiscard]] Word& word(u32 cpu, u32 index) { return index == 0 ? private_[cpu] : shared_[index]; }
  [[nodiscard]] const Word& word(u32 cpu, u32 index) const { return index == 0 ? private_[cpu] : shared_[index]; }
  void changed(u32 index);

  [[nodiscard]] u8 priority(u32 cpu, u32 id) const {
    return id < kPrivateIds ? private_priority_[cpu][id] : priority_[id];
  }
  void set_priority(u32 cpu, u32 id, u8 value);
  /// Whether shared interrupt `id` is sent to `cpu`.
  void route(u32 cpu, u32 id, bool on);
  [[nodiscard]] bool routed(u32 cpu, u32 id) const { return ((routes_[cpu][id / 32] >> (id % 32)) & 1) != 0; }

  /// The input's level; a rising edge latches an edge-triggered interrupt.
  void set_line(u32 cpu, u32 id, bool level);
  void latch(u32 cpu, u32 id);
  /// Pending to active; the latch goes, a level stays as it is.
  void acknowledge(u32 cpu, u32 id);
  void deactivate(u32 cpu, u32 id);

  /// `groups`: bit 0 group 0, bit 1 group 1. Equal priorities: the lowest id.
  [[nodiscard]] Best best(u32 cpu, u32 groups) const;

  /// Registers that distributors and redistributors have alike: IGROUPR to ICFGR at 0x080..0xcff without ITARGETSR.
  /// `offset` is aligned to 4; unknown ones read as zero and ignore writes. `words`: how many words exist.
  [[nodiscard]] u32 read_register(u32 cpu, u32 offset, u32 words) const;
  void write_register(u32 cpu, u32 offset, u32 value, u32 words);

 private:
  std::vector<Word> private_;
  std::vector<std::array<u8, kPrivateIds>> private_priority_;
  std::array<Word, kMaxWords> shared_{};
  std::array<u32, kMaxWords> ready_{};
  u32 summary_ = 0;  // bit w: ready_[w] is not zero
  std::array<u8, kMaxWords * 32> priority_{};
  std::vector<std::array<u32, kMaxWords>> routes_;
};

/// What a CPU interface adds: the mask, the binary points and the priorities that are active.
struct CpuInterface {
  u8 priority_mask = 0;
  std::array<u8, 2> binary_point = {2, 3};
  std::array<u32, 2> active_priorities{};  ///< by group; bit n: priority n << 3
  bool common_binary_point = false;
  bool drop_only = false;  ///< EOImode: a write to EOIR drops the priority, DIR deactivates

  static constexpr u8 kMinimumBinaryPoint[2] = {2, 3};

  void state(device::Archive& archive);
  [[nodiscard]] u8 running_priority() const;
  /// The bits of a priority that decide preemption (the group priority), specification section 4.8.2 / 3.3.3.
  [[nodiscard]] u8 group_priority_mask(u8 group) const;
  /// Whether `best` interrupts what runs now.
  [[nodiscard]] bool signals(const Best& best) const;
  void activate(const Best& best);
  /// The group of the highest active priority; 2 when none is active.
  [[nodiscard]] u32 active_group() const;
  /// Ends the highest active priority of `group`.
  void drop(u32 group) { active_priorities[group] &= active_priorities[group] - 1; }
  void set_binary_point(u8 group, u32 value);
};

}  // namespace solder::models::gic
