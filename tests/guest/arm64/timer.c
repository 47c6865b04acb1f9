// The virtual timer through a GICv3, with and without WFI, and software-generated interrupts.
#include "guest.h"

const char test_name[] = "timer";

#define GICD 0x08000000UL
#define GICR 0x080a0000UL
#define R32(address) (*(volatile u32 *)(address))

static volatile u64 timer_fired, sgi_fired;
static volatile u64 fired_at;

int test_trap(struct frame *frame, u64 vector) {
  (void)frame;
  if ((vector & 3) != 1) return 0;
  u64 id = read_register(S3_0_C12_C12_0);  // ICC_IAR1_EL1
  if (id == 27) {
    fired_at = read_register(cntvct_el0);
    ++timer_fired;
    write_register(cntv_ctl_el0, 2);  // masked
  } else if (id < 16) {
    ++sgi_fired;
  } else {
    check("interrupt number", id, 27);
  }
  isb();
  write_register(S3_0_C12_C12_1, id);  // ICC_EOIR1_EL1
  return 1;
}

void test_main(void) {
  mmu_on();
  R32(GICD) = 0x12;  // affinity routing, group 1
  R32(GICR + 0x14) = R32(GICR + 0x14) & ~2U;
  while (R32(GICR + 0x14) & 4) {}
  R32(GICR + 0x10000 + 0x80) = ~0U;                         // group 1
  R32(GICR + 0x10000 + 0x100) = 1U << 27 | 1U << 5;         // enabled
  *(volatile u8 *)(GICR + 0x10000 + 0x400 + 27) = 0x80;
  *(volatile u8 *)(GICR + 0x10000 + 0x400 + 5) = 0x80;
  write_register(S3_0_C12_C12_5, 1);  // ICC_SRE_EL1
  isb();
  write_register(S3_0_C4_C6_0, 0xf0);  // ICC_PMR_EL1
  write_register(S3_0_C12_C12_7, 1);   // ICC_IGRPEN1_EL1
  isb();
  const u64 hz = read_register(cntfrq_el0);
  asm volatile("msr daifclr, #2");
  for (u64 i = 1; i <= 20; ++i) {
    const u64 deadline = read_register(cntvct_el0) + hz / 1000;
    write_register(cntv_cval_el0, deadline);
    write_register(cntv_ctl_el0, 1);
    isb();
    // even rounds sleep, odd ones spin
    if (i & 1) {
      while (timer_fired != i) {}
    } else {
      for (;;) {
        asm volatile("msr daifset, #2");
        if (timer_fired == i) break;
        asm volatile("wfi\n msr daifclr, #2\n isb");
      }
      asm volatile("msr daifclr, #2");
    }
    check("not early", fired_at >= deadline, 1);
  }
  // masked: pending, not taken; WFI goes on all the same
  asm volatile("msr daifset, #2");
  write_register(cntv_tval_el0, 0);
  write_register(cntv_ctl_el0, 1);
  isb();
  asm volatile("wfi");
  check("masked", timer_fired, 20);
  // CPU_SUSPEND comes back when an interrupt is pending, masked or not, and not before
  write_register(cntv_ctl_el0, 2);
  isb();
  const u64 suspended_until = read_register(cntvct_el0) + hz / 200;
  write_register(cntv_cval_el0, suspended_until);
  write_register(cntv_ctl_el0, 1);
  isb();
  check("CPU_SUSPEND", psci(0xc4000001, 0, 0, 0), 0);
  check("not early from CPU_SUSPEND", read_register(cntvct_el0) >= suspended_until, 1);
  asm volatile("msr daifclr, #2\n isb");
  // Soon, but under random-irq not at once.
  for (u64 i = 0; i < 1000000 && timer_fired != 21; ++i) asm volatile("" ::: "memory");
  check("unmasked", timer_fired, 21);
  // an SGI to oneself is taken at once
  write_register(S3_0_C12_C11_5, 5UL << 24 | 1);  // ICC_SGI1R_EL1: INTID 5 to CPU 0
  isb();
  for (u64 i = 0; i < 1000000 && sgi_fired == 0; ++i) {}
  check("SGI", sgi_fired, 1);
}
