// Doorbells: QueueNotify of virtio-mmio (virtio 1.2, section 4.2.2), which KVM takes without leaving the guest when the
// write has the width and value that the device declared. All other widths and values reach the device too. The device,
// of random numbers, is in the slot that ioeventfd.dts fills; QEMU's PC has no virtio-mmio.
#include "devices.h"

const char test_name[] = "ioeventfd";

#define DEVICE 0xfed20000UL
#define DRIVER_FEATURES 0x20
#define DRIVER_FEATURES_SEL 0x24
#define QUEUE_SEL 0x30
#define QUEUE_SIZE 0x38
#define QUEUE_READY 0x44
#define QUEUE_NOTIFY 0x50
#define STATUS 0x70
#define QUEUE_DESC 0x80
#define QUEUE_DRIVER 0x90
#define QUEUE_DEVICE 0xa0

#define SIZE 8
#define LENGTH 16
// A split virtqueue (2.7).
static struct {
  struct {
    u64 address;
    u32 length;
    u16 flags, next;
  } descriptors[SIZE];
  u16 available_flags;
  volatile u16 available_index;
  u16 available[SIZE];
  u32 padding;
  u16 used_flags;
  volatile u16 used_index;
  struct {
    u32 id, length;
  } used[SIZE];
} queue __attribute__((aligned(4096)));
static volatile u8 buffers[SIZE][LENGTH];

static void address(u32 offset, volatile void* at) {
  write32(DEVICE + offset, (u32)(u64)at);
  write32(DEVICE + offset + 4, (u32)((u64)at >> 32));
}

static void start(void) {
  memset(&queue, 0, sizeof queue);
  write32(DEVICE + STATUS, 0);
  write32(DEVICE + STATUS, 1 | 2);
  write32(DEVICE + DRIVER_FEATURES_SEL, 1);
  write32(DEVICE + DRIVER_FEATURES, 1);  // VIRTIO_F_VERSION_1
  write32(DEVICE + STATUS, 1 | 2 | 8);
  check("FEATURES_OK", read32(DEVICE + STATUS), 11);
  write32(DEVICE + QUEUE_SEL, 0);
  write32(DEVICE + QUEUE_SIZE, SIZE);
  address(QUEUE_DESC, queue.descriptors);
  address(QUEUE_DRIVER, &queue.available_flags);
  address(QUEUE_DEVICE, &queue.used_flags);
  queue.available_flags = 1;  // no interrupts
  write32(DEVICE + QUEUE_READY, 1);
  write32(DEVICE + STATUS, 1 | 2 | 8 | 4);
}

static void post(void) {
  const u16 slot = queue.available_index % SIZE;
  memset((void*)buffers[slot], 0, LENGTH);
  queue.descriptors[slot].address = (u64)buffers[slot];
  queue.descriptors[slot].length = LENGTH;
  queue.descriptors[slot].flags = 2;  // the device writes
  queue.available[slot] = slot;
  ++queue.available_index;
}
static int served(void) {
  return queue.used_index == queue.available_index;
}
static void ring(void) {
  write32(DEVICE + QUEUE_NOTIFY, 0);
}

static void widths(void) {
  start();
  post();
  ring();
  expect("32 bits: the doorbell", wait_for(served()));
  check("bytes", queue.used[0].length, LENGTH);
  u32 sum = 0;
  for (u32 i = 0; i < LENGTH; ++i) sum |= buffers[0][i];
  expect("the buffer is filled", sum != 0);
  post();
  write8(DEVICE + QUEUE_NOTIFY, 0);
  expect("8 bits", wait_for(served()));
  post();
  write16(DEVICE + QUEUE_NOTIFY, 0);
  expect("16 bits", wait_for(served()));
  post();
  write64(DEVICE + QUEUE_NOTIFY, 0);
  expect("64 bits", wait_for(served()));
}

static void values(void) {
  start();
  post();
  write32(DEVICE + QUEUE_NOTIFY, 1);
  write32(DEVICE + QUEUE_NOTIFY, 0xffff);
  write32(DEVICE + QUEUE_NOTIFY + 4, 0);
  write8(DEVICE + QUEUE_NOTIFY + 1, 0);
  settle();
  check("other queues and registers", queue.used_index, 0);
  ring();
  expect("the doorbell", wait_for(served()));
  post();
  write32(DEVICE + QUEUE_NOTIFY, 0x10000);  // 16 bits count
  expect("more bits than count", wait_for(served()));
}

static void many(void) {
  start();
  for (u32 i = 0; i < 500; ++i) {
    post();
    ring();
    if (!wait_for(served())) {
      check("lost after", i, 500);
      break;
    }
  }
  // Several in one, and one too many.
  for (u32 i = 0; i < SIZE; ++i) {
    post();
    ring();
  }
  ring();
  expect("all buffers", wait_for(served()));
}

static void resets(void) {
  for (u32 i = 0; i < 50; ++i) {
    start();
    post();
    ring();
    write32(DEVICE + STATUS, 0);
    // After a reset the device writes nothing any more (2.4.1), whatever was on its way.
    const u16 index = queue.used_index;
    queue.used_index = 0x5555;
    settle();
    check("used after the reset", queue.used_index, 0x5555);
    expect("before it", index <= 1);
    ring();
    settle();
    check("rung in vain", queue.used_index, 0x5555);
  }
  start();
  post();
  ring();
  expect("and it works again", wait_for(served()));
}

static volatile u32 other_rings;
void test_secondary(void) {
  while (!other_rings) pause();
  for (u32 i = 0; i < 200; ++i) {
    ring();
    inb(0x80);  // lets a KVM that emulates kernel-mode code look at the other things it has to do
  }
  other_rings = 2;
}

static void both_cpus(void) {
  start();
  start_secondary();
  other_rings = 1;
  for (u32 i = 0; i < 200; ++i) {
    post();
    ring();
    if (!wait_for(served())) {
      check("lost with two CPUs after", i, 200);
      break;
    }
  }
  expect("the second CPU ends", wait_for(other_rings == 2));
}

void test_main(void) {
  widths();
  values();
  many();
  resets();
  both_cpus();
  write32(DEVICE + STATUS, 0);
}
