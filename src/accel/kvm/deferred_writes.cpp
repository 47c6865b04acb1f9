#include "accel/kvm/deferred_writes.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace solder::accel::kvm {

namespace {

usize page_size() {
  static const auto size = static_cast<usize>(::sysconf(_SC_PAGESIZE));
  return size;
}

/// Documentation/virt/kvm/api.rst, 4.116: as many as fit into the page.
u32 capacity() {
  return static_cast<u32>((page_size() - sizeof(kvm_coalesced_mmio_ring)) / sizeof(kvm_coalesced_mmio));
}

}  // namespace

DeferredWrites::DeferredWrites(const Vm& vm, const memory::AddressSpace& memory, const memory::AddressSpace& ports)
    : vm_(vm), memory_(memory), ports_(ports) {}

DeferredWrites::~DeferredWrites() {
  if (ring_ != nullptr) ::munmap(ring_, page_size());
}

void DeferredWrites::map_ring(int vcpu_fd) {
  if (ring_ != nullptr) return;
  const int offset = vm_.check(KVM_CAP_COALESCED_MMIO);  // in pages
  if (offset <= 0) return;
  void* page = ::mmap(nullptr, page_size(), PROT_READ | PROT_WRITE, MAP_SHARED, vcpu_fd,
                      static_cast<off_t>(page_size()) * offset);
  if (page == MAP_FAILED) return;
  ring_ = static_cast<kvm_coalesced_mmio_ring*>(page);
}

void DeferredWrites::start() {
  const std::lock_guard guard(mutex_);
  started_ = true;
  apply();
}

void DeferredWrites::update(WindowSpace space, const memory::FlatMap& map) {
  const std::lock_guard guard(mutex_);
  std::vector<Zone>& wanted = wanted_[static_cast<usize>(space)];
  wanted.clear();
  if (space == WindowSpace::ports && vm_.check(KVM_CAP_COALESCED_PIO) == 0) return;
  for (const memory::FlatRange& range : map.ranges()) {
    const memory::WriteHints* hints = range.handler != nullptr ? range.handler->write_hints() : nullptr;
    if (hints == nullptr) continue;
    for (const auto& writes : hints->deferrable)
      if (const auto address = place_in(range, writes.offset, writes.size))
        wanted.push_back({space, *address, writes.size});
  }
  apply();
}

void DeferredWrites::observe(WindowSpace space, bool observed) {
  const std::lock_guard guard(mutex_);
  observed_[static_cast<usize>(space)] = observed;
  apply();
}

bool DeferredWrites::set(const Zone& zone, bool on) const {
  kvm_coalesced_mmio_zone request{};
  request.addr = zone.address;
  request.size = static_cast<u32>(zone.size);
  request.pio = zone.space == WindowSpace::ports ? 1 : 0;
  // Where KVM takes no more zones each write leaves the guest, as it does without any.
  return (on ? vm_.call(SOLDER_KVM(KVM_REGISTER_COALESCED_MMIO), &request)
             : vm_.call(SOLDER_KVM(KVM_UNREGISTER_COALESCED_MMIO), &request))
      .has_value();
}

void DeferredWrites::apply() {
  if (ring_ == nullptr || !started_) return;
  std::vector<Zone> wanted;
  for (usize space = 0; space < wanted_.size(); ++space)
    if (!observed_[space]) wanted.insert(wanted.end(), wanted_[space].begin(), wanted_[space].end());
  std::erase_if(zones_, [&](const Zone& zone) {
    return std::find(wanted.begin(), wanted.end(), zone) == wanted.end() && set(zone, false);
  });
  for (const Zone& zone : wanted)
    if (std::find(zones_.begin(), zones_.end(), zone) == zones_.end() && set(zone, true)) zones_.push_back(zone);
}

std::vector<DeferredWrites::Zone> DeferredWrites::zones(WindowSpace space, Gpa start, u64 size) const {
  const std::lock_guard guard(mutex_);
  std::vector<Zone> out;
  std::ranges::copy_if(zones_, std::back_inserter(out), [&](const Zone& zone) {
    return zone.space == space && zone.address >= start && zone.address - start < size;
  });
  return out;
}

usize DeferredWrites::zones() const {
  const std::lock_guard guard(mutex_);
  return zones_.size();
}

void DeferredWrites::drain() {
  if (ring_ == nullptr) return;
  const std::atomic_ref<u32> first(ring_->first);
  // `first` moves on after an entry has been carried out: an empty ring has nothing under way either.
  if (first.load(std::memory_order_acquire) == std::atomic_ref<u32>(ring_->last).load(std::memory_order_acquire))
    return;
  const std::lock_guard guard(drain_mutex_);
  // No further than to what is there now: a guest that goes on writing on another CPU does not keep us here.
  const u32 last = std::atomic_ref<u32>(ring_->last).load(std::memory_order_acquire) % capacity();
  for (u32 next = first.load(std::memory_order_relaxed) % capacity(); next != last; next = (next + 1) % capacity()) {
    const kvm_coalesced_mmio entry = ring_->coalesced_mmio[next];
    const unsigned size = std::min<u32>(entry.len, sizeof entry.data);
    u64 value = 0;
    std::memcpy(&value, entry.data, size);
    (entry.pio != 0 ? ports_ : memory_).store(entry.phys_addr, size, value);
    count_.fetch_add(1, std::memory_order_relaxed);
    first.store((next + 1) % capacity(), std::memory_order_release);
  }
}

}  // namespace solder::accel::kvm
