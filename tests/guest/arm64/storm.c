// A storm of interrupts from the device "solder,storm-test" (src/models/test/storm.cpp), which storm.dts adds to the
// board: several dozens of sources at once, their routes changed between shared interrupts of both CPUs meanwhile. The
// handlers count in memory; the device compares. The board's GIC takes no messages.
#include "guest.h"

const char test_name[] = "storm";

#define DEVICE_AT 0x0b000000UL
#define GICD 0x08000000UL
#define GICR 0x080a0000UL
#define R32(address) (*(volatile u32 *)(address))

#define EVENTFD 0
#define RAISED 1
#define EDGE 2
#define LEVEL 3
#define RESAMPLE 4

// The node's interrupts are shared interrupts from FIRST on; each counts in the slot of its number.
#define FIRST 96
#define INTERRUPTS 66
#define EDGE_WIRES 4         // 0 to 3
#define LEVEL_PINS 4         // 4 to 7: two with two wires each, two that a route changes between
#define CAUSE_SLOT 96
#define SLOTS 128
static struct {
  volatile u32 heartbeat, state, unused[14];
  volatile u32 counts[2][SLOTS];
} block __attribute__((aligned(64)));

static u32 causes_of[INTERRUPTS];
static u32 next_cause;
static volatile u64 secondary_running;

static int is_level(u32 interrupt) { return interrupt >= EDGE_WIRES && interrupt < EDGE_WIRES + LEVEL_PINS; }

int test_trap(struct frame *frame, u64 vector) {
  (void)frame;
  if ((vector & 3) != 1) return 0;
  const u64 id = read_register(S3_0_C12_C12_0);  // ICC_IAR1_EL1
  if (id == 1023) return 1;                       // was withdrawn
  volatile u32 *counts = block.counts[read_register(mpidr_el1) & 1];
  const u32 interrupt = (u32)id - FIRST;
  if (interrupt >= INTERRUPTS) {
    check("interrupt number", id, FIRST);
  } else if (!is_level(interrupt)) {
    counts[interrupt] = counts[interrupt] + 1;
  } else {
    const u32 causes = R32(DEVICE_AT + 0x34) & causes_of[interrupt];
    R32(DEVICE_AT + (causes ? 0x38 : 0x3c)) = causes ? causes : 1;
    for (u32 i = 0; i < 32; ++i)
      if (causes >> i & 1) counts[CAUSE_SLOT + i] = counts[CAUSE_SLOT + i] + 1;
  }
  dsb();
  write_register(S3_0_C12_C12_1, id);  // ICC_EOIR1_EL1
  return 1;
}

static void cpu_interface(u64 cpu) {
  const u64 frame = GICR + cpu * 0x20000;
  R32(frame + 0x14) = R32(frame + 0x14) & ~2U;
  while (R32(frame + 0x14) & 4) {}
  write_register(S3_0_C12_C12_5, 1);  // ICC_SRE_EL1
  isb();
  write_register(S3_0_C4_C6_0, 0xf0);  // ICC_PMR_EL1
  write_register(S3_0_C12_C12_7, 1);   // ICC_IGRPEN1_EL1
  isb();
}

static void target(u32 interrupt, u32 slot) {
  R32(DEVICE_AT + 0x20) = interrupt;
  R32(DEVICE_AT + 0x24) = slot;
}
static void make(u32 kind) { R32(DEVICE_AT + 0x28) = kind; }
static void level_wire(u32 interrupt) {
  causes_of[interrupt] |= 1U << next_cause;
  target(interrupt, CAUSE_SLOT + next_cause++);
  make(LEVEL);
}

static void sources(void) {
  for (u32 i = 0; i < EDGE_WIRES; ++i) {
    target(i, i);
    make(EDGE);
  }
  u32 next = EDGE_WIRES + LEVEL_PINS;
  for (u32 i = 0; i < 29; ++i, next += 2) {
    target(next, next);
    target(next + 1, next + 1);
    make(i < 16 ? EVENTFD : RAISED);
  }
  for (u32 i = 0; i < 4; ++i) level_wire(EDGE_WIRES + i / 2);
  for (u32 i = EDGE_WIRES + 2; i < EDGE_WIRES + 4; ++i) {
    causes_of[i] = 1U << next_cause;
    target(i, CAUSE_SLOT + next_cause);
  }
  ++next_cause;
  make(RESAMPLE);
}

void test_main(void) {
  mmu_on();
  R32(GICD) = 0x12;  // affinity routing, group 1
  for (u32 i = 0; i < INTERRUPTS; ++i) {
    const u32 id = FIRST + i;
    volatile u32 *group = &R32(GICD + 0x80 + id / 32 * 4);
    volatile u32 *configuration = &R32(GICD + 0xc00 + id / 16 * 4);
    *group = *group | 1U << id % 32;
    if (!is_level(i)) *configuration = *configuration | 2U << id % 16 * 2;
    *(volatile u8 *)(GICD + 0x400 + id) = 0x80;
    *(volatile u64 *)(GICD + 0x6000 + 8 * id) = i & 1;  // GICD_IROUTER
    R32(GICD + 0x100 + id / 32 * 4) = 1U << id % 32;
  }
  cpu_interface(0);
  check("device", R32(DEVICE_AT + 0x30), 0);
  sources();
  start_secondary();
  while (!secondary_running) {}
  R32(DEVICE_AT + 0x00) = (u32)(u64)&block;
  R32(DEVICE_AT + 0x04) = (u32)((u64)&block >> 32);
  R32(DEVICE_AT + 0x08) = 2;
  R32(DEVICE_AT + 0x0c) = SLOTS;
  R32(DEVICE_AT + 0x30) = 1;
  check("running", R32(DEVICE_AT + 0x30), 1);
  asm volatile("msr daifclr, #2");
  // A failure ends the machine.
  while (block.state != 2) block.heartbeat = block.heartbeat + 1;
  asm volatile("msr daifset, #2");
  check("done", R32(DEVICE_AT + 0x30), 2);
}

void test_secondary(void) {
  cpu_interface(1);
  secondary_running = 1;
  asm volatile("msr daifclr, #2");
  for (;;) asm volatile("wfi");
}
