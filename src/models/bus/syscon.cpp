// A system controller (binding mfd/syscon): registers that keep what is written and that other nodes watch.
#include <algorithm>
#include <cstring>
#include <vector>

#include "base/bits.h"
#include "device/registry.h"

namespace solder::models::bus {
namespace {

// Larger windows read as zero above this: no system controller has that many registers.
constexpr u64 kLargest = 1 << 20;

class Syscon final : public device::Device, public device::RegisterMap, public memory::MmioHandler {
 public:
  explicit Syscon(device::Ports& ports)
      : lock_(ports.lock()), bytes_(align_up(std::min(ports.window_size(0), kLargest), 8)) {
    if (ports.window_count() > 0) ports.window(0, *this);
    ports.provide_registers(*this);
  }

  void reset() override { std::fill(bytes_.begin(), bytes_.end(), 0); }
  void state(device::Archive& archive) override {
    const usize size = bytes_.size();
    archive.bytes("registers", bytes_, size);
    bytes_.resize(size);
  }

  void watch_write(u64 offset, std::function<void(u32 value)> watcher) override {
    const std::lock_guard guard(lock_);
    watchers_.push_back({.offset = offset, .watcher = std::move(watcher)});
  }

  u64 read(u64 offset, unsigned size) override {
    const std::lock_guard guard(lock_);
    u64 value = 0;
    if (offset < bytes_.size() && size <= bytes_.size() - offset) std::memcpy(&value, &bytes_[offset], size);
    return value;
  }

  void write(u64 offset, unsigned size, u64 value) override {
    const std::lock_guard guard(lock_);
    if (offset >= bytes_.size() || size > bytes_.size() - offset) return;
    std::memcpy(&bytes_[offset], &value, size);
    for (const Watch& watch : watchers_) {
      if (watch.offset + 4 <= offset || watch.offset >= offset + size || watch.offset + 4 > bytes_.size()) continue;
      u32 word = 0;
      std::memcpy(&word, &bytes_[watch.offset], 4);
      watch.watcher(word);
    }
  }

 private:
  struct Watch {
    u64 offset;
    std::function<void(u32)> watcher;
  };
  std::mutex& lock_;
  std::vector<u8> bytes_;
  std::vector<Watch> watchers_;
};

// Children of a system controller (often also a "simple-mfd") are devices of their own, like syscon-reboot.
const device::Registration kSyscon{"syscon", device::make<Syscon>, "System controller: plain registers others refer to",
                                   true};

}  // namespace
}  // namespace solder::models::bus
