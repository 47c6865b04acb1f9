// A storm of interrupts from the device "solder,storm-test" (src/models/test/storm.cpp), which storm.dts adds to the
// board: several dozens of sources at once, their routes changed meanwhile. The handlers count in memory; the device
// compares.
#include "devices.h"

const char test_name[] = "storm";

#define DEVICE 0xfed40000UL
#define EVENTFD 0
#define MESSAGE 1
#define EDGE 2
#define LEVEL 3
#define RESAMPLE 4

#define SLOTS 288  // a vector each, then a cause each
#define CAUSE_SLOT 256
static struct {
  volatile u32 heartbeat, state, unused[14];
  volatile u32 counts[2][SLOTS];
} block __attribute__((aligned(64)));

struct gate {
  u16 low, selector;
  u8 stack, type;
  u16 middle;
  u32 high, zero;
};
static struct gate tables[2][256] __attribute__((aligned(16)));
static u8 stubs[2][256][32] __attribute__((aligned(16)));
static u32 next_vector = 0x30;
static u32 causes_of[256];  // by vector: the causes of level sources there
static u32 next_cause;
static int by_pic;

// The shortest handler: count, EOI. One for each CPU, so that it need not ask which it is on.
static u32 put32(u8* to, u32 value) {
  for (u32 i = 0; i < 4; ++i) to[i] = (u8)(value >> (8 * i));
  return 4;
}
static void counting_stub(u32 vector) {
  for (u32 cpu = 0; cpu < 2; ++cpu) {
    u8* code = stubs[cpu][vector];
    const u64 at = (u64)code;
    u32 n = 0;
    code[n++] = 0x50;  // push %rax
    code[n++] = 0xb8;  // mov $EOI, %eax
    n += put32(code + n, LAPIC + 0xb0);
    code[n++] = 0xff, code[n++] = 0x04, code[n++] = 0x25;  // incl count
    n += put32(code + n, (u32)(u64)&block.counts[cpu][vector]);
    code[n++] = 0xc7, code[n++] = 0x00;  // movl $0, (%rax)
    n += put32(code + n, 0);
    code[n++] = 0x58;                     // pop %rax
    code[n++] = 0x48, code[n++] = 0xcf;  // iretq
    tables[cpu][vector] = (struct gate){(u16)at, 0x18, 0, 0x8e, (u16)(at >> 16), (u32)(at >> 32), 0};
  }
}
static void take_table(u32 cpu) {
  struct {
    u16 limit;
    u64 base;
  } __attribute__((packed)) pointer = {sizeof tables[cpu] - 1, (u64)tables[cpu]};
  asm volatile("lidt %0" ::"m"(pointer) : "memory");
}

// Asks the device for the causes, serves them, and counts each.
static void level_handler(struct frame* frame) {
  const u32 vector = (u32)frame->vector;
  const u32 causes = read32(DEVICE + 0x34) & causes_of[vector];
  if (causes == 0) write32(DEVICE + 0x3c, 1);
  if (causes != 0) write32(DEVICE + 0x38, causes);
  volatile u32* counts_here = &block.counts[this_cpu()][CAUSE_SLOT];
  for (u32 i = 0; i < 32; ++i)
    if (causes >> i & 1) counts_here[i] = counts_here[i] + 1;
  if (by_pic)
    pic_eoi(vector - PIC_BASE);
  else
    lapic_eoi();
}

static void message_target(u32 cpu) {
  const u32 vector = next_vector++;
  counting_stub(vector);
  write32(DEVICE + 0x10, 0xfee00000U | cpu << 12);
  write32(DEVICE + 0x14, 0);
  write32(DEVICE + 0x18, vector);
  write32(DEVICE + 0x1c, vector);
}
static void pin_target(u32 interrupt, u32 pin, u32 cpu) {
  const u32 vector = next_vector++;
  counting_stub(vector);
  ioapic_set(pin, vector | RTE_TO(cpu));
  write32(DEVICE + 0x20, interrupt);
  write32(DEVICE + 0x24, vector);
}
static void make(u32 kind) {
  write32(DEVICE + 0x28, kind);
}

// A level source whose interrupt ends at an I/O APIC pin with `vector`, or at the i8259 pair.
static void level_source(u32 kind, u32 interrupt, u32 vector) {
  causes_of[vector] |= 1U << next_cause;
  write32(DEVICE + 0x20, interrupt);
  write32(DEVICE + 0x24, CAUSE_SLOT + next_cause++);
  make(kind);
}
static void level_pin(u32 pin, u32 vector, u32 cpu) {
  handlers[vector] = level_handler;
  ioapic_set(pin, vector | RTE_LEVEL | RTE_TO(cpu));
}

static void sources(void) {
  static const u8 pins[] = {16, 17, 18, 19};
  for (u32 i = 0; i < 16; ++i) {
    message_target(i & 1);
    message_target(~i & 1);
    if (i < 4) pin_target(5 + i, pins[i], i >> 1 & 1);
    make(EVENTFD);
  }
  for (u32 i = 0; i < 12; ++i) {
    message_target(~i & 1);
    message_target(i & 1);
    if (i < 2) pin_target(9 + i, 13 + i, i);
    make(MESSAGE);
  }
  for (u32 i = 0; i < 3; ++i) {
    pin_target(i, 3 + 2 * i, i & 1);
    make(EDGE);
  }
}

static void levels(void) {
  if (lapic_serves()) {
    // Two sources on each of two pins, and one that changes between two pins.
    const u32 first = next_vector;
    next_vector += 4;
    level_pin(11, first, 0);
    level_pin(15, first + 1, 1);
    level_source(LEVEL, 3, first);
    level_source(LEVEL, 3, first);
    level_source(LEVEL, 4, first + 1);
    level_source(LEVEL, 4, first + 1);
    level_pin(21, first + 2, 0);
    level_pin(22, first + 3, 1);
    causes_of[first + 2] = causes_of[first + 3] = 1U << next_cause;
    for (u32 i = 0; i < 2; ++i) {
      write32(DEVICE + 0x20, 11 + i);
      write32(DEVICE + 0x24, CAUSE_SLOT + next_cause);
    }
    ++next_cause;
    make(RESAMPLE);
    return;
  }
  // The i8259 pair has levels where the local APIC has none; on CPU 0 only.
  skipped("levels through the I/O APIC: here they go through the i8259 pair");
  by_pic = 1;
  pic_setup(1);
  outb(0x4d0, 1 << 6);
  outb(0x4d1, 1 << 3 | 1 << 7);
  handlers[PIC_BASE + 11] = handlers[PIC_BASE + 15] = handlers[PIC_BASE + 6] = level_handler;
  level_source(LEVEL, 3, PIC_BASE + 11);
  level_source(LEVEL, 3, PIC_BASE + 11);
  level_source(LEVEL, 4, PIC_BASE + 15);
  level_source(LEVEL, 4, PIC_BASE + 15);
  level_source(RESAMPLE, 13, PIC_BASE + 6);
  pic_mask((u16) ~(1 << 2 | 1 << 6 | 1 << 11 | 1 << 15));
}

void test_main(void) {
  pit_stop();
  if (!on_solder()) {
    skipped("QEMU has no solder,storm-test");
    return;
  }
  check("device", read32(DEVICE + 0x30), 0);
  struct {
    u16 limit;
    u64 base;
  } __attribute__((packed)) pointer;
  asm volatile("sidt %0" : "=m"(pointer)::"memory");
  memcpy(tables[0], (void*)pointer.base, sizeof tables[0]);
  memcpy(tables[1], (void*)pointer.base, sizeof tables[1]);
  sources();
  take_table(0);
  start_secondary();
  levels();
  write32(DEVICE + 0x00, (u32)(u64)&block);
  write32(DEVICE + 0x04, 0);
  write32(DEVICE + 0x08, 2);
  write32(DEVICE + 0x0c, SLOTS);
  write32(DEVICE + 0x30, 1);
  check("running", read32(DEVICE + 0x30), 1);
  // A failure ends the machine.
  while (block.state != 2) {
    window();
    block.heartbeat = block.heartbeat + 1;
  }
  check("done", read32(DEVICE + 0x30), 2);
}

// Awake and asleep by turns.
void test_secondary(void) {
  take_table(1);
  for (u32 i = 0;; ++i) {
    if (i & 3)
      sleep();
    else
      window();
  }
}
