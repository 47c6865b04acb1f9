/// What a node without a model is under `solder,unmatched = "stub"`: it reads as zero and ignores writes.
#pragma once

#include <atomic>
#include <string>

#include "memory/mmio.h"

namespace solder::machine {

/// Says so on the first access, so that nobody looks for the reason elsewhere.
class StubWindow final : public memory::MmioHandler {
 public:
  explicit StubWindow(std::string path) : path_(std::move(path)) {}
  u64 read(u64 offset, unsigned size) override;
  void write(u64 offset, unsigned size, u64 value) override;

 private:
  void touched(const char* how, u64 offset);
  std::string path_;
  std::atomic<bool> touched_{false};
};

}  // namespace solder::machine
