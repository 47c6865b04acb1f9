// The second CPU: INIT and startup, interrupts to and fro while both sleep, and a start from the beginning again.
#include "devices.h"

const char test_name[] = "smp";

#define PING 0x50
#define PONG 0x51
#define ROUNDS 100

static volatile u32 starts, shared, bumps, phase, id_seen = ~0U;

void test_secondary(void) {
  id_seen = lapic_x2() ? lapic_read(LAPIC_ID) : lapic_read(LAPIC_ID) >> 24;
  starts = starts + 1;
  while (phase == 0) pause();
  for (u32 i = 0; i < 1000; ++i) __atomic_fetch_add(&shared, 1, __ATOMIC_SEQ_CST);
  bumps = 1;
  for (u32 answered = 0;;) {
    // Interrupts are off between the look and the HLT, which STI delays them to.
    if (counts[1][PING] == answered) {
      sleep();
      continue;
    }
    ++answered;
    lapic_send(0, ICR_ASSERT | PONG);
  }
}

static void ping_pong(u32 from) {
  for (u32 i = from; i < from + ROUNDS; ++i) {
    lapic_send(1, ICR_ASSERT | PING);
    while (counts[0][PONG] == i) sleep();
    if (counts[0][PONG] != i + 1) break;
  }
  check("answers", counts[0][PONG], from + ROUNDS);
  check("questions", counts[1][PING], from + ROUNDS);
  check("answers that went to CPU 1", counts[1][PONG], 0);
}

void test_main(void) {
  handlers[PING] = handlers[PONG] = lapic_handler;
  check("this CPU's id", lapic_read(LAPIC_ID) >> 24, 0);
  expect("this CPU is the bootstrap CPU", (rdmsr(0x1b) & 0x100) != 0);
  start_secondary();
  expect("CPU 1 is on its way", wait_for(id_seen != ~0U));
  check("id of CPU 1", id_seen, 1);
  phase = 1;
  for (u32 i = 0; i < 1000; ++i) __atomic_fetch_add(&shared, 1, __ATOMIC_SEQ_CST);
  expect("CPU 1 counts", wait_for(bumps));
  check("atomic additions", shared, 2000);
  ping_pong(0);

  // A startup IPI to a CPU that runs is ignored.
  lapic_send(1, 0x4608);
  settle();
  check("starts after a lone startup IPI", starts, 1);
  ping_pong(ROUNDS);

  // INIT stops it: an interrupt is not answered. The startup IPI after that starts it afresh.
  lapic_send(1, 0x4500);
  settle();
  lapic_send(1, ICR_ASSERT | PING);
  settle();
  check("answers of a CPU that waits for its startup", counts[0][PONG], 2 * ROUNDS);
  check("starts after INIT", starts, 1);
  clear_counts();
  start_secondary();
  expect("a second start", wait_for(starts == 2));
  ping_pong(0);
}
