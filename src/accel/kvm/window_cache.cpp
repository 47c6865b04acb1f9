#include "accel/kvm/window_cache.h"

#include <algorithm>
#include <ctime>

#include "base/bits.h"

namespace solder::accel::kvm {

namespace {

/// The next access of a split: the largest aligned power of two that neither the request nor the piece ends within.
unsigned piece_size(Gpa address, unsigned left, const memory::FlatRange* range) {
  u64 limit = left;
  if (range != nullptr) limit = std::min<u64>(limit, range->end() - address);
  unsigned size = 8;
  while (size > limit || (address & (size - 1)) != 0) size /= 2;
  return size;
}

}  // namespace

u64 WindowCache::monotonic_now() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<u64>(now.tv_sec) * 1'000'000'000 + static_cast<u64>(now.tv_nsec);
}

u64 WindowCache::load_pieces(Gpa address, unsigned size, u64 exit_ns) {
  u64 value = 0;
  for (unsigned done = 0; done < size && done < 8;) {
    const memory::FlatRange* range = find(address + done);
    const unsigned piece = piece_size(address + done, std::min(size, 8U) - done, range);
    u64 part = ~u64{0};
    if (range != nullptr) {
      const u64 offset = range->offset + (address + done - range->start);
      if (range->handler != nullptr) {
        part = space_.read_window(*range, address + done, piece, exit_ns);
      } else {
        std::memcpy(&part, range->ram->host() + offset, piece);
      }
    }
    value |= (part & mask64(piece * 8)) << (done * 8);
    done += piece;
  }
  return value;
}

void WindowCache::store_pieces(Gpa address, unsigned size, u64 value, u64 exit_ns) {
  for (unsigned done = 0; done < size && done < 8;) {
    const memory::FlatRange* range = find(address + done);
    const unsigned piece = piece_size(address + done, std::min(size, 8U) - done, range);
    const u64 part = (value >> (done * 8)) & mask64(piece * 8);
    if (range != nullptr) {
      const u64 offset = range->offset + (address + done - range->start);
      if (range->handler != nullptr) {
        space_.write_window(*range, address + done, piece, part, exit_ns);
      } else if (!range->read_only) {
        std::memcpy(range->ram->host() + offset, &part, piece);
        range->ram->mark_written(offset, piece);
      }
    }
    done += piece;
  }
}

}  // namespace solder::accel::kvm
