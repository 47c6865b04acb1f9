// What the guest programs share: output, checks, traps, port and MMIO access, waiting, the second CPU. A program
// defines test_name and test_main, prints through check(), and ends; the last line is "PASS <name>" or "FAIL <name>".
// Devices and interrupt controllers are in devices.h.
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;
typedef long i64;

struct frame {
  u64 rax, rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15;
  u64 vector, error, rip, cs, rflags, rsp, ss;
};

extern const char test_name[];
extern u64 start_info;  // physical address of hvm_start_info
void test_main(void);
void test_secondary(void);

void print(const char* text);
void print_hex(u64 value);
// A failed check is printed with both values; the program goes on.
void check(const char* what, u64 got, u64 wanted);
// A condition that has no values worth printing.
void expect(const char* what, int condition);
// Something that this board or CPU does not have, said in the output.
void skipped(const char* what);
void end(void) __attribute__((noreturn));

// Interrupts. Vectors from 32 on without a handler are failures; each interrupt is counted for the CPU that took it and
// appended to a log first. Exceptions below 32 are failures unless they have a handler or expect_fault is set.
typedef void (*handler)(struct frame*);
extern handler handlers[256];
extern volatile u32 counts[2][256];
extern volatile u8 order[256];  // vectors in the order in which CPU 0 took them
extern volatile u32 order_count;
void clear_counts(void);
u32 count(u32 vector);  // of both CPUs
u32 this_cpu(void);     // 0 or 1, without a device
// While fault_resume is set, the next exception is recorded and execution goes on there.
extern volatile u64 fault_resume, fault_vector, fault_error, fault_count;

#define sti() asm volatile("sti" ::: "memory")
#define cli() asm volatile("cli" ::: "memory")
#define pause() asm volatile("pause" ::: "memory")
// Interrupts are recognised one instruction after STI: this lets one in, if one is there. Where KVM emulates
// kernel-mode code it looks for interrupts only when it leaves the guest, so that there is an access to nobody's port
// in between.
#define window() asm volatile("sti\n nop\n outb %%al, $0x80\n nop\n cli" ::: "memory")
#define sleep() asm volatile("sti\n hlt\n cli" ::: "memory")

static inline u8 inb(u16 port) {
  u8 value;
  asm volatile("inb %1, %0" : "=a"(value) : "Nd"(port) : "memory");
  return value;
}
static inline u16 inw(u16 port) {
  u16 value;
  asm volatile("inw %1, %0" : "=a"(value) : "Nd"(port) : "memory");
  return value;
}
static inline u32 inl(u16 port) {
  u32 value;
  asm volatile("inl %1, %0" : "=a"(value) : "Nd"(port) : "memory");
  return value;
}
static inline void outb(u16 port, u8 value) {
  asm volatile("outb %0, %1" ::"a"(value), "Nd"(port) : "memory");
}
static inline void outw(u16 port, u16 value) {
  asm volatile("outw %0, %1" ::"a"(value), "Nd"(port) : "memory");
}
static inline void outl(u16 port, u32 value) {
  asm volatile("outl %0, %1" ::"a"(value), "Nd"(port) : "memory");
}

// One instruction of the wanted width each: the compiler may not choose.
#define MMIO(bits, suffix, constraint)                                               \
  static inline u##bits read##bits(u64 at) {                                         \
    u##bits value;                                                                   \
    asm volatile("mov" suffix " (%1), %0" : constraint(value) : "r"(at) : "memory"); \
    return value;                                                                    \
  }                                                                                  \
  static inline void write##bits(u64 at, u##bits value) {                            \
    asm volatile("mov" suffix " %0, (%1)" ::"r"(value), "r"(at) : "memory");         \
  }
MMIO(8, "b", "=q")
MMIO(16, "w", "=r")
MMIO(32, "l", "=r")
MMIO(64, "q", "=r")
#undef MMIO

static inline u64 rdmsr(u32 number) {
  u32 low, high;
  asm volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(number) : "memory");
  return (u64)high << 32 | low;
}
static inline void wrmsr(u32 number, u64 value) {
  asm volatile("wrmsr" ::"c"(number), "a"((u32)value), "d"((u32)(value >> 32)) : "memory");
}
static inline u64 rdtsc(void) {
  u32 low, high;
  asm volatile("rdtsc" : "=a"(low), "=d"(high)::"memory");
  return (u64)high << 32 | low;
}
struct cpuid {
  u32 a, b, c, d;
};
static inline struct cpuid cpuid(u32 leaf, u32 sub) {
  struct cpuid r;
  asm volatile("cpuid" : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d) : "a"(leaf), "c"(sub));
  return r;
}
// MSR accesses that may fault: 1 when they did.
int rdmsr_faults(u32 number);
int wrmsr_faults(u32 number, u64 value);

// Waits for a condition, generously: some seconds of the TSC. Interrupts are let in meanwhile. 0: it did not come.
#define WAIT_LIMIT (10UL << 30)
#define wait_for(condition)                                          \
  ({                                                                 \
    const u64 from_ = rdtsc();                                       \
    int came_;                                                       \
    while (!(came_ = (condition)) && rdtsc() - from_ < WAIT_LIMIT) { \
      window();                                                      \
      pause();                                                       \
    }                                                                \
    came_;                                                           \
  })
// As long as it takes for an interrupt that must not come to come: about a millisecond, interrupts let in.
void settle(void);
// The same many times over, for things that timers do.
void settle_long(void);
// Told on the command line, "sti", of hosts whose processor forgets between STI and HLT that STI delays interrupts, when
// the host itself is interrupted there: what is to end the HLT has come before it.
int host_loses_sti_shadow(void);

void* memset(void* to, int value, u64 size);
void* memcpy(void* to, const void* from, u64 size);

// Starts CPU 1 by INIT and SIPI at test_secondary, with its local APIC enabled, and waits until it is there.
void start_secondary(void);
extern volatile u32 secondary_running;
// Whether the board is the one of machines/virt-x86_64.dts, and not QEMU's PC: who wrote the ACPI tables.
int on_solder(void);
// Its PIC, PIT and I/O APIC, and its local APICs, are Solder's and not KVM's. tests/guest/run says so on the command
// line: "kernel", "split" or "user".
int own_devices(void);
int own_lapic(void);
