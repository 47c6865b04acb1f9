// Accesses that fault half-way: nothing may have changed but what the architecture says.
#include "guest.h"

const char test_name[] = "faults";

#define DFSC (fault_esr & 0x3f)
#define WNR (fault_esr >> 6 & 1)
#define EC (fault_esr >> 26)

static void expect(const char *what, u64 far, u64 dfsc, u64 write) {
  check(what, fault_count, 1);
  check("  class", EC, 0x25);
  check("  FAR", fault_far, far);
  check("  DFSC", DFSC, dfsc);
  check("  WnR", WNR, write);
  fault_count = 0;
}

void test_main(void) {
  mmu_on();
  fault_skip = 1;
  map(window_table, 0, pages[0], 0);
  unmap(window_table, 1);
  map(window_table, 2, pages[2], READ_ONLY);
  map(window_table, 3, pages[3], 0);
  dsb();
  isb();
  const u64 edge = WINDOW + 4096;

  // unaligned load and store across into the unmapped page
  u64 a = 0x1111, b;
  asm volatile("ldr %0, [%1]" : "+r"(a) : "r"(edge - 4));
  expect("load across", edge, 7, 0);
  check("  register kept", a, 0x1111);
  *(volatile u32 *)(pages[0] + 4092) = 0x55;
  asm volatile("str %0, [%1]" ::"r"(~0UL), "r"(edge - 4) : "memory");
  expect("store across", edge, 7, 1);
  check("  memory kept", *(volatile u32 *)(pages[0] + 4092), 0x55);

  // pairs: the second half faults
  a = 1, b = 2;
  asm volatile("ldp %0, %1, [%2]" : "+r"(a), "+r"(b) : "r"(edge - 8));
  expect("ldp", edge, 7, 0);
  // base register among the destinations: it must be as before
  u64 base = edge - 8;
  asm volatile("mov x9, %0\n ldp x9, x10, [x9]\n mov %0, x9" : "+r"(base)::"x9", "x10");
  expect("ldp into its base", edge, 7, 0);
  check("  base kept", base, edge - 8);
  asm volatile("mov x9, %0\n ldp x11, x10, [x9], #16\n mov %0, x9" : "+r"(base)::"x9", "x10", "x11");
  expect("ldp post-index", edge, 7, 0);
  check("  base kept", base, edge - 8);
  asm volatile("mov x9, %0\n stp xzr, xzr, [x9, #-8]!\n mov %0, x9" : "+r"(base)::"x9", "memory");
  check("stp pre-index inside", base, edge - 16);
  check("  no fault", fault_count, 0);
  base = edge - 8;
  asm volatile("mov x9, %0\n stp xzr, xzr, [x9, #0]!\n mov %0, x9" : "+r"(base)::"x9", "memory");
  expect("stp pre-index", edge, 7, 1);
  check("  base kept", base, edge - 8);
  base = edge;
  asm volatile("mov x9, %0\n str xzr, [x9], #8\n mov %0, x9" : "+r"(base)::"x9", "memory");
  expect("str post-index", edge, 7, 1);
  check("  base kept", base, edge);
  asm volatile("mov x9, %0\n ldr x10, [x9, #-4]!\n mov %0, x9" : "+r"(base)::"x9", "x10", "memory");
  expect("ldr pre-index across", edge, 7, 0);
  check("  base kept", base, edge);
  asm volatile("mov x9, %0\n ldr q0, [x9, #-16]\n ldp q0, q1, [x9, #-16]\n mov %0, x9" : "+r"(base)::"x9", "v0", "v1");
  expect("ldp of q", edge, 7, 0);

  // permissions
  a = *(volatile u64 *)(WINDOW + 2 * 4096);
  asm volatile("str %0, [%1]" ::"r"(1UL), "r"(WINDOW + 2 * 4096 + 8) : "memory");
  expect("store to read-only", WINDOW + 2 * 4096 + 8, 15, 1);
  check("  memory kept", *(volatile u64 *)(pages[2] + 8), 0);
  // store from a read-only page into the next, writable one
  asm volatile("str %0, [%1]" ::"r"(~0UL), "r"(WINDOW + 3 * 4096 - 4) : "memory");
  expect("store across from read-only", WINDOW + 3 * 4096 - 4, 15, 1);
  check("  second page kept", *(volatile u32 *)pages[3], 0);
  // an atomic on a read-only page
  asm volatile("1: ldxr x9, [%0]\n stxr w10, x9, [%0]" ::"r"(WINDOW + 2 * 4096) : "x9", "x10", "memory");
  expect("stxr to read-only", WINDOW + 2 * 4096, 15, 1);

  // flags and registers computed before the fault in one straight run of code stay, later ones do not happen
  u64 x = 1, y = 1;
  asm volatile(
      "add %0, %0, #41\n"
      "ldr x9, [%2]\n"
      "add %1, %1, #1\n"
      : "+r"(x), "+r"(y)
      : "r"(edge)
      : "x9");
  expect("middle of a block", edge, 7, 0);
  check("  before", x, 42);
  check("  after (skipped one)", y, 2);

  // unaligned exclusive
  asm volatile("ldxr x9, [%0]" ::"r"((u64)pages[0] + 4) : "x9", "memory");
  expect("unaligned exclusive", (u64)pages[0] + 4, 0x21, 0);
  // instruction fetch from an unmapped page
  fault_count = 0;
  asm volatile(
      "adr x9, 1f\n"
      "str x9, [%1]\n"
      "br %0\n"
      "1:\n" ::"r"(edge), "r"(pages[10])
      : "x9", "memory");
}

// A prefetch abort goes on where pages[10] says.
int test_trap(struct frame *frame, u64 vector) {
  const u64 esr = read_register(esr_el1);
  if ((vector & 3) != 0 || esr >> 26 != 0x21) return 0;
  check("fetch fault ELR", frame->elr, WINDOW + 4096);
  check("fetch fault IFSC", esr & 0x3f, 7);
  check("fetch fault FAR", read_register(far_el1), WINDOW + 4096);
  frame->elr = *(volatile u64 *)pages[10];
  return 1;
}
