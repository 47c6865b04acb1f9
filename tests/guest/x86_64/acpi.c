// What the firmware's tables say, and whether the hardware agrees: RSDP by the PVH start info, XSDT (or RSDT), all
// checksums, FADT's ports, MADT's controllers, the HPET's address. ACPI 6.5, section 5.2.
#include "devices.h"

const char test_name[] = "acpi";

static u32 madt_seen, fadt_seen, hpet_seen;
static volatile u32 secondary_id = ~0U;

static int sum(u64 at, u32 size) {
  u8 total = 0;
  for (u32 i = 0; i < size; ++i) total = (u8)(total + read8(at + i));
  return total;
}
static u32 signature(const char* text) {
  return *(const u32*)text;
}

static void madt(u64 table) {
  ++madt_seen;
  check("local APIC's address", read32(table + 36), rdmsr(0x1b) & 0xfffff000);
  check("PCAT_COMPAT: there are i8259", read32(table + 40) & 1, 1);
  const u64 end_ = table + read32(table + 4);
  u32 cpus = 0, ioapics = 0, timer_override = 0, nmis = 0;
  u64 at = table + 44;
  while (at < end_) {
    const u8 size = read8(at + 1);
    if (size < 2 || at + size > end_) {
      check("size of an entry", size, 2);
      return;
    }
    switch (read8(at)) {
      case 0:
        check("size of a local APIC", size, 8);
        if (read32(at + 4) & 1) {
          check("ids of CPUs in order", read8(at + 3), cpus);
          ++cpus;
        }
        break;
      case 1:
        check("size of an I/O APIC", size, 12);
        check("I/O APIC's address", read32(at + 4), IOAPIC);
        check("I/O APIC's id", ioapic_read(0) >> 24 & 0x0f, read8(at + 2));
        check("first interrupt", read32(at + 8), 0);
        ++ioapics;
        break;
      case 2:
        check("size of an override", size, 10);
        check("ISA bus", read8(at + 2), 0);
        expect("pin within the I/O APIC", read32(at + 4) < 24);
        if (read8(at + 3) == 0) {
          timer_override = 1;
          check("the timer's pin", read32(at + 4), 2);
        }
        break;
      case 4:
        check("size of a local APIC NMI", size, 6);
        expect("LINT 0 or 1", read8(at + 5) < 2);
        ++nmis;
        break;
      default:
        break;
    }
    at += size;
  }
  check("entries fill the table", at, end_);
  check("CPUs", cpus, 2);
  check("I/O APICs", ioapics, 1);
  check("override of the timer", timer_override, 1);
}

static void table(u64 at);

static void fadt(u64 t) {
  ++fadt_seen;
  const u32 size = read32(t + 4);
  const u32 flags = read32(t + 112);
  check("PM1a event block", read32(t + 56), PM_EVENT);
  check("PM1a control block", read32(t + 64), PM_CONTROL);
  check("PM timer block", read32(t + 76), PM_TIMER);
  check("PM1 event length", read8(t + 88), 4);
  check("PM1 control length", read8(t + 89), 2);
  check("PM timer length", read8(t + 91), 4);
  check("SCI", read16(t + 46), 9);
  // Bit 8: the timer has 32 bits.
  const u32 from = inl(PM_TIMER);
  expect("PM timer runs", wait_for(inl(PM_TIMER) != from));
  if (!(flags >> 8 & 1)) check("24-bit timer", inl(PM_TIMER) >> 24, 0);
  if (size >= 129 && (flags >> 10 & 1)) {
    check("reset register: a port", read8(t + 116), 1);
    check("reset register", read64(t + 120), 0xcf9);
  }
  if (size >= 148 && read64(t + 132)) {
    check("X_FIRMWARE_CTRL or FIRMWARE_CTRL", read64(t + 132) != 0 && read32(t + 36) != 0, 0);
  }
  const u64 facs = size >= 140 && read64(t + 132) ? read64(t + 132) : read32(t + 36);
  if (facs) {
    check("FACS", read32(facs), signature("FACS"));
    check("FACS on 64 bytes", facs & 63, 0);
  }
  const u64 dsdt = size >= 148 && read64(t + 140) ? read64(t + 140) : read32(t + 40);
  if (size >= 148 && read64(t + 140) && read32(t + 40)) check("DSDT and X_DSDT", read64(t + 140), read32(t + 40));
  check("DSDT", read32(dsdt), signature("DSDT"));
  table(dsdt);
  // SCI_EN: the machine is in ACPI mode, or can be put there.
  const u32 command = read32(t + 48);
  if (command) outb((u16)command, read8(t + 52));
  check("ACPI mode", wait_for(inw(PM_CONTROL) & 1), 1);
}

static void hpet(u64 t) {
  ++hpet_seen;
  check("HPET: memory", read8(t + 40), 0);
  check("HPET's address", read64(t + 44), HPET);
  check("HPET's identity", read32(t + 36), read32(HPET));
}

static void table(u64 at) {
  const u32 size = read32(at + 4);
  if (size < 36 || size > 1 << 20) {
    check("size of a table", size, 36);
    return;
  }
  check("checksum of a table", sum(at, size), 0);
  const u32 name = read32(at);
  if (name == signature("APIC")) madt(at);
  if (name == signature("FACP")) fadt(at);
  if (name == signature("HPET")) hpet(at);
}

void test_main(void) {
  check("start info's magic", read32(start_info), 0x336ec578);
  const u64 rsdp = read64(start_info + 32);
  check("RSDP", read64(rsdp), 0x2052545020445352);
  check("RSDP's checksum", sum(rsdp, 20), 0);
  u64 tables = 0;
  u32 width = 4;
  if (read8(rsdp + 15) >= 2 && read64(rsdp + 24)) {
    check("RSDP's size", read32(rsdp + 20), 36);
    check("RSDP's extended checksum", sum(rsdp, 36), 0);
    tables = read64(rsdp + 24);
    width = 8;
    check("XSDT", read32(tables), signature("XSDT"));
  } else {
    tables = read32(rsdp + 16);
    check("RSDT", read32(tables), signature("RSDT"));
  }
  expect("a new machine has ACPI 2 or later", width == 8 || !on_solder());
  const u32 size = read32(tables + 4);
  table(tables);
  for (u32 i = 36; i + width <= size; i += width) table(width == 8 ? read64(tables + i) : read32(tables + i));
  check("FADT", fadt_seen, 1);
  check("MADT", madt_seen, 1);
  check("HPET table", hpet_seen, 1);

  // The CPUs that MADT lists are there, with these ids.
  check("id of this CPU", lapic_read(LAPIC_ID) >> 24, 0);
  start_secondary();
  expect("CPU 1", wait_for(secondary_id != ~0U));
  check("id of CPU 1", secondary_id, 1);

  // The memory map: RAM at 1 MiB, nothing of it above 256 MiB.
  if (read32(start_info + 4) >= 1 && read64(start_info + 40)) {
    const u64 map = read64(start_info + 40);
    u64 ram = 0;
    int here = 0;
    for (u32 i = 0; i < read32(start_info + 48); ++i) {
      const u64 at = read64(map + 24 * i), length = read64(map + 24 * i + 8);
      if (read32(map + 24 * i + 16) != 1) continue;
      ram += length;
      here |= at <= 0x100000 && at + length > 0x200000;
    }
    expect("RAM at 1 MiB", here);
    expect("about 256 MiB", ram > 250UL << 20 && ram <= 256UL << 20);
  } else {
    check("a memory map", 0, 1);
  }
}

void test_secondary(void) {
  secondary_id = lapic_read(LAPIC_ID) >> 24;
  for (;;) sleep();
}
