// Output, checks, the end, the second CPU's start.
#include "guest.h"

#include "devices.h"

u64 start_info;
static u32 failures;
volatile u32 secondary_running;
static volatile u32 lock;

static void put(char c) {
  for (int i = 0; i < 100000 && (inb(COM1 + 5) & 0x20) == 0; ++i) pause();
  outb(COM1, (u8)c);
}

void print(const char* text) {
  while (*text) put(*text++);
}

void print_hex(u64 value) {
  char text[19];
  text[0] = '0';
  text[1] = 'x';
  int digits = 1;
  while (digits < 16 && value >> (digits * 4) != 0) ++digits;
  for (int i = 0; i < digits; ++i) text[2 + i] = "0123456789abcdef"[value >> ((digits - 1 - i) * 4) & 15];
  text[2 + digits] = 0;
  print(text);
}

static u64 lock_output(void) {
  u64 flags;
  asm volatile("pushfq\n pop %0\n cli" : "=r"(flags)::"memory");
  while (__atomic_exchange_n(&lock, 1, __ATOMIC_ACQUIRE)) pause();
  return flags;
}
static void unlock_output(u64 flags) {
  __atomic_store_n(&lock, 0, __ATOMIC_RELEASE);
  if (flags & 0x200) sti();
}

void check(const char* what, u64 got, u64 wanted) {
  if (got == wanted) return;
  const u64 flags = lock_output();
  ++failures;
  com1_quiet();
  print("  ");
  print(what);
  print(": got ");
  print_hex(got);
  print(", wanted ");
  print_hex(wanted);
  print("\n");
  unlock_output(flags);
}

void expect(const char* what, int condition) {
  check(what, condition != 0, 1);
}

void skipped(const char* what) {
  const u64 flags = lock_output();
  print("  skipped: ");
  print(what);
  print("\n");
  unlock_output(flags);
}

// ACPI's soft-off: SLP_TYP of \_S5 is 0 on QEMU's q35 and 5 on virt-x86_64, then SLP_EN. Neither's is a state of the
// other.
void end(void) {
  cli();
  com1_quiet();
  print(failures ? "FAIL " : "PASS ");
  print(test_name);
  print("\n");
  for (;;) {
    outw(PM_CONTROL, 5 << 10 | 1 << 13);
    outw(PM_CONTROL, 0 << 10 | 1 << 13);
    asm volatile("hlt");
  }
}

// hvm_start_info: magic, version, flags, modules, list of modules, command line, RSDP.
int on_solder(void) {
  return read32(read64(start_info + 32) + 9) == 0x444c4f53;  // OEMID "SOLDR"
}
static char irqchip_mode(void) {
  const char* line = (const char*)read64(start_info + 24);
  return line && on_solder() ? line[0] : 'k';
}
int own_devices(void) {
  return irqchip_mode() != 'k';
}
int own_lapic(void) {
  return irqchip_mode() == 'u';
}

int host_loses_sti_shadow(void) {
  const char* line = (const char*)read64(start_info + 24);
  for (; line && *line; ++line)
    if (line[0] == ' ' && line[1] == 's' && line[2] == 't' && line[3] == 'i') return 1;
  return 0;
}

// Several windows at least: the time may pass while the host runs somebody else.
static void wait_ticks(u64 ticks) {
  const u64 from = rdtsc();
  for (u32 windows = 0; windows < 16 || rdtsc() - from < ticks; ++windows) {
    window();
    pause();
  }
}
void settle(void) {
  wait_ticks(3 << 20);
}
void settle_long(void) {
  wait_ticks(60 << 20);
}

extern u8 trampoline[], trampoline_end[];

void start_secondary(void) {
  secondary_running = 0;
  volatile u8* to = (volatile u8*)0x8000;
  for (u64 i = 0; i < (u64)(trampoline_end - trampoline); ++i) to[i] = trampoline[i];
  lapic_send(1, 0x4500);  // INIT, assert
  settle();
  lapic_send(1, 0x4608);  // startup at page 8
  settle();
  if (!secondary_running) lapic_send(1, 0x4608);  // MultiProcessor specification, B.4: twice
  expect("the second CPU starts", wait_for(secondary_running));
}

void secondary_c(void) {
  load_idt();
  lapic_on();
  secondary_running = 1;
  test_secondary();
  for (;;) sleep();
}

__attribute__((weak)) void test_secondary(void) {}

void start_c(u64 info) {
  start_info = info;
  load_idt();
  pic_off();
  ioapic_mask_all();
  lapic_on();
  com1_setup();
  test_main();
  end();
}

void* memset(void* to, int value, u64 size) {
  for (u64 i = 0; i < size; ++i) ((volatile u8*)to)[i] = (u8)value;
  return to;
}
void* memcpy(void* to, const void* from, u64 size) {
  for (u64 i = 0; i < size; ++i) ((volatile u8*)to)[i] = ((const u8*)from)[i];
  return to;
}
