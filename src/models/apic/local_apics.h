/// "intel,ce4100-lapic": the local APICs of all CPUs, and what travels between them. One window, in which each CPU sees
/// its own; x2APIC registers and the TSC deadline as MSRs.
#pragma once

#include <memory>
#include <vector>

#include "device/device.h"
#include "models/apic/lapic.h"

namespace solder::models::apic {

constexpr u32 kMsrApicBase = 0x1b;
constexpr u32 kMsrTscDeadline = 0x6e0;
constexpr u32 kMsrX2apicFirst = 0x800;
constexpr u32 kMsrX2apicLast = 0x8ff;

/// The window stays where the tree has it: IA32_APIC_BASE takes another address, but nothing appears there. The TSC
/// deadline is there when the CPUs know their TSC (Vcpu::read_tsc): MSR 0x6e0 exists (`has`), bit 18 of the timer's
/// entry can be set, and CPUID.1:ECX[24] is for the accelerator to set then.
class LocalApics final : public device::Device,
                         public interrupt::Controller,
                         public interrupt::MessageTarget,
                         public interrupt::Sink,
                         public memory::MmioHandler,
                         public cpu::SystemRegisters {
 public:
  explicit LocalApics(device::Ports& ports);
  ~LocalApics() override;

  void reset() override;
  void state(device::Archive& archive) override;
  Status start() override;
  [[nodiscard]] std::string describe() const override;

  // LINT pins of CPU 0.
  Result<Input> input(std::span<const u32> specifier, u32 cpu) override;
  void set_level(u32 pin, bool level) override;

  bool deliver(const interrupt::Message& message) override;
  void add_eoi_listener(interrupt::EoiListener& listener) override { listeners_.push_back(&listener); }

  u64 read(u64 offset, unsigned size) override;
  void write(u64 offset, unsigned size, u64 value) override;
  [[nodiscard]] std::string register_name(u64 offset) const override;

  [[nodiscard]] bool has(u32 encoding) const override;
  [[nodiscard]] std::optional<TraceName> trace_name(u32 encoding) const override;
  [[nodiscard]] bool allows(u32 cpu, u32 encoding, bool write, u64 value) override;
  u64 read(u32 cpu, u32 encoding) override;
  void write(u32 cpu, u32 encoding, u64 value) override;

 private:
  // What a CPU asks.
  class Interface;
  // INIT and start-up, done by the CPU's own thread. A later INIT replaces what was not done yet.
  struct PowerChange {
    bool posted = false;
    bool init = false;
    std::optional<u8> startup;
  };
  struct Cpu {
    std::unique_ptr<Lapic> apic;
    std::unique_ptr<Interface> interface;
    PowerChange power;
  };

  std::optional<u8> acknowledge(u32 cpu);
  void end_of_interrupt(u32 cpu);
  void write_register(u32 cpu, u32 number, u64 value);
  /// ICR: `command` with a destination in its upper half.
  void send(u32 from, u64 command, bool x2apic);
  /// Whether a CPU accepted it.
  bool deliver_locked(const Request& request, std::optional<u32> except = std::nullopt);
  bool deliver_to(u32 cpu, const Request& request);
  void change_power(u32 cpu, bool init, std::optional<u8> startup);
  void apply_power(u32 cpu);

  device::Ports& ports_;
  const std::string path_;  // of the node, for traces
  std::mutex& lock_;
  std::vector<Cpu> cpus_;
  u32 next_ = 0;  // who is asked first for the next lowest priority interrupt
  interrupt::CpuInterface* legacy_ = nullptr;
  std::vector<interrupt::EoiListener*> listeners_;
};

}  // namespace solder::models::apic
