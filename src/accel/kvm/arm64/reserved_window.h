/// The place of a device that the kernel has: so that no other device is put there. Accesses that the kernel does not
/// take (redistributors of CPUs that are not there) read as zero.
#pragma once

#include "memory/mmio.h"

namespace solder::accel::kvm::arm64 {

class ReservedWindow final : public memory::MmioHandler {
 public:
  u64 read(u64 offset, unsigned size) override {
    (void)offset;
    (void)size;
    return 0;
  }
  void write(u64 offset, unsigned size, u64 value) override {
    (void)offset;
    (void)size;
    (void)value;
  }
};

}  // namespace solder::accel::kvm::arm64
