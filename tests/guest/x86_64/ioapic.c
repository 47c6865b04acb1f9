// The I/O APIC: edges and levels, remote IRR, masks, destinations of every kind. Its lines: COM1 (pin 4), the keyboard
// (1), the mouse (12), which the program holds high or low, and an HPET timer in level mode.
#include "devices.h"

const char test_name[] = "ioapic";

#define PIN 4
#define VECTOR 0x54
#define OTHER 0x65

static u32 version;
static int serves;

static void fresh(void) {
  cli();
  com1_line(0);
  kbd_line(0);
  ioapic_mask_all();
  handlers[VECTOR] = handlers[OTHER] = lapic_handler;
  clear_counts();
}

static void registers(void) {
  version = ioapic_read(1);
  expect("24 pins at least", (version >> 16 & 0xff) >= 23);
  expect("version 0x11 or 0x20", (version & 0xff) == 0x11 || (version & 0xff) == 0x20);
  const u32 id = ioapic_read(0);
  ioapic_write(0, 0x0a000000);
  check("id", ioapic_read(0) & 0x0f000000, 0x0a000000);
  ioapic_write(0, id);
  write32(IOAPIC, 0x1234 << 8 | 1);
  check("the selector has 8 bits", read32(IOAPIC + 0x10), version);
  for (u32 pin = 0; pin < 24; ++pin) {
    // Delivery status and remote IRR cannot be written.
    ioapic_set(pin, RTE_TO(0x0f) | RTE_MASKED | RTE_REMOTE_IRR | 0x1000 | 0x2000 | RTE_LEVEL | RTE_LOGICAL | 0x100 |
                        (0x80 + pin));
    check("entry", ioapic_entry(pin) & 0xff0000000001ffff,
          RTE_TO(0x0f) | RTE_MASKED | 0x2000 | RTE_LEVEL | RTE_LOGICAL | 0x100 | (0x80 + pin));
  }
  ioapic_mask_all();
}

static void edges(void) {
  fresh();
  ioapic_set(PIN, VECTOR);
  com1_line(1);
  expect("edge", wait_for(count(VECTOR) == 1));
  settle();
  check("one for an edge", count(VECTOR), 1);
  check("edges have no remote IRR", ioapic_entry(PIN) & RTE_REMOTE_IRR, 0);
  check("edges are not in TMR", lapic_bit(LAPIC_TMR, VECTOR), 0);
  for (u32 i = 0; i < 20; ++i) {
    com1_line(0);
    com1_line(1);
    expect("edges", wait_for(count(VECTOR) == i + 2));
  }
  // 82093AA, "Interrupt mask": edges at a masked pin are ignored.
  ioapic_set(PIN, VECTOR | RTE_MASKED);
  com1_line(0);
  com1_line(1);
  com1_line(0);
  settle();
  check("masked", count(VECTOR), 21);
  ioapic_set(PIN, VECTOR);
  settle();
  check("an edge that was over before the mask was", count(VECTOR), 21);
  com1_line(1);
  expect("next edge", wait_for(count(VECTOR) == 22));
  // Two edges before one is taken are one: it is pending in IRR meanwhile.
  com1_line(0);
  com1_line(1);
  check("pending in IRR", lapic_bit(LAPIC_IRR, VECTOR), 1);
  com1_line(0);
  com1_line(1);
  settle();
  check("two edges, one interrupt", count(VECTOR), 23);
  // Accepted is accepted: a mask afterwards takes nothing back.
  com1_line(0);
  com1_line(1);
  ioapic_set(PIN, VECTOR | RTE_MASKED);
  expect("accepted before the mask", wait_for(count(VECTOR) == 24));
}

static u32 left, via_register;
static void level_handler(struct frame* frame) {
  (void)frame;
  check("remote IRR within the handler", ioapic_entry(PIN) & RTE_REMOTE_IRR, RTE_REMOTE_IRR);
  check("TMR says level", lapic_bit(LAPIC_TMR, VECTOR), 1);
  check("ISR", lapic_bit(LAPIC_ISR, VECTOR), 1);
  if (--left == 0) com1_line(0);
  if (via_register) {
    write32(IOAPIC + 0x40, VECTOR + 1);
    check("EOI register, another vector", ioapic_entry(PIN) & RTE_REMOTE_IRR, RTE_REMOTE_IRR);
    com1_line(0);
    write32(IOAPIC + 0x40, VECTOR);
    check("EOI register", ioapic_entry(PIN) & RTE_REMOTE_IRR, 0);
  }
  lapic_eoi();
}
static void levels(void) {
  fresh();
  handlers[VECTOR] = level_handler;
  ioapic_set(PIN, VECTOR | RTE_LEVEL);
  left = 5;
  com1_line(1);
  expect("delivered again while it is high", wait_for(count(VECTOR) == 5));
  settle();
  check("and not when it is low", count(VECTOR), 5);
  check("remote IRR at the end", ioapic_entry(PIN) & RTE_REMOTE_IRR, 0);
  // High before the pin is unmasked.
  ioapic_set(PIN, VECTOR | RTE_LEVEL | RTE_MASKED);
  com1_line(1);
  settle();
  check("masked", count(VECTOR), 5);
  left = 2;
  ioapic_set(PIN, VECTOR | RTE_LEVEL);
  expect("unmasked", wait_for(count(VECTOR) == 7));
  // A level that went away while the pin was masked is nothing.
  ioapic_set(PIN, VECTOR | RTE_LEVEL | RTE_MASKED);
  com1_line(1);
  com1_line(0);
  ioapic_set(PIN, VECTOR | RTE_LEVEL);
  settle();
  check("it fell while masked", count(VECTOR), 7);
  if ((version & 0xff) >= 0x20) {
    via_register = 1;
    left = 100;
    com1_line(1);
    expect("ended by the EOI register", wait_for(count(VECTOR) == 8));
    settle();
    check("once", count(VECTOR), 8);
    via_register = 0;
  } else {
    skipped("EOI register: this version has none");
  }
}

// Held high over several EOIs by a timer that counts itself.
static u32 pin_of_hpet;
static void hpet_handler(struct frame* frame) {
  (void)frame;
  check("remote IRR", ioapic_entry(pin_of_hpet) & RTE_REMOTE_IRR, RTE_REMOTE_IRR);
  check("status", read32(HPET + 0x20) & 1, 1);
  if (--left == 0) write32(HPET + 0x20, 1);
  lapic_eoi();
}
static void hpet_level(void) {
  fresh();
  hpet_stop();
  pin_of_hpet = hpet_pin(0);
  handlers[VECTOR] = hpet_handler;
  ioapic_set(pin_of_hpet, VECTOR | RTE_LEVEL);
  left = 3;
  write32(HPET_TIMER(0), pin_of_hpet << 9 | 1 << 2 | 1 << 1);
  write64(HPET_TIMER(0) + 8, hpet_ticks(500));
  write32(HPET + 0x10, 1);
  expect("HPET, three times for one match", wait_for(count(VECTOR) == 3));
  settle();
  check("and not after its status was cleared", count(VECTOR), 3);
  hpet_stop();
}

static void destinations(void) {
  start_secondary();
  // Physical.
  fresh();
  for (u32 i = 0; i < 10; ++i) {
    ioapic_set(PIN, VECTOR | RTE_TO(i & 1));
    com1_line(1);
    expect("physical destination", wait_for(counts[i & 1][VECTOR] == i / 2 + 1));
    com1_line(0);
  }
  check("all of them", count(VECTOR), 10);
  // A CPU that does not exist.
  ioapic_set(PIN, VECTOR | RTE_TO(9));
  com1_line(1);
  settle();
  check("nobody", count(VECTOR), 10);
  com1_line(0);
  // Logical, flat model: CPU n is bit n.
  fresh();
  for (u32 set = 1; set < 4; ++set) {
    clear_counts();
    ioapic_set(PIN, VECTOR | RTE_LOGICAL | RTE_TO(set));
    com1_line(1);
    expect("logical destination", wait_for(counts[0][VECTOR] == (set & 1) && counts[1][VECTOR] == set >> 1));
    settle();
    check("logical destination, CPU 0", counts[0][VECTOR], set & 1);
    check("logical destination, CPU 1", counts[1][VECTOR], set >> 1);
    com1_line(0);
  }
  clear_counts();
  ioapic_set(PIN, VECTOR | RTE_LOGICAL | RTE_TO(4));
  com1_line(1);
  settle();
  check("logical, nobody", count(VECTOR), 0);
  com1_line(0);
  // Lowest priority: one of them, each time.
  for (u32 i = 1; i <= 10; ++i) {
    ioapic_set(PIN, VECTOR | RTE_LOWEST | RTE_LOGICAL | RTE_TO(3));
    com1_line(1);
    expect("lowest priority", wait_for(count(VECTOR) == i));
    com1_line(0);
  }
  settle();
  check("lowest priority, one each", count(VECTOR), 10);
  clear_counts();
  ioapic_set(PIN, VECTOR | RTE_LOWEST | RTE_LOGICAL | RTE_TO(2));
  com1_line(1);
  expect("lowest priority of one", wait_for(counts[1][VECTOR] == 1));
  com1_line(0);
  if (!serves) return;
  // Levels at CPU 1, ended there.
  fresh();
  ioapic_set(PIN, VECTOR | RTE_LEVEL | RTE_TO(1));
  com1_line(1);
  expect("a level at CPU 1", wait_for(counts[1][VECTOR] >= 3));
  com1_line(0);
  expect("remote IRR at the end", wait_for((ioapic_entry(PIN) & RTE_REMOTE_IRR) == 0));
  settle();
  const u32 last = count(VECTOR);
  settle();
  check("it fell", count(VECTOR), last);
  check("CPU 0 got none of them", counts[0][VECTOR], 0);
}

// Two pins, one vector each; and two pins with one vector.
static void several_pins(void) {
  fresh();
  ioapic_set(1, OTHER);
  ioapic_set(PIN, VECTOR);
  com1_line(1);
  kbd_line(1);
  check("both pending", lapic_bit(LAPIC_IRR, VECTOR) << 1 | lapic_bit(LAPIC_IRR, OTHER), 3);
  expect("both", wait_for(order_count == 2));
  check("the higher vector first", order[0], OTHER);
  fresh();
  ioapic_set(12, OTHER);
  ioapic_set(PIN, OTHER);
  com1_line(1);
  expect("pin 4", wait_for(count(OTHER) == 1));
  aux_line(1);
  expect("pin 12, the same vector", wait_for(count(OTHER) == 2));
}

void test_main(void) {
  pit_stop();
  kbd_setup();
  registers();
  edges();
  serves = lapic_serves();
  if (serves) {
    levels();
    hpet_level();
  }
  several_pins();
  destinations();
}
void test_secondary(void) {
  for (;;) sleep();
}
