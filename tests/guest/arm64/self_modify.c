// Code that changes code: in another page, in its own page, in the very next instruction, and through another mapping.
#include "guest.h"

const char test_name[] = "self_modify";

#define MOVZ_W0(value) (0x52800000U | (u32)(value) << 5)
#define RET 0xd65f03c0U

typedef u64 (*code_t)(void);

// Writes its own later instruction (at label 2) in a loop; returns the sum of what it then executed.
static u64 own_page(u64 rounds) {
  u64 sum;
  asm volatile(
      "   mov   %0, xzr\n"
      "   mov   x9, %1\n"
      "   adr   x10, 2f\n"
      "1: movz  w11, #0x5280, lsl #16\n"  // movz w12, #0
      "   orr   w11, w11, #0x0c\n"
      "   and   x12, x9, #0xff\n"
      "   orr   w11, w11, w12, lsl #5\n"  // … #(x9 & 255)
      "   str   w11, [x10]\n"
      "   dc    cvau, x10\n"
      "   dsb   ish\n"
      "   ic    ivau, x10\n"
      "   dsb   ish\n"
      "   isb\n"
      "2: movz  w12, #0xdead\n"
      "   add   %0, %0, x12\n"
      "   subs  x9, x9, #1\n"
      "   b.ne  1b\n"
      : "=&r"(sum)
      : "r"(rounds)
      : "x9", "x10", "x11", "x12", "memory", "cc");
  return sum;
}

void test_main(void) {
  mmu_on();
  // another page
  u32 *code = (u32 *)pages[0];
  for (u32 i = 0; i < 300; ++i) {
    code[0] = MOVZ_W0(i);
    code[1] = RET;
    sync_code(code, 8);
    check("other page", ((code_t)code)(), i);
  }
  // data in the page that code runs from, not in the code
  for (u32 i = 0; i < 1000; ++i) {
    *(volatile u32 *)(pages[0] + 2048) = i;
    check("data beside code", ((code_t)code)(), 299);
  }
  check("own page", own_page(200), 200 * 201 / 2);
  // written through a second mapping
  map(window_table, 0, pages[1], 0);
  dsb();
  isb();
  volatile u32 *alias = (volatile u32 *)WINDOW;
  for (u32 i = 0; i < 100; ++i) {
    alias[0] = MOVZ_W0(i + 7);
    alias[1] = RET;
    sync_code((void *)WINDOW, 8);
    check("alias, run 1:1", ((code_t)pages[1])(), i + 7);
    check("alias, run there", ((code_t)WINDOW)(), i + 7);
  }
  // the page behind the window changes under the code
  map(window_table, 1, pages[2], 0);
  ((u32 *)pages[2])[0] = MOVZ_W0(1);
  ((u32 *)pages[2])[1] = RET;
  ((u32 *)pages[3])[0] = MOVZ_W0(2);
  ((u32 *)pages[3])[1] = RET;
  sync_code(pages[2], 8192);
  for (u32 i = 0; i < 50; ++i) {
    map(window_table, 1, pages[2 + (i & 1)], 0);
    flush_page(WINDOW + 4096);
    check("remapped code", ((code_t)(WINDOW + 4096))(), 1 + (i & 1));
  }
}
