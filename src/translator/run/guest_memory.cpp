#include "translator/run/guest_memory.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "base/bits.h"
#include "memory/host_access.h"
#include "translator/run/host_atomic.h"

namespace solder::run {
namespace {

using ir::AccessKind;
using ir::MemAttr;
using ir::V128;
using memory::read_host;
using memory::write_host;
constexpr u64 kPage = memory::kPageSize;

bool allows(const PageInfo& info, AccessKind kind) {
  switch (kind) {
    case AccessKind::read:
      return info.readable;
    case AccessKind::write:
      return info.writable;
    case AccessKind::execute:
      return info.executable;
  }
  return false;
}

/// Between a number and the order of its bytes in big-endian memory.
void swap_bytes(V128& value, unsigned size) {
  std::reverse(value.b.begin(), value.b.begin() + size);
}

}  // namespace

bool GuestMemory::raise(const ir::MemoryFault& fault) {
  guest_.raise_memory_fault(fault);
  return false;
}

void GuestMemory::open_fast_path(PooledContext& context, usize index, AccessKind kind) {
  const PageInfo& info = context.pages[index];
  const memory::FlatRange* range = info.range;
  // The fast path takes the whole page for RAM.
  if (range == nullptr || range->ram == nullptr || range->start > info.physical ||
      range->end() - info.physical < kPage) {
    return;
  }
  memory::Ram& ram = *range->ram;
  const u64 offset = info.physical - range->start + range->offset;
  ir::TlbEntry& entry = context.tlb[index];
  entry.addend = reinterpret_cast<u64>(ram.host() + offset) - info.page;
  if (kind == AccessKind::execute) entry.exec_tag = info.page;
  if (info.readable) entry.read_tag = info.page;
  if (kind != AccessKind::write || range->read_only || !info.writable || ram.tracking()) return;
  RamCode* code = code_.ram_code(ram);
  if (code == nullptr) return;
  // First the writer bit, then the look at the code mark: the translating side does it the other way round.
  auto& writers = code->writers[offset >> memory::kPageShift];
  if ((writers.load(std::memory_order_relaxed) & writer_bit_) == 0) {
    writers.fetch_or(writer_bit_, std::memory_order_seq_cst);
  }
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (!ram.is_code_page(offset)) pool_.allow_writes(context, info.page);
}

bool GuestMemory::find(u64 address, unsigned size, AccessKind kind, ir::MmuIndex mmu, Place& place) {
  ++counts_.slow_accesses;
  const u64 va = guest_.canonical(address);
  const u64 page = align_down(va, kPage);
  ir::CoreState& state = guest_.state();
  PooledContext& context = ContextPool::of(mmu == ir::MmuIndex::current ? state.context : state.unprivileged);
  const usize index = ir::Context::tlb_index(va);
  PageInfo& info = context.pages[index];
  if (info.page != page || !allows(info, kind)) {
    ++counts_.walks;
    const auto walked = guest_.walk(address, kind, mmu);
    if (!walked) return raise(walked.error());
    PageInfo fresh;
    fresh.page = page;
    fresh.physical = align_down(walked->physical, kPage);
    fresh.page_bits = walked->page_bits;
    fresh.readable = walked->readable;
    fresh.writable = walked->writable;
    fresh.executable = walked->executable;
    fresh.device = walked->device;
    fresh.range = space_.map().find(walked->physical);
    if (options_.one_tlb) {
      if (only_context_ != nullptr) only_context_->drop_entry(only_index_);
      only_context_ = &context;
      only_index_ = index;
    }
    context.fill(fresh);
  }
  place.physical = info.physical + (va - page);
  place.device = info.device;
  if (info.range == nullptr || !info.range->contains(place.physical)) info.range = space_.map().find(place.physical);
  place.range = info.range;
  if (place.range == nullptr) return raise(guest_.bus_fault(address, kind));
  const u64 inside = place.physical - place.range->start;
  // A piece of RAM that ends within the access: the space splits it.
  if (place.range->ram != nullptr && place.range->size - inside >= size) {
    place.host = place.range->ram->host() + place.range->offset + inside;
  }
  open_fast_path(context, index, kind);
  return true;
}

// -- devices
// -----------------------------------------------------------------------------------------------------------

u64 GuestMemory::device_load(const Place& place, unsigned size) {
  ++counts_.device_accesses;
  owner_.leave_for_device();
  u64 value = 0;
  const u64 inside = place.physical - place.range->start;
  if (place.range->handler != nullptr && place.range->size - inside >= size) {
    value = space_.read_window(*place.range, place.physical, size);
  } else {
    value = space_.load(place.physical, size).value;
  }
  owner_.back_from_device();
  return value & mask64(size * 8);
}

void GuestMemory::device_store(const Place& place, unsigned size, u64 value) {
  ++counts_.device_accesses;
  owner_.leave_for_device();
  const u64 inside = place.physical - place.range->start;
  if (place.range->handler != nullptr && place.range->size - inside >= size) {
    space_.write_window(*place.range, place.physical, size, value & mask64(size * 8));
  } else {
    space_.store(place.physical, size, value & mask64(size * 8));
  }
  owner_.back_from_device();
}

bool GuestMemory::device_read(u64 address, const Place& place, unsigned size, V128& value) {
  if (place.device && (address & (std::min(size, 8U) - 1)) != 0) {
    return raise(guest_.alignment_fault(address, AccessKind::read));
  }
  value = V128{};
  const bool aligned = (place.physical & (std::min(size, 8U) - 1)) == 0;
  const unsigned unit = aligned ? std::min(size, 8U) : 1;
  for (unsigned i = 0; i < size; i += unit) {
    Place piece = place;
    piece.physical += i;
    const u64 part = device_load(piece, unit);
    std::memcpy(value.b.data() + i, &part, unit);
  }
  return true;
}

bool GuestMemory::device_write(u64 address, const Place& place, unsigned size, const V128& value) {
  if (place.device && (address & (std::min(size, 8U) - 1)) != 0) {
    return raise(guest_.alignment_fault(address, AccessKind::write));
  }
  const bool aligned = (place.physical & (std::min(size, 8U) - 1)) == 0;
  const unsigned unit = aligned ? std::min(size, 8U) : 1;
  for (unsigned i = 0; i < size; i += unit) {
    Place piece = place;
    piece.physical += i;
    u64 part = 0;
    std::memcpy(&part, value.b.data() + i, unit);
    device_store(piece, unit, part);
  }
  return true;
}

// -- stores to code
// ----------------------------------------------------------------------------------------------------

bool GuestMemory::hits_running_code(const Place& place, unsigned size) {
  memory::Ram& ram = *place.range->ram;
  const u64 offset = static_cast<u64>(place.host - ram.host());
  if (!ram.is_code_page(offset) || !code_.holds_code(ram, offset, size)) return false;
  // Blocks never leave their page, so only a store to the page that runs can change what runs.
  const ir::CoreState& state = guest_.state();
  const u64 pc_page = align_down(guest_.canonical(state.pc), kPage);
  const PageInfo& info = ContextPool::of(state.context).pages[ir::Context::tlb_index(pc_page)];
  if (info.page == pc_page && info.executable) return info.physical == align_down(place.physical, kPage);
  const auto walked = guest_.walk(state.pc, AccessKind::execute, ir::MmuIndex::current);
  return walked && align_down(walked->physical, kPage) == align_down(place.physical, kPage);
}

bool GuestMemory::before_store(const Place& place, unsigned size) {
  if (alone_ || !hits_running_code(place, size)) return true;
  owner_.retry_alone();
  return false;
}

void GuestMemory::after_store(const Place& place, unsigned size) {
  memory::Ram& ram = *place.range->ram;
  const u64 offset = static_cast<u64>(place.host - ram.host());
  // The store must be visible before the mark is read: see CodeCache::translate.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  const bool code = ram.is_code_page(offset);
  if (code) ++counts_.code_page_stores;
  if (code || ram.tracking()) ram.mark_written(offset, size);
}

// -- plain accesses
// ----------------------------------------------------------------------------------------------------

bool GuestMemory::load(u64 address, MemAttr attr, V128& value) {
  if (!load_raw(address, attr, value)) return false;
  if (attr.big_endian) swap_bytes(value, attr.bytes());
  return true;
}

bool GuestMemory::store(u64 address, MemAttr attr, const V128& value) {
  if (!attr.big_endian) return store_raw(address, attr, value);
  V128 swapped = value;
  swap_bytes(swapped, attr.bytes());
  return store_raw(address, attr, swapped);
}

bool GuestMemory::load_raw(u64 address, MemAttr attr, V128& value) {
  const unsigned size = attr.bytes();
  if (attr.align == ir::Align::natural && (address & (size - 1)) != 0) {
    return raise(guest_.alignment_fault(address, AccessKind::read));
  }
  value = V128{};
  const unsigned first = static_cast<unsigned>(std::min<u64>(size, kPage - (address & (kPage - 1))));
  Place low;
  if (!find(address, first, AccessKind::read, attr.mmu, low)) return false;
  if (first < size) {
    Place high;
    if (!find(address + first, size - first, AccessKind::read, attr.mmu, high)) return false;
    for (unsigned i = 0; i < size; ++i) {
      Place piece = i < first ? low : high;
      const unsigned inside = i < first ? i : i - first;
      if (piece.host != nullptr) {
        value.b[i] = static_cast<u8>(read_host(piece.host + inside, 1));
        continue;
      }
      if (piece.device) return raise(guest_.alignment_fault(address, AccessKind::read));
      piece.physical += inside;
      value.b[i] = static_cast<u8>(device_load(piece, 1));
    }
    return true;
  }
  if (low.host == nullptr) return device_read(address, low, size, value);
  if (low.device && (address & (std::min(size, 8U) - 1)) != 0) {
    return raise(guest_.alignment_fault(address, AccessKind::read));
  }
  value.d[0] = read_host(low.host, std::min(size, 8U));
  if (size == 16) value.d[1] = read_host(low.host + 8, 8);
  return true;
}

bool GuestMemory::store_raw(u64 address, MemAttr attr, const V128& value) {
  const unsigned size = attr.bytes();
  if (attr.align == ir::Align::natural && (address & (size - 1)) != 0) {
    return raise(guest_.alignment_fault(address, AccessKind::write));
  }
  const unsigned first = static_cast<unsigned>(std::min<u64>(size, kPage - (address & (kPage - 1))));
  Place low;
  if (!find(address, first, AccessKind::write, attr.mmu, low)) return false;
  if (first < size) {
    // Both pages are looked at before either is written: a fault leaves memory as it was.
    Place high;
    if (!find(address + first, size - first, AccessKind::write, attr.mmu, high)) return false;
    if (low.device || high.device) return raise(guest_.alignment_fault(address, AccessKind::write));
    for (const Place* place : {&low, &high}) {
      const unsigned part = place == &low ? first : size - first;
      if (place->host != nullptr && !place->range->read_only && !before_store(*place, part)) return false;
    }
    for (const Place* place : {&low, &high}) {
      const unsigned begin = place == &low ? 0 : first;
      const unsigned part = place == &low ? first : size - first;
      if (place->host == nullptr) {
        for (unsigned i = 0; i < part; ++i) {
          Place piece = *place;
          piece.physical += i;
          device_store(piece, 1, value.b[begin + i]);
        }
      } else if (!place->range->read_only) {
        // Each byte in one piece (Arm ARM B2.2.1): other CPUs may read it meanwhile.
        for (unsigned i = 0; i < part; ++i) write_host(place->host + i, 1, value.b[begin + i]);
        after_store(*place, part);
      }
    }
    return true;
  }
  if (low.host == nullptr) return device_write(address, low, size, value);
  if (low.device && (address & (std::min(size, 8U) - 1)) != 0) {
    return raise(guest_.alignment_fault(address, AccessKind::write));
  }
  if (low.range->read_only) return true;
  if (!before_store(low, size)) return false;
  write_host(low.host, std::min(size, 8U), value.d[0]);
  if (size == 16) write_host(low.host + 8, 8, value.d[1]);
  after_store(low, size);
  return true;
}

// -- atomic accesses
// ---------------------------------------------------------------------------------------------------

bool GuestMemory::compare_exchange(u64 address, MemAttr attr, const V128& expected, const V128& desired, V128& old) {
  if (attr.big_endian) {
    V128 swapped_expected = expected;
    V128 swapped_desired = desired;
    swap_bytes(swapped_expected, attr.bytes());
    swap_bytes(swapped_desired, attr.bytes());
    attr.big_endian = false;
    if (!compare_exchange(address, attr, swapped_expected, swapped_desired, old)) return false;
    swap_bytes(old, attr.bytes());
    return true;
  }
  const unsigned size = attr.bytes();
  if ((address & (size - 1)) != 0) return raise(guest_.alignment_fault(address, AccessKind::write));
  Place place;
  if (!find(address, size, AccessKind::write, attr.mmu, place)) return false;
  // Atomics on devices have no meaning that a bus could give them.
  if (place.host == nullptr) return raise(guest_.bus_fault(address, AccessKind::write));
  old = V128{};
  if (place.range->read_only) {
    old.d[0] = read_host(place.host, std::min(size, 8U));
    if (size == 16) old.d[1] = read_host(place.host + 8, 8);
    return true;
  }
  // No retry alone here: an exclusive store would find its monitor gone, and never succeed. Whoever builds code with
  // exclusives in the block that runs sees it at the next block.
  switch (size) {
    case 1:
      old.d[0] = exchange_if_equal<u8>(place.host, expected.d[0], desired.d[0]);
      break;
    case 2:
      old.d[0] = exchange_if_equal<u16>(place.host, expected.d[0], desired.d[0]);
      break;
    case 4:
      old.d[0] = exchange_if_equal<u32>(place.host, expected.d[0], desired.d[0]);
      break;
    case 8:
      old.d[0] = exchange_if_equal<u64>(place.host, expected.d[0], desired.d[0]);
      break;
    default:
      old = exchange_if_equal_16(place.host, expected, desired);
      break;
  }
  after_store(place, size);
  return true;
}

bool GuestMemory::read_modify_write(u64 address, MemAttr attr, ir::Rmw operation, u64 operand, u64& old) {
  const unsigned size = attr.bytes();
  if ((address & (size - 1)) != 0) return raise(guest_.alignment_fault(address, AccessKind::write));
  Place place;
  if (!find(address, size, AccessKind::write, attr.mmu, place)) return false;
  if (place.host == nullptr) return raise(guest_.bus_fault(address, AccessKind::write));
  if (place.range->read_only) {
    old = read_host(place.host, size);
    if (attr.big_endian) old = byte_swap(old, size);
    return true;
  }
  if (!before_store(place, size)) return false;
  switch (size) {
    case 1:
      old = modify<u8>(place.host, operation, operand, attr.big_endian);
      break;
    case 2:
      old = modify<u16>(place.host, operation, operand, attr.big_endian);
      break;
    case 4:
      old = modify<u32>(place.host, operation, operand, attr.big_endian);
      break;
    default:
      old = modify<u64>(place.host, operation, operand, attr.big_endian);
      break;
  }
  after_store(place, size);
  return true;
}

void GuestMemory::fence(ir::Order order) {
  // The host orders everything but a store before a later load.
  std::atomic_thread_fence(order == ir::Order::acquire_release ? std::memory_order_seq_cst : std::memory_order_acq_rel);
}

// -- code
// --------------------------------------------------------------------------------------------------------------

std::optional<GuestMemory::Code> GuestMemory::find_code(u64 pc) {
  Place place;
  if (!find(pc, 1, AccessKind::execute, ir::MmuIndex::current, place)) return std::nullopt;
  Code code;
  code.physical = place.physical;
  if (place.range->ram == nullptr) return code;
  // A page that is RAM only in part is run like device memory: translations take whole pages.
  const Gpa page = align_down(place.physical, kPage);
  if (place.range->start > page || place.range->end() - page < kPage) return code;
  if (code_.ram_code(*place.range->ram) == nullptr) return code;
  code.ram = place.range->ram;
  code.offset = static_cast<u64>(place.host - place.range->ram->host());
  return code;
}

}  // namespace solder::run
