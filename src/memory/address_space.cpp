#include "memory/address_space.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstring>
#include <ctime>

#include "base/bytes.h"
#include "base/check.h"
#include "memory/host_access.h"

namespace solder::memory {

namespace {

/// A region or one piece an alias shows, on its way into the flat map.
struct Layer {
  Gpa start;
  u64 size;
  int priority;
  u64 order;  // later wins among equals; only aliases may meet equals
  Ram* ram;
  MmioHandler* handler;
  u64 offset;
  bool read_only;
  const std::string* name;
};

u64 host_now() {
  timespec ts{};
  ::clock_gettime(CLOCK_MONOTONIC, &ts);
  return static_cast<u64>(ts.tv_sec) * 1'000'000'000 + static_cast<u64>(ts.tv_nsec);
}

// Last address of a range: avoids the overflow of an end at 2^64.
Gpa last_of(Gpa start, u64 size) {
  return start + (size - 1);
}

std::string range_text(Gpa start, u64 size) {
  return fmt::format("{:#x}..{:#x}", start, last_of(start, size));
}

// Cuts all layers at all borders and keeps the highest of each cut; then joins neighbours again.
std::vector<FlatRange> flatten(std::vector<Layer> layers) {
  std::vector<Gpa> borders;
  for (const Layer& layer : layers) {
    borders.push_back(layer.start);
    borders.push_back(layer.start + layer.size);  // may be 0 for one that ends at 2^64: handled by the sort below
  }
  std::sort(borders.begin(), borders.end());
  borders.erase(std::unique(borders.begin(), borders.end()), borders.end());
  std::sort(layers.begin(), layers.end(), [](const Layer& a, const Layer& b) {
    return a.priority != b.priority ? a.priority > b.priority : a.order > b.order;
  });
  std::vector<FlatRange> out;
  for (usize i = 0; i < borders.size(); ++i) {
    const Gpa start = borders[i];
    const u64 size = i + 1 < borders.size() ? borders[i + 1] - start : 0 - start;
    const auto top = std::find_if(layers.begin(), layers.end(),
                                  [&](const Layer& layer) { return start - layer.start < layer.size; });
    if (top == layers.end()) continue;
    const u64 offset = top->offset + (start - top->start);
    if (!out.empty()) {
      FlatRange& last = out.back();
      if (last.end() == start && last.ram == top->ram && last.handler == top->handler && last.name == top->name &&
          last.read_only == top->read_only && last.offset + last.size == offset) {
        last.size += size;
        continue;
      }
    }
    out.push_back({start, size, top->ram, top->handler, offset, top->read_only, top->name});
  }
  return out;
}

}  // namespace

const FlatRange* FlatMap::find(Gpa address) const {
  auto after = std::upper_bound(ranges_.begin(), ranges_.end(), address,
                                [](Gpa a, const FlatRange& range) { return a < range.start; });
  if (after == ranges_.begin()) return nullptr;
  const FlatRange& range = *std::prev(after);
  return range.contains(address) ? &range : nullptr;
}

AddressSpace::AddressSpace(std::string name) : name_(std::move(name)) {
  published_.push_back(std::make_unique<const FlatMap>(std::vector<FlatRange>{}));
  map_.store(published_.back().get(), std::memory_order_release);
}

Status AddressSpace::publish() {
  std::vector<Layer> layers;
  layers.reserve(regions_.size());
  u64 order = 0;
  for (const auto& [id, region] : regions_) {
    layers.push_back({region->start, region->size, region->priority, order++, region->ram, region->handler,
                      region->offset, region->read_only, &region->name});
  }
  // Aliases show what the regions alone make; an alias of an alias is not followed.
  const FlatMap plain(flatten(layers));
  for (const auto& [id, alias] : aliases_) {
    for (const FlatRange& range : plain.ranges()) {
      const Gpa first = std::max(range.start, alias->target);
      const Gpa last = std::min(last_of(range.start, range.size), last_of(alias->target, alias->size));
      if (first > last) continue;
      layers.push_back({alias->start + (first - alias->target), last - first + 1, alias->priority, order++, range.ram,
                        range.handler, range.offset + (first - range.start), range.read_only, range.name});
    }
  }
  published_.push_back(std::make_unique<const FlatMap>(flatten(std::move(layers))));
  const FlatMap* before = map_.load(std::memory_order_relaxed);
  map_.store(published_.back().get(), std::memory_order_release);
  for (const auto& listener : listeners_) listener(*before, *published_.back());
  return {};
}

Result<RegionId> AddressSpace::add(Region region) {
  const std::lock_guard guard(mutex_);
  SOLDER_CHECK((region.ram != nullptr) != (region.handler != nullptr), "a region is RAM or a window");
  if (region.size == 0) return fail(region.name, "its address range is empty", "give `reg` a size");
  if (last_of(region.start, region.size) < region.start) {
    return fail(region.name,
                fmt::format("its range {:#x}+{:#x} goes past the end of the address space", region.start, region.size));
  }
  for (const auto& [id, other] : regions_) {
    const bool apart =
        last_of(region.start, region.size) < other->start || last_of(other->start, other->size) < region.start;
    if (!apart && other->priority == region.priority) {
      return fail(region.name,
                  fmt::format("its range {} overlaps {} of {}", range_text(region.start, region.size),
                              range_text(other->start, other->size), other->name),
                  "move one of them: change its `reg`");
    }
  }
  const RegionId id = next_id_++;
  regions_.emplace_back(id, std::make_unique<Region>(std::move(region)));
  SOLDER_TRY_STATUS(publish());
  return id;
}

Result<RegionId> AddressSpace::add_alias(std::string name, Gpa start, u64 size, Gpa target, int priority) {
  const std::lock_guard guard(mutex_);
  if (size == 0 || last_of(start, size) < start || last_of(target, size) < target) {
    return fail(name, fmt::format("the alias {:#x}+{:#x} of {:#x} is empty or too large", start, size, target));
  }
  const RegionId id = next_id_++;
  aliases_.emplace_back(id, std::make_unique<Alias>(Alias{std::move(name), start, size, target, priority}));
  SOLDER_TRY_STATUS(publish());
  return id;
}

void AddressSpace::remove(RegionId id) {
  const std::lock_guard guard(mutex_);
  // Published maps point at the name: a region's memory stays, only its place in the map goes.
  for (auto& [region_id, region] : regions_) {
    if (region_id == id) retired_.push_back(std::move(region));
  }
  std::erase_if(regions_, [id](const auto& entry) { return entry.first == id; });
  std::erase_if(aliases_, [id](const auto& entry) { return entry.first == id; });
  const Status status = publish();
  SOLDER_CHECK(status.has_value(), "removing a region cannot fail");
}

Status AddressSpace::move(RegionId id, Gpa start) {
  const std::lock_guard guard(mutex_);
  for (auto& [region_id, region] : regions_) {
    if (region_id != id) continue;
    if (last_of(start, region->size) < start) {
      return fail(region->name,
                  fmt::format("its range {:#x}+{:#x} goes past the end of the address space", start, region->size));
    }
    region->start = start;
    return publish();
  }
  return fail(name_, "there is no such region to move");
}

void AddressSpace::listen(MapListener listener) {
  const std::lock_guard guard(mutex_);
  listeners_.push_back(std::move(listener));
}

void AddressSpace::observe(IoObserver* observer, bool ports) {
  const std::lock_guard guard(mutex_);
  ports_.store(ports, std::memory_order_relaxed);
  observer_.store(observer, std::memory_order_release);
  for (const auto& listener : observation_listeners_) listener(observer != nullptr);
}

void AddressSpace::listen_observation(ObservationListener listener) {
  const std::lock_guard guard(mutex_);
  observation_listeners_.push_back(std::move(listener));
}

bool AddressSpace::read(Gpa address, void* data, u64 size) const {
  auto* out = static_cast<u8*>(data);
  const FlatMap& flat = map();
  bool ok = true;
  while (size > 0) {
    const FlatRange* range = flat.find(address);
    if (range == nullptr) {
      *out++ = 0xff;
      ++address;
      --size;
      ok = false;
      continue;
    }
    const u64 within = address - range->start;
    u64 chunk = std::min(size, range->size - within);
    if (range->ram != nullptr) {
      copy_from_host(out, range->ram->host() + range->offset + within, chunk);
    } else {
      chunk = chunk >= 8 && (address & 7) == 0 ? 8 : chunk >= 4 && (address & 3) == 0 ? 4 : 1;
      const u64 value = range->handler->read(range->offset + within, static_cast<unsigned>(chunk));
      std::memcpy(out, &value, chunk);
    }
    out += chunk;
    address += chunk;
    size -= chunk;
  }
  return ok;
}

bool AddressSpace::write(Gpa address, const void* data, u64 size) const {
  const auto* in = static_cast<const u8*>(data);
  const FlatMap& flat = map();
  bool ok = true;
  while (size > 0) {
    const FlatRange* range = flat.find(address);
    if (range == nullptr) {
      ++in;
      ++address;
      --size;
      ok = false;
      continue;
    }
    const u64 within = address - range->start;
    u64 chunk = std::min(size, range->size - within);
    if (range->ram != nullptr) {
      if (range->read_only) {
        ok = false;
      } else {
        copy_to_host(range->ram->host() + range->offset + within, in, chunk);
        range->ram->mark_written(range->offset + within, chunk);
      }
    } else {
      chunk = chunk >= 8 && (address & 7) == 0 ? 8 : chunk >= 4 && (address & 3) == 0 ? 4 : 1;
      u64 value = 0;
      std::memcpy(&value, in, chunk);
      range->handler->write(range->offset + within, static_cast<unsigned>(chunk), value);
    }
    in += chunk;
    address += chunk;
    size -= chunk;
  }
  return ok;
}

AddressSpace::Access AddressSpace::load(Gpa address, unsigned size) const {
  const FlatRange* range = map().find(address);
  if (range == nullptr || size > range->size - (address - range->start)) return {};
  const u64 offset = range->offset + (address - range->start);
  if (range->handler != nullptr) return {read_window(*range, address, size), true};
  u64 value = 0;
  copy_from_host(&value, range->ram->host() + offset, size);
  return {value, true};
}

bool AddressSpace::store(Gpa address, unsigned size, u64 value) const {
  const FlatRange* range = map().find(address);
  if (range == nullptr || size > range->size - (address - range->start)) return false;
  const u64 offset = range->offset + (address - range->start);
  if (range->handler != nullptr) {
    write_window(*range, address, size, value);
  } else if (!range->read_only) {
    copy_to_host(range->ram->host() + offset, &value, size);
    range->ram->mark_written(offset, size);
  }
  return true;
}

u64 AddressSpace::observed(const FlatRange& range, IoAccess access) const {
  access.begin_ns = host_now();
  if (access.write) {
    range.handler->write(access.offset, access.size, access.value);
  } else {
    access.value = range.handler->read(access.offset, access.size);
  }
  access.end_ns = host_now();
  access.owner = range.name;
  access.handler = range.handler;
  access.port = ports_.load(std::memory_order_relaxed);
  if (IoObserver* observer = observer_.load(std::memory_order_acquire)) observer->accessed(access);
  return access.value;
}

u8* AddressSpace::ram_pointer(Gpa address, u64 size) const {
  const FlatRange* range = map().find(address);
  if (range == nullptr || range->ram == nullptr) return nullptr;
  const u64 within = address - range->start;
  if (size > range->size - within) return nullptr;
  return range->ram->host() + range->offset + within;
}

}  // namespace solder::memory
