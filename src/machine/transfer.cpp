#include "machine/transfer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <mutex>
#include <string_view>

#include "device/archive.h"

namespace solder::machine {

namespace {

// KVM_MP_STATE_* of the record (linux/kvm.h): a CPU that an INIT has reached, or nothing yet.
constexpr u64 kUninitialized = 1, kInitReceived = 2, kSipiReceived = 4;

// IA32_APIC_BASE and IA32_TSC_DEADLINE, which the local APICs' record has, and a CPU without one in the kernel has not.
constexpr std::array<std::string_view, 2> kOfTheLocalApic{"msr_1b", "msr_6e0"};

bool waits(const std::vector<cpu::RegisterValue>& registers) {
  const auto state = std::ranges::find(registers, "mp_state", &cpu::RegisterValue::name);
  if (state == registers.end()) return false;
  return state->value[0] == kUninitialized || state->value[0] == kInitReceived || state->value[0] == kSipiReceived;
}

Status load_cpu(cpu::VcpuThread& thread, const MachineState::Cpu& from) {
  cpu::Vcpu& vcpu = thread.vcpu();
  for (const cpu::RegisterValue& value : from.registers) {
    if (std::ranges::find(kOfTheLocalApic, value.name) != kOfTheLocalApic.end()) continue;
    const Status set = vcpu.set_register(value);
    // Some MSRs are there only with a local APIC in the kernel, and are about it.
    if (!set && !value.name.starts_with("msr_")) return set;
  }
  // What is set takes effect when the CPU runs, and the controllers' records come after it. Its own thread waits for
  // the end of the pause; a kicked CPU runs no instruction.
  vcpu.kick();
  if (vcpu.run() == cpu::ExitReason::fault) return fail("", vcpu.fault_text());
  return {};
}

// Devices in the order in which they are loaded: interrupt controllers after those that drive wires to them, because a
// controller's record knows which of the levels it has seen already.
std::vector<const tree::Node*> in_order(Machine& machine) {
  std::vector<const tree::Node*> sources;
  std::vector<const tree::Node*> controllers;
  for (const auto& entry : machine.plan().nodes) {
    if (machine.device(*entry.node) == nullptr) continue;
    (machine.fabric().controllers.contains(entry.node) ? controllers : sources).push_back(entry.node);
  }
  // A controller that feeds another comes before it; in a tree's order those near the CPU come first.
  sources.insert(sources.end(), controllers.rbegin(), controllers.rend());
  return sources;
}

std::vector<bool> levels_of(NodePorts& ports) {
  const std::lock_guard guard(ports.lock());
  std::vector<bool> out;
  for (const auto& use : ports.level_uses()) out.push_back(use.wire->level());
  return out;
}

// Backends do not stand still: what has come in while the records were read and written has driven wires of which the
// controllers' records do not know.
void drive_again(NodePorts& ports, const std::vector<bool>& before) {
  const std::lock_guard guard(ports.lock());
  usize i = 0;
  for (const auto& use : ports.level_uses()) {
    const bool level = use.wire->level();
    if (i >= before.size() || before[i++] == level) continue;
    use.wire->set(!level);
    use.wire->set(level);
  }
}

}  // namespace

void pause_time(Machine& machine) {
  Fabric& fabric = machine.fabric();
  if (fabric.clock.paused()) return;
  // INIT and start-up from local APICs in this process, and what their pins tell KVM's.
  fabric.cpus.finish_posted();
  fabric.clock.pause();
  fabric.timers.clock_changed();
  if (auto* kernel = fabric.accelerator->kernel_devices()) kernel->pause_time();
  for (u32 i = 0; i < fabric.cpus.size(); ++i)
    if (fabric.cpus[i].powered()) fabric.cpus[i].vcpu().catch_up();
}

void resume_time(Machine& machine) {
  Fabric& fabric = machine.fabric();
  if (!fabric.clock.paused()) return;
  fabric.clock.resume();
  if (auto* kernel = fabric.accelerator->kernel_devices()) kernel->resume_time(false);
  fabric.timers.clock_changed();
}

Result<MachineState> save_state(Machine& machine) {
  MachineState out;
  Fabric& fabric = machine.fabric();
  out.now = fabric.clock.now();
  auto* kernel = fabric.accelerator->kernel_devices();
  // Timers are saved as they run, not as they were stopped.
  if (kernel != nullptr) kernel->resume_time(true);
  for (u32 i = 0; i < fabric.cpus.size(); ++i) {
    MachineState::Cpu cpu;
    cpu.waits = !fabric.cpus[i].powered();
    if (!cpu.waits) {
      cpu.registers = fabric.cpus[i].vcpu().registers();
      if (cpu.registers.empty()) return fail("", fmt::format("the registers of CPU {} cannot be read", i));
      cpu.waits = waits(cpu.registers);
    }
    out.cpus.push_back(std::move(cpu));
  }
  for (const tree::Node* node : in_order(machine)) {
    auto archive = device::Archive::saver();
    machine.device(*node)->state(archive);
    SOLDER_TRY_STATUS(archive.status());
    out.devices[node->path()] = archive.data();
    out.levels[node->path()] = levels_of(*machine.ports(*node));
  }
  if (kernel != nullptr) {
    auto archive = device::Archive::saver();
    kernel->state(archive);
    out.kernel = archive.data();
  }
  return out;
}

Status load_state(Machine& machine, const MachineState& state) {
  Fabric& fabric = machine.fabric();
  fabric.cpus.pause();
  fabric.clock.pause();
  fabric.clock.set(state.now);
  fabric.timers.clock_changed();
  fabric.accelerator->machine_starts(fabric.cpus);
  fabric.cpus.start();
  if (state.cpus.size() != fabric.cpus.size())
    return fail("", fmt::format("the state has {} CPUs, the machine {}", state.cpus.size(), fabric.cpus.size()));
  const bool parks = fabric.accelerator->parks_cpus();
  for (u32 i = 0; i < state.cpus.size(); ++i) {
    const MachineState::Cpu& cpu = state.cpus[i];
    cpu::EntryState entry;
    entry.parked = cpu.waits;
    if (cpu.waits && !parks) continue;
    fabric.cpus[i].power_on(entry);
    if (cpu.waits) continue;
    if (auto loaded = load_cpu(fabric.cpus[i], cpu); !loaded)
      return fail(fmt::format("CPU {}", i), loaded.error().what, loaded.error().fix);
  }
  for (const tree::Node* node : in_order(machine)) {
    const auto record = state.devices.find(node->path());
    if (record == state.devices.end()) return fail(node->place(), "the state has no record of it");
    auto archive = device::Archive::loader(record->second);
    machine.device(*node)->state(archive);
    if (auto read = archive.status(); !read) return fail(node->place(), read.error().what, read.error().fix);
  }
  for (const tree::Node* node : in_order(machine))
    if (const auto levels = state.levels.find(node->path()); levels != state.levels.end())
      drive_again(*machine.ports(*node), levels->second);
  if (auto* kernel = fabric.accelerator->kernel_devices()) {
    auto archive = device::Archive::loader(state.kernel);
    kernel->state(archive);
    SOLDER_TRY_STATUS(archive.status());
    kernel->pause_time();
  }
  return {};
}

}  // namespace solder::machine
