#include "device/registers.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/bits.h"
#include "base/check.h"
#include "device/register_names.h"

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

std::string RegisterBlock::register_name(u64 offset) const {
  const Register* reg = find(offset);
  if (reg == nullptr) return {};
  const u64 at = offset - reg->offset;
  return register_text(reg->name, reg->count, at / reg->stride, at % reg->stride);
}

RegisterBlock& RegisterBlock::afterwards(std::function<void()> work) {
  afterwards_ = std::move(work);
  return *this;
}

u64 RegisterBlock::read(u64 offset, unsigned size) {
  u64 value = 0;
  {
    const std::lock_guard guard(lock_);
    value = read_locked(offset, size);
  }
  if (afterwards_) afterwards_();
  return value;
}

void RegisterBlock::write(u64 offset, unsigned size, u64 value) {
  {
    const std::lock_guard guard(lock_);
    write_locked(offset, size, value);
  }
  if (afterwards_) afterwards_();
}

u64 RegisterBlock::read_locked(u64 offset, unsigned size) {
  u64 value = 0;
  for (unsigned done = 0; done < size;) {
    const Register* r = find(offset + done);
    if (r == nullptr || !r->read) {
      // A hole reads as zero, byte by byte up to the next register.
      if (done == 0 || r == nullptr) ++stray_;
      if (done == 0 && r == nullptr && find(offset + size - 1) == nullptr) return 0;
      done += r == nullptr ? 1 : r->width;
      continue;
    }
    const u64 at = offset + done - r->offset;
    const auto within = static_cast<unsigned>(at % r->stride);
    const unsigned bytes = std::min(size - done, r->width - within);
    const u64 part = r->read(static_cast<u32>(at / r->stride)) >> (8 * within);
    value |= (part & mask64(8 * bytes)) << (8 * done);
    done += bytes;
  }
  return value;
}

void RegisterBlock::write_locked(u64 offset, unsigned size, u64 value) {
  for (unsigned done = 0; done < size;) {
    const Register* r = find(offset + done);
    if (r == nullptr) {
      if (done == 0) ++stray_;
      if (find(offset + size - 1) == nullptr) return;
      ++done;
      continue;
    }
    const u64 at = offset + done - r->offset;
    const auto within = static_cast<unsigned>(at % r->stride);
    const unsigned bytes = std::min(size - done, r->width - within);
    if (!r->write || (within != 0 && !narrow_)) {
      ++stray_;
    } else {
      r->write(static_cast<u32>(at / r->stride), ((value >> (8 * done)) & mask64(8 * bytes)) << (8 * within));
    }
    done += bytes;
  }
}

}  // namespace solder::device
