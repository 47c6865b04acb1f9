// Non-maskable interrupts: blocked from delivery to IRET, one more remembered, masked by nothing.
#include "devices.h"

const char test_name[] = "nmi";

static volatile u32 depth, deepest, nested_iret;

static void nmi_to(u32 cpu) {
  lapic_send(cpu, ICR_ASSERT | ICR_NMI);
}
// With accesses to nobody's port: guest.h, window().
static void wait_here(void) {
  for (const u64 from = rdtsc(); rdtsc() - from < 1 << 20;) outb(0x80, 0);
}

static void counted(struct frame* frame) {
  (void)frame;
}
static void sends_more(struct frame* frame) {
  (void)frame;
  depth = depth + 1;
  if (depth > deepest) deepest = depth;
  if (counts[0][2] == 1) {
    nmi_to(0);
    wait_here();
    nmi_to(0);
    wait_here();
    nmi_to(0);
    wait_here();
    check("blocked within the handler", counts[0][2], 1);
  }
  depth = depth - 1;
}
static void skip_ud2(struct frame* frame) {
  frame->rip += 2;
}
// The IRET of another exception within the handler ends the block as well (SDM volume 3, 6.7.1).
static void iret_inside(struct frame* frame) {
  (void)frame;
  if (counts[0][2] != 1) {
    nested_iret = depth;
    return;
  }
  depth = 1;
  nmi_to(0);
  wait_here();
  check("blocked", counts[0][2], 1);
  asm volatile("ud2" ::: "memory");
  for (u32 i = 0; i < 100 && counts[0][2] == 1; ++i) wait_here();
  depth = 0;
}

static void line_handler(struct frame* frame) {
  (void)frame;
}

void test_main(void) {
  pit_stop();
  handlers[2] = counted;
  cli();
  for (u32 i = 1; i <= 10; ++i) {
    nmi_to(0);
    for (u32 j = 0; j < 1000 && counts[0][2] != i; ++j) wait_here();
    check("comes with interrupts off", counts[0][2], i);
  }
  lapic_write(LAPIC_TPR, 0xff);
  nmi_to(0);
  for (u32 j = 0; j < 1000 && counts[0][2] != 11; ++j) wait_here();
  check("TPR does not hold it", counts[0][2], 11);
  lapic_write(LAPIC_TPR, 0);

  clear_counts();
  handlers[2] = sends_more;
  nmi_to(0);
  for (u32 j = 0; j < 1000 && counts[0][2] != 2; ++j) wait_here();
  wait_here();
  check("three while it was blocked are one", counts[0][2], 2);
  check("it did not nest", deepest, 1);

  clear_counts();
  handlers[2] = iret_inside;
  handlers[6] = skip_ud2;
  nmi_to(0);
  for (u32 j = 0; j < 1000 && counts[0][2] != 2; ++j) wait_here();
  check("one more", counts[0][2], 2);
  check("let in by an IRET within", nested_iret, 1);
  handlers[6] = 0;

  // By a pin of the I/O APIC; the vector is ignored.
  clear_counts();
  handlers[2] = line_handler;
  ioapic_set(4, RTE_NMI | 0x77);
  com1_line(1);
  for (u32 j = 0; j < 1000 && counts[0][2] != 1; ++j) wait_here();
  wait_here();
  check("by a line", counts[0][2], 1);
  com1_line(0);
  ioapic_set(4, RTE_MASKED);

  // A CPU that sleeps with interrupts off wakes for it only.
  clear_counts();
  handlers[0x60] = lapic_handler;
  handlers[2] = counted;
  start_secondary();
  lapic_send(1, ICR_ASSERT | 0x60);
  settle();
  check("an interrupt waits", count(0x60), 0);
  // One that comes before it has come to its HLT does not end that.
  for (u32 i = 0; i < 20 && depth != 7; ++i) {
    nmi_to(1);
    for (u32 j = 0; j < 1000 && depth != 7; ++j) wait_here();
  }
  check("it woke", depth, 7);
  expect("then the interrupt", wait_for(counts[1][0x60] == 1));
  settle();
  const u32 before = counts[1][2];
  lapic_send(0, ICR_OTHERS | ICR_ASSERT | ICR_NMI);
  expect("NMI to all others", wait_for(counts[1][2] == before + 1));
  check("not to this one", counts[0][2], 0);
}

void test_secondary(void) {
  // An access to nobody's port after each: guest.h, window(). Where the local APIC is KVM's, HLT is too, and one that
  // emulates kernel-mode code may end it for nothing.
  u32 halts = 0;
  do {
    asm volatile("cli\n hlt\n outb %%al, $0x80" ::: "memory");
    halts = halts + 1;
  } while (counts[1][2] == 0 && counts[1][0x60] == 0 && halts < 1000);
  if (own_lapic() || !on_solder()) check("one HLT", halts, 1);
  check("woken by an NMI", counts[1][2] != 0, 1);
  check("not by the interrupt", counts[1][0x60], 0);
  depth = 7;
  for (;;) sleep();
}
