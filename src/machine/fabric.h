/// What the nodes of one machine share while it exists.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "cpu/cpu_set.h"
#include "device/device.h"
#include "interrupt/route.h"
#include "memory/address_space.h"
#include "memory/ram.h"
#include "time/clock.h"

namespace solder::machine {

/// One machine's memory, time, CPUs and routes, and who provides what. Devices refer to it; it goes after them.
struct Fabric {
  Fabric(const tree::Tree& document, cpu::MachineControl& machine_control)
      : tree(document),
        control(machine_control),
        timers(clock),
        memory("memory"),
        io_ports("ports"),
        cpus(machine_control) {}

  const tree::Tree& tree;
  cpu::MachineControl& control;
  time::Clock clock;
  time::TimerQueue timers;
  memory::AddressSpace memory;
  memory::AddressSpace io_ports;  // x86: what IN and OUT reach
  interrupt::RoutingTable routes;
  std::vector<std::unique_ptr<memory::Ram>> rams;
  // An accelerator outlives its vCPUs and goes before the RAM it runs code from.
  std::unique_ptr<cpu::Accelerator> accelerator;
  cpu::CpuSet cpus;
  std::vector<u64> cpu_ids;  // `reg` of each CPU

  std::unordered_map<const tree::Node*, interrupt::Controller*> controllers;
  interrupt::CpuInterface* legacy_controller = nullptr;         // the i8259 pair, for ExtINT
  device::FirmwareFiles* firmware_files = nullptr;              // fw_cfg, filled before CPUs start
  std::unordered_map<u32, device::GpioPort*> gpios;             // by phandle
  std::unordered_map<u32, device::RegisterMap*> register_maps;  // by phandle
};

}  // namespace solder::machine
