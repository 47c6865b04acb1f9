/// The driver's side of virtqueues and of the MMIO transport, for tests: lays rings out in guest memory and plays
/// guest.
#pragma once

#include <array>
#include <cstring>
#include <string>
#include <vector>

#include "memory/address_space.h"
#include "support/fake_ports.h"

namespace solder::testing {

/// One buffer of a request.
struct Buffer {
  u64 address;
  u32 length;
  bool writable;
};

/// A split or packed ring of `size` entries at `base`.
class DriverRing {
 public:
  DriverRing(memory::AddressSpace& space, u64 base, u16 size, bool packed)
      : descriptors(base), driver(base + 0x4000), device(base + 0x6000), size_(size), packed_(packed), space_(space) {}

  const u64 descriptors;
  const u64 driver;
  const u64 device;

  /// Makes a chain available, as direct descriptors or through an indirect table at `indirect_at`.
  void add(const std::vector<Buffer>& buffers, u64 indirect_at = 0) {
    if (indirect_at != 0) {
      for (usize i = 0; i < buffers.size(); ++i) {
        put_descriptor(indirect_at + 16 * i, buffers[i], static_cast<u16>(i + 1), i + 1 < buffers.size(), packed_);
      }
      const Buffer table{indirect_at, static_cast<u32>(16 * buffers.size()), false};
      packed_ ? add_packed({table}, 4) : add_split({table}, 4);
    } else {
      packed_ ? add_packed(buffers, 0) : add_split(buffers, 0);
    }
  }
  /// Takes a used element: false when there is none.
  bool take(u32& id, u32& written) {
    if (packed_) {
      const u64 at = descriptors + u64{16} * used_;
      const u16 flags = get<u16>(at + 14);
      if (((flags >> 7) & 1) != (used_wrap_ ? 1 : 0) || ((flags >> 15) & 1) != (used_wrap_ ? 1 : 0)) return false;
      written = get<u32>(at + 8);
      id = get<u16>(at + 12);
      used_ = static_cast<u16>(used_ + lengths_[id]);
      if (used_ >= size_) {
        used_ = static_cast<u16>(used_ - size_);
        used_wrap_ = !used_wrap_;
      }
      return true;
    }
    if (get<u16>(device + 2) == used_) return false;
    const u64 at = device + 4 + u64{8} * (used_ % size_);
    id = get<u32>(at);
    written = get<u32>(at + 4);
    ++used_;
    return true;
  }
  template <class T>
  T get(u64 address) const {
    T v{};
    space_.read(address, &v, sizeof v);
    return v;
  }
  template <class T>
  void put(u64 address, T v) {
    space_.write(address, &v, sizeof v);
  }

 private:
  void put_descriptor(u64 at, const Buffer& b, u16 next, bool more, bool packed) {
    const auto flags = static_cast<u16>((more ? 1 : 0) | (b.writable ? 2 : 0));
    put<u64>(at, b.address);
    put<u32>(at + 8, b.length);
    put<u16>(at + 12, packed ? u16{0} : flags);
    put<u16>(at + 14, packed ? flags : next);
  }
  void add_split(const std::vector<Buffer>& buffers, u16 extra) {
    const u16 head = next_;
    for (usize i = 0; i < buffers.size(); ++i) {
      const u16 index = next_;
      next_ = static_cast<u16>((next_ + 1) % size_);
      const u64 at = descriptors + u64{16} * index;
      put_descriptor(at, buffers[i], next_, i + 1 < buffers.size(), false);
      put<u16>(at + 12, static_cast<u16>(get<u16>(at + 12) | extra));
    }
    put<u16>(driver + 4 + u64{2} * (available_ % size_), head);
    put<u16>(driver + 2, ++available_);
  }
  void add_packed(const std::vector<Buffer>& buffers, u16 extra) {
    const u16 id = next_;
    lengths_[id] = static_cast<u16>(buffers.size());
    u64 first = 0;
    u16 first_flags = 0;
    for (usize i = 0; i < buffers.size(); ++i) {
      const u64 at = descriptors + u64{16} * next_;
      const auto flags = static_cast<u16>((i + 1 < buffers.size() ? 1 : 0) | (buffers[i].writable ? 2 : 0) | extra |
                                          (wrap_ ? 1 << 7 : 1 << 15));
      put<u64>(at, buffers[i].address);
      put<u32>(at + 8, buffers[i].length);
      put<u16>(at + 12, id);
      if (i == 0) {
        first = at;
        first_flags = flags;
      } else {
        put<u16>(at + 14, flags);
      }
      if (++next_ == size_) {
        next_ = 0;
        wrap_ = !wrap_;
      }
    }
    put<u16>(first + 14, first_flags);  // last: it publishes the chain
  }

  u16 size_;
  bool packed_;
  memory::AddressSpace& space_;
  u16 next_ = 0;
  u16 available_ = 0;
  bool wrap_ = true;
  u16 used_ = 0;
  bool used_wrap_ = true;
  std::array<u16, 1024> lengths_{};
};

/// Brings a virtio-mmio device up through its registers, as section 3.1.1 says.
class MmioDriver {
 public:
  explicit MmioDriver(FakePorts& ports) : ports_(ports) {}
  /// False when the device refuses the features.
  bool negotiate(u64 features) {
    ports_.write(0x70, 0);
    ports_.write(0x70, 3);
    for (u32 word = 0; word < 2; ++word) {
      ports_.write(0x24, word);
      ports_.write(0x20, static_cast<u32>(features >> (32 * word)));
    }
    ports_.write(0x70, 11);
    return (ports_.read(0x70) & 8) != 0;
  }
  u64 offered() {
    u64 all = 0;
    for (u32 word = 0; word < 2; ++word) {
      ports_.write(0x14, word);
      all |= ports_.read(0x10) << (32 * word);
    }
    return all;
  }
  void add_queue(u32 index, const DriverRing& ring, u16 size) {
    ports_.write(0x30, index);
    ports_.write(0x38, size);
    const std::array<std::pair<u64, u64>, 3> areas{
        {{0x80, ring.descriptors}, {0x90, ring.driver}, {0xa0, ring.device}}};
    for (const auto& [offset, address] : areas) {
      ports_.write(offset, static_cast<u32>(address));
      ports_.write(offset + 4, static_cast<u32>(address >> 32));
    }
    ports_.write(0x44, 1);
  }
  void go() { ports_.write(0x70, 15); }
  void notify(u32 queue) { ports_.write(0x50, queue); }
  u32 status() { return static_cast<u32>(ports_.read(0x70)); }
  u32 take_interrupt() {
    const auto cause = static_cast<u32>(ports_.read(0x60));
    ports_.write(0x64, cause);
    return cause;
  }

 private:
  FakePorts& ports_;
};

}  // namespace solder::testing
