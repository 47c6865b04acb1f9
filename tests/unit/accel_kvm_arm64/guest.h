/// A KVM machine of arm64 CPUs and 1 MiB of RAM that runs a few instructions, for the tests of this folder.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <vector>

#include "accel/kvm/accelerator.h"
#include "memory/address_space.h"
#include "memory/ram.h"

namespace solder::accel::kvm {

/// Ends the test as skipped, with the reason, when this machine has no KVM.
#define SOLDER_NEEDS_KVM()                                         \
  if (const auto have = ::solder::accel::kvm::Vm::open(); !have) { \
    GTEST_SKIP() << "needs /dev/kvm: " << have.error().text();     \
  }                                                                \
  static_assert(true)

/// A window that writes down what happens to it and reads as `value`.
class Recorder final : public memory::MmioHandler {
 public:
  struct Access {
    bool write = false;
    u64 offset = 0;
    unsigned size = 0;
    u64 value = 0;
    bool operator==(const Access&) const = default;
  };
  u64 read(u64 offset, unsigned size) override {
    log.push_back({false, offset, size, 0});
    return value;
  }
  void write(u64 offset, unsigned size, u64 data) override { log.push_back({true, offset, size, data}); }
  u64 value = 0;
  std::vector<Access> log;
};

class Guest {
 public:
  static constexpr Gpa kRam = 0x40000000;
  static constexpr Gpa kWindow = 0x09000000;

  /// One CPU for each of `ids` (affinities), a GIC in nobody's hands.
  explicit Guest(const std::vector<u64>& ids = {0}) {
    kvm = Kvm::create().value();
    ram = memory::Ram::create("ram", 1_MiB).value();
    memory::Region region;
    region.name = "ram";
    region.start = kRam;
    region.size = 1_MiB;
    region.ram = ram.get();
    EXPECT_TRUE(memory.add(region).has_value());
    memory::Region window;
    window.name = "window";
    window.start = kWindow;
    window.size = 0x1000;
    window.handler = &recorder;
    EXPECT_TRUE(memory.add(window).has_value());
    for (u32 i = 0; i < ids.size(); ++i) {
      cpu::CpuRequest request;
      request.index = i;
      request.hardware_id = ids[i];
      request.compatible = "arm,armv8";
      request.memory = &memory;
      auto cpu = kvm->create_vcpu(request);
      EXPECT_TRUE(cpu.has_value()) << cpu.error().text();
      if (cpu) cpus.push_back(std::move(*cpu));
    }
  }

  /// Runs `code` on the first CPU from the start of RAM, x0 being the window's address.
  cpu::ExitReason run(const std::vector<u32>& code) {
    std::memcpy(ram->host(), code.data(), code.size() * sizeof(u32));
    cpus[0]->reset({.pc = kRam, .arguments = {kWindow}});
    return cpus[0]->run();
  }

  [[nodiscard]] u64 get(const std::string& name, u32 cpu = 0) const {
    for (const auto& value : cpus[cpu]->registers()) {
      if (value.name == name) return value.value[0];
    }
    ADD_FAILURE() << "no register " << name;
    return 0;
  }

  std::unique_ptr<memory::Ram> ram;
  memory::AddressSpace memory{"memory"};
  Recorder recorder;
  std::unique_ptr<Kvm> kvm;
  std::vector<std::unique_ptr<cpu::Vcpu>> cpus;
};

}  // namespace solder::accel::kvm
