/// What ACPI tells of a machine, as values: where things are and what they are called. Nothing here knows the tree.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/types.h"
#include "boot/acpi/aml.h"

namespace solder::boot::acpi {

using aml::Polarity;
using aml::Trigger;

struct Window {
  u64 base = 0;
  u64 size = 0;
};

struct Interrupt {
  u32 gsi = 0;  ///< the I/O APICs' pins, counted through
  Trigger trigger = Trigger::edge;
  Polarity polarity = Polarity::high;
  bool shared = false;
  std::optional<u8> isa;  ///< its number at the i8259 pair
};

/// What a description may hold at most; more have no names.
inline constexpr usize kMaximumDevices = 10000;
inline constexpr usize kMaximumCpus = 4096;

/// A device of the DSDT.
struct Device {
  std::string hint;  ///< of its name: "serial" becomes SER0
  std::string hid;   ///< "PNP0501", "LNRO0005"
  u32 uid = 0;       ///< tells devices of the same _HID apart
  std::string text;  ///< _STR, for people: the node's path
  std::vector<Window> memory;
  std::vector<Window> ports;
  std::vector<Interrupt> interrupts;
};

struct Cpu {
  u32 apic_id = 0;
};

struct IoApic {
  u32 address = 0;
  u32 first_gsi = 0;
};

/// An ISA interrupt that is not edge-triggered and active high at the I/O APIC's pin of the same number.
struct Override {
  u8 isa = 0;
  u32 gsi = 0;
  Trigger trigger = Trigger::edge;
  Polarity polarity = Polarity::high;
};

/// The fixed hardware of chapter 4: what a PC's power management block is.
struct PowerManagement {
  u16 event_block = 0;    ///< four bytes: PM1 status and enable
  u16 control_block = 0;  ///< two bytes: PM1 control
  u16 timer = 0;          ///< four bytes, 32 bits of count
  std::optional<u16> reset_port;
  u8 reset_value = 0;
  u8 sleep_type = 0;  ///< SLP_TYP of S5
  u16 sci = 0;        ///< its ISA interrupt, or GSI on machines without an i8259 pair
};

/// The generic event device (section 5.6.9): an interrupt, and a register whose bits say why; reading clears them.
struct EventDevice {
  u64 selector = 0;  ///< address of the 32-bit register
  Interrupt interrupt;
  u32 hot_plug = 0;      ///< the bit that says that devices came or went; 0: they do not
  u32 power_button = 0;  ///< the bit that says so; 0: there is no button
};

struct Hpet {
  u64 address = 0;
  u32 block_id = 0;  ///< the lower half of its capabilities register
};

/// The console, a 16550.
struct Console {
  Window ports;   ///< size 0: in memory
  Window memory;  ///< size 0: at ports
  std::optional<Interrupt> interrupt;
  u32 baud = 115200;
};

/// A PCI host bridge's ECAM window (MCFG).
struct Ecam {
  u64 address = 0;
  u16 segment = 0;
  u8 first_bus = 0;
  u8 last_bus = 0;
};

struct Description {
  std::vector<Cpu> cpus;
  u32 local_apic = 0;              ///< address; 0: no local APICs
  bool legacy_controller = false;  ///< the i8259 pair
  std::vector<IoApic> io_apics;
  std::vector<Override> overrides;
  std::optional<PowerManagement> power;  ///< none: hardware-reduced ACPI
  bool keyboard_controller = false;      ///< an i8042
  bool rtc = false;                      ///< a CMOS clock
  bool isa_devices = false;              ///< serial ports and the like, on an ISA bus
  std::optional<EventDevice> events;
  std::optional<Hpet> hpet;
  std::optional<Console> console;
  std::vector<Ecam> ecams;
  std::vector<Device> devices;
};

}  // namespace solder::boot::acpi
