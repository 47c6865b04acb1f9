/// A UART's receive FIFO of a depth that software can change.
#pragma once

#include <algorithm>
#include <array>
#include <span>

#include "base/types.h"
#include "device/archive.h"

namespace solder::models::serial {

/// Bytes in order, up to a limit that changes with the UART's FIFO enable. Not locked.
class ReceiveFifo {
 public:
  static constexpr u32 kCapacity = 64;

  [[nodiscard]] bool empty() const { return count_ == 0; }
  [[nodiscard]] u32 size() const { return count_; }
  [[nodiscard]] bool full(u32 depth) const { return count_ >= depth; }

  /// False when `depth` bytes are there already.
  bool push(u8 byte, u32 depth) {
    if (full(std::min(depth, kCapacity))) return false;
    bytes_[(head_ + count_++) % kCapacity] = byte;
    return true;
  }
  /// Takes as many of `bytes` as fit; returns how many.
  usize push(std::span<const u8> bytes, u32 depth) {
    usize taken = 0;
    while (taken < bytes.size() && push(bytes[taken], depth)) ++taken;
    return taken;
  }
  /// The oldest byte; 0 when empty.
  u8 pop() {
    if (count_ == 0) return 0;
    const u8 byte = bytes_[head_];
    head_ = (head_ + 1) % kCapacity;
    --count_;
    return byte;
  }
  void clear() { head_ = count_ = 0; }

  void state(device::Archive& archive) {
    archive("bytes", bytes_)("head", head_)("count", count_);
    head_ %= kCapacity;
    count_ = std::min(count_, kCapacity);
  }

 private:
  std::array<u8, kCapacity> bytes_{};
  u32 head_ = 0;
  u32 count_ = 0;
};

}  // namespace solder::models::serial
