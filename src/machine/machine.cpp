#include "machine/machine.h"

#include <fmt/format.h>

#include <algorithm>

#include "machine/stub_window.h"

namespace solder::machine {

namespace {

// The architected timer's rate: what its node says, else what the CPU's default is.
void apply_timer_rate(const Plan& plan, cpu::CpuRequest& request) {
  for (const auto& entry : plan.nodes) {
    const tree::Node& node = *entry.node;
    if (entry.role != Role::modelled ||
        (!node.is_compatible("arm,armv8-timer") && !node.is_compatible("arm,armv7-timer"))) {
      continue;
    }
    if (const auto hz = node.u32_value("clock-frequency"); hz && *hz != 0) request.timer_hz = *hz;
  }
}

}  // namespace

Machine::Machine(const tree::Tree& tree, const Plan& plan, cpu::MachineControl& control)
    : plan_(plan), fabric_(std::make_unique<Fabric>(tree, control)), placer_(*fabric_) {}

Machine::~Machine() {
  stop();
  // Devices refer to their ports and to each other's; ports and RAM go after all of them.
  for (auto& part : parts_) part.device.reset();
}

Result<std::unique_ptr<Machine>> Machine::build(const tree::Tree& tree, const Plan& plan,
                                                std::unique_ptr<cpu::Accelerator> accelerator, Backends& backends,
                                                cpu::MachineControl& control,
                                                std::vector<std::unique_ptr<memory::Ram>> memory) {
  std::unique_ptr<Machine> machine(new Machine(tree, plan, control));
  machine->fabric_->accelerator = std::move(accelerator);
  SOLDER_TRY_STATUS(machine->add_memory(std::move(memory)));
  SOLDER_TRY_STATUS(machine->fabric_->accelerator->take_spaces(machine->fabric_->memory, machine->fabric_->io_ports));
  SOLDER_TRY_STATUS(machine->choose_backends());
  SOLDER_TRY_STATUS(machine->add_cpus());
  SOLDER_TRY_STATUS(machine->add_devices(backends));
  SOLDER_TRY_STATUS(machine->place_windows());
  std::vector<NodePorts*> ports;
  for (const auto& part : machine->parts_) ports.push_back(part.ports.get());
  SOLDER_TRY_STATUS(connect_wires(*machine->fabric_, ports, machine->gates_, machine->loose_));
  if (auto* kernel = machine->fabric_->accelerator->kernel_devices()) SOLDER_TRY_STATUS(kernel->finish());
  SOLDER_TRY_STATUS(machine->start_devices());
  return machine;
}

Status Machine::add_memory(std::vector<std::unique_ptr<memory::Ram>> memory) {
  for (const tree::Node* node : plan_.with_role(Role::memory)) {
    const auto ranges = SOLDER_TRY(tree::translate_reg(fabric_->tree, *node));
    for (u32 i = 0; i < ranges.size(); ++i) {
      // Boards whose firmware fills memory in have entries of size zero.
      if (ranges[i].size == 0) continue;
      if (ranges[i].size % memory::kPageSize != 0 || ranges[i].address % memory::kPageSize != 0)
        return fail(node->place("reg"), fmt::format("entry {} is not made of whole 4 KiB pages: {:#x} bytes at {:#x}",
                                                    i, ranges[i].size, ranges[i].address));
      const auto kept = std::ranges::find_if(memory, [&](const auto& block) {
        return block != nullptr && block->name() == node->path() && block->size() == ranges[i].size;
      });
      auto ram = kept != memory.end() ? Result<std::unique_ptr<memory::Ram>>(std::move(*kept))
                                      : memory::Ram::create(node->path(), ranges[i].size);
      if (!ram) return fail(node->place("reg"), ram.error().what, ram.error().fix);
      SOLDER_TRY_STATUS(placer_.place(*node, i, ranges[i], ram->get(), nullptr));
      fabric_->rams.push_back(std::move(*ram));
      ram_ranges_.push_back(ranges[i]);
    }
  }
  if (ram_ranges_.empty())
    return fail(fabric_->tree.root().place(),
                "the machine has no memory: no node with device_type = \"memory\" and a size",
                "add one, or use --memory SIZE");
  return {};
}

// Before CPUs: KVM wants its controllers first.
Status Machine::choose_backends() {
  device::KernelDevices* kernel = fabric_->accelerator->kernel_devices();
  if (kernel != nullptr) kernel->connect(fabric_->routes);
  for (const auto& entry : plan_.nodes) {
    if (entry.role != Role::modelled) continue;
    const tree::Node& node = *entry.node;
    std::vector<std::string> wanted;
    if (const tree::Property* property = node.property("solder,backend")) {
      auto texts = property->strings();
      if (!texts) return fail(node.place("solder,backend"), "is not a list of strings", R"(use "kernel", "user")");
      wanted = std::move(*texts);
    }
    for (const std::string& backend : wanted)
      if (backend != "kernel" && backend != "user")
        return fail(node.place("solder,backend"), fmt::format("there is no backend \"{}\"", backend),
                    R"(use "kernel", "user" or both in the order of preference)");
    if (kernel != nullptr && kernel->knows(node.compatible())) {
      placements_.push_back({&node, std::move(wanted), false, {}});
      continue;
    }
    if (wanted.empty() || std::ranges::find(wanted, "user") != wanted.end()) continue;
    return fail(node.place("solder,backend"),
                fmt::format("asks for the kernel alone, and the accelerator ({}) has no such device there",
                            fabric_->accelerator->name()),
                R"(add "user", or choose another accelerator)");
  }
  if (kernel != nullptr) SOLDER_TRY_STATUS(kernel->choose(fabric_->tree, placements_));
  return {};
}

Status Machine::add_cpus() {
  for (const tree::Node* node : plan_.with_role(Role::cpu)) {
    const auto reg = SOLDER_TRY(tree::raw_reg(*node));
    if (reg.empty()) return fail(node->place("reg"), "a CPU needs its hardware id here");
    u64 id = 0;
    for (const u32 cell : reg.front().address) id = id << 32 | cell;
    if (std::ranges::find(fabric_->cpu_ids, id) != fabric_->cpu_ids.end())
      return fail(node->place("reg"), fmt::format("another CPU has the hardware id {:#x} already", id));
    const auto compatibles = node->compatible();
    cpu::CpuRequest request;
    request.index = static_cast<u32>(fabric_->cpu_ids.size());
    request.hardware_id = id;
    request.compatible = compatibles.empty() ? std::string{} : compatibles.front();
    apply_timer_rate(plan_, request);
    request.clock = &fabric_->clock;
    request.timers = &fabric_->timers;
    request.memory = &fabric_->memory;
    request.ports = &fabric_->io_ports;
    request.control = &fabric_->control;
    auto vcpu = fabric_->accelerator->create_vcpu(request);
    if (!vcpu) return fail(node->place("compatible"), vcpu.error().what, vcpu.error().fix);
    fabric_->cpus.add(std::move(*vcpu));
    fabric_->cpu_ids.push_back(id);
  }
  if (fabric_->cpu_ids.empty())
    return fail(fabric_->tree.root().place(), "the machine has no CPU: no enabled node with device_type = \"cpu\"",
                "add one below /cpus");
  return {};
}

Status Machine::add_devices(Backends& backends) {
  for (const auto& entry : plan_.nodes) {
    if (entry.role != Role::modelled) continue;
    Part part;
    part.node = entry.node;
    part.ports = SOLDER_TRY(NodePorts::create(*fabric_, backends, *entry.node));
    const auto* placed = placement(*entry.node);
    auto device = placed != nullptr && placed->in_kernel ? fabric_->accelerator->kernel_devices()->make(*part.ports)
                                                         : entry.model->factory(*part.ports);
    // What the tree could not give explains more than what the model made of it.
    SOLDER_TRY_STATUS(part.ports->asked());
    if (!device) {
      Error error = device.error();
      if (error.where.empty()) error.where = entry.node->place();
      return std::unexpected(std::move(error));
    }
    part.device = std::move(*device);
    parts_.push_back(std::move(part));
  }
  return {};
}

Status Machine::place_windows() {
  for (const auto& part : parts_)
    for (const auto& window : part.ports->windows())
      SOLDER_TRY_STATUS(placer_.place(*part.node, window.index, part.ports->addresses()[window.index], window.ram,
                                      window.handler, window.read_only));
  for (const tree::Node* node : plan_.with_role(Role::stubbed)) {
    if (!node->has("reg")) continue;
    const auto ranges = SOLDER_TRY(tree::translate_reg(fabric_->tree, *node));
    for (u32 i = 0; i < ranges.size(); ++i) {
      if (ranges[i].size == 0) continue;
      stubs_.push_back(std::make_unique<StubWindow>(node->path()));
      SOLDER_TRY_STATUS(placer_.place(*node, i, ranges[i], nullptr, stubs_.back().get()));
    }
  }
  return {};
}

Status Machine::start_devices() {
  for (auto& part : parts_) {
    if (auto started = part.device->start(); !started) {
      Error error = started.error();
      if (error.where.empty()) error.where = part.node->place();
      return std::unexpected(std::move(error));
    }
  }
  return {};
}

void Machine::run(const cpu::EntryState& entry) {
  fabric_->accelerator->machine_starts(fabric_->cpus);
  fabric_->cpus.start();
  // The first CPU last: once it runs it may start the others, and their reset would undo that.
  if (fabric_->accelerator->parks_cpus()) {
    cpu::EntryState parked;
    parked.parked = true;
    for (usize i = 1; i < fabric_->cpus.size(); ++i) fabric_->cpus[i].power_on(parked);
  }
  fabric_->cpus[0].power_on(entry);
}

void Machine::stop() {
  if (stopped_) return;
  stopped_ = true;
  if (fabric_->accelerator) fabric_->accelerator->machine_stops();
  fabric_->cpus.stop();
  for (auto& part : parts_)
    if (part.device) part.device->stop();
  fabric_->timers.stop();
}

bool Machine::press_power_button() {
  return std::ranges::any_of(parts_, [](auto& part) { return part.device->press_power_button(); });
}

const device::KernelDevices::Candidate* Machine::placement(const tree::Node& node) const {
  const auto it = std::ranges::find(placements_, &node, &device::KernelDevices::Candidate::node);
  return it == placements_.end() ? nullptr : &*it;
}

NodePorts* Machine::ports(const tree::Node& node) {
  for (auto& part : parts_)
    if (part.node == &node) return part.ports.get();
  return nullptr;
}

device::Device* Machine::device(const tree::Node& node) {
  for (auto& part : parts_)
    if (part.node == &node) return part.device.get();
  return nullptr;
}

}  // namespace solder::machine
