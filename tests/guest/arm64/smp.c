// Two CPUs: message passing, store buffering with barriers, atomics, and TLB shootdown.
#include "guest.h"

const char test_name[] = "smp";

#define ROUNDS 300

static volatile u64 ready __attribute__((aligned(64)));
static volatile u64 data __attribute__((aligned(64))), flag __attribute__((aligned(64)));
static volatile u64 x __attribute__((aligned(64))), y __attribute__((aligned(64)));
static volatile u64 seen_x, seen_y;
static volatile u64 turn __attribute__((aligned(64)));
static volatile u64 counter __attribute__((aligned(64)));
static volatile u64 stop_reading __attribute__((aligned(64))), bad_reads, reads;

// Both CPUs meet here.
static volatile u64 arrived[2] __attribute__((aligned(64)));
static void meet(int me) {
  const u64 round = arrived[me] + 1;
  dsb();
  arrived[me] = round;
  while (arrived[1 - me] < round) asm volatile("yield" ::: "memory");
  dsb();
}

static void add_exclusive(volatile u64 *p) {
  u32 failed;
  do {
    asm volatile("ldxr x9, [%1]\n add x9, x9, #1\n stxr %w0, x9, [%1]" : "=&r"(failed) : "r"(p) : "x9", "memory");
  } while (failed);
}

void test_secondary(void) {
  ready = 1;
  // message passing
  for (u64 i = 1; i <= ROUNDS; ++i) {
    u64 f;
    do asm volatile("ldar %0, [%1]" : "=r"(f) : "r"(&flag) : "memory");
    while (f < i);
    if (data < i) ++bad_reads;
    asm volatile("stlr %0, [%1]" ::"r"(i), "r"(&turn) : "memory");
  }
  meet(1);
  // store buffering
  for (u64 i = 0; i < ROUNDS; ++i) {
    meet(1);
    y = 1;
    asm volatile("dmb ish" ::: "memory");
    seen_x = x;
    meet(1);
    meet(1);
  }
  for (u64 i = 0; i < ROUNDS; ++i) add_exclusive(&counter);
  meet(1);
  // shootdown: the window must never show a page that was given away before the barrier
  volatile u64 *window = (volatile u64 *)WINDOW;
  while (!stop_reading) {
    if (window[0] == 0xbad) ++bad_reads;
    ++reads;
  }
  meet(1);
  psci(0x84000002, 0, 0, 0);  // CPU_OFF
}

void test_main(void) {
  mmu_on();
  map(window_table, 0, pages[0], 0);
  start_secondary();
  while (!ready) asm volatile("yield" ::: "memory");
  for (u64 i = 1; i <= ROUNDS; ++i) {
    data = i;
    asm volatile("stlr %0, [%1]" ::"r"(i), "r"(&flag) : "memory");
    u64 t;
    do asm volatile("ldar %0, [%1]" : "=r"(t) : "r"(&turn) : "memory");
    while (t < i);
  }
  check("message passing", bad_reads, 0);
  meet(0);
  u64 both_missed = 0;
  for (u64 i = 0; i < ROUNDS; ++i) {
    x = 0, y = 0;
    dsb();
    meet(0);
    x = 1;
    asm volatile("dmb ish" ::: "memory");
    seen_y = y;
    meet(0);
    if (seen_x == 0 && seen_y == 0) ++both_missed;
    meet(0);
  }
  check("store buffering", both_missed, 0);
  for (u64 i = 0; i < ROUNDS; ++i) add_exclusive(&counter);
  meet(0);
  check("exclusive adds", counter, 2 * ROUNDS);
  for (u64 i = 0; i < 200; ++i) {
    volatile u64 *old = (volatile u64 *)pages[i & 1];
    *(volatile u64 *)pages[1 - (i & 1)] = i;
    map(window_table, 0, pages[1 - (i & 1)], 0);
    flush_page(WINDOW);
    *old = 0xbad;
    for (volatile int wait = 0; wait < 50; ++wait) {}
  }
  stop_reading = 1;
  dsb();
  meet(0);
  check("shootdown", bad_reads, 0);
  check("it did read", reads != 0, 1);
  // the other CPU goes off: AFFINITY_INFO says so in the end
  u64 state;
  do state = psci(0xc4000004, 1, 0, 0);
  while (state == 0);
  check("CPU_OFF", state, 1);
}
