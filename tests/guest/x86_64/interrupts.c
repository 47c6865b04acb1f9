// The IDT, counting and logging of interrupts, exceptions that are reported or expected.
#include "guest.h"

#include "devices.h"

handler handlers[256];
volatile u32 counts[2][256];
volatile u8 order[256];
volatile u32 order_count;
volatile u64 fault_resume, fault_vector, fault_error, fault_count;

extern u8 vector_stubs[], secondary_stack[], secondary_stack_top[];

struct gate {
  u16 low, selector;
  u8 stack, type;
  u16 middle;
  u32 high, zero;
};
static struct gate idt[256] __attribute__((aligned(16)));

void load_idt(void) {
  for (u32 i = 0; i < 256; ++i) {
    const u64 at = (u64)vector_stubs + 16 * i;
    idt[i] = (struct gate){(u16)at, 0x18, 0, 0x8e, (u16)(at >> 16), (u32)(at >> 32), 0};
  }
  struct {
    u16 limit;
    u64 base;
  } __attribute__((packed)) pointer = {sizeof idt - 1, (u64)idt};
  asm volatile("lidt %0" ::"m"(pointer) : "memory");
}

u32 this_cpu(void) {
  u64 sp;
  asm("mov %%rsp, %0" : "=r"(sp));
  return sp >= (u64)secondary_stack && sp <= (u64)secondary_stack_top;
}

void clear_counts(void) {
  for (u32 i = 0; i < 256; ++i) counts[0][i] = counts[1][i] = 0;
  order_count = 0;
}
u32 count(u32 vector) {
  return counts[0][vector] + counts[1][vector];
}

void trap(struct frame* frame) {
  const u32 vector = (u32)frame->vector;
  const u32 cpu = this_cpu();
  counts[cpu][vector] = counts[cpu][vector] + 1;
  if (cpu == 0 && order_count < sizeof order) {
    order[order_count] = (u8)vector;
    order_count = order_count + 1;
  }
  if (handlers[vector]) return handlers[vector](frame);
  if (vector < 32 && fault_resume) {
    fault_vector = vector;
    fault_error = frame->error;
    fault_count = fault_count + 1;
    frame->rip = fault_resume;
    fault_resume = 0;
    return;
  }
  com1_quiet();
  print(vector < 32 ? "  unexpected exception " : "  unexpected interrupt ");
  print_hex(vector);
  print(" cpu ");
  print_hex(cpu);
  print(" error ");
  print_hex(frame->error);
  print(" rip ");
  print_hex(frame->rip);
  u64 cr2;
  asm("mov %%cr2, %0" : "=r"(cr2));
  print(" cr2 ");
  print_hex(cr2);
  print("\n");
  check("unexpected", 1, 0);
  end();
}

int rdmsr_faults(u32 number) {
  const u64 before = fault_count;
  asm volatile("movq $1f, fault_resume\n rdmsr\n 1: movq $0, fault_resume" ::"c"(number) : "rax", "rdx", "memory");
  return fault_count != before;
}
int wrmsr_faults(u32 number, u64 value) {
  const u64 before = fault_count;
  asm volatile("movq $1f, fault_resume\n wrmsr\n 1: movq $0, fault_resume" ::"c"(number), "a"((u32)value),
               "d"((u32)(value >> 32))
               : "memory");
  return fault_count != before;
}
