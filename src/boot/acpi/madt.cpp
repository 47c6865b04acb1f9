// Interrupt controllers and CPUs (ACPI 6.5, section 5.2.12).
#include "boot/acpi/tables.h"

namespace solder::boot::acpi {

namespace {

// MPS INTI flags (table 5.26).
u16 inti_flags(Trigger trigger, Polarity polarity) {
  return static_cast<u16>((polarity == Polarity::high ? 1U : 3U) | (trigger == Trigger::edge ? 1U : 3U) << 2);
}

// IDs from here on need the x2APIC structures; 255 is a broadcast.
constexpr u32 kFirstX2Apic = 255;

}  // namespace

std::vector<u8> make_madt(const Description& machine) {
  TableWriter table("APIC", 6);
  table.put32(machine.local_apic);
  table.put32(machine.legacy_controller ? 1 : 0);  // PCAT_COMPAT
  bool small = false;
  bool large = false;
  for (u32 uid = 0; uid < machine.cpus.size(); ++uid) {
    const u32 id = machine.cpus[uid].apic_id;
    if (id < kFirstX2Apic && uid < kFirstX2Apic) {
      small = true;
      table.put8(0).put8(8).put8(uid).put8(id).put32(1);
    } else {
      large = true;
      table.put8(9).put8(16).put16(0).put32(id).put32(1).put32(uid);
    }
  }
  for (u32 i = 0; i < machine.io_apics.size(); ++i)
    table.put8(1).put8(12).put8(i).put8(0).put32(machine.io_apics[i].address).put32(machine.io_apics[i].first_gsi);
  for (const Override& entry : machine.overrides)
    table.put8(2).put8(10).put8(0).put8(entry.isa).put32(entry.gsi).put16(inti_flags(entry.trigger, entry.polarity));
  // LINT1 of all CPUs is the NMI.
  if (small) table.put8(4).put8(6).put8(0xff).put16(0).put8(1);
  if (large) table.put8(10).put8(12).put16(0).put32(0xffffffff).put8(1).zeros(3);
  return table.finish();
}

}  // namespace solder::boot::acpi
