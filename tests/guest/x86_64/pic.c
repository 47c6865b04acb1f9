// The pair of i8259: initialisation, edges and levels, masks, every way of priority and of ending, poll, cascade.
// Lines: keyboard (1), COM1 (4), mouse (12), which the program holds high or low; then timer and clock.
#include "devices.h"

const char test_name[] = "pic";

#define KBD 0x21
#define COM 0x24
#define AUX 0x2c
#define RTC 0x28

static void lines_low(void) {
  com1_line(0);
  kbd_line(0);
}
// A fresh start; `icw4` 1, or 3 for automatic end of interrupt.
static void fresh(u8 icw4) {
  lines_low();
  pic_setup(icw4);
  for (u32 v = 0x20; v < 0x30; ++v) handlers[v] = icw4 & 2 ? 0 : pic_handler;
  clear_counts();
}
static void nothing(struct frame* frame) {
  (void)frame;
}

static void registers(void) {
  fresh(1);
  pic_mask(0xa55a);
  check("mask registers", inb(PIC1 + 1) | inb(PIC2 + 1) << 8, 0xa55a);
  outb(PIC1, 0x11);
  outb(PIC1 + 1, PIC_BASE);
  outb(PIC1 + 1, 4);
  outb(PIC1 + 1, 1);
  check("ICW1 clears the mask", inb(PIC1 + 1), 0);
  pic_mask(0xffff);
  outb(0x4d0, 0xff);
  outb(0x4d1, 0xff);
  check("ELCR of the master: not 0, 1, 2", inb(0x4d0), 0xf8);
  check("ELCR of the slave: not 8, 13", inb(0x4d1), 0xde);
  outb(0x4d0, 0);
  outb(0x4d1, 0);
  check("nothing is in service", pic_isr(), 0);
}

static void edges(void) {
  fresh(1);
  pic_mask(0xffff);
  com1_line(1);
  check("request of a masked line", pic_irr() >> 4 & 1, 1);
  settle();
  check("masked", count(COM), 0);
  pic_mask(0xffef);
  expect("unmasked", wait_for(count(COM) == 1));
  settle();
  check("one for an edge, though the line is high", count(COM), 1);
  check("request was taken", pic_irr() >> 4 & 1, 0);
  com1_line(0);
  com1_line(1);
  expect("next edge", wait_for(count(COM) == 2));
  com1_line(0);
  // LINT0 masked: nobody hears the pair.
  lapic_write(LAPIC_LINT0, 0x700 | LVT_MASKED);
  com1_line(1);
  settle();
  check("LINT0 masked", count(COM), 2);
  lapic_write(LAPIC_LINT0, 0x700);
  if (!own_lapic() && !wait_for(count(COM) == 3)) {
    skipped("LINT0 unmasked: KVM looks at the pair again with the next interrupt");
    handlers[0xd1] = lapic_handler;
    lapic_send(this_cpu(), ICR_ASSERT | 0xd1);
  }
  expect("LINT0 unmasked", wait_for(count(COM) == 3));
  com1_line(0);
}

static u32 left;
static void level_handler(struct frame* frame) {
  check("in service within the handler", pic_isr() & 0x10, 0x10);
  if (--left == 0) com1_line(0);
  pic_handler(frame);
}
static void levels(void) {
  fresh(1);
  outb(0x4d0, 0x10);
  handlers[COM] = level_handler;
  pic_mask(0xffef);
  left = 3;
  com1_line(1);
  expect("a level comes again until it falls", wait_for(count(COM) == 3));
  settle();
  check("and not then", count(COM), 3);
  check("request follows the level", pic_irr() & 0x10, 0);
  // A level that falls before it is taken is forgotten.
  com1_line(1);
  check("request", pic_irr() & 0x10, 0x10);
  com1_line(0);
  check("request that fell", pic_irr() & 0x10, 0);
  settle();
  check("nothing was taken", count(COM), 3);
  outb(0x4d0, 0);
}

// All three lines at once (keyboard and mouse share a buffer, so one's edge follows the other's).
static void three_requests(void) {
  com1_line(1);
  kbd_line(1);
  kbd_line(0);
  aux_line(1);
  check("three requests", pic_irr() & 0x1016, 0x1016);
}
static void expect_order(const char* what, u8 first, u8 second, u8 third) {
  expect(what, wait_for(order_count == 3));
  check(what, (u64)order[0] << 16 | order[1] << 8 | order[2], (u64)first << 16 | second << 8 | third);
  lines_low();
}

static volatile u32 seen_within;
static void nest_low(struct frame* frame) {
  kbd_line(1);
  const u32 before = counts[0][KBD];
  window();
  check("a higher request nests", counts[0][KBD], before + 1);
  pic_handler(frame);
}
static void nest_high(struct frame* frame) {
  check("both in service", pic_isr() & 0x12, 0x12);
  com1_line(0);
  com1_line(1);
  const u32 before = counts[0][COM];
  window();
  check("a lower request waits", counts[0][COM], before);
  com1_line(0);
  kbd_line(0);
  handlers[COM] = pic_handler;
  pic_handler(frame);
}

static void priorities(void) {
  fresh(1);
  pic_mask(0xefe9);
  three_requests();
  expect_order("fixed priorities", KBD, AUX, COM);

  // Nesting: COM1's handler is interrupted by the keyboard, not the other way round.
  fresh(1);
  pic_mask(0xefe9);
  handlers[COM] = nest_low;
  handlers[KBD] = nest_high;
  com1_line(1);
  expect("both, and what waited", wait_for(count(COM) == 2));
  check("keyboard", count(KBD), 1);
  lines_low();

  // Set priority: 3 is lowest, so 4 is highest.
  fresh(1);
  pic_mask(0xefe9);
  outb(PIC1, 0xc3);
  three_requests();
  expect_order("priority set to 3", COM, KBD, AUX);
  outb(PIC1, 0xc7);
}

static void rotate_handler(struct frame* frame) {
  const u32 irq = (u32)frame->vector - PIC_BASE;
  if (irq >= 8) outb(PIC2, 0x20);
  outb(PIC1, 0xa0);  // rotate on non-specific EOI
}
static void rotation(void) {
  fresh(1);
  pic_mask(0xffed);
  handlers[KBD] = rotate_handler;
  kbd_line(1);
  expect("keyboard", wait_for(count(KBD) == 1));
  kbd_line(0);
  // 1 is lowest now: COM1 comes first.
  handlers[KBD] = pic_handler;
  kbd_line(1);
  com1_line(1);
  expect("both", wait_for(order_count == 3));
  check("after a rotation COM1 is first", order[1], COM);
  check("then the keyboard", order[2], KBD);
  // Specific rotation: 7 is lowest again.
  lines_low();
  handlers[COM] = nothing;
  com1_line(1);
  expect("COM1", wait_for(order_count == 4));
  check("in service", pic_isr(), 0x10);
  outb(PIC1, 0xe7);  // rotate on specific EOI of 7: ends nothing
  check("still in service", pic_isr(), 0x10);
  outb(PIC1, 0x64);  // specific EOI
  check("specific EOI", pic_isr(), 0);
  lines_low();
  handlers[COM] = pic_handler;
  com1_line(1);
  kbd_line(1);
  expect("both again", wait_for(order_count == 6));
  check("fixed order again", order[4], KBD);
  lines_low();
}

static void auto_end(void) {
  fresh(3);
  pic_mask(0xffed);
  handlers[KBD] = handlers[COM] = nothing;
  com1_line(1);
  kbd_line(1);
  expect("without any EOI", wait_for(order_count == 2));
  check("order", order[0] << 8 | order[1], KBD << 8 | COM);
  check("nothing stays in service", pic_isr() & 0xff, 0);
  lines_low();
  com1_line(1);
  expect("again", wait_for(count(COM) == 2));
  lines_low();
  // Rotation with automatic EOI: what was served becomes lowest.
  outb(PIC1, 0x80);
  clear_counts();
  kbd_line(1);
  expect("keyboard", wait_for(count(KBD) == 1));
  lines_low();
  kbd_line(1);
  com1_line(1);
  expect("both", wait_for(order_count == 3));
  check("rotated", order[1] << 8 | order[2], COM << 8 | KBD);
  outb(PIC1, 0x00);
  lines_low();
}

static void special_mask_handler(struct frame* frame) {
  com1_line(1);
  window();
  check("a lower request waits", count(COM), 0);
  pic_mask(0xffef);  // the keyboard is masked, COM1 not
  window();
  check("a mask alone does not help", count(COM), 0);
  outb(PIC1, 0x68);  // special mask mode; QEMU and KVM look again only when a mask is written
  pic_mask(0xffef);
  window();
  if (!own_devices() && count(COM) == 0) {
    skipped("special mask mode: KVM has none");
  } else {
    check("special mask mode lets a lower one in", count(COM), 1);
  }
  check("the keyboard is still in service", pic_isr() & 0x12, 0x02);
  pic_mask(0xffed);
  outb(PIC1, 0x48);
  (void)frame;
  outb(PIC1, 0x61);
}
static void specific_com_handler(struct frame* frame) {
  (void)frame;
  outb(PIC1, 0x64);
}
static void special_mask(void) {
  fresh(1);
  handlers[KBD] = special_mask_handler;
  handlers[COM] = specific_com_handler;
  pic_mask(0xffed);
  kbd_line(1);
  expect("keyboard", wait_for(count(KBD) == 1));
  check("nothing is in service", pic_isr(), 0);
  lines_low();
}

static void poll(void) {
  fresh(1);
  lapic_write(LAPIC_LINT0, LVT_MASKED);
  pic_mask(0xffef);
  outb(PIC1, 0x0c);
  const u8 none = inb(PIC1);
  com1_line(1);
  outb(PIC1, 0x0c);
  const u8 one = inb(PIC1);
  const u8 in_service = (u8)pic_isr();
  check("poll's level", one & 7, 4);
  // KVM's answer may lack bit 7, and it ends at once what was polled.
  if (own_devices() || in_service != 0) {
    check("poll of nothing", none & 0x80, 0);
    check("poll", one & 0x80, 0x80);
    check("polled is in service", in_service, 0x10);
    outb(PIC1, 0x20);
  } else {
    skipped("poll: KVM's ends the interrupt by itself");
  }
  check("nothing is in service", pic_isr(), 0);
  check("request was taken", pic_irr() & 0x10, 0);
  lines_low();
  lapic_write(LAPIC_LINT0, 0x700);
  window();
  check("polled, not interrupted", count(COM), 0);
}

static void cascade_handler(struct frame* frame) {
  (void)frame;
  check("12 and the cascade are in service", pic_isr(), 0x1004);
  outb(PIC2, 0x20);
  check("the slave's EOI", pic_isr(), 0x0004);
  outb(PIC1, 0x62);
  check("the master's EOI", pic_isr(), 0);
}
static void cascade(void) {
  fresh(1);
  handlers[AUX] = cascade_handler;
  pic_mask(0xefff);
  aux_line(1);
  settle();
  check("the cascade is masked", count(AUX), 0);
  pic_mask(0xeffb);
  expect("mouse", wait_for(count(AUX) == 1));
  lines_low();
  // A mask on the slave.
  pic_mask(0xfffb);
  aux_line(1);
  settle();
  check("masked at the slave", count(AUX), 1);
  pic_mask(0xeffb);
  expect("unmasked at the slave", wait_for(count(AUX) == 2));
  lines_low();
}

// Other vectors, and another chip's devices.
static void sources(void) {
  fresh(1);
  pic_mask(0xfffe);
  pit_write(0, 2, 1193);
  expect("timer", wait_for(count(0x20) >= 5));
  pit_stop();
  pic_mask(0xffff);

  fresh(1);
  cmos_write(0x0b, cmos_read(0x0b) & 0x8f);
  cmos_write(0x0a, 0x26);
  cmos_read(0x0c);
  pic_mask(0xfefb);
  cmos_write(0x0b, (u8)(cmos_read(0x0b) | 0x40));
  expect("clock", wait_for(count(RTC) == 1));
  settle_long();
  check("clock, until its flags are read", count(RTC), 1);
  expect("flags", (cmos_read(0x0c) & 0xc0) == 0xc0);
  expect("clock again", wait_for(count(RTC) == 2));
  cmos_write(0x0b, cmos_read(0x0b) & 0x8f);
  cmos_read(0x0c);

  lines_low();
  outb(PIC1, 0x11);
  outb(PIC1 + 1, 0x68);
  outb(PIC1 + 1, 4);
  outb(PIC1 + 1, 1);
  pic_mask(0xffef);
  handlers[0x6c] = pic_handler;
  handlers[0x6c] = specific_com_handler;
  com1_line(1);
  expect("another base of vectors", wait_for(count(0x6c) == 1));
  lines_low();
}

void test_main(void) {
  pit_stop();
  kbd_setup();
  registers();
  edges();
  levels();
  priorities();
  rotation();
  auto_end();
  special_mask();
  poll();
  cascade();
  sources();
}
