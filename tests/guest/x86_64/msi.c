// Messages of a device to the local APICs (SDM volume 3, 11.11), and the wires of the same device. The device is
// "solder,msi-test", which msi.dts adds to the board; QEMU has none.
#include "devices.h"

const char test_name[] = "msi";

#define DEVICE 0xfed40000UL
#define EDGE_PIN 13
#define LEVEL_PIN 14
#define V 0x50

static void message(u64 address, u32 data) {
  write32(DEVICE + 0x00, (u32)address);
  write32(DEVICE + 0x04, (u32)(address >> 32));
  write32(DEVICE + 0x0c, 0);
  write32(DEVICE + 0x08, data);
}
static void fire(void) {
  write32(DEVICE + 0x10, 1);
}
static u64 to(u32 destination, u32 bits) {
  return 0xfee00000UL | destination << 12 | bits;
}
#define LOGICAL 4
#define HINT 8

static void messages(void) {
  message(to(0, 0), V);
  fire();
  window();
  check("physical, this CPU", counts[0][V], 1);
  for (u32 i = 0; i < 100; ++i) {
    fire();
    if (!wait_for(count(V) == i + 2)) {
      check("lost after", i, 100);
      break;
    }
  }
  message(to(1, 0), V + 1);
  fire();
  expect("physical, the other", wait_for(counts[1][V + 1] == 1));
  message(to(2, LOGICAL), V + 2);
  fire();
  expect("logical", wait_for(counts[1][V + 2] == 1));
  message(to(3, LOGICAL), V + 2);
  fire();
  expect("logical, both", wait_for(counts[0][V + 2] == 1 && counts[1][V + 2] == 2));
  message(to(3, LOGICAL | HINT), 0x100 | (V + 3));
  for (u32 i = 1; i <= 20; ++i) {
    fire();
    expect("lowest priority", wait_for(count(V + 3) == i));
  }
  settle();
  check("lowest priority, one each", count(V + 3), 20);
  message(to(9, 0), V + 4);
  fire();
  settle();
  check("nobody", count(V + 4), 0);
  // Pending, and two that are one.
  message(to(0, 0), V + 5);
  fire();
  fire();
  check("requested", lapic_bit(LAPIC_IRR, V + 5), 1);
  check("edge", lapic_bit(LAPIC_TMR, V + 5), 0);
  settle();
  check("two that are one", count(V + 5), 1);
}

static volatile u32 nmis;
static void nmi_handler(struct frame* frame) {
  (void)frame;
  nmis = nmis + 1;
}

static void no_message(void) {
  handlers[2] = nmi_handler;
  message(to(0, 0), 0x400 | V);
  const u32 before = count(V);
  fire();
  expect("NMI by message", wait_for(nmis == 1));
  settle();
  check("its vector means nothing", count(V), before);
  check("one", nmis, 1);
  // Address 0 is no message; and one that is taken away is gone.
  message(to(0, 0), V);
  message(0, 0);
  fire();
  settle();
  check("no message", count(V), before);
}

static u32 left;
static void level_handler(struct frame* frame) {
  (void)frame;
  check("level: remote IRR", ioapic_entry(LEVEL_PIN) & RTE_REMOTE_IRR, RTE_REMOTE_IRR);
  if (--left == 0) write32(DEVICE + 0x18, 0);
  lapic_eoi();
}
static void wires(void) {
  clear_counts();
  ioapic_set(EDGE_PIN, V + 8);
  for (u32 i = 1; i <= 50; ++i) {
    write32(DEVICE + 0x14, 1);
    if (!wait_for(count(V + 8) == i)) {
      check("edge lost after", i, 50);
      break;
    }
  }
  ioapic_set(EDGE_PIN, RTE_MASKED);
  write32(DEVICE + 0x14, 1);
  settle();
  check("masked edge", count(V + 8), 50);
  if (!lapic_serves()) return;
  handlers[V + 9] = level_handler;
  ioapic_set(LEVEL_PIN, (V + 9) | RTE_LEVEL);
  left = 4;
  write32(DEVICE + 0x18, 1);
  expect("level, until it falls", wait_for(count(V + 9) == 4));
  settle();
  check("and not then", count(V + 9), 4);
  check("register", read32(DEVICE + 0x18), 0);
  ioapic_set(LEVEL_PIN, RTE_MASKED);
}

// The message changes all the time; each that was sent arrives, at the old place or the new one.
static void changes(void) {
  clear_counts();
  for (u32 i = 0; i < 200; ++i) {
    message(to(i & 1, 0), 0x60 + i % 16);
    fire();
    message(to(~i & 1, 0), 0x60 + (i + 1) % 16);
    u32 all = 0;
    const int came = wait_for(({
      all = 0;
      for (u32 v = 0x60; v < 0x70; ++v) all += count(v);
      all == i + 1;
    }));
    if (!came) {
      check("lost or invented at", all, i + 1);
      break;
    }
    check("the message as it was when it was sent", counts[i & 1][0x60 + i % 16], i / 16 + 1);
  }
}

void test_main(void) {
  pit_stop();
  if (!on_solder()) {
    skipped("QEMU has no solder,msi-test");
    return;
  }
  check("device", read32(DEVICE + 0x18), 0);
  for (u32 v = V; v < 0x80; ++v) handlers[v] = lapic_handler;
  check("count", read32(DEVICE + 0x1c), 0);
  start_secondary();
  messages();
  no_message();
  wires();
  changes();
}

void test_secondary(void) {
  for (;;) sleep();
}
