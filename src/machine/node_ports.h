/// The ports of one node: what its model asked for, remembered until the machine places and connects it.
#pragma once

#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "device/device.h"
#include "machine/backends.h"
#include "machine/fabric.h"
#include "tree/resolve.h"

namespace solder::machine {

class NodePorts final : public device::Ports {
 public:
  /// Resolves the node's addresses, interrupts, DMA path and backends. Errors are the tree's or the host's.
  [[nodiscard]] static Result<std::unique_ptr<NodePorts>> create(Fabric& fabric, Backends& backends,
                                                                 const tree::Node& node);

  struct Window {
    u32 index = 0;
    memory::MmioHandler* handler = nullptr;
    memory::Ram* ram = nullptr;
    bool read_only = false;
  };
  struct LevelUse {
    u32 index = 0;
    interrupt::LevelWire* wire = nullptr;
  };
  struct EdgeUse {
    u32 index = 0;
    interrupt::EdgeWire* wire = nullptr;
  };
  [[nodiscard]] const std::vector<Window>& windows() const { return windows_; }
  [[nodiscard]] std::vector<LevelUse> level_uses();
  [[nodiscard]] std::vector<EdgeUse> edge_uses();
  [[nodiscard]] const std::vector<tree::AddressRange>& addresses() const { return addresses_; }
  [[nodiscard]] const std::vector<tree::InterruptSpecifier>& specifiers() const { return specifiers_; }
  /// What the model asked for and the tree cannot give, found while it was constructed.
  [[nodiscard]] Status asked() const;

  // device::Ports
  [[nodiscard]] const tree::Node& node() const override { return node_; }
  [[nodiscard]] std::mutex& lock() override { return lock_; }
  device::RegisterBlock& window(u32 index, u64 size) override;
  void window(u32 index, memory::MmioHandler& handler) override;
  memory::Ram* memory_window(u32 index, bool read_only) override;
  [[nodiscard]] u64 window_size(u32 index) const override;
  [[nodiscard]] u32 window_count() const override { return static_cast<u32>(addresses_.size()); }
  [[nodiscard]] u64 window_address(u32 index) const override;
  interrupt::LevelWire& level_wire(u32 index) override;
  interrupt::EdgeWire& edge_wire(u32 index) override;
  [[nodiscard]] u32 interrupt_count() const override { return static_cast<u32>(specifiers_.size()); }
  [[nodiscard]] Result<interrupt::Controller::Input> interrupt_input(u32 index, u32 cpu) override;
  void provide_controller(interrupt::Controller& controller) override;
  [[nodiscard]] interrupt::Controller* find_controller(u32 phandle) override;
  void provide_legacy_controller(interrupt::CpuInterface& controller) override;
  [[nodiscard]] interrupt::CpuInterface* legacy_controller() override { return fabric_.legacy_controller; }
  void provide_messages(interrupt::MessageTarget& target) override;
  void provide_firmware_files(device::FirmwareFiles& files) override { fabric_.firmware_files = &files; }
  void provide_gpio(device::GpioPort& gpio) override;
  void provide_registers(device::RegisterMap& map) override;
  [[nodiscard]] device::GpioPort* gpio(u32 phandle) override;
  [[nodiscard]] device::RegisterMap* registers(u32 phandle) override;
  [[nodiscard]] memory::DmaPort& dma() override { return *dma_; }
  [[nodiscard]] time::Clock& clock() override { return fabric_.clock; }
  [[nodiscard]] time::TimerQueue& timers() override { return fabric_.timers; }
  [[nodiscard]] cpu::CpuSet& cpus() override { return fabric_.cpus; }
  [[nodiscard]] u32 cpu_count() const override { return static_cast<u32>(fabric_.cpu_ids.size()); }
  [[nodiscard]] u64 cpu_hardware_id(u32 cpu) const override;
  [[nodiscard]] cpu::MachineControl& control() override { return fabric_.control; }
  [[nodiscard]] interrupt::RoutingTable& routes() override { return fabric_.routes; }
  [[nodiscard]] host::CharDevice* chardev(u32 index) override;
  [[nodiscard]] host::Disk* disk() override { return disk_; }
  [[nodiscard]] host::Network* network() override { return network_; }
  [[nodiscard]] u64 clock_frequency(u32 index) const override;

 private:
  NodePorts(Fabric& fabric, const tree::Node& node) : fabric_(fabric), node_(node) {}
  void refuse(Error error);

  Fabric& fabric_;
  const tree::Node& node_;
  std::mutex lock_;
  std::vector<tree::AddressRange> addresses_;
  std::vector<tree::InterruptSpecifier> specifiers_;
  std::vector<u64> clocks_;
  std::vector<host::CharDevice*> chardevs_;
  host::Disk* disk_ = nullptr;
  host::Network* network_ = nullptr;
  std::unique_ptr<memory::DmaPort> dma_;

  std::vector<std::unique_ptr<device::RegisterBlock>> blocks_;
  std::vector<Window> windows_;
  // Stable addresses: models keep references.
  struct Level {
    u32 index;
    interrupt::LevelWire wire;
  };
  struct Edge {
    u32 index;
    interrupt::EdgeWire wire;
  };
  std::deque<Level> levels_;
  std::deque<Edge> edges_;
  std::optional<Error> refused_;
};

}  // namespace solder::machine
