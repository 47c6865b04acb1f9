#include "devices.h"

// --- COM1 (PC16550D data sheet) ---

void com1_setup(void) {
  outb(COM1 + 1, 0);
  outb(COM1 + 3, 0x83);
  outb(COM1, 1);
  outb(COM1 + 1, 0);
  outb(COM1 + 3, 0x03);
  outb(COM1 + 2, 0x07);
  outb(COM1 + 4, 0x0b);  // DTR, RTS, and OUT2, which lets the interrupt out on a PC
  com1_quiet();
}
void com1_quiet(void) {
  outb(COM1 + 1, 0);
  outb(COM1 + 4, 0x0b);
}
void com1_line(int high) {
  outb(COM1 + 1, high ? 2 : 0);
}

// --- i8042 (IBM PS/2 technical reference, "Keyboard and auxiliary device controller") ---

static void kbd_command(u8 command) {
  for (int i = 0; i < 1000 && (inb(0x64) & 2) != 0; ++i) pause();
  outb(0x64, command);
}
static void kbd_data(u8 value) {
  for (int i = 0; i < 1000 && (inb(0x64) & 2) != 0; ++i) pause();
  outb(0x60, value);
}
static void kbd_drain(void) {
  for (int i = 0; i < 64 && (inb(0x64) & 1) != 0; ++i) inb(0x60);
}
void kbd_setup(void) {
  kbd_command(0xad);
  kbd_command(0xa7);
  kbd_drain();
  kbd_command(0x60);
  kbd_data(0x03);  // both interrupts on, translation off, both ports on
  kbd_drain();
}
void kbd_line(int high) {
  if (!high) return kbd_drain();
  kbd_command(0xd2);
  kbd_data(0x5a);
}
void aux_line(int high) {
  if (!high) return kbd_drain();
  kbd_command(0xd3);
  kbd_data(0xa5);
}

// --- i8254 (data sheet 231164) ---

void pit_write(u32 counter, u32 mode, u32 count) {
  outb(0x43, (u8)(counter << 6 | 0x30 | mode << 1));
  outb((u16)(0x40 + counter), (u8)count);
  outb((u16)(0x40 + counter), (u8)(count >> 8));
}
u32 pit_read(u32 counter) {
  outb(0x43, (u8)(counter << 6));
  const u32 low = inb((u16)(0x40 + counter));
  return low | (u32)inb((u16)(0x40 + counter)) << 8;
}
// A control word alone stops neither KVM's nor QEMU's counter.
void pit_stop(void) {
  pit_write(0, 0, 0);
}

u8 cmos_read(u8 index) {
  outb(0x70, index);
  return inb(0x71);
}
void cmos_write(u8 index, u8 value) {
  outb(0x70, index);
  outb(0x71, value);
}

// --- i8259 (data sheet 231468) ---

static void pic_init(u8 icw4) {
  outb(PIC1, 0x11);
  outb(PIC1 + 1, PIC_BASE);
  outb(PIC1 + 1, 0x04);
  outb(PIC1 + 1, icw4);
  outb(PIC2, 0x11);
  outb(PIC2 + 1, PIC_BASE + 8);
  outb(PIC2 + 1, 0x02);
  outb(PIC2 + 1, icw4 & 1);
  pic_mask(0xffff);
  outb(0x4d0, 0);
  outb(0x4d1, 0);
}
void pic_setup(u8 icw4) {
  pic_init(icw4);
  lapic_write(LAPIC_LINT0, 0x700);
}
void pic_off(void) {
  pic_init(1);
  lapic_write(LAPIC_LINT0, LVT_MASKED);
}
void pic_mask(u16 mask) {
  outb(PIC1 + 1, (u8)mask);
  outb(PIC2 + 1, (u8)(mask >> 8));
}
void pic_eoi(u32 irq) {
  if (irq >= 8) outb(PIC2, 0x20);
  outb(PIC1, 0x20);
}
void pic_handler(struct frame* frame) {
  pic_eoi((u32)frame->vector - PIC_BASE);
}
u16 pic_irr(void) {
  outb(PIC1, 0x0a);
  outb(PIC2, 0x0a);
  const u8 low = inb(PIC1);
  return (u16)(low | inb(PIC2) << 8);
}
u16 pic_isr(void) {
  outb(PIC1, 0x0b);
  outb(PIC2, 0x0b);
  const u8 low = inb(PIC1);
  return (u16)(low | inb(PIC2) << 8);
}

// --- I/O APIC (82093AA data sheet) ---

u32 ioapic_read(u32 index) {
  write32(IOAPIC, index);
  return read32(IOAPIC + 0x10);
}
void ioapic_write(u32 index, u32 value) {
  write32(IOAPIC, index);
  write32(IOAPIC + 0x10, value);
}
u64 ioapic_entry(u32 pin) {
  const u64 low = ioapic_read(0x10 + 2 * pin);
  return low | (u64)ioapic_read(0x11 + 2 * pin) << 32;
}
// The destination first: the low half may unmask.
void ioapic_set(u32 pin, u64 entry) {
  ioapic_write(0x11 + 2 * pin, (u32)(entry >> 32));
  ioapic_write(0x10 + 2 * pin, (u32)entry);
}
// As edge too: that clears remote IRR where there is no EOI register.
void ioapic_mask_all(void) {
  for (u32 pin = 0; pin < 24; ++pin) ioapic_set(pin, RTE_MASKED);
}

// --- Local APIC (SDM volume 3, chapter 11) ---

int lapic_x2(void) {
  return (rdmsr(0x1b) & 0x400) != 0;
}
u32 lapic_read(u32 offset) {
  if (lapic_x2()) return (u32)rdmsr(0x800 + offset / 16);
  return read32(LAPIC + offset);
}
void lapic_write(u32 offset, u32 value) {
  if (lapic_x2()) return wrmsr(0x800 + offset / 16, value);
  write32(LAPIC + offset, value);
}
void lapic_send(u32 destination, u32 low) {
  if (lapic_x2()) return wrmsr(0x830, (u64)destination << 32 | low);
  write32(LAPIC + LAPIC_ICR + 0x10, destination << 24);
  write32(LAPIC + LAPIC_ICR, low);
  for (int i = 0; i < 100000 && (read32(LAPIC + LAPIC_ICR) & 0x1000) != 0; ++i) pause();
}
void lapic_eoi(void) {
  lapic_write(0xb0, 0);
}
void lapic_handler(struct frame* frame) {
  (void)frame;
  lapic_eoi();
}
int lapic_bit(u32 bank, u32 vector) {
  return (lapic_read(bank + vector / 32 * 16) >> (vector % 32)) & 1;
}
static volatile u32 in_service;
static void look_at_isr(struct frame* frame) {
  in_service = (u32)lapic_bit(LAPIC_ISR, (u32)frame->vector);
  lapic_eoi();
}
int lapic_serves(void) {
  if (own_lapic()) return 1;
  in_service = 2;
  const handler before = handlers[0xd0];
  handlers[0xd0] = look_at_isr;
  lapic_send(this_cpu(), ICR_ASSERT | 0xd0);
  expect("an interrupt that looks at ISR", wait_for(in_service != 2));
  handlers[0xd0] = before;
  if (in_service == 0) skipped("nesting and levels: this KVM has no in-service bits");
  return in_service != 0;
}
void lapic_on(void) {
  lapic_write(LAPIC_SVR, 0x1ff);
  lapic_write(LAPIC_TIMER, LVT_MASKED);
  lapic_write(LAPIC_INITIAL, 0);
  lapic_write(LAPIC_LINT0, LVT_MASKED);
  lapic_write(LAPIC_LINT1, LVT_MASKED);
  lapic_write(LAPIC_ERROR, LVT_MASKED);
  lapic_write(LAPIC_TPR, 0);
  if (lapic_x2()) return;
  lapic_write(LAPIC_DFR, 0xffffffff);
  lapic_write(LAPIC_LDR, 1U << (24 + (lapic_read(LAPIC_ID) >> 24)));
}

// --- HPET (IA-PC HPET specification 1.0a) ---

// Pin 2 is the interval timer's as well, and QEMU's lines from 16 on are upside down in level mode: on its PC that
// leaves 8, on virt-x86_64 those of the node.
u32 hpet_pin(u32 timer) {
  const u32 pins = (u32)(read32(HPET_TIMER(timer) + 4)) & ~4U;
  for (u32 pin = 0; pin < 24; ++pin)
    if (pins >> pin & 1) return pin;
  return ~0U;
}
void hpet_stop(void) {
  write32(HPET + 0x10, 0);
  for (u32 i = 0; i < 3; ++i) write32(HPET_TIMER(i), 0);
  write32(HPET + 0x20, 7);
  write32(HPET + 0xf0, 0);
  write32(HPET + 0xf4, 0);
}
u64 hpet_ticks(u64 microseconds) {
  return microseconds * 1000000000UL / read32(HPET + 4);
}
