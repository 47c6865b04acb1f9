/// Local APICs of some CPUs, driven as the CPUs drive them. The clock stands still but for `step`.
#pragma once

#include "cpu/current.h"
#include "model_fixture.h"
#include "models/apic/local_apics.h"

namespace solder::models::apic {

class ApicMachine : public ::testing::Test {
 protected:
  explicit ApicMachine(u32 cpus = 4) : machine(cpus) {
    machine.clock.pause();
    machine.timers.clock_changed();
    ports.window_addresses = {0xfee0'0000};
    device = testing::make_model(ports, "intel,ce4100-lapic");
    apics = dynamic_cast<LocalApics*>(device.get());
    for (u32 cpu = 0; cpu < cpus; ++cpu) {
      on(cpu);
      put(kRegSvr, 0x1ff);
    }
    on(0);
  }
  ~ApicMachine() override { cpu::set_current_cpu(0); }

  void on(u32 cpu) { cpu::set_current_cpu(cpu); }
  /// Registers of the CPU that is `on`.
  u32 get(u32 number) { return static_cast<u32>(ports.read(number << 4)); }
  void put(u32 number, u32 value) { ports.write(number << 4, value); }
  void ipi(u32 low, u32 destination = 0) {
    put(kRegIcrHigh, destination << 24);
    put(kRegIcr, low);
  }
  bool irq(u32 cpu = 0) { return machine.vcpus[cpu]->irq(); }
  std::optional<u8> take(u32 cpu = 0) { return machine.vcpus[cpu]->cpu_interface->acknowledge(); }
  /// Whether `vector` waits at the CPU that is `on`.
  bool requested(u8 vector) { return (get(kRegIrr + vector / 32) >> vector % 32 & 1) != 0; }
  bool in_service(u8 vector) { return (get(kRegIsr + vector / 32) >> vector % 32 & 1) != 0; }
  bool message(u64 address, u32 data) { return apics->deliver({.address = address, .data = data}); }
  void step(u64 ns) {
    const u64 to = machine.clock.now() + ns;
    ASSERT_EQ(machine.timers.step(to, 1'000'000), to);
  }
  u64 rdmsr(u32 cpu, u32 msr) { return machine.vcpus[cpu]->system_registers->read(cpu, msr); }
  void wrmsr(u32 cpu, u32 msr, u64 value) { machine.vcpus[cpu]->system_registers->write(cpu, msr, value); }
  bool allows(u32 cpu, u32 msr, bool write, u64 value = 0) {
    return machine.vcpus[cpu]->system_registers->allows(cpu, msr, write, value);
  }
  void to_x2apic(u32 cpu) { wrmsr(cpu, kMsrApicBase, rdmsr(cpu, kMsrApicBase) | kBaseExtended); }
  /// Saves, resets, loads.
  void save_and_load() {
    auto saver = device::Archive::saver();
    device->state(saver);
    device->reset();
    auto loader = device::Archive::loader(saver.data());
    device->state(loader);
    ASSERT_TRUE(loader.status().has_value()) << loader.status().error().text();
  }

  testing::FakeMachine machine;
  testing::FakePorts ports{machine, "lapic@0"};
  std::unique_ptr<device::Device> device;
  LocalApics* apics = nullptr;
};

struct HeardEois final : interrupt::EoiListener {
  void end_of_interrupt(u8 vector) override { vectors.push_back(vector); }
  std::vector<u8> vectors;
};

}  // namespace solder::models::apic
