/// A PC's low memory: what lies where before a kernel runs, and the map of it that kernels get (E820).
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/types.h"
#include "boot/extent.h"

namespace solder::boot::x86 {

/// Firmware's places. Below the EBDA is for whoever boots; the rest of the first MiB is not for kernels to allocate.
inline constexpr Gpa kLowStart = 0x1000;  ///< below: interrupt vectors, BIOS data area
inline constexpr Gpa kEbda = 0x9fc00;     ///< end of usable memory below 1 MiB
inline constexpr Gpa kRsdp = 0xe0000;     ///< kernels that are told nothing search from here on
inline constexpr Gpa kAcpiTables = 0xe0040;
inline constexpr Gpa kSmbios = 0xf0000;  ///< likewise
inline constexpr Gpa kHighStart = 0x100000;

/// Types of E820 entries (ACPI 6.5, table 15.3).
enum class MemoryType : u32 { ram = 1, reserved = 2, acpi = 3, nvs = 4 };

struct MemoryRange {
  Gpa address = 0;
  u64 size = 0;
  MemoryType type = MemoryType::ram;
};

/// RAM, over it what the first MiB keeps for firmware, from the EBDA to 1 MiB, over both `holes` with their own types.
/// Sorted, without overlaps; neighbours of one type are joined.
[[nodiscard]] std::vector<MemoryRange> memory_map(std::span<const Extent> ram, std::span<const MemoryRange> holes);

/// Hands out pieces of RAM and remembers them.
class Rooms {
 public:
  Rooms(std::span<const Extent> ram, std::span<const Extent> taken);
  /// Takes [address, address + size) if all of it is RAM and free.
  bool take(Gpa address, u64 size);
  /// The lowest piece within [low, high), or the highest.
  [[nodiscard]] std::optional<Gpa> lowest(u64 size, u64 alignment, Gpa low, Gpa high);
  [[nodiscard]] std::optional<Gpa> highest(u64 size, u64 alignment, Gpa low, Gpa high);
  [[nodiscard]] bool free(Gpa address, u64 size) const;
  [[nodiscard]] bool is_ram(Gpa address, u64 size) const;

 private:
  std::vector<Extent> ram_;    // sorted, joined
  std::vector<Extent> taken_;  // sorted, without overlaps
};

}  // namespace solder::boot::x86
