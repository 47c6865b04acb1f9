#include "accel/kvm/arm64/vgic_state.h"

#include <algorithm>

#include "base/bits.h"
#include "models/gic/saved_state.h"

namespace solder::accel::kvm::arm64 {

namespace {

using models::gic::InterruptState;
using models::gic::kPrivateIds;
using models::gic::kSpecialIds;
using models::gic::Word;

// Distributor and redistributor registers (IHI 0069, 12.8 and 12.10; IHI 0048, 4.3).
constexpr u32 kGroup = 0x80;
constexpr u32 kSetEnable = 0x100;
constexpr u32 kClearEnable = 0x180;
constexpr u32 kSetPending = 0x200;
constexpr u32 kClearPending = 0x280;
constexpr u32 kSetActive = 0x300;
constexpr u32 kClearActive = 0x380;
constexpr u32 kPriority = 0x400;
constexpr u32 kTargets = 0x800;
constexpr u32 kConfiguration = 0xc00;
constexpr u32 kClearSgi = 0xf10;
constexpr u32 kSetSgi = 0xf20;
constexpr u32 kRouter = 0x6000;
constexpr u32 kSgiFrame = 0x10000;
constexpr u32 kGroupEnables = 3;
constexpr u32 kSgis = 0xffff;

// CPU interface registers: of a GICv2 (IHI 0048, 4.4) …
constexpr u32 kControlV2 = 0x0;
constexpr u32 kMaskV2 = 0x4;
constexpr u32 kBinaryPointV2 = 0x8;
constexpr u32 kBinaryPointAliasV2 = 0x1c;
constexpr u32 kActiveV2 = 0xd0;
constexpr u32 kCommonBinaryPointV2 = 1U << 4;
constexpr u32 kEoiModeV2 = 1U << 9;
// … and of a GICv3 (IHI 0069, 12.2).
constexpr u32 system_register(u32 op1, u32 crn, u32 crm, u32 op2) {
  return 3U << 14 | op1 << 11 | crn << 7 | crm << 3 | op2;
}
constexpr u32 kMask = system_register(0, 4, 6, 0);
constexpr u32 kBinaryPoint0 = system_register(0, 12, 8, 3);
constexpr u32 kBinaryPoint1 = system_register(0, 12, 12, 3);
constexpr u32 kActive0 = system_register(0, 12, 8, 4);
constexpr u32 kActive1 = system_register(0, 12, 9, 0);
constexpr u32 kControl = system_register(0, 12, 12, 4);
constexpr u32 kEnable0 = system_register(0, 12, 12, 6);
constexpr u32 kEnable1 = system_register(0, 12, 12, 7);

/// ICFGR has two bits for each interrupt, of which the upper says "edge".
u32 edges_of(u32 low, u32 high) {
  u32 edges = 0;
  for (u32 n = 0; n < 16; ++n) edges |= (low >> (2 * n + 1) & 1) << n | (high >> (2 * n + 1) & 1) << (n + 16);
  return edges;
}
u32 configuration_of(u32 edges) {
  u32 value = 0;
  for (u32 n = 0; n < 16; ++n) value |= (edges >> n & 1) << (2 * n + 1);
  return value;
}

class Registers {
 public:
  Registers(const KernelDevice& gic, const VgicShape& shape) : gic_(gic), shape_(shape) {}

  /// `offset` in the frame that has the interrupts of word `index`: of `cpu` when they are its own.
  [[nodiscard]] Result<u32> read(u32 cpu, u32 index, u32 offset) const {
    u32 value = 0;
    SOLDER_TRY_STATUS(gic_.get(group(index), attribute(cpu, index, offset), &value));
    return value;
  }
  Status write(u32 cpu, u32 index, u32 offset, u32 value) const {
    return gic_.set(group(index), attribute(cpu, index, offset), &value);
  }
  [[nodiscard]] Result<u32> read_interface_v2(u32 cpu, u32 offset) const {
    u32 value = 0;
    SOLDER_TRY_STATUS(gic_.get(KVM_DEV_ARM_VGIC_GRP_CPU_REGS, u64{cpu} << 32 | offset, &value));
    return value;
  }
  Status write_interface_v2(u32 cpu, u32 offset, u32 value) const {
    return gic_.set(KVM_DEV_ARM_VGIC_GRP_CPU_REGS, u64{cpu} << 32 | offset, &value);
  }
  [[nodiscard]] Result<u64> read_interface(u32 cpu, u32 code) const {
    u64 value = 0;
    SOLDER_TRY_STATUS(gic_.get(KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS, affinity(cpu) | code, &value));
    return value;
  }
  Status write_interface(u32 cpu, u32 code, u64 value) const {
    return gic_.set(KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS, affinity(cpu) | code, &value);
  }
  [[nodiscard]] Result<u32> read_lines(u32 cpu, u32 index) const {
    u32 value = 0;
    SOLDER_TRY_STATUS(gic_.get(KVM_DEV_ARM_VGIC_GRP_LEVEL_INFO, affinity(cpu) | lines(index), &value));
    return value;
  }
  Status write_lines(u32 cpu, u32 index, u32 value) const {
    return gic_.set(KVM_DEV_ARM_VGIC_GRP_LEVEL_INFO, affinity(cpu) | lines(index), &value);
  }

 private:
  [[nodiscard]] u64 affinity(u32 cpu) const { return u64{shape_.affinities[cpu]} << 32; }
  [[nodiscard]] u32 group(u32 index) const {
    return shape_.version == 3 && index == 0 ? KVM_DEV_ARM_VGIC_GRP_REDIST_REGS : KVM_DEV_ARM_VGIC_GRP_DIST_REGS;
  }
  [[nodiscard]] u64 attribute(u32 cpu, u32 index, u32 offset) const {
    if (shape_.version == 2) return u64{cpu} << 32 | offset;
    return index == 0 ? affinity(cpu) | (kSgiFrame + offset) : offset;
  }
  static u32 lines(u32 index) {
    return u32{VGIC_LEVEL_INFO_LINE_LEVEL} << KVM_DEV_ARM_VGIC_LINE_LEVEL_INFO_SHIFT | index * 32;
  }

  const KernelDevice& gic_;
  const VgicShape& shape_;
};

Status save_word(const Registers& gic, const VgicShape& shape, u32 cpu, u32 index, InterruptState& interrupts) {
  Word& word = interrupts.word(cpu, index);
  const u32 at = index * 4;
  word.group1 = SOLDER_TRY(gic.read(cpu, index, kGroup + at));
  word.enabled = SOLDER_TRY(gic.read(cpu, index, kSetEnable + at));
  word.active = SOLDER_TRY(gic.read(cpu, index, kSetActive + at));
  const u32 low = SOLDER_TRY(gic.read(cpu, index, kConfiguration + index * 8));
  const u32 high = SOLDER_TRY(gic.read(cpu, index, kConfiguration + index * 8 + 4));
  word.edge = edges_of(low, high);
  const u32 pending = SOLDER_TRY(gic.read(cpu, index, kSetPending + at));
  if (shape.version == 3) {
    // What is latched, without what only the line makes pending.
    word.latched = pending;
    word.line = SOLDER_TRY(gic.read_lines(cpu, index));
  } else {
    word.line = index == 0 ? pending & ~word.edge & ~kSgis : shape.lines[index];
    word.latched = pending & ~(word.line & ~word.edge);
  }
  for (u32 n = 0; n < 32; n += 4) {
    const u32 four = SOLDER_TRY(gic.read(cpu, index, kPriority + index * 32 + n));
    for (u32 i = 0; i < 4; ++i) interrupts.set_priority(cpu, index * 32 + n + i, static_cast<u8>(four >> (8 * i)));
  }
  return {};
}

Status load_word(const Registers& gic, const VgicShape& shape, u32 cpu, u32 index, const InterruptState& interrupts) {
  const Word& word = interrupts.word(cpu, index);
  const u32 at = index * 4;
  for (u32 n = 0; n < 32; n += 4) {
    u32 four = 0;
    for (u32 i = 0; i < 4; ++i) four |= u32{interrupts.priority(cpu, index * 32 + n + i)} << (8 * i);
    SOLDER_TRY_STATUS(gic.write(cpu, index, kPriority + index * 32 + n, four));
  }
  SOLDER_TRY_STATUS(gic.write(cpu, index, kGroup + at, word.group1));
  SOLDER_TRY_STATUS(gic.write(cpu, index, kConfiguration + index * 8, configuration_of(word.edge & 0xffff)));
  SOLDER_TRY_STATUS(gic.write(cpu, index, kConfiguration + index * 8 + 4, configuration_of(word.edge >> 16)));
  SOLDER_TRY_STATUS(gic.write(cpu, index, kClearEnable + at, ~word.enabled));
  SOLDER_TRY_STATUS(gic.write(cpu, index, kSetEnable + at, word.enabled));
  if (shape.version == 3) {
    // This register takes the whole latch at once.
    SOLDER_TRY_STATUS(gic.write_lines(cpu, index, word.line));
    SOLDER_TRY_STATUS(gic.write(cpu, index, kSetPending + at, word.latched));
  } else {
    // SGIs have their own registers. The lines are the devices' to set.
    const u32 others = index == 0 ? ~kSgis : ~u32{0};
    SOLDER_TRY_STATUS(gic.write(cpu, index, kClearPending + at, ~word.latched & others));
    SOLDER_TRY_STATUS(gic.write(cpu, index, kSetPending + at, word.latched & others));
  }
  SOLDER_TRY_STATUS(gic.write(cpu, index, kClearActive + at, ~word.active));
  return gic.write(cpu, index, kSetActive + at, word.active);
}

/// Calls `each(cpu, index)` for every word: the private one of each CPU, and the shared ones once.
template <class F>
Status for_words(const VgicShape& shape, F each) {
  for (u32 cpu = 0; cpu < shape.affinities.size(); ++cpu) SOLDER_TRY_STATUS(each(cpu, 0));
  for (u32 index = 1; index < shape.words; ++index) SOLDER_TRY_STATUS(each(0, index));
  return {};
}

u32 last_id(const VgicShape& shape) {
  return std::min(shape.words * 32, kSpecialIds);
}

struct StateV3 {
  explicit StateV3(usize count) : interrupts(static_cast<u32>(count)), routers(kSpecialIds), cpus(count) {}
  InterruptState interrupts;
  u32 control = 0;
  std::vector<u64> routers;
  std::vector<models::gic::CpuRecordV3> cpus;
};

Status save_v3(const Registers& gic, const VgicShape& shape, StateV3& state) {
  state.control = SOLDER_TRY(gic.read(0, 1, 0)) & kGroupEnables;
  for (u32 id = kPrivateIds; id < last_id(shape); ++id) {
    const u64 low = SOLDER_TRY(gic.read(0, 1, kRouter + id * 8));
    const u64 high = SOLDER_TRY(gic.read(0, 1, kRouter + id * 8 + 4));
    state.routers[id] = low | high << 32;
  }
  for (u32 i = 0; i < state.cpus.size(); ++i) {
    models::gic::CpuRecordV3& cpu = state.cpus[i];
    const u64 enable0 = SOLDER_TRY(gic.read_interface(i, kEnable0));
    const u64 enable1 = SOLDER_TRY(gic.read_interface(i, kEnable1));
    cpu.flags = static_cast<u8>((enable0 & 1) << 1 | (enable1 & 1) << 2);  // KVM's redistributors never sleep
    const u64 control = SOLDER_TRY(gic.read_interface(i, kControl));
    cpu.interface.common_binary_point = bit(control, 0);
    cpu.interface.drop_only = bit(control, 1);
    cpu.interface.priority_mask = static_cast<u8>(SOLDER_TRY(gic.read_interface(i, kMask)));
    cpu.interface.binary_point = {static_cast<u8>(SOLDER_TRY(gic.read_interface(i, kBinaryPoint0))),
                                  static_cast<u8>(SOLDER_TRY(gic.read_interface(i, kBinaryPoint1)))};
    cpu.interface.active_priorities = {static_cast<u32>(SOLDER_TRY(gic.read_interface(i, kActive0))),
                                       static_cast<u32>(SOLDER_TRY(gic.read_interface(i, kActive1)))};
  }
  return {};
}

Status load_v3(const Registers& gic, const VgicShape& shape, const StateV3& state) {
  for (u32 id = kPrivateIds; id < last_id(shape); ++id) {
    SOLDER_TRY_STATUS(gic.write(0, 1, kRouter + id * 8, static_cast<u32>(state.routers[id])));
    SOLDER_TRY_STATUS(gic.write(0, 1, kRouter + id * 8 + 4, static_cast<u32>(state.routers[id] >> 32)));
  }
  for (u32 i = 0; i < state.cpus.size(); ++i) {
    const models::gic::CpuRecordV3& cpu = state.cpus[i];
    // The other fields are the host's, and KVM checks that they are.
    const u64 control = SOLDER_TRY(gic.read_interface(i, kControl)) & ~u64{3};
    SOLDER_TRY_STATUS(gic.write_interface(
        i, kControl, control | u64{cpu.interface.common_binary_point} | u64{cpu.interface.drop_only} << 1));
    SOLDER_TRY_STATUS(gic.write_interface(i, kMask, cpu.interface.priority_mask));
    SOLDER_TRY_STATUS(gic.write_interface(i, kBinaryPoint0, cpu.interface.binary_point[0]));
    SOLDER_TRY_STATUS(gic.write_interface(i, kBinaryPoint1, cpu.interface.binary_point[1]));
    SOLDER_TRY_STATUS(gic.write_interface(i, kActive0, cpu.interface.active_priorities[0]));
    SOLDER_TRY_STATUS(gic.write_interface(i, kActive1, cpu.interface.active_priorities[1]));
    SOLDER_TRY_STATUS(gic.write_interface(i, kEnable0, cpu.flags >> 1 & 1));
    SOLDER_TRY_STATUS(gic.write_interface(i, kEnable1, cpu.flags >> 2 & 1));
  }
  return gic.write(0, 1, 0, state.control);
}

struct StateV2 {
  explicit StateV2(usize count) : interrupts(static_cast<u32>(count)), targets(kSpecialIds), cpus(count) {}
  InterruptState interrupts;
  u32 control = 0;
  std::vector<u8> targets;
  std::vector<models::gic::CpuRecordV2> cpus;
};

/// KVM's GICv2 has the active priorities of both groups in one register: the group is that of an interrupt which is
/// active with this priority.
std::array<u32, 2> split_priorities(const VgicShape& shape, const InterruptState& interrupts, u32 cpu, u32 both) {
  u32 group1 = 0;
  for (u32 id = 0; id < last_id(shape); ++id) {
    const Word& word = interrupts.word(cpu, id / 32);
    if (bit(word.active, id % 32) && bit(word.group1, id % 32)) group1 |= 1U << (interrupts.priority(cpu, id) >> 3);
  }
  return {both & ~group1, both & group1};
}

Status save_v2(const Registers& gic, const VgicShape& shape, StateV2& state) {
  state.control = SOLDER_TRY(gic.read(0, 1, 0)) & kGroupEnables;
  for (u32 id = kPrivateIds; id < last_id(shape); id += 4) {
    const u32 four = SOLDER_TRY(gic.read(0, 1, kTargets + id));
    for (u32 i = 0; i < 4; ++i) state.targets[id + i] = static_cast<u8>(four >> (8 * i));
  }
  for (u32 i = 0; i < state.cpus.size(); ++i) {
    models::gic::CpuRecordV2& cpu = state.cpus[i];
    cpu.control = SOLDER_TRY(gic.read_interface_v2(i, kControlV2));
    cpu.interface.common_binary_point = (cpu.control & kCommonBinaryPointV2) != 0;
    cpu.interface.drop_only = (cpu.control & kEoiModeV2) != 0;
    // KVM has the five bits that count, shifted down.
    cpu.interface.priority_mask = static_cast<u8>(SOLDER_TRY(gic.read_interface_v2(i, kMaskV2)) << 3);
    cpu.interface.binary_point = {static_cast<u8>(SOLDER_TRY(gic.read_interface_v2(i, kBinaryPointV2))),
                                  static_cast<u8>(SOLDER_TRY(gic.read_interface_v2(i, kBinaryPointAliasV2)))};
    const u32 active = SOLDER_TRY(gic.read_interface_v2(i, kActiveV2));
    cpu.interface.active_priorities = split_priorities(shape, state.interrupts, i, active);
    for (u32 n = 0; n < 16; n += 4) {
      const u32 four = SOLDER_TRY(gic.read(i, 0, kSetSgi + n));
      for (u32 k = 0; k < 4; ++k) cpu.sgi_sources[n + k] = static_cast<u8>(four >> (8 * k));
    }
  }
  return {};
}

Status load_v2(const Registers& gic, const VgicShape& shape, const StateV2& state) {
  for (u32 id = kPrivateIds; id < last_id(shape); id += 4) {
    u32 four = 0;
    for (u32 i = 0; i < 4; ++i) four |= u32{state.targets[id + i]} << (8 * i);
    SOLDER_TRY_STATUS(gic.write(0, 1, kTargets + id, four));
  }
  for (u32 i = 0; i < state.cpus.size(); ++i) {
    const models::gic::CpuRecordV2& cpu = state.cpus[i];
    SOLDER_TRY_STATUS(gic.write_interface_v2(i, kControlV2, cpu.control));
    SOLDER_TRY_STATUS(gic.write_interface_v2(i, kMaskV2, cpu.interface.priority_mask >> 3));
    SOLDER_TRY_STATUS(gic.write_interface_v2(i, kBinaryPointV2, cpu.interface.binary_point[0]));
    SOLDER_TRY_STATUS(gic.write_interface_v2(i, kBinaryPointAliasV2, cpu.interface.binary_point[1]));
    SOLDER_TRY_STATUS(
        gic.write_interface_v2(i, kActiveV2, cpu.interface.active_priorities[0] | cpu.interface.active_priorities[1]));
    for (u32 n = 0; n < 16; n += 4) {
      u32 four = 0;
      for (u32 k = 0; k < 4; ++k) four |= u32{cpu.sgi_sources[n + k]} << (8 * k);
      SOLDER_TRY_STATUS(gic.write(i, 0, kClearSgi + n, ~four));
      SOLDER_TRY_STATUS(gic.write(i, 0, kSetSgi + n, four));
    }
  }
  return gic.write(0, 1, 0, state.control);
}

}  // namespace

std::vector<u32> affinities(const device::Ports& ports) {
  std::vector<u32> list;
  for (u32 cpu = 0; cpu < ports.cpu_count(); ++cpu) {
    const u64 id = ports.cpu_hardware_id(cpu);  // MPIDR: Aff3 in bits 39..32
    list.push_back(static_cast<u32>(id >> 8 & 0xff000000) | static_cast<u32>(id & 0xffffff));
  }
  return list;
}

Status archive_vgic(const KernelDevice& gic, const VgicShape& shape, device::Archive& archive) {
  const Registers registers(gic, shape);
  const bool saves = archive.mode() == device::Archive::Mode::save;
  const auto words = [&](InterruptState& interrupts) {
    return for_words(shape, [&](u32 cpu, u32 index) {
      return saves ? save_word(registers, shape, cpu, index, interrupts)
                   : load_word(registers, shape, cpu, index, interrupts);
    });
  };
  if (shape.version == 3) {
    StateV3 state(shape.affinities.size());
    if (saves) {
      SOLDER_TRY_STATUS(words(state.interrupts));
      SOLDER_TRY_STATUS(save_v3(registers, shape, state));
    }
    models::gic::archive_v3(archive, state.interrupts, state.control, state.routers, state.cpus);
    if (saves || !archive.status()) return {};
    SOLDER_TRY_STATUS(words(state.interrupts));
    return load_v3(registers, shape, state);
  }
  StateV2 state(shape.affinities.size());
  if (saves) {
    SOLDER_TRY_STATUS(words(state.interrupts));
    SOLDER_TRY_STATUS(save_v2(registers, shape, state));
  }
  models::gic::archive_v2(archive, state.interrupts, state.control, state.targets, state.cpus);
  if (saves || !archive.status()) return {};
  SOLDER_TRY_STATUS(words(state.interrupts));
  return load_v2(registers, shape, state);
}

}  // namespace solder::accel::kvm::arm64
