// What the guest programs share: output, checks, traps, page tables, PSCI. A program defines test_main, prints through
// check(), and ends; the last line is "PASS <name>" or "FAIL <name>".
#pragma once

// No table of addresses: nobody relocates it.
#pragma GCC visibility push(hidden)

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;
typedef long i64;

struct frame {
  u64 x[31];
  u64 elr;
  u64 spsr;
};

#define read_register(name)                         \
  ({                                                \
    u64 value_;                                     \
    asm volatile("mrs %0, " #name : "=r"(value_));  \
    value_;                                         \
  })
#define write_register(name, value) asm volatile("msr " #name ", %0" ::"r"((u64)(value)) : "memory")
#define isb() asm volatile("isb" ::: "memory")
#define dsb() asm volatile("dsb sy" ::: "memory")

extern const char test_name[];
void test_main(void);
// Called for each exception; 1: handled (elr may be changed), 0: unexpected.
int test_trap(struct frame *frame, u64 vector);
void test_secondary(void);

void print(const char *text);
void print_hex(u64 value);
// A failed check is printed with both values; the program goes on.
void check(const char *what, u64 got, u64 wanted);
void end(void) __attribute__((noreturn));
u64 psci(u64 function, u64 a, u64 b, u64 c);

// The last expected fault, as the default part of trap() records it when fault_skip is set: one instruction is skipped.
extern volatile u64 fault_skip, fault_count, fault_elr, fault_esr, fault_far;

// Turns the MMU on: devices and RAM 1:1, and kWindow..+2 MiB through window_table (4 KiB pages).
#define WINDOW 0x80000000UL
extern u64 window_table[512];
void mmu_on(void);
// TTBR0 with this ASID. The second set of tables differs in the window: window_table2.
extern u64 window_table2[512];
void use_tables(int second, u64 asid);
void map(u64 *table, u64 page, void *target, u64 flags);
void unmap(u64 *table, u64 page);
#define READ_ONLY (1UL << 7)
#define NOT_GLOBAL (1UL << 11)
#define DEVICE (1UL << 2)
void flush_page(u64 va);
void sync_code(void *start, u64 bytes);

// 64 pages of memory to play with, page-aligned.
extern u8 pages[64][4096];
#define WINDOW_AT(page, offset) ((volatile u8 *)(WINDOW + (page) * 4096 + (offset)))

// Starts CPU 1 at test_secondary.
void start_secondary(void);
