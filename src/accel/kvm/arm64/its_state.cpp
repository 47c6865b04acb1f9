#include "accel/kvm/arm64/its_state.h"

namespace solder::accel::kvm::arm64 {

namespace {

// GITS_ registers (IHI 0069, 12.19) …
constexpr u32 kControl = 0x0;
constexpr u32 kIdentity = 0x4;
constexpr u32 kCommandBase = 0x80;
constexpr u32 kCommandWriter = 0x88;
constexpr u32 kCommandReader = 0x90;
constexpr u32 kTableBase = 0x100;
// … and those of a redistributor that LPIs have (12.11).
constexpr u32 kRedistributorControl = 0x0;
constexpr u32 kPropertyBase = 0x70;
constexpr u32 kPendingBase = 0x78;
constexpr u32 kEnableLpis = 1;

class Registers {
 public:
  Registers(const KernelDevice& its, const KernelDevice& gic) : its_(its), gic_(gic) {}

  // KVM takes and gives 64 bits for registers of 32 as well.
  [[nodiscard]] Result<u64> read(u32 offset) const {
    u64 value = 0;
    SOLDER_TRY_STATUS(its_.get(KVM_DEV_ARM_VGIC_GRP_ITS_REGS, offset, &value));
    return value;
  }
  Status write(u32 offset, u64 value) const { return its_.set(KVM_DEV_ARM_VGIC_GRP_ITS_REGS, offset, &value); }

  [[nodiscard]] Result<u32> read_redistributor(u32 affinity, u32 offset) const {
    u32 value = 0;
    SOLDER_TRY_STATUS(gic_.get(KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, u64{affinity} << 32 | offset, &value));
    return value;
  }
  Status write_redistributor(u32 affinity, u32 offset, u32 value) const {
    return gic_.set(KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, u64{affinity} << 32 | offset, &value);
  }
  [[nodiscard]] Result<u64> read_redistributor_pair(u32 affinity, u32 offset) const {
    const u64 low = SOLDER_TRY(read_redistributor(affinity, offset));
    const u64 high = SOLDER_TRY(read_redistributor(affinity, offset + 4));
    return low | high << 32;
  }
  Status write_redistributor_pair(u32 affinity, u32 offset, u64 value) const {
    SOLDER_TRY_STATUS(write_redistributor(affinity, offset, static_cast<u32>(value)));
    return write_redistributor(affinity, offset + 4, static_cast<u32>(value >> 32));
  }

 private:
  const KernelDevice& its_;
  const KernelDevice& gic_;
};

Status save(const Registers& registers, std::span<const u32> affinities, ItsRecord& record) {
  record.identity = SOLDER_TRY(registers.read(kIdentity));
  record.control = SOLDER_TRY(registers.read(kControl));
  record.commands = SOLDER_TRY(registers.read(kCommandBase));
  record.writer = SOLDER_TRY(registers.read(kCommandWriter));
  record.reader = SOLDER_TRY(registers.read(kCommandReader));
  for (u32 i = 0; i < record.tables.size(); ++i) record.tables[i] = SOLDER_TRY(registers.read(kTableBase + i * 8));
  for (usize i = 0; i < affinities.size(); ++i) {
    ItsRecord::Redistributor& cpu = record.cpus[i];
    cpu.properties = SOLDER_TRY(registers.read_redistributor_pair(affinities[i], kPropertyBase));
    cpu.pending = SOLDER_TRY(registers.read_redistributor_pair(affinities[i], kPendingBase));
    const u32 control = SOLDER_TRY(registers.read_redistributor(affinities[i], kRedistributorControl));
    cpu.enabled = (control & kEnableLpis) != 0;
  }
  return {};
}

// The bases of a redistributor cannot change while it has LPIs, the ITS's not while that is on: control comes last.
Status load(const Registers& registers, const KernelDevice& its, std::span<const u32> affinities,
            const ItsRecord& record) {
  for (usize i = 0; i < affinities.size(); ++i) {
    const ItsRecord::Redistributor& cpu = record.cpus[i];
    SOLDER_TRY_STATUS(registers.write_redistributor_pair(affinities[i], kPropertyBase, cpu.properties));
    SOLDER_TRY_STATUS(registers.write_redistributor_pair(affinities[i], kPendingBase, cpu.pending));
    SOLDER_TRY_STATUS(registers.write_redistributor(affinities[i], kRedistributorControl, cpu.enabled ? 1 : 0));
  }
  SOLDER_TRY_STATUS(its.set(KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_ITS_CTRL_RESET, nullptr));
  SOLDER_TRY_STATUS(registers.write(kIdentity, record.identity));
  SOLDER_TRY_STATUS(registers.write(kCommandBase, record.commands));  // clears the two below
  SOLDER_TRY_STATUS(registers.write(kCommandReader, record.reader));
  SOLDER_TRY_STATUS(registers.write(kCommandWriter, record.writer));
  for (u32 i = 0; i < record.tables.size(); ++i)
    SOLDER_TRY_STATUS(registers.write(kTableBase + i * 8, record.tables[i]));
  SOLDER_TRY_STATUS(its.set(KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_ITS_RESTORE_TABLES, nullptr));
  return registers.write(kControl, record.control);
}

}  // namespace

void ItsRecord::state(device::Archive& archive) {
  archive("identity", identity)("control", control)("commands", commands)("writer", writer)("reader", reader);
  archive("tables", tables);
  for (Redistributor& cpu : cpus) archive("cpu", cpu);
}

Status archive_its(const KernelDevice& its, const KernelDevice& gic, std::span<const u32> affinities,
                   device::Archive& archive) {
  const Registers registers(its, gic);
  ItsRecord record;
  record.cpus.resize(affinities.size());
  if (archive.mode() == device::Archive::Mode::load) {
    record.state(archive);
    return archive.status() ? load(registers, its, affinities, record) : Status{};
  }
  SOLDER_TRY_STATUS(its.set(KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_ITS_SAVE_TABLES, nullptr));
  SOLDER_TRY_STATUS(gic.set(KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_SAVE_PENDING_TABLES, nullptr));
  SOLDER_TRY_STATUS(save(registers, affinities, record));
  record.state(archive);
  return {};
}

}  // namespace solder::accel::kvm::arm64
