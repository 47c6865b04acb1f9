/// What a model is, and what the machine hands it. A model never knows where it is: no address, no interrupt number,
/// no thread, no clock of its own, no accelerator.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cpu/cpu_set.h"
#include "device/archive.h"
#include "device/firmware_files.h"
#include "device/registers.h"
#include "host/chardev.h"
#include "host/disk.h"
#include "host/network.h"
#include "interrupt/route.h"
#include "interrupt/wire.h"
#include "memory/dma.h"
#include "time/clock.h"
#include "tree/node.h"

namespace solder::device {

/// A GPIO or similar numbered output of another node, as a phandle reference names it.
class GpioPort {
 public:
  virtual ~GpioPort() = default;
  /// Drives an input line of the GPIO controller from outside (a key that is pressed).
  virtual void set_input(u32 pin, bool level) = 0;
  /// Told when the guest drives an output line.
  virtual void watch_output(u32 pin, std::function<void(bool)> watcher) = 0;
};

/// A 32-bit register map other nodes refer to (syscon).
class RegisterMap {
 public:
  virtual ~RegisterMap() = default;
  /// Told after the guest wrote the 32-bit register at `offset`.
  virtual void watch_write(u64 offset, std::function<void(u32 value)> watcher) = 0;
};

/// One node of the tree, running. Entry points (register handlers, timer and backend callbacks) take `lock()`.
class Device {
 public:
  virtual ~Device() = default;
  /// Back to power-on values. Called with the machine stopped.
  virtual void reset() {}
  /// Names every field that a snapshot needs.
  virtual void state(Archive& archive) { (void)archive; }
  /// Called once after every device exists and wires are connected, before CPUs start.
  virtual Status start() { return {}; }
  /// Called before backends and threads go away.
  virtual void stop() {}
  /// The power button: true when this device passes it on to the guest.
  virtual bool press_power_button() { return false; }
  /// For `explain`: one line, or empty. Under Ports::lock, at any time.
  [[nodiscard]] virtual std::string describe() const { return {}; }
};

/// What the machine hands a model. References stay valid for the device's life.
/// The node's properties are there to be read; addresses and interrupt numbers in them are none of the model's
/// business.
class Ports {
 public:
  virtual ~Ports() = default;

  [[nodiscard]] virtual const tree::Node& node() const = 0;
  /// The model's lock: register handlers already hold it; take it in timer and backend callbacks.
  [[nodiscard]] virtual std::mutex& lock() = 0;

  /// The node's `index`-th `reg` entry as declared registers. `size` is what the model needs; the tree may give more
  /// (the rest is RAZ/WI), less is an error of the tree.
  virtual RegisterBlock& window(u32 index, u64 size) = 0;
  /// The same with behaviour of its own.
  virtual void window(u32 index, memory::MmioHandler& handler) = 0;
  /// Memory of the size of the `index`-th `reg` entry in its place, which the guest reaches as it reaches RAM:
  /// `read_only` for what it cannot change (a ROM). Null when it cannot be had; the machine then refuses the node.
  virtual memory::Ram* memory_window(u32 index, bool read_only) = 0;
  /// Size in bytes of the `index`-th `reg` entry; 0 if there is none.
  [[nodiscard]] virtual u64 window_size(u32 index) const = 0;
  [[nodiscard]] virtual u32 window_count() const = 0;
  /// Where the `index`-th `reg` entry lies, only for registers that tell the guest so (IA32_APIC_BASE); 0 if there is
  /// none.
  [[nodiscard]] virtual u64 window_address(u32 index) const = 0;

  /// The wire of the node's `index`-th interrupt specifier. A node without that many gets a wire to nowhere.
  virtual interrupt::LevelWire& level_wire(u32 index) = 0;
  virtual interrupt::EdgeWire& edge_wire(u32 index) = 0;
  [[nodiscard]] virtual u32 interrupt_count() const = 0;
  /// The controller input that the node's `index`-th specifier names for `cpu`: for a model that connects wires per CPU
  /// itself (the CPUs' timers, PMU). Valid from start() on. Errors: no such specifier, and what the controller says.
  [[nodiscard]] virtual Result<interrupt::Controller::Input> interrupt_input(u32 index, u32 cpu) = 0;

  /// This node is an interrupt controller that others' specifiers refer to.
  virtual void provide_controller(interrupt::Controller& controller) = 0;
  /// What the node with this phandle provides; null when it is no controller. Valid once all devices are made.
  [[nodiscard]] virtual interrupt::Controller* find_controller(u32 phandle) = 0;
  /// This node is the i8259 pair, which the boot CPU asks for the vector of an ExtINT.
  virtual void provide_legacy_controller(interrupt::CpuInterface& controller) = 0;
  /// The same, for local APICs; null when the machine has none. Valid from start() on.
  [[nodiscard]] virtual interrupt::CpuInterface* legacy_controller() = 0;
  /// This node takes messages (msi-controller).
  virtual void provide_messages(interrupt::MessageTarget& target) = 0;
  /// This node shows files to the firmware and to kernels (fw_cfg).
  virtual void provide_firmware_files(FirmwareFiles& files) { (void)files; }
  virtual void provide_gpio(GpioPort& gpio) = 0;
  virtual void provide_registers(RegisterMap& map) = 0;
  /// What the node with this phandle provides; null when it provides none or is not there. Valid from start() on.
  [[nodiscard]] virtual GpioPort* gpio(u32 phandle) = 0;
  [[nodiscard]] virtual RegisterMap* registers(u32 phandle) = 0;

  [[nodiscard]] virtual memory::DmaPort& dma() = 0;
  [[nodiscard]] virtual time::Clock& clock() = 0;
  [[nodiscard]] virtual time::TimerQueue& timers() = 0;
  [[nodiscard]] virtual cpu::CpuSet& cpus() = 0;
  /// How many CPUs the tree describes (they exist from start() on).
  [[nodiscard]] virtual u32 cpu_count() const = 0;
  /// A CPU's `reg` (MPIDR affinity).
  [[nodiscard]] virtual u64 cpu_hardware_id(u32 cpu) const = 0;
  [[nodiscard]] virtual cpu::MachineControl& control() = 0;
  [[nodiscard]] virtual interrupt::RoutingTable& routes() = 0;

  /// Host backends that the tree or the command line gave this node; null when none.
  [[nodiscard]] virtual host::CharDevice* chardev(u32 index = 0) = 0;
  [[nodiscard]] virtual host::Disk* disk() = 0;
  [[nodiscard]] virtual host::Network* network() = 0;

  /// The frequency in Hz of the node's `index`-th clock, followed through `clocks`; 0 when unknown.
  [[nodiscard]] virtual u64 clock_frequency(u32 index) const = 0;
};

}  // namespace solder::device
