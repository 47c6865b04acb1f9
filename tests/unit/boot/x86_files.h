/// Synthetic x86 kernels, as small as the formats allow.
#pragma once

#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/types.h"

namespace solder::boot::x86::testing {

/// A bzImage of protocol 2.15: a relocatable 64-bit kernel of `code` bytes, all 0xc3 behind the entry.
inline std::vector<u8> bzimage(usize code = 0x4000, u32 init_size = 0x100000) {
  constexpr usize kSetupSectors = 2;
  std::vector<u8> out((kSetupSectors + 1) * 512);
  out[0x1f1] = kSetupSectors;
  store_le<u32>(&out[0x1f4], static_cast<u32>(code / 16));
  store_le<u16>(&out[0x1fe], 0xaa55);
  out[0x200] = 0xeb;
  out[0x201] = 0x6a;  // the header ends at 0x26c
  store_le<u32>(&out[0x202], 0x53726448);
  store_le<u16>(&out[0x206], 0x020f);
  out[0x211] = 1;
  store_le<u32>(&out[0x22c], 0x7fffffff);
  store_le<u32>(&out[0x230], 0x200000);
  out[0x234] = 1;
  store_le<u16>(&out[0x236], 0x3f);
  store_le<u32>(&out[0x238], 2047);
  store_le<u64>(&out[0x258], 0x1000000);
  store_le<u32>(&out[0x260], init_size);
  out.resize(out.size() + code, 0xc3);
  return out;
}

struct Part {
  u64 address = 0;
  std::vector<u8> bytes;
  u64 memory_size = 0;
};

/// An ELF program of `parts`, with a PVH note when `pvh` is not 0.
inline std::vector<u8> elf(bool is_64, u64 entry, const std::vector<Part>& parts, u32 pvh = 0) {
  const usize header = is_64 ? 64 : 52;
  const usize entry_size = is_64 ? 56 : 32;
  const usize count = parts.size() + (pvh != 0 ? 1 : 0);
  std::vector<u8> out(header + count * entry_size);
  store_be<u32>(&out[0], 0x7f454c46);
  out[4] = is_64 ? 2 : 1;
  out[5] = 1;
  out[6] = 1;
  store_le<u16>(&out[16], 2);
  store_le<u16>(&out[18], is_64 ? 62 : 3);
  if (is_64) {
    store_le<u64>(&out[24], entry);
    store_le<u64>(&out[32], header);
  } else {
    store_le<u32>(&out[24], static_cast<u32>(entry));
    store_le<u32>(&out[28], static_cast<u32>(header));
  }
  store_le<u16>(&out[is_64 ? 54 : 42], static_cast<u16>(entry_size));
  store_le<u16>(&out[is_64 ? 56 : 44], static_cast<u16>(count));
  const auto program_header = [&](usize index, u32 type, u64 address, u64 file_size, u64 memory_size) {
    u8* at = &out[header + index * entry_size];
    store_le<u32>(at, type);
    if (is_64) {
      store_le<u64>(at + 8, out.size());
      store_le<u64>(at + 24, address);
      store_le<u64>(at + 32, file_size);
      store_le<u64>(at + 40, memory_size);
      store_le<u64>(at + 48, 4);
    } else {
      store_le<u32>(at + 4, static_cast<u32>(out.size()));
      store_le<u32>(at + 12, static_cast<u32>(address));
      store_le<u32>(at + 16, static_cast<u32>(file_size));
      store_le<u32>(at + 20, static_cast<u32>(memory_size));
      store_le<u32>(at + 28, 4);
    }
  };
  for (usize i = 0; i < parts.size(); ++i) {
    program_header(i, 1, parts[i].address, parts[i].bytes.size(),
                   parts[i].memory_size != 0 ? parts[i].memory_size : parts[i].bytes.size());
    out.insert(out.end(), parts[i].bytes.begin(), parts[i].bytes.end());
  }
  if (pvh != 0) {
    // Another note first, as kernels have several.
    std::vector<u8> notes(20 + 16 + 4);
    store_le<u32>(&notes[0], 4);
    store_le<u32>(&notes[4], 3);
    store_le<u32>(&notes[8], 1);
    notes[12] = 'G';
    store_le<u32>(&notes[20], 4);
    store_le<u32>(&notes[24], 4);
    store_le<u32>(&notes[28], 18);
    store_le<u32>(&notes[32], 0x006e6558);  // "Xen"
    store_le<u32>(&notes[36], pvh);
    program_header(parts.size(), 4, 0, notes.size(), 0);
    out.insert(out.end(), notes.begin(), notes.end());
  }
  return out;
}

}  // namespace solder::boot::x86::testing
