// x2APIC mode (SDM volume 3, 11.12): registers as MSRs, 32-bit ids, one 64-bit ICR, self IPI, the ways in and out.
#include "devices.h"

const char test_name[] = "x2apic";

#define BASE_MSR 0x1b
#define ENABLED 0x800
#define EXTENDED 0x400

static volatile u32 other_ready;

static void set_mode(u64 bits) {
  wrmsr(BASE_MSR, (rdmsr(BASE_MSR) & ~(u64)(ENABLED | EXTENDED)) | bits);
}
static void self(u32 vector) {
  wrmsr(0x83f, vector);
}

static void registers(void) {
  check("id", rdmsr(0x802), 0);
  expect("version", (rdmsr(0x803) & 0xf0) == 0x10);
  check("LDR", rdmsr(0x80d), 1);
  wrmsr(0x808, 0x30);
  check("TPR", rdmsr(0x808), 0x30);
  u64 cr8;
  asm volatile("mov %%cr8, %0" : "=r"(cr8));
  check("CR8", cr8, 3);
  check("PPR", rdmsr(0x80a), 0x30);
  wrmsr(0x808, 0);
  // What does not exist, cannot be written, or has reserved bits.
  expect("DFR faults", rdmsr_faults(0x80e));
  expect("the upper half of ICR faults", rdmsr_faults(0x831));
  expect("id cannot be written", wrmsr_faults(0x802, 0));
  expect("LDR cannot be written", wrmsr_faults(0x80d, 1));
  if (own_lapic()) {  // KVM lets both through
    expect("EOI with a value faults", wrmsr_faults(0x80b, 1));
    expect("TPR with reserved bits faults", wrmsr_faults(0x808, 0x100));
  }
  expect("ESR with a value faults", wrmsr_faults(0x828, 1));
  check("general protection", fault_vector, 13);
  check("error code", fault_error, 0);
  expect("EOI cannot be read", rdmsr_faults(0x80b));
  expect("self IPI cannot be read", rdmsr_faults(0x83f));
  // The MMIO window is not the APIC's in this mode: a write there is nothing.
  const u64 svr = rdmsr(0x80f);
  write32(LAPIC + LAPIC_SVR, 0);
  check("no MMIO in this mode", rdmsr(0x80f), svr);
}

// Lowers the line at the third: one that stays high could come again before every other instruction.
static void level_handler(struct frame* frame) {
  if (count(0x68) == 3) com1_line(0);
  lapic_handler(frame);
}

static void interrupts(void) {
  clear_counts();
  self(0x60);
  check("self IPI is requested", rdmsr(0x823) & 1, 1);
  window();
  check("self IPI", count(0x60), 1);
  wrmsr(0x830, ICR_SELF | ICR_ASSERT | 0x61);
  window();
  check("shorthand self", count(0x61), 1);
  wrmsr(0x830, 0UL << 32 | ICR_ASSERT | 0x62);
  window();
  check("physical, this one", count(0x62), 1);
  wrmsr(0x830, 1UL << 32 | ICR_LOGICAL | ICR_ASSERT | 0x63);
  window();
  check("logical, cluster 0, member 0", count(0x63), 1);
  wrmsr(0x830, 0x10001UL << 32 | ICR_LOGICAL | ICR_ASSERT | 0x63);
  settle();
  check("logical, cluster 1", count(0x63), 1);
  check("ICR is read as it was written", rdmsr(0x830) & ~0x4000UL, 0x10001UL << 32 | ICR_LOGICAL | 0x63);
  wrmsr(0x830, 0x100UL << 32 | ICR_ASSERT | 0x64);
  settle();
  check("id 256 is not id 0", count(0x64), 0);
  // Blocked by TPR, order, timer.
  wrmsr(0x808, 0x70);
  self(0x65);
  settle();
  check("blocked", count(0x65), 0);
  wrmsr(0x808, 0);
  window();
  check("let in", count(0x65), 1);
  lapic_write(LAPIC_DIVIDE, 0xb);
  lapic_write(LAPIC_TIMER, 0x66);
  lapic_write(LAPIC_INITIAL, 10000);
  expect("timer", wait_for(count(0x66) == 1));
  // An edge and a level by the I/O APIC.
  ioapic_set(4, 0x67);
  com1_line(1);
  expect("a line", wait_for(count(0x67) == 1));
  com1_line(0);
  if (lapic_serves()) {
    handlers[0x68] = level_handler;
    ioapic_set(4, 0x68 | RTE_LEVEL);
    com1_line(1);
    expect("a level", wait_for(count(0x68) >= 3));
    settle();
    check("the line is low", count(0x68), 3);
    check("EOI by MSR reaches the I/O APIC", ioapic_entry(4) & RTE_REMOTE_IRR, 0);
  }
  ioapic_set(4, RTE_MASKED);
}

static void other_cpu(void) {
  clear_counts();
  start_secondary();
  expect("CPU 1 in x2APIC mode", wait_for(other_ready));
  wrmsr(0x830, 1UL << 32 | ICR_ASSERT | 0x70);
  expect("physical, the other", wait_for(counts[1][0x70] == 1));
  wrmsr(0x830, 3UL << 32 | ICR_LOGICAL | ICR_ASSERT | 0x71);
  expect("logical, both", wait_for(counts[0][0x71] == 1 && counts[1][0x71] == 1));
  wrmsr(0x830, 0xffffffffUL << 32 | ICR_ASSERT | 0x72);
  expect("broadcast", wait_for(counts[0][0x72] == 1 && counts[1][0x72] == 1));
  wrmsr(0x830, ICR_OTHERS | ICR_ASSERT | 0x73);
  expect("all but self", wait_for(counts[1][0x73] == 1));
  settle();
  check("not self", counts[0][0x73], 0);
  wrmsr(0x830, ICR_ALL | ICR_ASSERT | 0x74);
  expect("all", wait_for(counts[0][0x74] == 1 && counts[1][0x74] == 1));
  ioapic_set(4, 0x75 | RTE_TO(1));
  com1_line(1);
  expect("a line to CPU 1", wait_for(counts[1][0x75] == 1));
  com1_line(0);
  ioapic_set(4, RTE_MASKED);
}

void test_main(void) {
  pit_stop();
  for (u32 v = 0x30; v < 0xff; ++v) handlers[v] = lapic_handler;
  if (!(cpuid(1, 0).c >> 21 & 1)) {
    skipped("CPUID has no x2APIC");
    return;
  }
  // From xAPIC with state: what is not the id stays, LDR is made of the id.
  lapic_write(LAPIC_LINT1, LVT_MASKED | 0x44);
  expect("x2APIC only from xAPIC: not without EN", wrmsr_faults(BASE_MSR, (rdmsr(BASE_MSR) & ~0xc00UL) | EXTENDED));
  set_mode(ENABLED | EXTENDED);
  check("mode", rdmsr(BASE_MSR) & 0xc00, 0xc00);
  check("LVT came along", rdmsr(0x836), LVT_MASKED | 0x44);
  check("enabled by software still", rdmsr(0x80f) & 0x1ff, 0x1ff);
  registers();
  interrupts();
  other_cpu();
  // Out: only through "disabled", which resets it.
  expect("not straight to xAPIC", wrmsr_faults(BASE_MSR, rdmsr(BASE_MSR) & ~(u64)EXTENDED));
  check("mode after the fault", rdmsr(BASE_MSR) & 0xc00, 0xc00);
  set_mode(0);
  check("CPUID without an enabled APIC", cpuid(1, 0).d >> 9 & 1, 0);
  expect("no MSRs", rdmsr_faults(0x802));
  set_mode(ENABLED);
  check("CPUID with one", cpuid(1, 0).d >> 9 & 1, 1);
  expect("no MSRs in xAPIC mode", rdmsr_faults(0x802));
  if (own_lapic()) check("reset: disabled by software", read32(LAPIC + LAPIC_SVR) & 0x1ff, 0xff);  // not KVM's
  lapic_on();
  clear_counts();
  lapic_send(0, ICR_SELF | ICR_ASSERT | 0x50);
  window();
  check("xAPIC again", count(0x50), 1);
}

void test_secondary(void) {
  set_mode(ENABLED | EXTENDED);
  check("id of CPU 1", rdmsr(0x802), 1);
  check("LDR of CPU 1", rdmsr(0x80d), 2);
  other_ready = 1;
  for (;;) sleep();
}
