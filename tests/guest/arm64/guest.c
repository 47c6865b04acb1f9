#include "guest.h"

#define UART 0x09000000UL

u64 window_table[512] __attribute__((aligned(4096)));
u64 window_table2[512] __attribute__((aligned(4096)));
static u64 level2[512] __attribute__((aligned(4096)));
static u64 level2_second[512] __attribute__((aligned(4096)));
static u64 level1[512] __attribute__((aligned(4096)));
static u64 level1_second[512] __attribute__((aligned(4096)));
u8 pages[64][4096] __attribute__((aligned(4096)));
static u8 secondary_stack[16384] __attribute__((aligned(16)));
volatile u64 fault_skip, fault_count, fault_elr, fault_esr, fault_far;
static u64 failures;
static int with_mmu;

void print(const char *text) {
  while (*text) *(volatile u32 *)UART = (u8)*text++;
}

void print_hex(u64 value) {
  char text[19];
  text[0] = '0';
  text[1] = 'x';
  for (int i = 0; i < 16; ++i) text[2 + i] = "0123456789abcdef"[value >> (60 - i * 4) & 15];
  text[18] = 0;
  print(text);
}

void check(const char *what, u64 got, u64 wanted) {
  if (got == wanted) return;
  ++failures;
  print("  ");
  print(what);
  print(": got ");
  print_hex(got);
  print(", wanted ");
  print_hex(wanted);
  print("\n");
}

u64 psci(u64 function, u64 a, u64 b, u64 c) {
  register u64 x0 asm("x0") = function;
  register u64 x1 asm("x1") = a;
  register u64 x2 asm("x2") = b;
  register u64 x3 asm("x3") = c;
  asm volatile("hvc #0" : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3)::"memory");
  return x0;
}

void end(void) {
  print(failures ? "FAIL " : "PASS ");
  print(test_name);
  print("\n");
  for (;;) psci(0x84000008, 0, 0, 0);
}

void trap(struct frame *frame, u64 vector) {
  if (test_trap(frame, vector)) return;
  if (fault_skip && (vector & 3) == 0) {
    ++fault_count;
    fault_elr = frame->elr;
    fault_esr = read_register(esr_el1);
    fault_far = read_register(far_el1);
    frame->elr += 4;
    return;
  }
  print("  unexpected exception, vector ");
  print_hex(vector);
  print(" esr ");
  print_hex(read_register(esr_el1));
  print(" elr ");
  print_hex(frame->elr);
  print(" far ");
  print_hex(read_register(far_el1));
  print("\n");
  ++failures;
  end();
}

// Block and page descriptors: valid, access flag, inner shareable; attribute 0 is normal memory, 1 device.
#define BLOCK 0x701UL
#define PAGE 0x703UL

void map(u64 *table, u64 page, void *target, u64 flags) { table[page] = (u64)target | PAGE | flags; }
void unmap(u64 *table, u64 page) { table[page] = 0; }

void flush_page(u64 va) {
  asm volatile("dsb ishst\n tlbi vaae1is, %0\n dsb ish\n isb" ::"r"(va >> 12) : "memory");
}

void sync_code(void *start, u64 bytes) {
  for (u64 at = (u64)start & ~15UL; at < (u64)start + bytes; at += 16) asm volatile("dc cvau, %0" ::"r"(at) : "memory");
  asm volatile("dsb ish" ::: "memory");
  for (u64 at = (u64)start & ~15UL; at < (u64)start + bytes; at += 16) asm volatile("ic ivau, %0" ::"r"(at) : "memory");
  asm volatile("dsb ish\n isb" ::: "memory");
}

static void fill(u64 *one, u64 *two, u64 *window) {
  one[0] = 0x0UL | BLOCK | DEVICE;
  one[1] = 0x40000000UL | BLOCK;
  one[2] = (u64)two | 3;
  two[0] = (u64)window | 3;
}

void use_tables(int second, u64 asid) {
  write_register(ttbr0_el1, (u64)(second ? level1_second : level1) | asid << 48);
  isb();
}

static void enable(void) {
  write_register(mair_el1, 0x00ff);  // attribute 0: normal write-back; 1: Device-nGnRnE
  // 39-bit addresses, 4 KiB, inner shareable write-back walks, 16-bit ASIDs, no TTBR1, 40-bit physical
  write_register(tcr_el1, 25UL | 1UL << 8 | 1UL << 10 | 3UL << 12 | 1UL << 23 | 2UL << 32 | 1UL << 36);
  use_tables(0, 0);
  asm volatile("tlbi vmalle1\n dsb ish\n isb" ::: "memory");
  u64 control = read_register(sctlr_el1);
  write_register(sctlr_el1, (control | 1 | 1 << 2 | 1 << 12) & ~(u64)(1 << 1 | 1 << 19));
  isb();
}

void mmu_on(void) {
  fill(level1, level2, window_table);
  fill(level1_second, level2_second, window_table2);
  dsb();
  enable();
  with_mmu = 1;
}

void start_secondary(void) {
  extern void secondary(void) __attribute__((visibility("hidden")));
  dsb();
  check("CPU_ON", psci(0xc4000003, 1, (u64)secondary, (u64)(secondary_stack + sizeof secondary_stack)), 0);
}

void secondary_c(void) {
  if (with_mmu) enable();
  test_secondary();
}

__attribute__((weak)) int test_trap(struct frame *frame, u64 vector) {
  (void)frame;
  (void)vector;
  return 0;
}
__attribute__((weak)) void test_secondary(void) {}

void start_c(void) {
  test_main();
  end();
}

void *memset(void *to, int value, u64 count) {
  for (u64 i = 0; i < count; ++i) ((volatile u8 *)to)[i] = (u8)value;
  return to;
}
void *memcpy(void *to, const void *from, u64 count) {
  for (u64 i = 0; i < count; ++i) ((volatile u8 *)to)[i] = ((const u8 *)from)[i];
  return to;
}
