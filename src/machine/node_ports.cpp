#include "machine/node_ports.h"

#include <fmt/format.h>

#include <algorithm>

namespace solder::machine {

namespace {

// Following fixed-factor clocks further than this is a loop.
constexpr int kClockDepth = 8;

// The rate of the clock that `clock` provides, as the tree fixes it; 0 when it does not.
u64 clock_rate(const tree::Tree& tree, const tree::Node& clock, int depth) {
  if (clock.is_compatible("fixed-clock")) return clock.u32_value("clock-frequency").value_or(0);
  if (clock.is_compatible("fixed-factor-clock") && depth < kClockDepth) {
    const auto parents = tree::phandle_list(tree, clock, "clocks", "#clock-cells");
    if (!parents || parents->empty() || parents->front().target == nullptr) return 0;
    const u64 rate = clock_rate(tree, *parents->front().target, depth + 1);
    const u64 divide = clock.u32_value("clock-div").value_or(1);
    return divide == 0 ? 0 : rate * clock.u32_value("clock-mult").value_or(1) / divide;
  }
  return 0;
}

}  // namespace

Result<std::unique_ptr<NodePorts>> NodePorts::create(Fabric& fabric, Backends& backends, const tree::Node& node) {
  std::unique_ptr<NodePorts> ports(new NodePorts(fabric, node));
  if (node.has("reg")) ports->addresses_ = SOLDER_TRY(tree::translate_reg(fabric.tree, node));
  if (node.has("interrupts") || node.has("interrupts-extended"))
    ports->specifiers_ = SOLDER_TRY(tree::interrupts(fabric.tree, node));
  if (node.has("clocks"))
    for (const auto& clock : SOLDER_TRY(tree::phandle_list(fabric.tree, node, "clocks", "#clock-cells")))
      // A phandle of 0 keeps a place free.
      ports->clocks_.push_back(clock.target != nullptr ? clock_rate(fabric.tree, *clock.target, 0) : 0);
  const auto path = SOLDER_TRY(tree::dma_path(fabric.tree, node));
  std::vector<memory::DmaPort::Window> windows;
  if (!path.identity)
    for (const auto& window : path.windows) windows.push_back({window.bus, window.cpu, window.size});
  ports->dma_ = std::make_unique<memory::DmaPort>(fabric.memory, std::move(windows));
  if (node.has("solder,chardev")) {
    for (u32 i = 0; i < node.cell_list("solder,chardev").size(); ++i)
      ports->chardevs_.push_back(SOLDER_TRY(backends.chardev(fabric.tree, node, i)));
  }
  ports->disk_ = SOLDER_TRY(backends.disk(fabric.tree, node));
  ports->network_ = SOLDER_TRY(backends.network(fabric.tree, node));
  return ports;
}

void NodePorts::refuse(Error error) {
  if (!refused_) refused_ = std::move(error);
}

Status NodePorts::asked() const {
  if (refused_) return std::unexpected(*refused_);
  return {};
}

device::RegisterBlock& NodePorts::window(u32 index, u64 size) {
  blocks_.push_back(std::make_unique<device::RegisterBlock>(node_.path(), size, lock_));
  device::RegisterBlock& block = *blocks_.back();
  if (index < addresses_.size() && addresses_[index].size < size)
    refuse({node_.place("reg"),
            fmt::format("entry {} has {:#x} bytes, and the model's registers need {:#x}", index, addresses_[index].size,
                        size),
            "make the entry larger"});
  window(index, block);
  return block;
}

void NodePorts::window(u32 index, memory::MmioHandler& handler) {
  if (index >= addresses_.size()) {
    refuse({node_.place("reg"),
            fmt::format("the model needs {} entr{}, and the node has {}", index + 1, index == 0 ? "y" : "ies",
                        addresses_.size()),
            "add the missing addresses"});
    return;
  }
  windows_.push_back({index, &handler, nullptr, false});
}

memory::Ram* NodePorts::memory_window(u32 index, bool read_only) {
  if (index >= addresses_.size()) {
    refuse({node_.place("reg"),
            fmt::format("the model needs {} entries, and the node has {}", index + 1, addresses_.size()),
            "add the missing addresses"});
    return nullptr;
  }
  const tree::AddressRange& range = addresses_[index];
  if (range.space != tree::Space::memory || range.size == 0 || range.size % memory::kPageSize != 0 ||
      range.address % memory::kPageSize != 0) {
    refuse({node_.place("reg"), fmt::format("entry {} is not made of whole 4 KiB pages of memory", index),
            "memory is mapped by pages: correct address and size"});
    return nullptr;
  }
  auto ram = memory::Ram::create(node_.path(), range.size);
  if (!ram) {
    refuse({node_.place("reg"), ram.error().what, ram.error().fix});
    return nullptr;
  }
  fabric_.rams.push_back(std::move(*ram));
  windows_.push_back({index, nullptr, fabric_.rams.back().get(), read_only});
  return fabric_.rams.back().get();
}

u64 NodePorts::window_size(u32 index) const {
  return index < addresses_.size() ? addresses_[index].size : 0;
}

u64 NodePorts::window_address(u32 index) const {
  return index < addresses_.size() ? addresses_[index].address : 0;
}

interrupt::LevelWire& NodePorts::level_wire(u32 index) {
  return levels_.emplace_back(Level{index, {}}).wire;
}
interrupt::EdgeWire& NodePorts::edge_wire(u32 index) {
  return edges_.emplace_back(Edge{index, {}}).wire;
}

std::vector<NodePorts::LevelUse> NodePorts::level_uses() {
  std::vector<LevelUse> out;
  for (auto& level : levels_)
    if (level.index < specifiers_.size()) out.push_back({level.index, &level.wire});
  return out;
}
std::vector<NodePorts::EdgeUse> NodePorts::edge_uses() {
  std::vector<EdgeUse> out;
  for (auto& edge : edges_)
    if (edge.index < specifiers_.size()) out.push_back({edge.index, &edge.wire});
  return out;
}

Result<interrupt::Controller::Input> NodePorts::interrupt_input(u32 index, u32 cpu) {
  const auto where = node_.place(node_.has("interrupts-extended") ? "interrupts-extended" : "interrupts");
  if (index >= specifiers_.size())
    return fail(where, fmt::format("the node has {} specifiers, and number {} is needed", specifiers_.size(), index));
  const auto& specifier = specifiers_[index];
  const auto it = fabric_.controllers.find(specifier.controller);
  if (it == fabric_.controllers.end())
    return fail(where, fmt::format("interrupt {} goes to {}, which has no model", index, specifier.controller->path()));
  auto input = it->second->input(specifier.cells, cpu);
  if (!input) return fail(where, fmt::format("specifier {}: {}", index, input.error().what), input.error().fix);
  input->node = specifier.controller->path();
  return input;
}

void NodePorts::provide_controller(interrupt::Controller& controller) {
  fabric_.controllers[&node_] = &controller;
}
interrupt::Controller* NodePorts::find_controller(u32 phandle) {
  const tree::Node* node = fabric_.tree.by_phandle(phandle);
  const auto it = fabric_.controllers.find(node);
  return it == fabric_.controllers.end() ? nullptr : it->second;
}
void NodePorts::provide_legacy_controller(interrupt::CpuInterface& controller) {
  fabric_.legacy_controller = &controller;
}
void NodePorts::provide_messages(interrupt::MessageTarget& target) {
  fabric_.routes.set_message_target(&target);
}
void NodePorts::provide_gpio(device::GpioPort& gpio) {
  if (node_.phandle() != 0) fabric_.gpios[node_.phandle()] = &gpio;
}
void NodePorts::provide_registers(device::RegisterMap& map) {
  if (node_.phandle() != 0) fabric_.register_maps[node_.phandle()] = &map;
}
device::GpioPort* NodePorts::gpio(u32 phandle) {
  const auto it = fabric_.gpios.find(phandle);
  return it == fabric_.gpios.end() ? nullptr : it->second;
}
device::RegisterMap* NodePorts::registers(u32 phandle) {
  const auto it = fabric_.register_maps.find(phandle);
  return it == fabric_.register_maps.end() ? nullptr : it->second;
}

u64 NodePorts::cpu_hardware_id(u32 cpu) const {
  return cpu < fabric_.cpu_ids.size() ? fabric_.cpu_ids[cpu] : 0;
}
host::CharDevice* NodePorts::chardev(u32 index) {
  return index < chardevs_.size() ? chardevs_[index] : nullptr;
}
u64 NodePorts::clock_frequency(u32 index) const {
  return index < clocks_.size() ? clocks_[index] : 0;
}

}  // namespace solder::machine
