/// A machine of nothing but fakes for a model's unit test: FakeMachine is what devices share, FakePorts what one node
/// sees. Windows are driven with read/write, wires are looked at, backends are memory.
#pragma once

#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "cpu/cpu_set.h"
#include "device/device.h"
#include "memory/address_space.h"
#include "memory/ram.h"

namespace solder::testing {

/// Remembers its lines; runs nothing.
class FakeVcpu final : public cpu::Vcpu {
 public:
  explicit FakeVcpu(u32 index) : index_(index) {}
  [[nodiscard]] u32 index() const override { return index_; }
  cpu::ExitReason run() override { return cpu::ExitReason::halted; }
  void kick() override { ++kicks; }
  [[nodiscard]] bool has_wake_reason() const override { return irq() || fiq(); }
  void set_line(cpu::Line line, bool level) override {
    lines[static_cast<usize>(line)] = level;
    ++line_changes;
  }
  void set_wake(std::function<void()>) override {}
  void reset(const cpu::EntryState& state) override { entry = state; }
  void connect_output(u32 index, interrupt::LevelWire wire) override { outputs[index] = wire; }
  void add_system_registers(cpu::SystemRegisters& registers) override { system_registers = &registers; }
  void set_firmware(cpu::FirmwareCalls* calls) override { firmware = calls; }
  void set_cpu_interface(interrupt::CpuInterface* i) override { cpu_interface = i; }
  void raise_nmi() override { ++nmis; }
  [[nodiscard]] std::optional<TscReading> read_tsc() const override { return tsc; }
  [[nodiscard]] std::vector<cpu::RegisterValue> registers() const override { return {}; }
  [[nodiscard]] Status set_register(const cpu::RegisterValue&) override { return {}; }
  [[nodiscard]] std::string fault_text() const override { return "none"; }

  [[nodiscard]] bool irq() const { return lines[static_cast<usize>(cpu::Line::irq)]; }
  [[nodiscard]] bool fiq() const { return lines[static_cast<usize>(cpu::Line::fiq)]; }

  std::array<bool, static_cast<usize>(cpu::Line::count)> lines{};
  u32 line_changes = 0;
  u32 kicks = 0;
  std::optional<cpu::EntryState> entry;
  std::map<u32, interrupt::LevelWire> outputs;
  cpu::SystemRegisters* system_registers = nullptr;
  cpu::FirmwareCalls* firmware = nullptr;
  interrupt::CpuInterface* cpu_interface = nullptr;
  u32 nmis = 0;
  std::optional<TscReading> tsc;

 private:
  u32 index_;
};

struct FakeControl final : cpu::MachineControl {
  void request_shutdown() override { ++shutdowns; }
  void request_reset() override { ++resets; }
  void report_fault(std::string text) override { fault = std::move(text); }
  u32 shutdowns = 0;
  u32 resets = 0;
  std::string fault;
};

/// Keeps what the guest wrote; `type` offers input as a backend's thread would.
struct FakeCharDevice final : host::CharDevice {
  void write(std::span<const u8> bytes) override { output.append(bytes.begin(), bytes.end()); }
  void set_receiver(Receiver r) override { receiver = std::move(r); }
  void ready() override { ++ready_calls; }
  [[nodiscard]] std::string describe() const override { return "fake"; }
  /// How many bytes the model took.
  usize type(std::string_view text) {
    return receiver ? receiver(std::span(reinterpret_cast<const u8*>(text.data()), text.size())) : 0;
  }
  std::string output;
  Receiver receiver;
  u32 ready_calls = 0;
};

/// A sink that remembers levels and edges by pin.
struct FakeSink final : interrupt::Sink {
  void set_level(u32 pin, bool level) override {
    if (level && !levels[pin]) ++rises[pin];
    levels[pin] = level;
  }
  std::map<u32, bool> levels;
  std::map<u32, u32> rises;
};

class FakeMachine {
 public:
  static constexpr Gpa kRamBase = 0x4000'0000;

  explicit FakeMachine(u32 cpus = 1, u64 ram_size = 1 << 20) : cpu_set(control) {
    auto made = memory::Ram::create("ram", ram_size);
    SOLDER_CHECK(made.has_value(), "the test machine has memory");
    ram = std::move(*made);
    const auto added = space.add({.name = "ram", .start = kRamBase, .size = ram_size, .ram = ram.get()});
    SOLDER_CHECK(added.has_value(), "the test machine's memory lies alone");
    for (u32 i = 0; i < cpus; ++i) {
      auto vcpu = std::make_unique<FakeVcpu>(i);
      vcpus.push_back(vcpu.get());
      cpu_set.add(std::move(vcpu));
      hardware_ids.push_back(i);
    }
  }

  time::Clock clock;
  time::TimerQueue timers{clock};
  FakeControl control;
  memory::AddressSpace space{"memory"};
  std::unique_ptr<memory::Ram> ram;
  std::vector<FakeVcpu*> vcpus;
  cpu::CpuSet cpu_set;
  std::vector<u64> hardware_ids;
  interrupt::RoutingTable routes;
  interrupt::CpuInterface* legacy_controller = nullptr;
  tree::Tree tree;
  /// What devices provided, by their node's phandle.
  std::map<u32, device::GpioPort*> gpios;
  std::map<u32, device::RegisterMap*> register_maps;
  std::map<u32, interrupt::Controller*> controllers;
};

/// One node's ports. Set sizes, backends and properties before the model is made.
class FakePorts final : public device::Ports {
 public:
  explicit FakePorts(FakeMachine& machine, std::string name = "device@0")
      : machine_(machine), node_(&machine.tree.root().add_child(std::move(name))), dma_(machine.space) {}
  FakePorts(FakeMachine& machine, tree::Node& node) : machine_(machine), node_(&node), dma_(machine.space) {}

  [[nodiscard]] tree::Node& mutable_node() { return *node_; }

  /// Accesses to the `index`-th window as a CPU makes them.
  u64 read(u64 offset, unsigned size = 4, u32 index = 0) { return windows_.at(index)->read(offset, size); }
  void write(u64 offset, u64 value, unsigned size = 4, u32 index = 0) {
    windows_.at(index)->write(offset, size, value);
  }
  [[nodiscard]] memory::MmioHandler* handler(u32 index) {
    const auto it = windows_.find(index);
    return it == windows_.end() ? nullptr : it->second;
  }
  [[nodiscard]] bool irq(u32 index = 0) { return level_wires_[index].level(); }

  // What a test sets.
  std::vector<u64> window_sizes{0x1000};
  std::vector<u64> window_addresses;
  host::CharDevice* chardev_backend = nullptr;
  host::Disk* disk_backend = nullptr;
  host::Network* network_backend = nullptr;
  std::vector<u64> clock_frequencies;
  std::vector<std::vector<u32>> specifiers;  ///< of this node's interrupts, for interrupt_input
  interrupt::Controller* interrupt_parent = nullptr;
  // What the model provided.
  std::map<u32, std::pair<std::unique_ptr<memory::Ram>, bool>> memory_windows;  ///< and whether it is read-only
  interrupt::Controller* controller = nullptr;
  interrupt::MessageTarget* messages = nullptr;
  device::FirmwareFiles* firmware_files = nullptr;

  [[nodiscard]] const tree::Node& node() const override { return *node_; }
  [[nodiscard]] std::mutex& lock() override { return lock_; }
  device::RegisterBlock& window(u32 index, u64 size) override {
    SOLDER_CHECK(index < window_sizes.size() && size <= window_sizes[index], "the test gives the model its windows");
    blocks_.push_back(std::make_unique<device::RegisterBlock>(node_->path(), window_sizes[index], lock_));
    windows_[index] = blocks_.back().get();
    return *blocks_.back();
  }
  void window(u32 index, memory::MmioHandler& handler) override { windows_[index] = &handler; }
  memory::Ram* memory_window(u32 index, bool read_only) override {
    auto made = memory::Ram::create(node_->path(), window_sizes.at(index));
    SOLDER_CHECK(made.has_value(), "a test has memory");
    memory_windows[index] = {std::move(*made), read_only};
    return memory_windows[index].first.get();
  }
  [[nodiscard]] u64 window_size(u32 index) const override {
    return index < window_sizes.size() ? window_sizes[index] : 0;
  }
  [[nodiscard]] u32 window_count() const override { return static_cast<u32>(window_sizes.size()); }
  [[nodiscard]] u64 window_address(u32 index) const override {
    return index < window_addresses.size() ? window_addresses[index] : 0;
  }
  interrupt::LevelWire& level_wire(u32 index) override { return level_wires_[index]; }
  interrupt::EdgeWire& edge_wire(u32 index) override { return edge_wires_[index]; }
  [[nodiscard]] u32 interrupt_count() const override { return static_cast<u32>(specifiers.size()); }
  [[nodiscard]] Result<interrupt::Controller::Input> interrupt_input(u32 index, u32 cpu) override {
    if (index >= specifiers.size() || interrupt_parent == nullptr) return fail(node_->place(), "no such interrupt");
    return interrupt_parent->input(specifiers[index], cpu);
  }
  void provide_controller(interrupt::Controller& c) override {
    controller = &c;
    machine_.controllers[node_->phandle()] = &c;
  }
  [[nodiscard]] interrupt::Controller* find_controller(u32 phandle) override {
    const auto it = machine_.controllers.find(phandle);
    return it == machine_.controllers.end() ? nullptr : it->second;
  }
  void provide_legacy_controller(interrupt::CpuInterface& c) override { machine_.legacy_controller = &c; }
  [[nodiscard]] interrupt::CpuInterface* legacy_controller() override { return machine_.legacy_controller; }
  void provide_messages(interrupt::MessageTarget& target) override {
    messages = &target;
    machine_.routes.set_message_target(&target);
  }
  void provide_firmware_files(device::FirmwareFiles& files) override { firmware_files = &files; }
  void provide_gpio(device::GpioPort& gpio) override { machine_.gpios[node_->phandle()] = &gpio; }
  void provide_registers(device::RegisterMap& map) override { machine_.register_maps[node_->phandle()] = &map; }
  [[nodiscard]] device::GpioPort* gpio(u32 phandle) override {
    const auto it = machine_.gpios.find(phandle);
    return it == machine_.gpios.end() ? nullptr : it->second;
  }
  [[nodiscard]] device::RegisterMap* registers(u32 phandle) override {
    const auto it = machine_.register_maps.find(phandle);
    return it == machine_.register_maps.end() ? nullptr : it->second;
  }
  [[nodiscard]] memory::DmaPort& dma() override { return dma_; }
  [[nodiscard]] time::Clock& clock() override { return machine_.clock; }
  [[nodiscard]] time::TimerQueue& timers() override { return machine_.timers; }
  [[nodiscard]] cpu::CpuSet& cpus() override { return machine_.cpu_set; }
  [[nodiscard]] u32 cpu_count() const override { return static_cast<u32>(machine_.vcpus.size()); }
  [[nodiscard]] u64 cpu_hardware_id(u32 cpu) const override { return machine_.hardware_ids.at(cpu); }
  [[nodiscard]] cpu::MachineControl& control() override { return machine_.control; }
  [[nodiscard]] interrupt::RoutingTable& routes() override { return machine_.routes; }
  [[nodiscard]] host::CharDevice* chardev(u32 index) override { return index == 0 ? chardev_backend : nullptr; }
  [[nodiscard]] host::Disk* disk() override { return disk_backend; }
  [[nodiscard]] host::Network* network() override { return network_backend; }
  [[nodiscard]] u64 clock_frequency(u32 index) const override {
    return index < clock_frequencies.size() ? clock_frequencies[index] : 0;
  }

 private:
  FakeMachine& machine_;
  tree::Node* node_;
  std::mutex lock_;
  memory::DmaPort dma_;
  std::vector<std::unique_ptr<device::RegisterBlock>> blocks_;
  std::map<u32, memory::MmioHandler*> windows_;
  std::map<u32, interrupt::LevelWire> level_wires_;
  std::map<u32, interrupt::EdgeWire> edge_wires_;
};

}  // namespace solder::testing
