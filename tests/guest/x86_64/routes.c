// Entries of the I/O APIC rewritten while interrupts come: none that was accepted is lost, none comes twice.
// CPU 0 raises the lines and counts; CPU 1 gives the entries other vectors and destinations all the time.
#include "devices.h"

const char test_name[] = "routes";

#define FIRST 0x50   // 0x50 to 0x5f: COM1's
#define SECOND 0x60  // the HPET's
#define ROUNDS 300

static volatile u32 go, rewritten, pin_of_hpet, level_count, level_spurious;

static u32 at_cpu(u32 cpu) {
  u32 sum = 0;
  for (u32 v = FIRST; v < FIRST + 16; ++v) sum += counts[cpu][v];
  return sum;
}
static u32 all(void) {
  return at_cpu(0) + at_cpu(1);
}

static void edges(void) {
  clear_counts();
  ioapic_set(4, FIRST);
  go = 1;
  expect("rewriting", wait_for(rewritten > 10));
  for (u32 i = 0, last = 0; i < ROUNDS; ++i) {
    // Whoever runs the two CPUs may run one of them for long.
    if (i % 4 == 0) expect("rewriting goes on", wait_for(rewritten != last));
    last = rewritten;
    com1_line(1);
    if (!wait_for(all() > i)) {
      check("lost after", i, ROUNDS);
      break;
    }
    com1_line(0);
  }
  go = 0;
  settle();
  check("as many interrupts as edges", all(), ROUNDS);
  expect("both CPUs got some", at_cpu(0) != 0 && at_cpu(1) != 0);
  expect("entries were rewritten meanwhile", rewritten > ROUNDS / 4);
  ioapic_set(4, RTE_MASKED);
}

// Level: only the destination changes, since an EOI finds the entry by its vector. The device says in its status
// whether it wants something; each match is served once, and the line is low then.
static void level_handler(struct frame* frame) {
  (void)frame;
  if (read32(HPET + 0x20) & 1) {
    write32(HPET + 0x20, 1);
    __atomic_fetch_add(&level_count, 1, __ATOMIC_SEQ_CST);
  } else {
    __atomic_fetch_add(&level_spurious, 1, __ATOMIC_SEQ_CST);
  }
  lapic_eoi();
}
static void levels(void) {
  handlers[SECOND] = level_handler;
  hpet_stop();
  pin_of_hpet = hpet_pin(0);
  ioapic_set(pin_of_hpet, SECOND | RTE_LEVEL);
  write32(HPET + 0x10, 1);
  rewritten = 0;
  go = 2;
  expect("rewriting", wait_for(rewritten > 10));
  for (u32 i = 0; i < ROUNDS / 4; ++i) {
    // Halted meanwhile: on a busy host any time may pass between two writes.
    write32(HPET + 0x10, 0);
    write32(HPET_TIMER(0), pin_of_hpet << 9 | 1 << 2 | 1 << 1);
    write64(HPET_TIMER(0) + 8, read64(HPET + 0xf0) + hpet_ticks(200));
    write32(HPET + 0x10, 1);
    if (!wait_for(level_count > i)) {
      check("level lost after", i, ROUNDS / 4);
      break;
    }
  }
  go = 0;
  settle();
  check("as many as matches", level_count, ROUNDS / 4);
  // The handler counts before it ends the interrupt, and a busy host may stop its CPU between the two.
  expect("remote IRR falls", wait_for((ioapic_entry(pin_of_hpet) & RTE_REMOTE_IRR) == 0));
  hpet_stop();
  ioapic_set(pin_of_hpet, RTE_MASKED);
}

// Masked and given another vector right after it was accepted.
static void masks(void) {
  clear_counts();
  ioapic_set(4, FIRST);
  for (u32 i = 0; i < 50; ++i) {
    com1_line(1);
    ioapic_set(4, (FIRST + i % 16) | RTE_MASKED);
    com1_line(0);
    ioapic_set(4, FIRST + (i + 1) % 16);
    window();
  }
  settle();
  check("accepted before the mask", all(), 50);
  ioapic_set(4, RTE_MASKED);
}

void test_main(void) {
  pit_stop();
  for (u32 v = FIRST; v < FIRST + 16; ++v) handlers[v] = lapic_handler;
  masks();
  start_secondary();
  edges();
  if (lapic_serves()) levels();
}

// The halves of an entry cannot be written together; every mixture of old and new is a right entry.
void test_secondary(void) {
  for (u32 i = 0;; ++i) {
    window();
    if (go == 0) continue;
    const u32 step = i * 5 + (i >> 3);
    if (go == 1) ioapic_set(4, (FIRST + step % 16) | RTE_TO(step >> 2 & 1));
    if (go == 2) ioapic_set(pin_of_hpet, SECOND | RTE_LEVEL | RTE_TO(step >> 2 & 1));
    rewritten = rewritten + 1;
  }
}
