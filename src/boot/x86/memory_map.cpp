#include "boot/x86/memory_map.h"

#include <algorithm>

namespace solder::boot::x86 {

namespace {

// Sorted and joined; what would wrap around is cut off.
std::vector<Extent> normalised(std::span<const Extent> extents) {
  std::vector<Extent> sorted;
  for (Extent extent : extents) {
    extent.size = std::min(extent.size, ~Gpa{0} - extent.address);
    if (extent.size != 0) sorted.push_back(extent);
  }
  std::ranges::sort(sorted, {}, &Extent::address);
  std::vector<Extent> out;
  for (const Extent& extent : sorted) {
    if (!out.empty() && extent.address <= out.back().end())
      out.back().size = std::max(out.back().end(), extent.end()) - out.back().address;
    else
      out.push_back(extent);
  }
  return out;
}

Gpa rounded_up(Gpa address, u64 alignment) {
  const Gpa over = address % alignment;
  return over == 0 ? address : address + (alignment - over);
}

}  // namespace

std::vector<MemoryRange> memory_map(std::span<const Extent> ram, std::span<const MemoryRange> holes) {
  // Borders of everything, then the type of each piece between them: holes over firmware over RAM.
  const auto extents = normalised(ram);
  std::vector<MemoryRange> over = {{kEbda, kHighStart - kEbda, MemoryType::reserved}};
  over.insert(over.end(), holes.begin(), holes.end());
  std::vector<Gpa> borders;
  const auto add_borders = [&](Gpa start, u64 size) {
    borders.push_back(start);
    borders.push_back(start + std::min(size, ~Gpa{0} - start));
  };
  for (const Extent& extent : extents) add_borders(extent.address, extent.size);
  for (const MemoryRange& range : over) add_borders(range.address, range.size);
  std::ranges::sort(borders);
  borders.erase(std::unique(borders.begin(), borders.end()), borders.end());

  std::vector<MemoryRange> out;
  for (usize i = 0; i + 1 < borders.size(); ++i) {
    const Gpa start = borders[i];
    const u64 size = borders[i + 1] - start;
    std::optional<MemoryType> type;
    if (std::ranges::any_of(extents, [&](const Extent& e) { return start >= e.address && start < e.end(); }))
      type = MemoryType::ram;
    for (const MemoryRange& range : over)
      if (start >= range.address && start - range.address < range.size) type = range.type;
    if (!type) continue;
    if (!out.empty() && out.back().type == *type && out.back().address + out.back().size == start)
      out.back().size += size;
    else
      out.push_back({start, size, *type});
  }
  return out;
}

Rooms::Rooms(std::span<const Extent> ram, std::span<const Extent> taken)
    : ram_(normalised(ram)), taken_(normalised(taken)) {}

bool Rooms::is_ram(Gpa address, u64 size) const {
  return std::ranges::any_of(ram_, [&](const Extent& extent) {
    return address >= extent.address && address <= extent.end() && size <= extent.end() - address;
  });
}

bool Rooms::free(Gpa address, u64 size) const {
  if (!is_ram(address, size)) return false;
  return std::ranges::none_of(taken_, [&](const Extent& e) { return e.address < address + size && address < e.end(); });
}

bool Rooms::take(Gpa address, u64 size) {
  if (!free(address, size)) return false;
  taken_.push_back({address, size});
  taken_ = normalised(taken_);
  return true;
}

std::optional<Gpa> Rooms::lowest(u64 size, u64 alignment, Gpa low, Gpa high) {
  for (const Extent& extent : ram_) {
    const Gpa end = std::min(extent.end(), high);
    Gpa at = rounded_up(std::max(extent.address, low), alignment);
    while (at >= low && at <= end && size <= end - at) {
      const auto clash =
          std::ranges::find_if(taken_, [&](const Extent& e) { return e.address < at + size && at < e.end(); });
      if (clash == taken_.end()) {
        take(at, size);
        return at;
      }
      at = rounded_up(clash->end(), alignment);
    }
  }
  return std::nullopt;
}

std::optional<Gpa> Rooms::highest(u64 size, u64 alignment, Gpa low, Gpa high) {
  for (auto extent = ram_.rbegin(); extent != ram_.rend(); ++extent) {
    const Gpa start = std::max(extent->address, low);
    Gpa end = std::min(extent->end(), high);
    while (end > start && size <= end - start) {
      const Gpa at = (end - size) / alignment * alignment;
      if (at < start) break;
      // The highest clash: what lies below it comes next.
      const auto clash = std::find_if(taken_.rbegin(), taken_.rend(),
                                      [&](const Extent& e) { return e.address < at + size && at < e.end(); });
      if (clash == taken_.rend()) {
        take(at, size);
        return at;
      }
      end = clash->address;
    }
  }
  return std::nullopt;
}

}  // namespace solder::boot::x86
