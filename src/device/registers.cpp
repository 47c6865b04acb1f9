#include "device/registers.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/bits.h"
#include "base/check.h"

namespace solder::device {

RegisterBlock::RegisterBlock(std::string owner, u64 size, std::mutex& lock)
    : owner_(std::move(owner)), size_(size), lock_(lock) {}

RegisterBlock& RegisterBlock::add(Register reg) {
  SOLDER_CHECK(reg.offset + u64{reg.stride} * (reg.count - 1) + reg.width <= size_, "a register lies in its window");
  const auto after = std::upper_bound(registers_.begin(), registers_.end(), reg.offset,
                                      [](u64 offset, const Register& r) { return offset < r.offset; });
  if (after != registers_.begin()) {
    const Register& before = *std::prev(after);
    SOLDER_CHECK(before.offset + u64{before.stride} * (before.count - 1) + before.width <= reg.offset,
                 "registers do not overlap");
  }
  registers_.insert(after, std::move(reg));
  return *this;
}

RegisterBlock& RegisterBlock::reg(std::string_view name, u64 offset, ReadFn read, WriteFn write) {
  Register r{.name = std::string(name), .offset = offset, .read = {}, .write = {}};
  r.access = !read ? RegisterAccess::write_only : !write ? RegisterAccess::read_only : RegisterAccess::read_write;
  if (read) r.read = [fn = std::move(read)](u32) -> u64 { return fn(); };
  if (write) r.write = [fn = std::move(write)](u32, u64 value) { fn(static_cast<u32>(value)); };
  return add(std::move(r));
}

RegisterBlock& RegisterBlock::ro(std::string_view name, u64 offset, ReadFn read) {
  return reg(name, offset, std::move(read), {});
}

RegisterBlock& RegisterBlock::wo(std::string_view name, u64 offset, WriteFn write) {
  return reg(name, offset, {}, std::move(write));
}

RegisterBlock& RegisterBlock::constant(std::string_view name, u64 offset, u32 value) {
  return reg(name, offset, [value] { return value; }, {});
}

RegisterBlock& RegisterBlock::rw(std::string_view name, u64 offset, u32& storage, u32 write_mask,
                                 std::function<void()> changed) {
  Register r{.name = std::string(name), .offset = offset, .write_mask = write_mask, .read = {}, .write = {}};
  r.read = [&storage](u32) -> u64 { return storage; };
  r.write = [&storage, write_mask, fn = std::move(changed)](u32, u64 value) {
    storage = (storage & ~write_mask) | (static_cast<u32>(value) & write_mask);
    if (fn) fn();
  };
  return add(std::move(r));
}

RegisterBlock& RegisterBlock::ro(std::string_view name, u64 offset, const u32& storage) {
  return reg(name, offset, [&storage] { return storage; }, {});
}

RegisterBlock& RegisterBlock::bank(std::string_view name, u64 offset, u32 count, ReadIndexFn read, WriteIndexFn write,
                                   u32 stride) {
  Register r{.name = std::string(name), .offset = offset, .count = count, .stride = stride, .read = {}, .write = {}};
  r.access = !read ? RegisterAccess::write_only : !write ? RegisterAccess::read_only : RegisterAccess::read_write;
  if (read) r.read = [fn = std::move(read)](u32 index) -> u64 { return fn(index); };
  if (write) r.write = [fn = std::move(write)](u32 index, u64 value) { fn(index, static_cast<u32>(value)); };
  return add(std::move(r));
}

RegisterBlock& RegisterBlock::primecell_id(u16 part, u8 revision) {
  // PeriphID0..3 (designer 0x41, ARM), then PCellID0..3: 0xb105f00d byte by byte.
  const u32 periph = u32{part} | (0x41U << 12) | (u32{revision} << 20);
  for (u32 i = 0; i < 4; ++i) constant(fmt::format("PeriphID{}", i), 0xfe0 + 4 * i, (periph >> (8 * i)) & 0xff);
  for (u32 i = 0; i < 4; ++i) constant(fmt::format("PCellID{}", i), 0xff0 + 4 * i, (0xb105f00dU >> (8 * i)) & 0xff);
  return *this;
}

RegisterBlock& RegisterBlock::allow_narrow() {
  narrow_ = true;
  return *this;
}

const Register* RegisterBlock::find(u64 offset) const {
  auto after = std::upper_bound(registers_.begin(), registers_.end(), offset,
                                [](u64 o, const Register& r) { return o < r.offset; });
  if (after == registers_.begin()) return nullptr;
  const Register& r = *std::prev(after);
  const u64 within = offset - r.offset;
  const u64 index = within / r.stride;
  return index < r.count && within % r.stride < r.width ? &r : nullptr;
}

u64 RegisterBlock::read(u64 offset, unsigned size) {
  const std::lock_guard guard(lock_);
  const Register* r = find(offset);
  if (r == nullptr || !r->read) {
    ++stray_;
    return 0;
  }
  const u64 within = (offset - r->offset) % r->stride;
  if (within == 0 && size == 8 && r->width == 4) {
    // A 64-bit load of two neighbouring 32-bit registers.
    const u64 low = r->read(static_cast<u32>((offset - r->offset) / r->stride)) & mask64(32);
    const Register* high = find(offset + 4);
    if (high == nullptr || high->width != 4 || !high->read) return low;
    return low | (high->read(static_cast<u32>((offset + 4 - high->offset) / high->stride)) << 32);
  }
  if (within + size > r->width) {
    ++stray_;
    return 0;
  }
  const auto index = static_cast<u32>((offset - r->offset) / r->stride);
  return (r->read(index) >> (8 * within)) & mask64(8 * size);
}

void RegisterBlock::write(u64 offset, unsigned size, u64 value) {
  const std::lock_guard guard(lock_);
  const Register* r = find(offset);
  if (r == nullptr || !r->write) {
    ++stray_;
    return;
  }
  const u64 within = (offset - r->offset) % r->stride;
  const auto index = static_cast<u32>((offset - r->offset) / r->stride);
  if (within == 0 && size == 8 && r->width == 4) {
    r->write(index, value & mask64(32));
    const Register* high = find(offset + 4);
    if (high != nullptr && high->width == 4 && high->write) {
      high->write(static_cast<u32>((offset + 4 - high->offset) / high->stride), value >> 32);
    }
    return;
  }
  if (within + size > r->width || (within != 0 && !narrow_)) {
    ++stray_;
    return;
  }
  r->write(index, (value & mask64(8 * size)) << (8 * within));
}

}  // namespace solder::device
