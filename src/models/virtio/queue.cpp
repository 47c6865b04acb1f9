#include "models/virtio/queue.h"

#include <algorithm>
#include <atomic>

namespace solder::models::virtio {

namespace {

constexpr u16 kNext = 1;
constexpr u16 kWrite = 2;
constexpr u16 kIndirect = 4;
constexpr u16 kPackedAvail = 1 << 7;
constexpr u16 kPackedUsed = 1 << 15;
constexpr u64 kDescriptorBytes = 16;
// Packed event structures: enable, disable, descriptor-specific (2.8.10).
constexpr u16 kEventsEnable = 0;
constexpr u16 kEventsDisable = 1;
constexpr u16 kEventsAt = 2;
// Split: VIRTQ_AVAIL_F_NO_INTERRUPT and VIRTQ_USED_F_NO_NOTIFY.
constexpr u16 kSuppress = 1;
// More bytes than this in one chain is a hostile driver (2.7.5.2 allows 2^32).
constexpr usize kMaximumSegments = 1024 + 2;

u64 total(const std::vector<Segment>& segments) {
  u64 sum = 0;
  for (const Segment& s : segments) sum += s.length;
  return sum;
}

// Calls `move(address, offset in the buffer, length)` along the segments.
template <class Move>
u64 along(std::span<const Segment> segments, u64 skip, u64 size, Move move) {
  u64 done = 0;
  for (const Segment& segment : segments) {
    if (skip >= segment.length) {
      skip -= segment.length;
      continue;
    }
    const u64 chunk = std::min<u64>(segment.length - skip, size - done);
    if (chunk == 0 || !move(segment.address + skip, done, chunk)) break;
    done += chunk;
    skip = 0;
  }
  return done;
}

}  // namespace

u64 Chain::readable_bytes() const {
  return total(readable);
}
u64 Chain::writable_bytes() const {
  return total(writable);
}

u64 read_chain(const memory::DmaPort& dma, std::span<const Segment> segments, u64 skip, std::span<u8> out) {
  return along(segments, skip, out.size(),
               [&](u64 address, u64 offset, u64 length) { return dma.read(address, out.data() + offset, length); });
}

u64 write_chain(const memory::DmaPort& dma, std::span<const Segment> segments, u64 skip, std::span<const u8> in) {
  return along(segments, skip, in.size(),
               [&](u64 address, u64 offset, u64 length) { return dma.write(address, in.data() + offset, length); });
}

void Queue::start(const QueueLayout& layout) {
  reset();
  layout_ = layout;
  ready_ = layout.size != 0;
}

void Queue::reset() {
  layout_ = {};
  ready_ = false;
  broken_.clear();
  next_avail_ = next_used_ = signalled_used_ = pushed_ = 0;
  avail_wrap_ = used_wrap_ = true;
}

void Queue::state(device::Archive& archive) {
  archive("layout", layout_)("ready", ready_)("next_avail", next_avail_)("next_used", next_used_);
  archive("signalled_used", signalled_used_)("avail_wrap", avail_wrap_)("used_wrap", used_wrap_)("pushed", pushed_);
  bool is_broken = !broken_.empty();
  archive("broken", is_broken);
  if (archive.mode() != device::Archive::Mode::load) return;
  broken_ = is_broken ? "it was broken when it was saved" : "";
  // What a driver could not have set: positions outside of a packed ring, a split ring of any size.
  const bool sized = layout_.size != 0 && (layout_.packed || (layout_.size & (layout_.size - 1)) == 0);
  if (!sized) ready_ = false;
  if (layout_.packed && (next_avail_ >= layout_.size || next_used_ >= layout_.size)) ready_ = false;
}

bool Queue::fail(std::string why) {
  if (broken_.empty()) broken_ = std::move(why);
  return false;
}

template <class T>
bool Queue::load(u64 address, T& value) {
  if (!dma_.load(address, value)) return fail("the ring does not lie in memory");
  // Ring fields are read before what they publish (2.7.13.2).
  std::atomic_thread_fence(std::memory_order_acquire);
  return true;
}

template <class T>
void Queue::store(u64 address, T value) {
  std::atomic_thread_fence(std::memory_order_release);
  if (!dma_.store(address, value)) fail("the ring does not lie in memory");
}

bool Queue::pop(Chain& chain) {
  if (!ready_ || !broken_.empty()) return false;
  chain.readable.clear();
  chain.writable.clear();
  return layout_.packed ? pop_packed(chain) : pop_split(chain);
}

bool Queue::add_segment(const Descriptor& descriptor, u16 flags, Chain& chain) {
  if (chain.readable.size() + chain.writable.size() >= kMaximumSegments) return fail("a chain is too long");
  if ((flags & kWrite) != 0) {
    chain.writable.push_back({descriptor.address, descriptor.length});
  } else {
    // 2.7.4.2: readable descriptors come before writable ones.
    if (!chain.writable.empty()) return fail("a readable descriptor follows a writable one");
    chain.readable.push_back({descriptor.address, descriptor.length});
  }
  return true;
}

bool Queue::add_indirect(const Descriptor& table, bool packed, Chain& chain) {
  if (!layout_.indirect) return fail("an indirect descriptor without VIRTIO_F_INDIRECT_DESC");
  const u64 count = table.length / kDescriptorBytes;
  if (count == 0 || table.length % kDescriptorBytes != 0 || count > kMaximumSegments) {
    return fail("an indirect table has a bad length");
  }
  u64 index = 0;
  for (u64 steps = 0; steps < count; ++steps) {
    Descriptor d{};
    if (!load(table.address + index * kDescriptorBytes, d)) return false;
    const u16 flags = packed ? d.b : d.a;
    if ((flags & kIndirect) != 0) return fail("an indirect table inside another");
    if (!add_segment(d, flags, chain)) return false;
    if (packed) {
      // Packed tables are read in order, all of them (2.8.8).
      ++index;
      continue;
    }
    if ((flags & kNext) == 0) return true;
    index = d.b;
    if (index >= count) return fail("an indirect chain leaves its table");
  }
  return packed ? true : fail("an indirect chain is a loop");
}

bool Queue::pop_split(Chain& chain) {
  u16 available = 0;
  if (!load(layout_.driver + 2, available)) return false;
  if (available == next_avail_) return false;
  if (static_cast<u16>(available - next_avail_) > layout_.size) return fail("the available index ran ahead");
  u16 head = 0;
  if (!load(layout_.driver + 4 + u64{2} * (next_avail_ % layout_.size), head)) return false;
  if (head >= layout_.size) return fail("an available entry names no descriptor");
  chain.id = head;
  chain.descriptors = 1;
  u16 index = head;
  for (u32 steps = 0;; ++steps) {
    if (steps >= layout_.size) return fail("a descriptor chain is a loop");
    Descriptor d{};
    if (!load(layout_.descriptors + u64{index} * kDescriptorBytes, d)) return false;
    if ((d.a & kIndirect) != 0) {
      if ((d.a & kNext) != 0) return fail("an indirect descriptor with a next one");
      if (!add_indirect(d, false, chain)) return false;
      break;
    }
    if (!add_segment(d, d.a, chain)) return false;
    if ((d.a & kNext) == 0) break;
    index = d.b;
    if (index >= layout_.size) return fail("a descriptor's next is out of range");
  }
  ++next_avail_;
  if (layout_.event_index) store(layout_.device + 4 + u64{8} * layout_.size, next_avail_);
  return true;
}

bool Queue::pop_packed(Chain& chain) {
  u16 position = next_avail_;
  bool wrap = avail_wrap_;
  u16 count = 0;
  for (;;) {
    const u64 at = layout_.descriptors + u64{position} * kDescriptorBytes;
    u16 flags = 0;
    if (!load(at + 14, flags)) return false;
    const bool avail = (flags & kPackedAvail) != 0;
    const bool used = (flags & kPackedUsed) != 0;
    if (count == 0 && (avail != wrap || used == wrap)) return false;
    Descriptor d{};
    if (!load(at, d)) return false;
    chain.id = d.a;
    ++count;
    if (++position == layout_.size) {
      position = 0;
      wrap = !wrap;
    }
    if ((d.b & kIndirect) != 0) {
      if ((d.b & kNext) != 0 || count != 1) return fail("an indirect descriptor inside a chain");
      if (!add_indirect(d, true, chain)) return false;
      break;
    }
    if (!add_segment(d, d.b, chain)) return false;
    if ((d.b & kNext) == 0) break;
    if (count >= layout_.size) return fail("a descriptor chain is a loop");
  }
  chain.descriptors = count;
  next_avail_ = position;
  avail_wrap_ = wrap;
  return true;
}

void Queue::unpop(const Chain& chain) {
  if (!layout_.packed) {
    --next_avail_;
    return;
  }
  if (next_avail_ < chain.descriptors) {
    next_avail_ = static_cast<u16>(next_avail_ + layout_.size - chain.descriptors);
    avail_wrap_ = !avail_wrap_;
  } else {
    next_avail_ = static_cast<u16>(next_avail_ - chain.descriptors);
  }
}

void Queue::push(const Chain& chain, u32 written) {
  if (!ready_) return;
  if (!layout_.packed) {
    const u64 entry = layout_.device + 4 + u64{8} * (next_used_ % layout_.size);
    store<u32>(entry, chain.id);
    store<u32>(entry + 4, written);
    ++next_used_;
    store(layout_.device + 2, next_used_);
    return;
  }
  const u64 at = layout_.descriptors + u64{next_used_} * kDescriptorBytes;
  store<u32>(at + 8, written);
  store<u16>(at + 12, chain.id);
  store<u16>(at + 14, static_cast<u16>((written != 0 ? kWrite : 0) | (used_wrap_ ? kPackedAvail | kPackedUsed : 0)));
  next_used_ = static_cast<u16>(next_used_ + chain.descriptors);
  pushed_ = static_cast<u16>(pushed_ + chain.descriptors);
  if (next_used_ >= layout_.size) {
    next_used_ = static_cast<u16>(next_used_ - layout_.size);
    used_wrap_ = !used_wrap_;
  }
}

bool Queue::wants_interrupt() {
  if (!ready_) return false;
  // The used entries are visible before the driver's wish is read (2.7.7.2): a store-load barrier.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (!layout_.packed) {
    const u16 before = signalled_used_;
    signalled_used_ = next_used_;
    if (before == next_used_) return false;
    if (layout_.event_index) {
      u16 event = 0;
      if (!load(layout_.driver + 4 + u64{2} * layout_.size, event)) return false;
      return static_cast<u16>(next_used_ - event - 1) < static_cast<u16>(next_used_ - before);
    }
    u16 flags = 0;
    return load(layout_.driver, flags) && (flags & kSuppress) == 0;
  }
  const u16 fresh = pushed_;
  pushed_ = 0;
  if (fresh == 0) return false;
  u16 where = 0;
  u16 flags = 0;
  if (!load(layout_.driver + 2, flags) || flags == kEventsDisable) return false;
  if (flags != kEventsAt || !layout_.event_index) return true;
  if (!load(layout_.driver, where)) return false;
  // Distances along the ring: the event lies within what was used since the last decision.
  const u16 position = where & 0x7fff;
  const bool wrap = (where & 0x8000) != 0;
  i32 event = position;
  if (wrap != used_wrap_) event -= layout_.size;
  const i32 now = next_used_;
  const i32 before = now - fresh;
  return event >= before && event < now;
}

bool Queue::enable_notifications(bool enable) {
  if (!ready_ || !broken_.empty()) return false;
  if (layout_.packed) {
    store<u16>(layout_.device + 2, enable ? kEventsEnable : kEventsDisable);
  } else if (!layout_.event_index) {
    store<u16>(layout_.device, enable ? 0 : kSuppress);
  }
  if (!enable) return false;
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (!layout_.packed) {
    u16 available = 0;
    return load(layout_.driver + 2, available) && available != next_avail_;
  }
  u16 flags = 0;
  if (!load(layout_.descriptors + u64{next_avail_} * kDescriptorBytes + 14, flags)) return false;
  return ((flags & kPackedAvail) != 0) == avail_wrap_ && ((flags & kPackedUsed) != 0) != avail_wrap_;
}

}  // namespace solder::models::virtio
