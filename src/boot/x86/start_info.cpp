#include "boot/x86/start_info.h"

#include "base/bytes.h"

namespace solder::boot::x86 {

std::vector<u8> make_start_info(Gpa address, const StartInfo& info) {
  constexpr usize kSize = 56;
  constexpr usize kModule = 32;
  constexpr usize kRange = 24;
  constexpr u32 kMagic = 0x336ec578;
  const u32 modules = info.initrd_size != 0 ? 1 : 0;
  const usize ranges_at = kSize + kModule * modules;
  std::vector<u8> out(ranges_at + info.memory.size() * kRange);
  store_le<u32>(&out[0], kMagic);
  store_le<u32>(&out[4], 1);
  store_le<u32>(&out[12], modules);
  store_le<u64>(&out[16], modules != 0 ? address + kSize : 0);
  store_le<u64>(&out[24], info.command_line);
  store_le<u64>(&out[32], info.rsdp);
  store_le<u64>(&out[40], address + ranges_at);
  store_le<u32>(&out[48], static_cast<u32>(info.memory.size()));
  if (modules != 0) {
    store_le<u64>(&out[kSize], info.initrd);
    store_le<u64>(&out[kSize + 8], info.initrd_size);
  }
  for (usize i = 0; i < info.memory.size(); ++i) {
    u8* at = &out[ranges_at + i * kRange];
    store_le<u64>(at, info.memory[i].address);
    store_le<u64>(at + 8, info.memory[i].size);
    store_le<u32>(at + 16, static_cast<u32>(info.memory[i].type));
  }
  return out;
}

}  // namespace solder::boot::x86
