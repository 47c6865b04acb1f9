// The PC's timers and the interrupts they make: i8254 by the PIC and by the I/O APIC, counter 2 and port 0x61, HPET,
// the real-time clock. Nothing here comes early; how late it comes is the host's business.
#include "devices.h"

const char test_name[] = "timers";

#define PIT 0x20
#define PIT_APIC 0x60
#define RTC_APIC 0x61
#define HPET_APIC 0x62

// A clock that all others are held against: HPET's main counter in nanoseconds.
static u64 now(void) {
  return read64(HPET + 0xf0) * (read32(HPET + 4) / 1000000);
}

static void clock_on(void) {
  hpet_stop();
  write32(HPET + 0x10, 1);
}

static void pit_counts(void) {
  pit_write(0, 2, 0);
  const u32 a = pit_read(0);
  expect("mode 2 counts down", wait_for(pit_read(0) != a));
  outb(0x43, 0xe2);  // read-back: status of counter 0
  check("status: low and high byte, mode 2, binary", inb(0x40) & 0x3f, 0x34);
  outb(0x43, 0xc2);  // count and status
  check("status first", inb(0x40) & 0x3f, 0x34);
  inb(0x40);
  inb(0x40);
  // A latched count stays.
  outb(0x43, 0x00);
  const u32 low = inb(0x40);
  settle();
  const u32 latched = low | (u32)inb(0x40) << 8;
  expect("latched count within the range", latched <= 0x10000);
  pit_stop();
}

static void pit_by_pic(void) {
  pic_setup(1);
  handlers[PIT] = pic_handler;
  pit_stop();
  // Mode 0: one interrupt, not before its time.
  clear_counts();
  outb(0x43, 0x30);
  pic_setup(1);
  pic_mask(0xfffe);
  settle();
  clear_counts();
  const u64 from = now();
  pit_write(0, 0, 11932);  // 10 ms
  expect("mode 0", wait_for(count(PIT) == 1));
  expect("not early", now() - from >= 10000000);
  settle_long();
  check("one", count(PIT), 1);
  // Modes 2 and 3: periods of 5 ms. The control word raises the output, which is an edge; and the first period may have
  // begun before the clock was read.
  for (u32 mode = 2; mode < 4; ++mode) {
    pit_write(0, mode, 5966);
    clear_counts();
    const u64 start = now();
    expect("periodic", wait_for(count(PIT) >= 5));
    expect("not early, periodic", now() - start >= 3 * 5000000UL);
    pit_stop();
    window();
    clear_counts();
    settle_long();
    expect("stopped", count(PIT) <= 1);
  }
  pic_off();
}

static void pit_by_ioapic(void) {
  handlers[PIT_APIC] = lapic_handler;
  pit_stop();
  ioapic_set(2, PIT_APIC);
  settle();
  clear_counts();
  pit_write(0, 2, 5966);
  expect("pin 2, mode 2", wait_for(count(PIT_APIC) >= 5));
  pit_write(0, 3, 5966);
  clear_counts();
  expect("pin 2, mode 3", wait_for(count(PIT_APIC) >= 3));
  pit_stop();
  window();
  clear_counts();
  const u64 from = now();
  pit_write(0, 0, 11932);
  expect("pin 2, mode 0", wait_for(count(PIT_APIC) == 1));
  expect("not early", now() - from >= 10000000);
  settle_long();
  check("one", count(PIT_APIC), 1);
  ioapic_set(2, RTE_MASKED);
  pit_stop();
}

// Counter 2 has no interrupt: its output is bit 5 of port 0x61, its gate is bit 0.
static void counter2(void) {
  outb(0x61, (u8)(inb(0x61) & ~3));
  outb(0x61, (u8)(inb(0x61) | 1));
  check("gate is read back", inb(0x61) & 3, 1);
  pit_write(2, 0, 11932);
  const u64 from = now();
  check("mode 0: low at first", inb(0x61) >> 5 & 1, 0);
  expect("then high", wait_for(inb(0x61) >> 5 & 1));
  expect("not early", now() + 1000000 - from >= 10000000);
  // The gate holds it.
  pit_write(2, 0, 11932);
  outb(0x61, (u8)(inb(0x61) & ~1));
  const u32 held = pit_read(2);
  settle_long();
  if (!own_devices() && pit_read(2) != held) {
    skipped("gate in mode 0: KVM's and QEMU's has no effect");
  } else {
    check("held", pit_read(2), held);
    check("held low", inb(0x61) >> 5 & 1, 0);
  }
  outb(0x61, (u8)(inb(0x61) | 1));
  expect("goes on", wait_for(inb(0x61) >> 5 & 1));
  // Mode 3: the output changes both ways.
  pit_write(2, 3, 11932);
  expect("square wave, low", wait_for(!(inb(0x61) >> 5 & 1)));
  expect("square wave, high", wait_for(inb(0x61) >> 5 & 1));
  // The refresh bit toggles.
  const u8 refresh = inb(0x61) & 0x10;
  expect("refresh bit", wait_for((inb(0x61) & 0x10) != refresh));
  outb(0x61, (u8)(inb(0x61) & ~3));
}

static u64 hpet_due;
static volatile u32 early;
static void hpet_handler(struct frame* frame) {
  (void)frame;
  if (read64(HPET + 0xf0) < hpet_due) early = early + 1;
  lapic_eoi();
}
static void hpet(void) {
  hpet_stop();
  const u32 period = read32(HPET + 4);
  expect("period of at most 100 ns", period != 0 && period <= 100000000);
  check("stopped", read64(HPET + 0xf0), read64(HPET + 0xf0));
  const u32 pin = hpet_pin(0);
  ioapic_set(pin, HPET_APIC);
  handlers[HPET_APIC] = hpet_handler;
  write32(HPET + 0x10, 1);
  const u64 a = read64(HPET + 0xf0);
  expect("it runs", wait_for(read64(HPET + 0xf0) > a));
  for (u32 i = 0; i < 5; ++i) {
    clear_counts();
    // Halted meanwhile: on a busy host any time may pass between two writes.
    write32(HPET + 0x10, 0);
    hpet_due = read64(HPET + 0xf0) + hpet_ticks(3000);
    write64(HPET_TIMER(0) + 8, hpet_due);
    write32(HPET_TIMER(0), pin << 9 | 1 << 2);
    write32(HPET + 0x10, 1);
    expect("one-shot", wait_for(count(HPET_APIC) == 1));
    settle();
    check("one", count(HPET_APIC), 1);
  }
  // Periodic: the first comparator, then the period (specification, 2.3.9.2.2).
  clear_counts();
  hpet_stop();
  hpet_due = 0;
  write32(HPET_TIMER(0), pin << 9 | 1 << 2 | 1 << 3 | 1 << 6);
  write64(HPET_TIMER(0) + 8, hpet_ticks(5000));
  write64(HPET_TIMER(0) + 8, hpet_ticks(5000));
  write32(HPET + 0x10, 1);
  expect("periodic", wait_for(count(HPET_APIC) >= 5));
  expect("not early, periodic", read64(HPET + 0xf0) >= 5 * hpet_ticks(5000));
  expect("the comparator moves", read64(HPET_TIMER(0) + 8) > hpet_ticks(5000));
  write32(HPET_TIMER(0), pin << 9);
  window();
  clear_counts();
  settle_long();
  check("interrupt disabled", count(HPET_APIC), 0);
  check("never early", early, 0);
  ioapic_set(pin, RTE_MASKED);
  clock_on();
}

// An interrupt may have been accepted before its cause was taken away by rtc_enable: that one finds none.
static volatile u32 causes, served;
static void rtc_handler(struct frame* frame) {
  (void)frame;
  const u32 cause = cmos_read(0x0c);
  causes = causes | cause;
  if (cause & 0x80) served = served + 1;
  lapic_eoi();
}
static void rtc_enable(u8 bits) {
  cmos_write(0x0b, (u8)((cmos_read(0x0b) & 0x8f) | bits));
  cmos_read(0x0c);
  window();
  causes = served = 0;
}
static void rtc(void) {
  handlers[RTC_APIC] = rtc_handler;
  rtc_enable(0);
  ioapic_set(8, RTC_APIC);
  check("register D: valid", cmos_read(0x0d) & 0x80, 0x80);
  // Periodic, 128 Hz.
  cmos_write(0x0a, 0x29);
  rtc_enable(0x40);
  const u64 from = now();
  expect("periodic", wait_for(served >= 6));
  expect("not early, periodic", now() - from >= 4 * 7812500UL);
  check("cause: periodic", causes & 0x70 & ~0x10, 0x40);
  rtc_enable(0);
  settle_long();
  check("off", served, 0);
  // Update ended: once a second; the time does not change within the half second behind it.
  rtc_enable(0x10);
  expect("update ended", wait_for(served >= 1));
  check("cause: update", causes & 0x10, 0x10);
  const u8 second = cmos_read(0);
  check("no update in progress", cmos_read(0x0a) & 0x80, 0);
  expect("next update", wait_for(served >= 2));
  expect("another second", cmos_read(0) != second);
  // Alarm: at any hour, minute and second.
  rtc_enable(0);
  cmos_write(1, 0xff);
  cmos_write(3, 0xff);
  cmos_write(5, 0xff);
  rtc_enable(0x20);
  expect("alarm", wait_for(served >= 1));
  check("cause: alarm", causes & 0x20, 0x20);
  rtc_enable(0);
  ioapic_set(8, RTE_MASKED);
}

void test_main(void) {
  clock_on();
  pit_counts();
  pit_by_pic();
  pit_by_ioapic();
  counter2();
  hpet();
  rtc();
  hpet_stop();
}
