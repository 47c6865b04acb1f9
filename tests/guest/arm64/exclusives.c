// Exclusives and atomics on one CPU.
#include "guest.h"

const char test_name[] = "exclusives";

void test_main(void) {
  mmu_on();
  volatile u64 *p = (volatile u64 *)pages[0];
  u64 old;
  u32 failed;
  *p = 10;
  asm volatile("ldxr %0, [%2]\n add x9, %0, #1\n stxr %w1, x9, [%2]" : "=&r"(old), "=&r"(failed) : "r"(p) : "x9", "memory");
  check("ldxr", old, 10);
  check("stxr", failed, 0);
  check("stored", *p, 11);
  asm volatile("stxr %w0, %1, [%2]" : "=&r"(failed) : "r"(99UL), "r"(p) : "memory");
  check("stxr without ldxr", failed, 1);
  check("kept", *p, 11);
  asm volatile("ldxr x9, [%1]\n clrex\n stxr %w0, xzr, [%1]" : "=&r"(failed) : "r"(p) : "x9", "memory");
  check("clrex", failed, 1);
  asm volatile("ldxr x9, [%1]\n svc #0\n stxr %w0, xzr, [%1]" : "=&r"(failed) : "r"(p) : "x9", "memory");
  check("across an exception", failed, 1);
  asm volatile("ldxr x9, [%1]\n stxr %w0, xzr, [%2]" : "=&r"(failed) : "r"(p), "r"(p + 512) : "x9", "memory");
  check("another address", failed, 1);
  // byte and halfword, acquire and release
  asm volatile("1: ldaxrb w9, [%1]\n add w9, w9, #1\n stlxrb %w0, w9, [%1]\n cbnz %w0, 1b" : "=&r"(failed) : "r"(p) : "x9", "memory");
  check("byte", *p, 12);
  asm volatile("1: ldaxrh w9, [%1]\n add w9, w9, #256\n stlxrh %w0, w9, [%1]\n cbnz %w0, 1b" : "=&r"(failed) : "r"(p) : "x9", "memory");
  check("half", *p, 268);
  // pairs
  p[0] = 1, p[1] = 2;
  asm volatile("1: ldxp x9, x10, [%1]\n stxp %w0, x10, x9, [%1]\n cbnz %w0, 1b" : "=&r"(failed) : "r"(p) : "x9", "x10", "memory");
  check("stxp low", p[0], 2);
  check("stxp high", p[1], 1);
  asm volatile("1: ldxp w9, w10, [%1]\n stxp %w0, w10, w9, [%1]\n cbnz %w0, 1b" : "=&r"(failed) : "r"(p) : "x9", "x10", "memory");
  check("stxp of words", p[0], 2UL << 32);
  if ((read_register(id_aa64isar0_el1) >> 20 & 15) < 2) return;
  asm volatile(".arch_extension lse");
  *p = 5;
  asm volatile(".arch_extension lse\n ldadd %1, %0, [%2]" : "=r"(old) : "r"(7UL), "r"(p) : "memory");
  check("ldadd old", old, 5);
  check("ldadd", *p, 12);
  asm volatile(".arch_extension lse\n ldclral %1, %0, [%2]" : "=r"(old) : "r"(4UL), "r"(p) : "memory");
  check("ldclr", *p, 8);
  asm volatile(".arch_extension lse\n ldsmaxb %w1, %w0, [%2]" : "=r"(old) : "r"(-1), "r"(p) : "memory");
  check("ldsmaxb", *p, 8);
  asm volatile(".arch_extension lse\n ldumaxb %w1, %w0, [%2]" : "=r"(old) : "r"(-1), "r"(p) : "memory");
  check("ldumaxb", *p, 0xff);
  asm volatile(".arch_extension lse\n swph %w1, %w0, [%2]" : "=r"(old) : "r"(0x1234), "r"(p) : "memory");
  check("swph old", old, 0xff);
  check("swph", *p, 0x1234);
  old = 0x1234;
  asm volatile(".arch_extension lse\n cas %0, %1, [%2]" : "+r"(old) : "r"(77UL), "r"(p) : "memory");
  check("cas", *p, 77);
  old = 78;
  asm volatile(".arch_extension lse\n casal %w0, %w1, [%2]" : "+r"(old) : "r"(79UL), "r"(p) : "memory");
  check("cas that fails", *p, 77);
  check("  old", old, 77);
  p[0] = 1, p[1] = 2;
  asm volatile(
      ".arch_extension lse\n mov x2, #1\n mov x3, #2\n mov x4, #3\n mov x5, #4\n caspal x2, x3, x4, x5, [%0]" ::"r"(p)
      : "x2", "x3", "x4", "x5", "memory");
  check("casp low", p[0], 3);
  check("casp high", p[1], 4);
}

int test_trap(struct frame *frame, u64 vector) {
  (void)frame;
  return (vector & 3) == 0 && read_register(esr_el1) >> 26 == 0x15;  // SVC
}
