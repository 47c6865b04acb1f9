#include "guest/arm64/mmu.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "guest/arm64/id_registers.h"

namespace solder::arm64 {
namespace {

using ir::AccessKind;
using ir::MemoryFault;

constexpr u64 kSctlrM = 1U << 0;
constexpr u64 kSctlrWxn = 1U << 19;

constexpr u64 kDescriptorAddress = mask64(48) & ~mask64(12);
constexpr u64 kAccessFlag = u64{1} << 10;
constexpr u64 kReadOnly = u64{1} << 7;    // AP[2]
constexpr u64 kUserAccess = u64{1} << 6;  // AP[1]
constexpr u64 kNotGlobal = u64{1} << 11;
constexpr u64 kDirtyModifier = u64{1} << 51;
constexpr u64 kPxn = u64{1} << 53;
constexpr u64 kUxn = u64{1} << 54;

std::unexpected<MemoryFault> fault(u64 va, AccessKind kind, u32 code) {
  return std::unexpected(MemoryFault{va, kind, code | (kind == AccessKind::write ? kIssWnr : 0)});
}

/// One half of the address space, as TCR_EL1 describes it (TCR_EL1, T0SZ/TG0/EPD0 and the same with 1).
struct Half {
  u64 ttbr;
  unsigned input_bits;
  unsigned granule_bits;
  bool walks_disabled;
};

Half half_of(const Arm64State& state, bool upper) {
  const u64 tcr = state.tcr_el1;
  unsigned size = static_cast<unsigned>(upper ? bits(tcr, 21, 16) : bits(tcr, 5, 0));
  size = std::clamp(size, 16U, 39U);
  unsigned granule = 12;
  if (upper) {
    const u64 tg1 = bits(tcr, 31, 30);
    granule = tg1 == 1 ? 14 : tg1 == 3 ? 16 : 12;
  } else {
    const u64 tg0 = bits(tcr, 15, 14);
    granule = tg0 == 2 ? 14 : tg0 == 1 ? 16 : 12;
  }
  return {upper ? state.ttbr1_el1 : state.ttbr0_el1, 64 - size, granule, bit(tcr, upper ? 23U : 7U)};
}

unsigned output_bits(u64 tcr) {
  static constexpr unsigned kSizes[] = {32, 36, 40, 42, 44, 48, 48, 48};
  return std::min(kSizes[bits(tcr, 34, 32)], id::kPhysicalBits);
}

/// What the descriptors allow (DDI 0487, D8.4), for `privilege`.
void set_permissions(ir::Translation& translation, u64 descriptor, const Privilege& privilege, bool write_xn) {
  const bool user = (descriptor & kUserAccess) != 0;
  const bool writable = (descriptor & kReadOnly) == 0;
  if (privilege.el1) {
    const bool hidden = privilege.pan && user;
    translation.readable = !hidden;
    translation.writable = writable && !hidden;
    // What EL0 can write, EL1 never executes.
    translation.executable = (descriptor & kPxn) == 0 && !(user && writable) && !(write_xn && writable);
  } else {
    translation.readable = user;
    translation.writable = user && writable;
    translation.executable = (descriptor & kUxn) == 0 && !(write_xn && user && writable);
  }
}

bool allowed(const ir::Translation& translation, AccessKind kind) {
  switch (kind) {
    case AccessKind::read:
      return translation.readable;
    case AccessKind::write:
      return translation.writable;
    case AccessKind::execute:
      return translation.executable;
  }
  return false;
}

/// Reads one descriptor. Tables lie in RAM; anything else is an external abort on the walk.
bool read_descriptor(const memory::AddressSpace& space, Gpa address, u64& descriptor) {
  const u8* host = space.ram_pointer(address, 8);
  if (host == nullptr) return false;
  // Other CPUs write descriptors with single 64-bit stores; the read is one load, too.
  descriptor = __atomic_load_n(reinterpret_cast<const u64*>(host), __ATOMIC_RELAXED);
  return true;
}

/// Replaces a descriptor if nobody changed it meanwhile.
bool update_descriptor(const memory::AddressSpace& space, Gpa address, u64 before, u64 after) {
  const memory::FlatRange* range = space.map().find(address);
  if (range == nullptr || range->ram == nullptr || range->read_only) return false;
  const u64 offset = range->offset + (address - range->start);
  u64 expected = before;
  auto* host = reinterpret_cast<u64*>(range->ram->host() + offset);
  if (!__atomic_compare_exchange_n(host, &expected, after, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED)) return false;
  range->ram->mark_written(offset, 8);
  return true;
}

/// A walk from the root. `retry`: a descriptor changed under us and the walk must start again.
struct Walker {
  const Arm64State& state;
  const memory::AddressSpace& space;
  u64 va;
  AccessKind kind;
  Privilege privilege;
  bool retry = false;

  std::expected<Walk, MemoryFault> run();
  std::expected<Walk, MemoryFault> finish(u64 descriptor, Gpa where, unsigned level, unsigned page_bits,
                                          u64 table_attributes, u64 address);
};

std::expected<Walk, MemoryFault> Walker::run() {
  const u64 tcr = state.tcr_el1;
  const bool upper = bit(va, 55);
  const Half half = half_of(state, upper);
  const u64 address = strip_tag(state, va);
  // The bits above the input size are copies of bit 55.
  if ((address >> half.input_bits) != (upper ? ~u64{0} >> half.input_bits : 0))
    return fault(va, kind, fsc::kTranslation);
  // E0PD0 and E0PD1: this half is not there for EL0.
  const bool hidden_from_el0 = bit(tcr, upper ? 56U : 55U) && !privilege.el1;
  if (half.walks_disabled || hidden_from_el0) return fault(va, kind, fsc::kTranslation);

  const unsigned stride = half.granule_bits - 3;
  const unsigned levels = (half.input_bits - half.granule_bits + stride - 1) / stride;
  unsigned level = 4 - levels;
  const unsigned first_bits = half.input_bits - half.granule_bits - stride * (levels - 1);
  const unsigned out_bits = output_bits(tcr);
  Gpa table = half.ttbr & mask64(48) & ~mask64(first_bits + 3);
  if ((table >> out_bits) != 0) return fault(va, kind, fsc::kAddressSize);

  u64 table_attributes = 0;
  unsigned index_bits = first_bits;
  for (;; ++level, index_bits = stride) {
    const unsigned shift = half.granule_bits + stride * (3 - level);
    const Gpa where = table + bits(address, shift + index_bits - 1, shift) * 8;
    u64 descriptor = 0;
    if (!read_descriptor(space, where, descriptor)) return fault(va, kind, fsc::kExternalOnWalk + level);
    const u64 output = descriptor & kDescriptorAddress & ~mask64(half.granule_bits);
    if (!bit(descriptor, 0)) return fault(va, kind, fsc::kTranslation + level);
    if (level < 3 && bit(descriptor, 1)) {
      if ((output >> out_bits) != 0) return fault(va, kind, fsc::kAddressSize + level);
      table_attributes |= descriptor;  // all of them restrict: they accumulate by or
      table = output;
      continue;
    }
    const bool block = level < 3;
    const bool block_here = level == 2 || (level == 1 && half.granule_bits == 12);
    if (block ? !block_here : !bit(descriptor, 1)) return fault(va, kind, fsc::kTranslation + level);
    const u64 base = output & ~mask64(shift);
    if ((base >> out_bits) != 0) return fault(va, kind, fsc::kAddressSize + level);
    return finish(descriptor, where, level, shift, table_attributes, base | (address & mask64(shift)));
  }
}

std::expected<Walk, MemoryFault> Walker::finish(u64 descriptor, Gpa where, unsigned level, unsigned page_bits,
                                                u64 table_attributes, u64 address) {
  const bool hardware_flag = bit(state.tcr_el1, 39);
  const bool hardware_dirty = hardware_flag && bit(state.tcr_el1, 40);
  u64 updated = descriptor;
  if ((descriptor & kAccessFlag) == 0) {
    if (!hardware_flag) return fault(va, kind, fsc::kAccessFlag + level);
    updated |= kAccessFlag;
  }
  // A write makes a clean page with the modifier dirty, and only then writable; other kinds see it read-only, so that
  // the first write comes here.
  const bool makes_dirty = hardware_dirty && kind == AccessKind::write && (descriptor & kDirtyModifier) != 0;
  if (makes_dirty) updated &= ~kReadOnly;

  u64 effective = updated;
  if (bit(table_attributes, 62)) effective |= kReadOnly;     // APTable[1]
  if (bit(table_attributes, 61)) effective &= ~kUserAccess;  // APTable[0]
  if (bit(table_attributes, 60)) effective |= kUxn;
  if (bit(table_attributes, 59)) effective |= kPxn;

  Walk walk;
  walk.translation.physical = address;
  walk.translation.page_bits = static_cast<u8>(page_bits);
  set_permissions(walk.translation, effective, privilege, (state.sctlr_el1 & kSctlrWxn) != 0);
  walk.attributes = static_cast<u8>(state.mair_el1 >> (bits(descriptor, 4, 2) * 8));
  walk.shareability = static_cast<u8>(bits(descriptor, 9, 8));
  walk.global = (descriptor & kNotGlobal) == 0;
  walk.translation.device = (walk.attributes & 0xf0) == 0;
  if (!allowed(walk.translation, kind)) return fault(va, kind, fsc::kPermission + level);
  if (updated != descriptor && !update_descriptor(space, where, descriptor, updated)) {
    retry = true;
    return fault(va, kind, fsc::kExternalOnWalk + level);
  }
  return walk;
}

}  // namespace

u64 strip_tag(const Arm64State& state, u64 va) {
  const bool upper = bit(va, 55);
  if (!bit(state.tcr_el1, upper ? 38U : 37U)) return va;
  return upper ? va | (u64{0xff} << 56) : va & mask64(56);
}

std::expected<Walk, MemoryFault> walk_stage1(const Arm64State& state, const memory::AddressSpace& space, u64 va,
                                             AccessKind kind, const Privilege& privilege) {
  if ((state.sctlr_el1 & kSctlrM) == 0) {
    // Flat. Data is Device-nGnRnE memory (DDI 0487, D8.2.9); tags are ignored as ever.
    const u64 address = strip_tag(state, va);
    if ((address >> id::kPhysicalBits) != 0) return fault(va, kind, fsc::kAddressSize);
    Walk walk;
    walk.translation = {address, 30, true, true, true, kind != AccessKind::execute};
    walk.shareability = 2;
    return walk;
  }
  Walker walker{state, space, va, kind, privilege};
  for (unsigned attempt = 0;; ++attempt) {
    walker.retry = false;
    auto result = walker.run();
    // A table outside RAM cannot be updated: after some attempts that is an external abort.
    if (!walker.retry || attempt == 16) return result;
  }
}

}  // namespace solder::arm64
