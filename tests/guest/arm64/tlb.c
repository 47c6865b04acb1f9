// TLB maintenance: a page that was remapped and flushed shows its new contents; ASIDs keep theirs apart.
#include "guest.h"

const char test_name[] = "tlb";

void test_main(void) {
  mmu_on();
  for (u64 i = 0; i < 64; ++i) *(volatile u64 *)pages[i] = 100 + i;
  volatile u64 *window = (volatile u64 *)WINDOW;
  for (u64 round = 0; round < 500; ++round) {
    map(window_table, 0, pages[round % 64], 0);
    flush_page(WINDOW);
    check("remap, load", window[0], 100 + round % 64);
    window[1] = round;
    check("remap, store", *(volatile u64 *)(pages[round % 64] + 8), round);
  }
  // read-only after it was written through
  map(window_table, 0, pages[0], 0);
  flush_page(WINDOW);
  window[2] = 5;
  map(window_table, 0, pages[0], READ_ONLY);
  flush_page(WINDOW);
  fault_skip = 1;
  window[2] = 6;
  check("made read-only", fault_count, 1);
  check("  kept", window[2], 5);
  unmap(window_table, 0);
  flush_page(WINDOW);
  fault_count = 0;
  asm volatile("ldr x9, [%0]" ::"r"(WINDOW) : "x9", "memory");
  check("unmapped", fault_count, 1);
  // a fault leaves nothing in the TLB: mapping it again needs no flush
  map(window_table, 0, pages[7], 0);
  dsb();
  isb();
  fault_count = 0;
  check("mapped again", window[0], 107);
  check("  no fault", fault_count, 0);
  fault_skip = 0;

  // ASIDs: the same address, two tables
  map(window_table, 5, pages[20], NOT_GLOBAL);
  map(window_table2, 5, pages[21], NOT_GLOBAL);
  dsb();
  isb();
  volatile u64 *five = (volatile u64 *)(WINDOW + 5 * 4096);
  for (u64 i = 0; i < 200; ++i) {
    use_tables(0, 1);
    check("asid 1", five[0], 120);
    five[1] = i;
    use_tables(1, 2);
    check("asid 2", five[0], 121);
    five[1] = 1000 + i;
  }
  check("asid 1 stores", *(volatile u64 *)(pages[20] + 8), 199);
  check("asid 2 stores", *(volatile u64 *)(pages[21] + 8), 1199);
  // more ASIDs than anybody keeps
  for (u64 i = 0; i < 200; ++i) {
    use_tables((int)(i & 1), 10 + i);
    check("many asids", five[0], 120 + (i & 1));
  }
  // flush of one ASID only, by address and wholly
  use_tables(0, 1);
  check("asid 1 again", five[0], 120);
  map(window_table, 5, pages[22], NOT_GLOBAL);
  asm volatile("dsb ishst\n tlbi vae1is, %0\n dsb ish\n isb" ::"r"((WINDOW + 5 * 4096) >> 12 | 1UL << 48) : "memory");
  check("vae1is", five[0], 122);
  map(window_table, 5, pages[23], NOT_GLOBAL);
  asm volatile("dsb ishst\n tlbi aside1is, %0\n dsb ish\n isb" ::"r"(1UL << 48) : "memory");
  check("aside1is", five[0], 123);
  map(window_table, 5, pages[24], NOT_GLOBAL);
  asm volatile("dsb ishst\n tlbi vmalle1is\n dsb ish\n isb" ::: "memory");
  check("vmalle1is", five[0], 124);
  use_tables(0, 0);
  // global entries go with a flush by address of any ASID
  map(window_table, 6, pages[30], 0);
  map(window_table2, 6, pages[30], 0);
  dsb();
  isb();
  volatile u64 *six = (volatile u64 *)(WINDOW + 6 * 4096);
  use_tables(1, 2);
  check("global", six[0], 130);
  use_tables(0, 1);
  check("global", six[0], 130);
  map(window_table, 6, pages[31], 0);
  map(window_table2, 6, pages[31], 0);
  asm volatile("dsb ishst\n tlbi vae1is, %0\n dsb ish\n isb" ::"r"((WINDOW + 6 * 4096) >> 12 | 1UL << 48) : "memory");
  check("global, here", six[0], 131);
  use_tables(1, 2);
  check("global, there", six[0], 131);
  use_tables(0, 0);
  // address translation instructions
  asm volatile("at s1e1r, %0\n isb" ::"r"(WINDOW + 6 * 4096 + 0x123) : "memory");
  check("AT", read_register(par_el1) & 0xffffffff001UL, (u64)pages[31]);
  asm volatile("at s1e1r, %0\n isb" ::"r"(WINDOW + 100 * 4096) : "memory");
  check("AT of nothing", read_register(par_el1) & 0x7f, 7 << 1 | 1);
}
