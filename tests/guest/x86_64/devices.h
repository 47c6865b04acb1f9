// The devices of a PC, as far as the programs drive them. Three lines can be held at a level by the guest itself:
// IRQ 4 (COM1's "transmitter empty"), IRQ 1 and 12 (the keyboard controller's output buffer).
#pragma once

#include "guest.h"

#define COM1 0x3f8
#define PM_EVENT 0x600
#define PM_CONTROL 0x604
#define PM_TIMER 0x608
#define HPET 0xfed00000UL
#define LAPIC 0xfee00000UL
#define IOAPIC 0xfec00000UL

void load_idt(void);

// COM1. Interrupts off; the line of IRQ 4 high and low.
void com1_setup(void);
void com1_quiet(void);
void com1_line(int high);

// The keyboard controller: its two lines. High: a byte is put into its output buffer; low: the byte is read.
// Only one of the two can be high.
void kbd_setup(void);
void kbd_line(int high);
void aux_line(int high);

// Interval timer.
void pit_write(u32 counter, u32 mode, u32 count);
u32 pit_read(u32 counter);
void pit_stop(void);  // counter 0 makes one more interrupt, after 55 ms
#define PIT_HZ 1193182UL

u8 cmos_read(u8 index);
void cmos_write(u8 index, u8 value);

// The pair of i8259.
#define PIC_BASE 0x20  // vectors 0x20 to 0x2f
#define PIC1 0x20
#define PIC2 0xa0
void pic_setup(u8 icw4);                // vectors from PIC_BASE on, all masked, edge-triggered; LINT0 = ExtINT
void pic_off(void);                     // initialised, all masked; LINT0 masked
void pic_mask(u16 mask);                // both mask registers
void pic_eoi(u32 irq);                  // non-specific, both chips as needed
void pic_handler(struct frame* frame);  // EOI only
u16 pic_irr(void);
u16 pic_isr(void);

// The I/O APIC.
u32 ioapic_read(u32 index);
void ioapic_write(u32 index, u32 value);
u64 ioapic_entry(u32 pin);
void ioapic_set(u32 pin, u64 entry);
void ioapic_mask_all(void);
#define RTE_LOWEST 0x100UL
#define RTE_NMI 0x400UL
#define RTE_LOGICAL 0x800UL
#define RTE_REMOTE_IRR 0x4000UL
#define RTE_LEVEL 0x8000UL
#define RTE_MASKED 0x10000UL
#define RTE_TO(id) ((u64)(id) << 56)

// The local APIC of this CPU. The registers are the same as MMIO and as MSRs but for ICR and the destination.
void lapic_on(void);  // enabled, spurious vector 0xff, LVTs masked, TPR 0; pending interrupts are not touched
u32 lapic_read(u32 offset);
void lapic_write(u32 offset, u32 value);
void lapic_send(u32 destination, u32 low);
void lapic_eoi(void);
void lapic_handler(struct frame* frame);  // EOI only
int lapic_bit(u32 bank, u32 vector);      // of ISR (0x100), TMR (0x180), IRR (0x200)
int lapic_x2(void);
// Whether an interrupt is in service while its handler runs. A KVM without in-service bits has no nesting either, and
// no end of a level interrupt.
int lapic_serves(void);
#define LAPIC_ID 0x20
#define LAPIC_VERSION 0x30
#define LAPIC_TPR 0x80
#define LAPIC_PPR 0xa0
#define LAPIC_LDR 0xd0
#define LAPIC_DFR 0xe0
#define LAPIC_SVR 0xf0
#define LAPIC_ISR 0x100
#define LAPIC_TMR 0x180
#define LAPIC_IRR 0x200
#define LAPIC_ESR 0x280
#define LAPIC_ICR 0x300
#define LAPIC_TIMER 0x320
#define LAPIC_LINT0 0x350
#define LAPIC_LINT1 0x360
#define LAPIC_ERROR 0x370
#define LAPIC_INITIAL 0x380
#define LAPIC_CURRENT 0x390
#define LAPIC_DIVIDE 0x3e0
#define LVT_MASKED 0x10000
#define ICR_SELF 0x40000
#define ICR_ALL 0x80000
#define ICR_OTHERS 0xc0000
#define ICR_LOGICAL 0x800
#define ICR_NMI 0x400
#define ICR_ASSERT 0x4000

// The HPET.
#define HPET_TIMER(n) (HPET + 0x100 + 0x20 * (n))
u32 hpet_pin(u32 timer);  // an I/O APIC pin that the timer can be routed to; ~0: none
void hpet_stop(void);     // halted, counter 0, timers off, no interrupt pending
u64 hpet_ticks(u64 microseconds);
