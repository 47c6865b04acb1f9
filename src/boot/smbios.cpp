#include "boot/smbios.h"

#include <algorithm>
#include <string_view>

#include "base/bytes.h"

namespace solder::boot {

namespace {

constexpr usize kEntryPointSize = 24;
constexpr usize kTableOffset = 32;

// Handles; other structures refer to them.
constexpr u16 kChassis = 0x0300;
constexpr u16 kProcessor = 0x0400;
constexpr u16 kMemoryArray = 0x1000;
constexpr u16 kMemoryDevice = 0x1100;
constexpr u16 kMappedRange = 0x1300;

// One structure: the formatted area, then its strings, then a NUL (DSP0134, section 6.1.3).
class Structure {
 public:
  Structure(u8 type, u16 handle) { put(type, 1).put(0, 1).put(handle, 2); }
  Structure& put(u64 value, unsigned size) {
    for (unsigned i = 0; i < size; ++i) bytes_.push_back(static_cast<u8>(value >> (8 * i)));
    return *this;
  }
  Structure& zeros(usize count) {
    bytes_.resize(bytes_.size() + count);
    return *this;
  }
  // A field that names a string by its number. NULs and empty strings cannot be.
  Structure& text(std::string_view value) {
    std::string clean(value);
    std::erase(clean, '\0');
    if (clean.empty()) return put(0, 1);
    strings_.insert(strings_.end(), clean.begin(), clean.end());
    strings_.push_back(0);
    return put(++count_, 1);
  }
  void append_to(std::vector<u8>& out) {
    bytes_[1] = static_cast<u8>(bytes_.size());
    out.insert(out.end(), bytes_.begin(), bytes_.end());
    out.insert(out.end(), strings_.begin(), strings_.end());
    if (count_ == 0) out.push_back(0);
    out.push_back(0);
  }

 private:
  std::vector<u8> bytes_;
  std::vector<u8> strings_;
  u8 count_ = 0;
};

constexpr std::string_view kMaker = "Solder";

// Strings are for people; a hostile model property need not fill the table.
std::string_view shortened(std::string_view text) {
  return text.substr(0, 64);
}

void add_bios(std::vector<u8>& out, const SmbiosMachine& machine) {
  Structure s(0, 0x0000);
  s.text(kMaker).text(shortened(machine.version)).put(0, 2).text({});
  s.put(0, 1);                  // ROM size
  s.put(1U << 3, 8);            // characteristics are not supported
  s.put(0, 1).put(1U << 4, 1);  // a virtual machine
  s.put(0xffffffff, 4);         // no releases of firmware and embedded controller
  s.append_to(out);
}

void add_system(std::vector<u8>& out, const SmbiosMachine& machine) {
  Structure s(1, 0x0100);
  s.text(kMaker).text(shortened(machine.product)).text(shortened(machine.version)).text({});
  s.zeros(16);  // no UUID
  s.put(6, 1);  // woken by the power switch
  s.text({}).text({});
  s.append_to(out);
}

void add_chassis(std::vector<u8>& out) {
  Structure s(3, kChassis);
  s.text(kMaker).put(1, 1).text({}).text({}).text({});
  s.put(3, 1).put(3, 1).put(3, 1);  // boot-up, power supply, thermal: safe
  s.put(3, 1);                      // security: none
  s.put(0, 4).put(0, 1).put(0, 1).put(0, 1).put(0, 1);
  s.text({});
  s.append_to(out);
}

void add_processor(std::vector<u8>& out, u32 cpus) {
  Structure s(4, kProcessor);
  s.text("CPU").put(3, 1).put(1, 1).text(kMaker);
  s.put(0, 8);  // CPUID is for the CPU to tell
  s.text({}).put(0, 1);
  s.put(0, 2).put(0, 2).put(0, 2);                 // clocks are unknown
  s.put(0x41, 1).put(1, 1);                        // populated and enabled
  s.put(0xffff, 2).put(0xffff, 2).put(0xffff, 2);  // no caches told
  s.text({}).text({}).text({});
  const u8 small = static_cast<u8>(std::min<u32>(cpus, 0xff));
  s.put(small, 1).put(small, 1).put(small, 1);
  s.put(1U << 2, 2);  // 64 bits
  s.put(1, 2);
  const u16 large = static_cast<u16>(std::min<u32>(cpus, 0xfffe));
  s.put(large, 2).put(large, 2).put(large, 2);
  s.append_to(out);
}

void add_memory(std::vector<u8>& out, const SmbiosMachine& machine) {
  u64 total = 0;
  for (const Extent& extent : machine.ram) total += extent.size;
  constexpr u64 kExtendedArray = u64{1} << 41;  // from 2 TiB on
  Structure array(16, kMemoryArray);
  array.put(1, 1).put(3, 1).put(3, 1);  // other location, system memory, no ECC
  array.put(total < kExtendedArray ? total >> 10 : 0x80000000, 4).put(0xfffe, 2).put(1, 2);
  array.put(total < kExtendedArray ? 0 : total, 8);
  array.append_to(out);

  constexpr u64 kExtendedDevice = 0x7fff;  // MiB
  const u64 mebibytes = (total + 1_MiB - 1) / 1_MiB;
  Structure device(17, kMemoryDevice);
  device.put(kMemoryArray, 2).put(0xfffe, 2).put(0xffff, 2).put(0xffff, 2);
  device.put(std::min(mebibytes, kExtendedDevice), 2);
  device.put(9, 1).put(0, 1).text("DIMM 0").text({});
  device.put(7, 1).put(1U << 1, 2).put(0, 2);  // RAM
  device.text(kMaker).text({}).text({}).text({});
  device.put(0, 1).put(mebibytes >= kExtendedDevice ? std::min<u64>(mebibytes, 0x7fffffff) : 0, 4).put(0, 2);
  device.put(0, 2).put(0, 2).put(0, 2);
  device.append_to(out);

  u16 handle = kMappedRange;
  for (const Extent& extent : machine.ram) {
    // There are other structures behind these handles' range.
    if (extent.size < 1_KiB || handle == kMappedRange + 0xff) continue;
    Structure range(19, handle++);
    const u64 last = extent.end() - 1;
    const bool extended = last >> 10 >= 0xffffffff;
    range.put(extended ? 0xffffffff : extent.address >> 10, 4).put(extended ? 0xffffffff : last >> 10, 4);
    range.put(kMemoryArray, 2).put(1, 1);
    range.put(extended ? extent.address : 0, 8).put(extended ? last : 0, 8);
    range.append_to(out);
  }
}

}  // namespace

std::vector<u8> make_smbios(Gpa address, const SmbiosMachine& machine) {
  std::vector<u8> table;
  add_bios(table, machine);
  add_system(table, machine);
  add_chassis(table);
  add_processor(table, machine.cpus);
  add_memory(table, machine);
  Structure(32, 0x2000).zeros(6).put(0, 1).append_to(table);  // booted without errors
  Structure(127, 0x7f00).append_to(table);

  std::vector<u8> out(kTableOffset);
  const std::string_view anchor = "_SM3_";
  std::copy(anchor.begin(), anchor.end(), out.begin());
  out[6] = kEntryPointSize;
  out[7] = 3;  // 3.0
  out[10] = 1;
  store_le<u32>(&out[12], static_cast<u32>(table.size()));
  store_le<u64>(&out[16], address + kTableOffset);
  u8 sum = 0;
  for (usize i = 0; i < kEntryPointSize; ++i) sum = static_cast<u8>(sum + out[i]);
  out[5] = static_cast<u8>(0 - sum);
  out.insert(out.end(), table.begin(), table.end());
  return out;
}

}  // namespace solder::boot
