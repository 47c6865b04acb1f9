#include "machine/acpi.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <map>

#include "device/acpi_hardware.h"
#include "machine/acpi_interrupts.h"
#include "machine/guest_tree.h"

namespace solder::machine {

namespace {

using boot::acpi::Window;

// "pnpPNP,501": the ISA binding's way to write PNP0501.
std::optional<std::string> plug_and_play_id(const std::string& compatible) {
  if (compatible.size() < 8 || !compatible.starts_with("pnp") || compatible[6] != ',') return std::nullopt;
  const char* digits = compatible.data() + 7;
  const char* end = compatible.data() + compatible.size();
  u16 number = 0;
  const auto [rest, error] = std::from_chars(digits, end, number, 16);
  if (error != std::errc{} || rest != end) return std::nullopt;
  std::string id = compatible.substr(3, 3) + fmt::format("{:04X}", number);
  if (!boot::acpi::aml::is_eisa_id(id)) return std::nullopt;
  return id;
}

std::vector<std::string> hardware_ids(const NodePlan& entry) {
  std::vector<std::string> out;
  std::string_view list = entry.model->acpi_hid;
  while (!list.empty()) {
    const usize blank = list.find(' ');
    if (blank != 0) out.emplace_back(list.substr(0, blank));
    list.remove_prefix(blank == std::string_view::npos ? list.size() : blank + 1);
  }
  if (!out.empty()) return out;
  for (const auto& compatible : entry.node->compatible())
    if (auto id = plug_and_play_id(compatible)) return {*id};
  return {};
}

struct Windows {
  std::vector<Window> memory;
  std::vector<Window> ports;
};

Result<Windows> windows_of(const tree::Tree& tree, const tree::Node& node) {
  Windows out;
  if (!node.has("reg")) return out;
  const auto ranges = SOLDER_TRY(tree::translate_reg(tree, node));
  for (const auto& range : ranges) {
    if (range.size == 0) continue;
    if (range.space == tree::Space::port) {
      if (range.address > 0xffff || range.size > 0x10000 - range.address)
        return fail(node.place("reg"),
                    fmt::format("ports {:#x} to {:#x}: I/O ports have 16 bits", range.address,
                                u128{range.address} + range.size > ~u64{0} ? ~u64{0} : range.address + range.size - 1));
      out.ports.push_back({range.address, range.size});
    } else {
      if (range.address + (range.size - 1) < range.address)
        return fail(node.place("reg"), fmt::format("{:#x} bytes from {:#x} go past the end of the address space",
                                                   range.size, range.address));
      out.memory.push_back({range.address, range.size});
    }
  }
  return out;
}

class Describer {
 public:
  Describer(const tree::Tree& tree, const Plan& plan, const AcpiInterrupts& interrupts)
      : tree_(tree), plan_(plan), interrupts_(interrupts) {}

  Result<boot::acpi::Description> run() {
    out_.io_apics = interrupts_.io_apics();
    out_.overrides = interrupts_.overrides();
    out_.legacy_controller = interrupts_.legacy_controller();
    for (const auto& entry : plan_.nodes) {
      if (entry.role == Role::cpu) SOLDER_TRY_STATUS(add_cpu(*entry.node));
      if (entry.role != Role::modelled) continue;
      SOLDER_TRY_STATUS(add_fixed(*entry.node));
      SOLDER_TRY_STATUS(add_devices(entry));
    }
    SOLDER_TRY_STATUS(add_console());
    // A machine has one power button: the fixed hardware's where there is one.
    if (out_.power && out_.events) out_.events->power_button = 0;
    return std::move(out_);
  }

 private:
  Status add_cpu(const tree::Node& node) {
    const auto reg = SOLDER_TRY(tree::raw_reg(node));
    if (reg.empty()) return fail(node.place("reg"), "a CPU needs its hardware id here");
    u64 id = 0;
    for (const u32 cell : reg.front().address) id = id << 32 | cell;
    if (id >= 0xffffffff) return fail(node.place("reg"), fmt::format("{:#x} is no local APIC's ID", id));
    if (out_.cpus.size() == boot::acpi::kMaximumCpus)
      return fail(node.place(), fmt::format("x86 machines have at most {} CPUs", boot::acpi::kMaximumCpus));
    out_.cpus.push_back({static_cast<u32>(id)});
    return {};
  }

  // What has a place of its own in the tables.
  Status add_fixed(const tree::Node& node) {
    if (node.is_compatible("intel,ce4100-lapic")) return add_local_apic(node);
    if (node.is_compatible("solder,acpi-pm")) return add_power(node);
    if (node.is_compatible("solder,acpi-ged")) return add_events(node);
    if (node.is_compatible("intel,ce4100-hpet")) return add_hpet(node);
    if (node.is_compatible("pci-host-ecam-generic")) return add_ecam(node);
    return {};
  }

  Result<Windows> windows(const tree::Node& node, usize memory, usize ports) {
    auto out = SOLDER_TRY(windows_of(tree_, node));
    if (out.memory.size() < memory || out.ports.size() < ports)
      return fail(node.place("reg"), fmt::format("has {} memory and {} port entries, and ACPI needs {} and {}",
                                                 out.memory.size(), out.ports.size(), memory, ports));
    return out;
  }

  Status add_local_apic(const tree::Node& node) {
    const auto reg = SOLDER_TRY(windows(node, 1, 0));
    if (reg.memory[0].base > 0xffffffff) return fail(node.place("reg"), "local APICs lie below 4 GiB", "move them");
    out_.local_apic = static_cast<u32>(reg.memory[0].base);
    return {};
  }

  Status add_power(const tree::Node& node) {
    using device::acpi::PmWindow;
    const auto reg = SOLDER_TRY(windows(node, 0, 3));
    const auto port = [&](PmWindow window) { return static_cast<u16>(reg.ports[static_cast<u32>(window)].base); };
    boot::acpi::PowerManagement power;
    power.event_block = port(PmWindow::event);
    power.control_block = port(PmWindow::control);
    power.timer = port(PmWindow::timer);
    if (reg.ports.size() > static_cast<u32>(PmWindow::reset)) power.reset_port = port(PmWindow::reset);
    power.reset_value = device::acpi::kResetValue;
    power.sleep_type = device::acpi::kSleepTypeS5;
    const auto& interrupts = interrupts_.of(node);
    if (interrupts.empty())
      return fail(node.place("interrupts"), "power management needs an interrupt that reaches an interrupt controller");
    power.sci = interrupts[0].isa.value_or(static_cast<u8>(interrupts[0].gsi));
    out_.power = power;
    return {};
  }

  Status add_events(const tree::Node& node) {
    const auto reg = SOLDER_TRY(windows(node, 1, 0));
    const auto& interrupts = interrupts_.of(node);
    if (interrupts.empty())
      return fail(node.place("interrupts"), "an event device needs an interrupt that reaches an I/O APIC");
    boot::acpi::EventDevice events;
    events.selector = reg.memory[0].base + device::acpi::kGedEventRegister;
    events.interrupt = interrupts[0];
    events.hot_plug = device::acpi::kGedHotPlug;
    events.power_button = device::acpi::kGedPowerButton;
    out_.events = events;
    return {};
  }

  Status add_hpet(const tree::Node& node) {
    const auto reg = SOLDER_TRY(windows(node, 1, 0));
    // As the model's capabilities register has it: revision 1, three timers, a 64-bit counter, Intel; and the legacy
    // replacement where the node has two interrupts for it.
    const auto wires = SOLDER_TRY(tree::interrupts(tree_, node)).size();
    out_.hpet = boot::acpi::Hpet{reg.memory[0].base, 0x8086'2201U | (wires == 5 ? 1U << 15 : 0U)};
    return {};
  }

  Status add_ecam(const tree::Node& node) {
    const auto reg = SOLDER_TRY(windows(node, 1, 0));
    auto buses = node.cell_list("bus-range");
    if (buses.size() != 2) buses = {0, 0xff};
    // The table has the address of bus 0, the tree that of the first bus.
    const u64 skipped = u64{buses[0]} << 20;
    if (buses[0] > buses[1] || buses[1] > 0xff || skipped > reg.memory[0].base)
      return fail(node.place("bus-range"), "is no range of PCI buses");
    const u32 segment = node.u32_value("linux,pci-domain").value_or(0);
    if (segment > 0xffff) return fail(node.place("linux,pci-domain"), "is no PCI segment: they have 16 bits");
    out_.ecams.push_back({reg.memory[0].base - skipped, static_cast<u16>(segment), static_cast<u8>(buses[0]),
                          static_cast<u8>(buses[1])});
    return {};
  }

  Status add_devices(const NodePlan& entry) {
    const auto ids = hardware_ids(entry);
    if (ids.empty()) return {};
    const tree::Node& node = *entry.node;
    const auto reg = SOLDER_TRY(windows_of(tree_, node));
    const auto& interrupts = interrupts_.of(node);
    for (usize i = 0; i < ids.size(); ++i) {
      if (out_.devices.size() == boot::acpi::kMaximumDevices)
        return fail(node.place(), fmt::format("ACPI names at most {} devices", boot::acpi::kMaximumDevices));
      boot::acpi::Device device;
      device.hint = std::string(node.base_name());
      device.hid = ids[i];
      device.uid = uids_[ids[i]]++;
      device.text = node.path();
      if (i == 0) {
        device.memory = reg.memory;
        device.ports = reg.ports;
      }
      // One device takes all interrupts; of several, each takes its own. An HPET's are no resources: its own registers
      // route them (IA-PC HPET 1.0a, section 3.2.5).
      if (node.is_compatible("intel,ce4100-hpet"))
        device.interrupts.clear();
      else if (ids.size() == 1)
        device.interrupts = interrupts;
      else if (i < interrupts.size())
        device.interrupts = {interrupts[i]};
      note_legacy(device);
      out_.devices.push_back(std::move(device));
    }
    return {};
  }

  void note_legacy(const boot::acpi::Device& device) {
    if (device.hid == "PNP0303") out_.keyboard_controller = true;
    if (device.hid == "PNP0B00") out_.rtc = true;
    if (device.hid.starts_with("PNP05") && !device.ports.empty()) out_.isa_devices = true;
  }

  Status add_console() {
    const tree::Node* node = console_node(tree_, plan_);
    if (node == nullptr) return {};
    const auto ids = hardware_ids(*plan_.find(*node));
    if (ids.empty() || ids[0] != "PNP0501") return {};
    const auto reg = SOLDER_TRY(windows_of(tree_, *node));
    boot::acpi::Console console;
    if (!reg.ports.empty())
      console.ports = reg.ports[0];
    else if (!reg.memory.empty())
      console.memory = reg.memory[0];
    else
      return {};
    const auto& interrupts = interrupts_.of(*node);
    if (!interrupts.empty()) console.interrupt = interrupts[0];
    if (const tree::Node* chosen = tree_.find("/chosen")) {
      const std::string path = chosen->string("stdout-path").value_or("");
      // "serial0:115200n8"
      if (const usize colon = path.find(':'); colon != std::string::npos)
        console.baud = static_cast<u32>(std::strtoul(path.c_str() + colon + 1, nullptr, 10));
    }
    out_.console = console;
    return {};
  }

  const tree::Tree& tree_;
  const Plan& plan_;
  const AcpiInterrupts& interrupts_;
  boot::acpi::Description out_;
  std::map<std::string, u32> uids_;
};

}  // namespace

Result<boot::acpi::Description> describe_acpi(const tree::Tree& tree, const Plan& plan) {
  const auto interrupts = SOLDER_TRY(AcpiInterrupts::create(tree, plan));
  return Describer(tree, plan, interrupts).run();
}

}  // namespace solder::machine
