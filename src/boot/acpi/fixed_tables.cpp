// Tables of numbers at fixed places: FADT, FACS, HPET, SPCR, MCFG.
#include <algorithm>
#include <string_view>

#include "base/bytes.h"
#include "base/check.h"
#include "boot/acpi/tables.h"

namespace solder::boot::acpi {

namespace {

using Space = TableWriter::Space;

// FADT flags (ACPI 6.5, table 5.10).
constexpr u32 kWbinvd = 1U << 0;
constexpr u32 kC1 = 1U << 2;
constexpr u32 kNoFixedPowerButton = 1U << 4;
constexpr u32 kNoFixedSleepButton = 1U << 5;
constexpr u32 kRtcWakeNotFixed = 1U << 6;
constexpr u32 kTimer32Bits = 1U << 8;
constexpr u32 kResetRegister = 1U << 10;
constexpr u32 kHardwareReduced = 1U << 20;

// IAPC_BOOT_ARCH (table 5.11).
constexpr u32 kLegacyDevices = 1U << 0;
constexpr u32 k8042 = 1U << 1;
constexpr u32 kNoVga = 1U << 2;
constexpr u32 kNoCmosRtc = 1U << 5;

// Larger latencies than these say that there is no C2 and no C3 (section 5.2.9).
constexpr u16 kNoC2 = 101;
constexpr u16 kNoC3 = 1001;

/// CMOS register of the century, as PCs have it.
constexpr u8 kCenturyRegister = 0x32;

u8 baud_code(u32 baud) {
  switch (baud) {
    case 9600:
      return 3;
    case 19200:
      return 4;
    case 57600:
      return 6;
    case 115200:
      return 7;
    default:
      return 0;  // as it is
  }
}

}  // namespace

std::vector<u8> make_facs() {
  // Section 5.2.10: no checksum; nothing but sizes here, as nobody else takes the global lock and S3 does not exist.
  std::vector<u8> out(64);
  const std::string_view signature = "FACS";
  std::copy(signature.begin(), signature.end(), out.begin());
  store_le<u32>(&out[4], static_cast<u32>(out.size()));
  out[32] = 2;  // version
  return out;
}

std::vector<u8> make_fadt(const Description& machine, u32 facs, u32 dsdt) {
  const bool reduced = !machine.power.has_value();
  const PowerManagement power = machine.power.value_or(PowerManagement{});

  u32 flags = kWbinvd | kC1 | kNoFixedSleepButton | kRtcWakeNotFixed;
  if (reduced) {
    flags |= kHardwareReduced | kNoFixedPowerButton;
  } else {
    flags |= kTimer32Bits;
    if (power.reset_port) flags |= kResetRegister;
  }
  u32 boot = kNoVga;
  if (machine.isa_devices) boot |= kLegacyDevices;
  if (machine.keyboard_controller) boot |= k8042;
  if (!machine.rtc) boot |= kNoCmosRtc;

  TableWriter table("FACP", 6);
  table.put32(facs).put32(dsdt);
  table.zeros(1);
  table.put8(0);  // preferred profile: unspecified
  table.put16(power.sci);
  table.put32(0);  // no SMI command port: always in ACPI mode
  table.zeros(4);
  table.put32(power.event_block).put32(0).put32(power.control_block).put32(0);
  table.put32(0).put32(power.timer).put32(0).put32(0);
  table.put8(reduced ? 0 : 4).put8(reduced ? 0 : 2).put8(0).put8(reduced ? 0 : 4);
  table.zeros(4);  // GPE blocks, C-state control
  table.put16(kNoC2).put16(kNoC3);
  table.zeros(4);  // cache flush sizes
  table.zeros(2);  // duty cycle
  table.put8(0).put8(0).put8(machine.rtc ? kCenturyRegister : 0);
  table.put16(boot);
  table.zeros(1);
  table.put32(flags);
  if (power.reset_port && !reduced)
    table.address(Space::io, 8, 1, *power.reset_port).put8(power.reset_value);
  else
    table.zeros(13);
  table.put16(0);  // ARM boot flags
  table.put8(5);   // minor version: 6.5
  // Both are below 4 GiB; the FACS is told of only once, as section 5.2.9 wants it.
  table.put64(0).put64(dsdt);
  const auto block = [&](u16 port, u8 bits, u8 access) {
    if (reduced)
      table.zeros(12);
    else
      table.address(Space::io, bits, access, port);
  };
  block(power.event_block, 32, 2);
  table.zeros(12);
  block(power.control_block, 16, 2);
  table.zeros(24);
  block(power.timer, 32, 3);
  table.zeros(24);  // GPE blocks
  table.zeros(24);  // sleep control and status of hardware-reduced platforms
  const std::string_view vendor("SOLDER\0\0", 8);
  table.bytes(std::span(reinterpret_cast<const u8*>(vendor.data()), vendor.size()));
  SOLDER_CHECK(table.size() == 276, "a FADT of revision 6 has 276 bytes");
  return table.finish();
}

std::vector<u8> make_hpet(const Hpet& hpet) {
  // IA-PC HPET 1.0a, section 3.2.4.
  TableWriter table("HPET", 1);
  table.put32(hpet.block_id);
  table.address(Space::memory, 64, 0, hpet.address);
  table.put8(0);
  table.put16(100);  // smallest period in ticks without lost interrupts
  table.put8(0);
  return table.finish();
}

std::vector<u8> make_spcr(const Console& console) {
  // Serial Port Console Redirection, revision 2.
  TableWriter table("SPCR", 2);
  table.put8(0).zeros(3);  // a full 16550
  if (console.ports.size != 0)
    table.address(Space::io, 8, 1, console.ports.base);
  else
    table.address(Space::memory, 8, 1, console.memory.base);
  u8 kind = 0;
  if (console.interrupt) kind = static_cast<u8>(2U | (console.interrupt->isa ? 1U : 0U));
  table.put8(kind);
  table.put8(console.interrupt ? console.interrupt->isa.value_or(0) : 0);
  table.put32(console.interrupt ? console.interrupt->gsi : 0);
  table.put8(baud_code(console.baud));
  table.put8(0).put8(1).put8(0);  // no parity, one stop bit, no flow control
  table.put8(0);                  // VT100
  table.zeros(1);
  table.put16(0xffff).put16(0xffff);  // no PCI device
  table.zeros(3).put32(0).put8(0);
  table.zeros(4);
  SOLDER_CHECK(table.size() == 80, "an SPCR of revision 2 has 80 bytes");
  return table.finish();
}

std::vector<u8> make_mcfg(std::span<const Ecam> ecams) {
  // PCI Firmware Specification 3.2, section 4.1.2.
  TableWriter table("MCFG", 1);
  table.zeros(8);
  for (const Ecam& ecam : ecams)
    table.put64(ecam.address).put16(ecam.segment).put8(ecam.first_bus).put8(ecam.last_bus).zeros(4);
  return table.finish();
}

}  // namespace solder::boot::acpi
