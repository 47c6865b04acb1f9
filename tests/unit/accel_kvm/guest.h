/// A KVM machine of one or more CPUs and 1 MiB of RAM that runs a few bytes of machine code, for the tests of this
/// folder.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "accel/kvm/accelerator.h"
#include "accel/kvm/memory_slots.h"
#include "accel/kvm/run_gate.h"
#include "accel/kvm/x86/cpuid.h"
#include "accel/kvm/x86/vcpu.h"
#include "memory/address_space.h"
#include "memory/ram.h"

namespace solder::accel::kvm {

/// Ends the test as skipped, with the reason, when this machine has no KVM.
#define SOLDER_NEEDS_KVM()                                         \
  if (const auto have = ::solder::accel::kvm::Vm::open(); !have) { \
    GTEST_SKIP() << "needs /dev/kvm: " << have.error().text();     \
  }                                                                \
  static_assert(true)

/// One access as a window sees it.
struct Access {
  bool write = false;
  u64 offset = 0;
  unsigned size = 0;
  u64 value = 0;
  bool operator==(const Access&) const = default;
};

inline std::ostream& operator<<(std::ostream& out, const Access& a) {
  return out << (a.write ? "write" : "read") << std::hex << " +" << a.offset << " size " << a.size << " value "
             << a.value;
}

/// A window that writes down what happens to it. Reads return `value`, which then goes up by `step`.
class Recorder final : public memory::MmioHandler {
 public:
  u64 read(u64 offset, unsigned size) override {
    const std::lock_guard guard(mutex_);
    const u64 now = value & (size == 8 ? ~u64{0} : (u64{1} << (8 * size)) - 1);
    value += step;
    log.push_back({false, offset, size, now});
    return now;
  }
  void write(u64 offset, unsigned size, u64 data) override {
    const std::lock_guard guard(mutex_);
    log.push_back({true, offset, size, data});
    if (on_write) on_write(data);
  }
  const memory::WriteHints* write_hints() const override { return &hints; }
  [[nodiscard]] usize accesses() {
    const std::lock_guard guard(mutex_);
    return log.size();
  }
  memory::WriteHints hints;  ///< before the window is placed
  u64 value = 0;
  u64 step = 0;
  std::vector<Access> log;
  std::function<void(u64)> on_write;

 private:
  std::mutex mutex_;
};

/// Little-endian machine code.
using Code = std::vector<u8>;

class Guest {
 public:
  static constexpr u64 kRamSize = 1_MiB;
  static constexpr Gpa kCode = 0x1000;

  /// Where the local APICs are: `user` is what Kvm makes without a tree that asks for more.
  enum class Irqchip : u8 { user, split, kernel };

  explicit Guest(u32 cpus = 1, Irqchip irqchip = Irqchip::user, u32 dirty_ring_entries = Kvm::kDirtyRingEntries)
      : ram(memory::Ram::create("ram", kRamSize).value()) {
    EXPECT_TRUE(memory.add({.name = "ram", .start = 0, .size = kRamSize, .ram = ram.get()}));
    EXPECT_TRUE(ports.add({.name = "recorder", .start = 0x100, .size = 0x40, .handler = &port}));
    EXPECT_TRUE(memory.add({.name = "window", .start = 0xd0000, .size = 0x1000, .handler = &window, .priority = 1}));
    if (irqchip == Irqchip::user) {
      kvm = Kvm::create("/dev/kvm", dirty_ring_entries).value();
    } else {
      make_vm(irqchip);
    }
    for (u32 i = 0; i < cpus; ++i) {
      cpu::CpuRequest request;
      request.index = i;
      request.hardware_id = i;
      request.compatible = "x86-64";
      request.memory = &memory;
      request.ports = &ports;
      auto made = kvm ? kvm->create_vcpu(request) : make_vcpu(irqchip, request, cpus);
      EXPECT_TRUE(made.has_value()) << made.error().text();
      vcpus.push_back(std::move(*made));
    }
  }

  void load(const Code& code, Gpa at = kCode) { std::copy(code.begin(), code.end(), ram->host() + at); }
  /// Puts the first CPU at `code`, in real mode, with DS = ES = SS = 0.
  void start(const Code& code) {
    load(code);
    cpu().reset({.pc = kCode, .arguments = {0, 0, 0, 0x8000}});
  }
  /// The same with flat 32-bit segments.
  void start_protected(const Code& code) {
    load(code);
    cpu().reset({.pc = kCode, .arguments = {0, 0, 0, 0x8000}, .mode = cpu::EntryMode::protected_});
  }
  /// With 64-bit segments and the first 2 MiB mapped one to one.
  void start_long(const Code& code) {
    load(code);
    const auto entry = [this](Gpa at, u64 value) { std::memcpy(ram->host() + at, &value, sizeof value); };
    entry(0x10000, 0x11003);
    entry(0x11000, 0x12003);
    entry(0x12000, 0x83);  // a 2 MiB page
    cpu().reset({.pc = kCode, .arguments = {0, 0, 0, 0x8000}, .mode = cpu::EntryMode::long_, .page_table = 0x10000});
  }
  [[nodiscard]] x86::X86Vcpu& cpu(usize i = 0) { return static_cast<x86::X86Vcpu&>(*vcpus[i]); }
  [[nodiscard]] u64 reg(const std::string& name, usize i = 0) {
    for (const auto& value : cpu(i).registers())
      if (value.name == name) return value.value[0];
    ADD_FAILURE() << "no register " << name;
    return 0;
  }
  void set(const std::string& name, u64 value) {
    const Status done = cpu().set_register({name, {value, 0}});
    EXPECT_TRUE(done) << done.error().text();
  }
  template <class T>
  [[nodiscard]] T at(Gpa address) const {
    T value{};
    std::memcpy(&value, ram->host() + address, sizeof value);
    return value;
  }

  std::unique_ptr<memory::Ram> ram;
  memory::AddressSpace memory{"memory"};
  memory::AddressSpace ports{"ports"};
  Recorder port;
  Recorder window;
  std::unique_ptr<Kvm> kvm;  // null with a local APIC in the kernel: then these three
  std::unique_ptr<Vm> vm;
  RunGate gate;
  std::shared_ptr<MemorySlots> slots;
  std::vector<std::unique_ptr<cpu::Vcpu>> vcpus;

 private:
  void make_vm(Irqchip irqchip) {
    vm = Vm::open().value();
    const Status made = irqchip == Irqchip::kernel ? vm->call(SOLDER_KVM(KVM_CREATE_IRQCHIP))
                                                   : vm->enable(KVM_CAP_SPLIT_IRQCHIP, "KVM_CAP_SPLIT_IRQCHIP", 24);
    EXPECT_TRUE(made) << made.error().text();
    slots = std::make_shared<MemorySlots>(*vm, gate);
    EXPECT_TRUE(slots->update(memory.map()));
  }
  Result<std::unique_ptr<cpu::Vcpu>> make_vcpu(Irqchip irqchip, const cpu::CpuRequest& request, u32 cpus) {
    const x86::VcpuOptions options{.kernel_lapic = true, .kernel_pic = irqchip == Irqchip::kernel};
    return x86::X86Vcpu::create(*vm, gate, options, request, [this, cpus](x86::X86Vcpu& vcpu) -> Status {
      const x86::CpuidOptions cpuid{.apic_id = vcpu.apic_id(), .highest_apic_id = cpus - 1, .cpus = cpus};
      return x86::set_cpuid(vcpu.fd(), x86::make_cpuid(SOLDER_TRY(x86::supported_cpuid(*vm)), cpuid));
    });
  }
};

/// For a machine that nobody ends.
class NoControl final : public cpu::MachineControl {
 public:
  void request_shutdown() override {}
  void request_reset() override {}
  void report_fault(std::string) override {}
};

/// A controller with one request line into a vCPU.
class FakeController final : public interrupt::CpuInterface {
 public:
  explicit FakeController(cpu::Vcpu& cpu) : cpu_(cpu) { cpu.set_cpu_interface(this); }
  void request(u8 vector) {
    vector_.store(vector);
    cpu_.set_line(cpu::Line::irq, true);
  }
  std::optional<u8> acknowledge() override {
    ++acknowledges;
    const int vector = vector_.exchange(-1);
    cpu_.set_line(cpu::Line::irq, false);
    if (vector < 0) return std::nullopt;
    return static_cast<u8>(vector);
  }
  u8 task_priority() const override { return priority; }
  void set_task_priority(u8 value) override { priority = value; }

  std::atomic<int> acknowledges{0};
  u8 priority = 0;

 private:
  cpu::Vcpu& cpu_;
  std::atomic<int> vector_{-1};
};

/// Real mode: vector `vector` is served by `code`.
inline void set_vector(Guest& g, u8 vector, const Code& code) {
  const Gpa at = 0x6000 + vector * Gpa{16};
  g.load(code, at);
  const u32 entry = static_cast<u32>(at >> 4) << 16;
  std::memcpy(g.ram->host() + vector * 4, &entry, sizeof entry);
}

/// inc word [0x2000]; iret
inline const Code kCountingHandler{0xff, 0x06, 0x00, 0x20, 0xcf};

}  // namespace solder::accel::kvm
