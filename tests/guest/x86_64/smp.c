// The second CPU: INIT and startup, interrupts to and fro while both sleep, and a start from the beginning again.
#include "devices.h"

const char test_name[] = "smp";

#define PING 0x50
#define PONG 0x51
#define TICK 0x52
#define ROUNDS 100

static volatile u32 starts, shared, bumps, phase, id_seen = ~0U;

// On hosts that lose STI's shadow something else must end a HLT now and then.
static void tick(void) {
  if (!host_loses_sti_shadow()) return;
  lapic_write(LAPIC_DIVIDE, 0xb);
  lapic_write(LAPIC_TIMER, 0x20000 | TICK);
  lapic_write(LAPIC_INITIAL, 20000000);
}

void test_secondary(void) {
  tick();
  id_seen = lapic_x2() ? lapic_read(LAPIC_ID) : lapic_read(LAPIC_ID) >> 24;
  starts = starts + 1;
  while (phase < starts) pause();
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

// A KVM without in-service bits was once seen to deliver an answer twice; elsewhere that is an error.
static void ping_pong(u32 from) {
  const u32 to = from + ROUNDS;
  for (u32 i = from; i < to; ++i) {
    lapic_send(1, ICR_ASSERT | PING);
    while (counts[1][PING] == i || counts[0][PONG] <= i) sleep();
    if (counts[1][PING] != i + 1) break;
  }
  settle();
  check("questions", counts[1][PING], to);
  if (counts[0][PONG] == to + 1 && !lapic_serves()) {
    skipped("an answer that came once: this KVM delivered it twice");
    counts[0][PONG] = to;
  }
  check("answers", counts[0][PONG], to);
  check("answers that went to CPU 1", counts[1][PONG], 0);
}

void test_main(void) {
  handlers[PING] = handlers[PONG] = handlers[TICK] = lapic_handler;
  if (host_loses_sti_shadow()) skipped("sleep without a timer: this host's processor loses STI's shadow");
  tick();
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

  // INIT stops it: interrupts are not answered. The thread of a virtual CPU may come to its INIT late, and answer until
  // then. The startup IPI after that starts it afresh, without what was pending.
  lapic_send(1, 0x4500);
  u32 asked = 0, answers;
  do {
    answers = counts[0][PONG];
    lapic_send(1, ICR_ASSERT | PING);
    settle_long();
    window();
  } while (counts[0][PONG] != answers && ++asked < 100);
  expect("a CPU that waits for its startup answers nothing", counts[0][PONG] == answers);
  check("starts after INIT", starts, 1);
  start_secondary();
  expect("a second start", wait_for(starts == 2));
  window();
  clear_counts();
  phase = 2;
  ping_pong(0);
}
