// The pages that the guest writes: step by step, as its driver (tests/guest/dirty) asks for them through the word at
// COMMAND. The driver compares them with what the machine says was written. On QEMU nobody asks, and the steps do not
// wait.
#include "devices.h"

const char test_name[] = "dirty";

#define COMMAND 0x1fff000UL
#define PAGE(n) (0x2000000UL + (n)*4096UL)

static volatile u32 other;
void test_secondary(void) {
  while (!other) inb(0x80);
  write32(PAGE(50) + 4, 1);
  other = 2;
}

static void step(u32 number) {
  print("ready ");
  print_hex(number);
  print("\n");
  while (on_solder() && read32(COMMAND) != number) inb(0x80);  // leaves the guest: see window() in guest.h
}

void test_main(void) {
  write32(COMMAND, 0);
  start_secondary();
  write8(PAGE(2), 1);  // before anybody looks
  read32(PAGE(60));
  step(1);
  write8(PAGE(1), 1);
  write16(PAGE(3) + 0x7fe, 1);
  write64(PAGE(10) + 0xff8, 1);
  step(2);
  write8(PAGE(3), 2);
  asm volatile("cld\n rep stosb" ::"D"(PAGE(20) + 100), "a"(7), "c"(3 * 4096) : "memory");
  asm volatile("lock addl $1, (%0)" ::"r"(PAGE(30)) : "memory");
  write64(PAGE(41) - 4, 1);  // two pages
  check("reads write nothing", read32(PAGE(60)), 0);  // not the first read, which KVM may take for a write
  step(3);
  step(4);
  for (u64 i = 0; i < 3000; ++i) write32(PAGE(100 + i) + i % 4096 / 4 * 4, 1);
  step(5);
  other = 1;
  expect("the second CPU writes", wait_for(other == 2));
  step(6);
}
