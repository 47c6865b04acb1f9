// Ports and MMIO: every width, string forms in both directions, accesses that straddle windows, and what nobody
// answers.
#include "devices.h"

const char test_name[] = "io";

#define FW_SELECT 0x510
#define FW_DATA 0x511
#define FW_DMA 0x514
#define NOWHERE 0xbee0     // ports without a device on both boards
#define HOLE 0xd0000000UL  // memory likewise
#define COUNTER (HPET + 0xf0)
#define COMPARATOR (HPET + 0x108)

extern u64 level2_window[512];
static u64 level1[512] __attribute__((aligned(4096)));
static u8 pages[4][4096] __attribute__((aligned(4096)));
// Four pages at neighbouring addresses, from last to first in memory: what crosses a page must look its address up
// again.
#define SCATTERED 0x80000000UL

static void map_scattered(void) {
  for (u32 i = 0; i < 4; ++i) level1[i] = (u64)pages[3 - i] + 3;
  level2_window[0] = (u64)level1 + 3;
  asm volatile("mov %%cr3, %%rax\n mov %%rax, %%cr3" ::: "rax", "memory");
}
static u8 scattered(u64 at) {
  return pages[3 - at / 4096][at % 4096];
}

#define STRING_IN(suffix, port, to, n)                                                  \
  ({                                                                                    \
    u64 to_ = (u64)(to), n_ = (n);                                                      \
    asm volatile("rep ins" suffix : "+D"(to_), "+c"(n_) : "d"((u16)(port)) : "memory"); \
    check("RCX after rep ins" suffix, n_, 0);                                           \
    to_;                                                                                \
  })
#define STRING_OUT(suffix, port, from, n)                                                  \
  ({                                                                                       \
    u64 from_ = (u64)(from), n_ = (n);                                                     \
    asm volatile("rep outs" suffix : "+S"(from_), "+c"(n_) : "d"((u16)(port)) : "memory"); \
    check("RCX after rep outs" suffix, n_, 0);                                             \
    from_;                                                                                 \
  })

static void ports(void) {
  // Bytes: COM1's scratch register; the register that is read is the one that was written.
  for (u32 v = 0; v < 256; v += 51) {
    outb(COM1 + 7, (u8)v);
    check("scratch register", inb(COM1 + 7), v);
  }
  u64 all = 0x1122334455667788;
  asm volatile("inb %%dx, %%al" : "+a"(all) : "d"((u16)(COM1 + 7)));
  check("inb leaves the rest of RAX", all, 0x11223344556677ff);
  // Words and double words.
  outw(PM_EVENT + 2, 0x100);
  check("word", inw(PM_EVENT + 2), 0x100);
  all = 0x1122334455667788;
  asm volatile("inw %%dx, %%ax" : "+a"(all) : "d"((u16)(PM_EVENT + 2)));
  check("inw leaves the rest of RAX", all, 0x1122334455660100);
  outw(PM_EVENT + 2, 0);
  check("word", inw(PM_EVENT + 2), 0);
  all = 0x1122334455667788;
  asm volatile("inl %%dx, %%eax" : "+a"(all) : "d"((u16)FW_DMA));
  check("inl of the DMA register's signature clears the rest of RAX", all, 0x554d4551);
  const u32 from = inl(PM_TIMER);
  expect("PM timer runs", wait_for(inl(PM_TIMER) != from));
  // The immediate form, which only reaches the low 256 ports.
  u8 mask;
  asm volatile("movb $0xa5, %%al\n outb %%al, $0x21\n xor %%eax, %%eax\n inb $0x21, %%al" : "=a"(mask));
  check("immediate port", mask, 0xa5);
  outb(PIC1 + 1, 0xff);
  check("nobody's byte", inb(NOWHERE), 0xff);
  check("nobody's word", inw(NOWHERE), 0xffff);
  check("nobody's double word", inl(NOWHERE), 0xffffffff);
  outb(NOWHERE, 0);
  outw(NOWHERE, 0);
  outl(NOWHERE, 0);
  check("nobody's after writes", inl(NOWHERE), 0xffffffff);
  check("the last port", inb(0xffff), 0xff);
}

// An access wider than a device's registers is split over its neighbours. (QEMU 7.2 dies of it.)
static void wide_ports(void) {
  outb(COM1 + 7, 0x3c);
  check("word over two byte registers", inw(COM1 + 6) >> 8, 0x3c);
  outw(COM1 + 6, 0xc300);
  check("word into two byte registers", inb(COM1 + 7), 0xc3);
  // The last two of these ports are nobody's.
  check("double word that straddles the end of a window", inl(COM1 + 6) >> 8, 0xffffc3);
  outl(COM1 + 6, 0x77776600);
  check("the part within the window", inb(COM1 + 7), 0x66);
  // PM1's enable register is the end of one window, its control register all of the next.
  outw(PM_EVENT + 2, 0x100);
  check("double word over two windows", inl(PM_EVENT + 2), (u32)inw(PM_CONTROL) << 16 | 0x100);
  outw(PM_EVENT + 2, 0);
}

static void string_ports(void) {
  // The file directory of fw_cfg, byte by byte, then the same as one instruction over three scattered pages.
  static u8 head[64];
  outw(FW_SELECT, 0x19);
  for (u32 i = 0; i < sizeof head; ++i) head[i] = inb(FW_DATA);
  memset(pages, 0xee, sizeof pages);
  outw(FW_SELECT, 0x19);
  check("RDI after rep insb", STRING_IN("b", FW_DATA, SCATTERED + 4000, 4300), SCATTERED + 8300);
  check("byte before", scattered(3999), 0xee);
  for (u32 i = 0; i < sizeof head; ++i)
    if (scattered(4000 + i) != head[i]) check("byte of rep insb", scattered(4000 + i), head[i]);
  for (u32 i = 8000; i < 8300; ++i)
    if (scattered(i) == 0xee) check("byte that rep insb left", i, 0);
  check("byte behind", scattered(8300), 0xee);
  check("RDI after rep insb of nothing", STRING_IN("b", FW_DATA, SCATTERED, 0), SCATTERED);
  check("byte of nothing", scattered(0), 0xee);
  // Downwards, one instruction over a page's border.
  outw(FW_SELECT, 0x19);
  asm volatile("std");
  const u64 down = STRING_IN("b", FW_DATA, SCATTERED + 4096 + 31, 64);
  asm volatile("cld");
  check("RDI after rep insb downwards", down, SCATTERED + 4096 + 31 - 64);
  for (u32 i = 0; i < 64; ++i)
    if (scattered(4096 + 31 - i) != head[i]) check("byte of rep insb downwards", scattered(4096 + 31 - i), head[i]);
  // One at a time, without a prefix.
  outw(FW_SELECT, 0);
  u64 to = SCATTERED;
  for (int i = 0; i < 4; ++i) asm volatile("insb" : "+D"(to) : "d"((u16)FW_DATA) : "memory");
  check("insb", read32(SCATTERED), 0x554d4551);

  // Out and in through COM1's loopback: 16 bytes fit its FIFO.
  outb(COM1 + 4, 0x1b);
  for (u32 i = 0; i < 16; ++i) write8(SCATTERED + 4088 + i, (u8)(i * 7 + 1));
  check("RSI after rep outsb", STRING_OUT("b", COM1, SCATTERED + 4088, 16), SCATTERED + 4104);
  STRING_IN("b", COM1, SCATTERED + 100, 16);
  for (u32 i = 0; i < 16; ++i) check("byte through the loopback", read8(SCATTERED + 100 + i), (u8)(i * 7 + 1));
  asm volatile("std");
  STRING_OUT("b", COM1, SCATTERED + 4103, 16);
  asm volatile("cld");
  STRING_IN("b", COM1, SCATTERED + 100, 16);
  for (u32 i = 0; i < 16; ++i)
    check("byte downwards through the loopback", read8(SCATTERED + 100 + i), (u8)((15 - i) * 7 + 1));
  check("RSI after rep outsb of nothing", STRING_OUT("b", COM1, SCATTERED, 0), SCATTERED);
  outb(COM1 + 4, 0x0b);

  // Words: the enable register keeps the last one.
  for (u32 i = 0; i < 8; ++i) write16(SCATTERED + 4094 + 2 * i, i % 2 == 0 ? 0 : 0x100);
  STRING_OUT("w", PM_EVENT + 2, SCATTERED + 4094, 8);
  check("word that rep outsw left", inw(PM_EVENT + 2), 0x100);
  STRING_IN("w", PM_EVENT + 2, SCATTERED + 4095, 3);
  check("words of rep insw", read32(SCATTERED + 4095), 0x1000100);
  STRING_OUT("w", PM_EVENT + 2, SCATTERED + 4094, 1);
  check("one word", inw(PM_EVENT + 2), 0);

  // Double words: the timer's values never go back (it counts at least 24 bits); over a border that splits one of them.
  STRING_IN("l", PM_TIMER, SCATTERED + 4094, 64);
  for (u32 i = 0; i < 63; ++i) {
    const u32 step = (read32(SCATTERED + 4098 + 4 * i) - read32(SCATTERED + 4094 + 4 * i)) & 0xffffff;
    if (step > 0x7fffff) check("step of rep insl", step, 0);
  }
  STRING_IN("l", NOWHERE, SCATTERED, 2);
  check("double words from nobody", read64(SCATTERED), ~0UL);
  STRING_IN("b", NOWHERE, SCATTERED + 16, 9);
  check("bytes from nobody", read64(SCATTERED + 16), ~0UL);
  STRING_OUT("l", NOWHERE, SCATTERED, 2);
  STRING_OUT("b", NOWHERE, SCATTERED, 3000);

  // A DMA transfer of fw_cfg; its address goes out by rep outsl, of which the last write counts.
  static struct {
    u32 control, length;
    u64 address;
  } dma __attribute__((aligned(16)));
  dma.control = __builtin_bswap32(0x0 << 16 | 0x8 | 0x2);
  dma.length = __builtin_bswap32(4);
  dma.address = __builtin_bswap64((u64)&pages[0][0]);
  pages[0][4] = 0x99;
  write32(SCATTERED + 4092, 0xdeadbeef);
  write32(SCATTERED + 4096, 0);
  STRING_OUT("l", FW_DMA, SCATTERED + 4092, 2);
  outl(FW_DMA + 4, __builtin_bswap32((u32)(u64)&dma));
  expect("DMA ends", wait_for(*(volatile u32*)&dma.control == 0));
  check("what DMA wrote", read32((u64)pages[0]), 0x554d4551);
  check("what DMA left", pages[0][4], 0x99);
}

static void mmio(void) {
  hpet_stop();
  write32(COUNTER, 0x89abcdef);
  write32(COUNTER + 4, 0x01234567);
  check("low half", read32(COUNTER), 0x89abcdef);
  check("high half", read32(COUNTER + 4), 0x01234567);
  check("8 bytes", read64(COUNTER), 0x0123456789abcdef);
  write64(COUNTER, 0x1122334455667788);
  check("8 bytes written, low", read32(COUNTER), 0x55667788);
  check("8 bytes written, high", read32(COUNTER + 4), 0x11223344);
  // Read, change, write in one instruction; extension; both operands in memory.
  asm volatile("orl $0x70000, %0" : "+m"(*(volatile u32*)COUNTER));
  check("or", read32(COUNTER), 0x55677788);
  asm volatile("addl $0x78, %0" : "+m"(*(volatile u32*)COUNTER));
  check("add", read32(COUNTER), 0x55677800);
  u32 swapped = 0x80000001;
  asm volatile("xchgl %0, %1" : "+r"(swapped), "+m"(*(volatile u32*)COUNTER));
  check("xchg took", swapped, 0x55677800);
  check("xchg left", read32(COUNTER), 0x80000001);
  u64 extended;
  asm volatile("movslq %1, %0" : "=r"(extended) : "m"(*(volatile u32*)COUNTER));
  check("movslq", extended, 0xffffffff80000001);
  asm volatile("pushq %1\n popq %0" : "=r"(extended) : "m"(*(volatile u64*)COUNTER));
  check("push", extended, 0x1122334480000001);
  asm volatile("movl $0x12345678, %0" : "=m"(*(volatile u32*)COUNTER));
  check("immediate", read32(COUNTER), 0x12345678);
  u8 flag;
  asm volatile("cmpl $0x12345678, %1\n sete %0" : "=q"(flag) : "m"(*(volatile u32*)COUNTER));
  check("cmp", flag, 1);
  asm volatile("testl $0x87, %1\n sete %0" : "=q"(flag) : "m"(*(volatile u32*)COUNTER));
  check("test", flag, 1);

  // Strings: MMIO to memory over a page's border, memory to MMIO, MMIO to MMIO, a fill.
  write64(COUNTER, 0x1122334455667788);
  u64 from = COUNTER, to = SCATTERED + 4093, n = 2;
  asm volatile("rep movsl" : "+S"(from), "+D"(to), "+c"(n)::"memory");
  check("rep movsl from MMIO", read64(SCATTERED + 4093), 0x1122334455667788);
  check("RSI after rep movsl", from, COUNTER + 8);
  check("RDI after rep movsl", to, SCATTERED + 4101);
  write64(SCATTERED + 4093, 0xa1a2a3a4b1b2b3b4);
  from = SCATTERED + 4093, to = COUNTER, n = 2;
  asm volatile("rep movsl" : "+S"(from), "+D"(to), "+c"(n)::"memory");
  check("rep movsl to MMIO", read64(COUNTER), 0xa1a2a3a4b1b2b3b4);
  from = COUNTER + 4, to = SCATTERED + 4100, n = 2;
  asm volatile("std\n rep movsl\n cld" : "+S"(from), "+D"(to), "+c"(n)::"memory");
  check("rep movsl downwards", read64(SCATTERED + 4096), 0xa1a2a3a4b1b2b3b4);
  write32(HPET_TIMER(0), 0);
  from = COUNTER, to = COMPARATOR, n = 2;
  asm volatile("rep movsl" : "+S"(from), "+D"(to), "+c"(n)::"memory");
  check("rep movsl from MMIO to MMIO", read64(COMPARATOR), 0xa1a2a3a4b1b2b3b4);
  to = COUNTER, n = 2;
  asm volatile("rep stosl" : "+D"(to), "+c"(n) : "a"(0x5a5a5a5a) : "memory");
  check("rep stosl", read64(COUNTER), 0x5a5a5a5a5a5a5a5a);
  u64 value;
  from = COUNTER;
  asm volatile("lodsq" : "+S"(from), "=a"(value)::"memory");
  check("lodsq", value, 0x5a5a5a5a5a5a5a5a);
  hpet_stop();

  // Registers of four bytes in parts, as the bus carries them.
  const u32 capability = read32(HPET);
  check("identity, 8 bytes", read64(HPET) & 0xffffffff, capability);
}

// What only virt-x86_64 promises: QEMU's PC does not let one- and two-byte accesses to its HPET through, and answers
// reads of nothing with 0.
static void narrow_and_holes(void) {
  const u32 capability = read32(HPET);
  for (u32 i = 0; i < 4; ++i) check("byte of a register", read8(HPET + i), (u8)(capability >> (8 * i)));
  check("word of a register", read16(HPET + 2), capability >> 16);
  check("unaligned word", read16(HPET + 1), (u16)(capability >> 8));
  write64(COUNTER, 0);
  write8(COUNTER + 1, 0xab);
  check("byte written", read64(COUNTER), 0xab00);
  write16(COUNTER + 4, 0x1234);
  check("word written", read64(COUNTER), 0x12340000ab00);
  write64(COUNTER + 1, 0x1122334455667788);
  check("8 bytes unaligned", read64(COUNTER), 0x2233445566778800);
  hpet_stop();
  u64 from = HPET, to = SCATTERED + 4094, n = 4;
  asm volatile("rep movsb" : "+S"(from), "+D"(to), "+c"(n)::"memory");
  check("rep movsb from MMIO", read32(SCATTERED + 4094), capability);

  check("byte of a hole", read8(HOLE), 0xff);
  check("word of a hole", read16(HOLE), 0xffff);
  check("double word of a hole", read32(HOLE), 0xffffffff);
  check("quad word of a hole", read64(HOLE), ~0UL);
  write64(HOLE, 0);
  check("a hole after a write", read64(HOLE), ~0UL);
  from = HOLE, to = SCATTERED, n = 3;
  asm volatile("rep movsq" : "+S"(from), "+D"(to), "+c"(n)::"memory");
  check("rep movsq from a hole", read64(SCATTERED + 16), ~0UL);
  to = HOLE, n = 3;
  asm volatile("rep stosq" : "+D"(to), "+c"(n) : "a"(0UL) : "memory");

  // Window and hole, over a page's border too.
  check("end of a window and hole", read64(HPET + 0x3fc), 0xffffffff00000000);
  check("hole and start of a window", read64(HPET - 4) >> 32, capability);
  check("hole", (u32)read64(HPET - 4), 0xffffffff);
  check("unaligned end and hole", read32(HPET + 0x3fe), 0xffff0000);
}

// The end of RAM.
static void end_of_ram(void) {
  const u64 end_ = 256UL << 20;
  const u16 before = read16(end_ - 2);
  write16(end_ - 2, 0x1234);
  check("RAM's last bytes and a hole", read32(end_ - 2), 0xffff1234);
  write32(end_ - 2, 0x77775678);
  check("RAM's last bytes", read16(end_ - 2), 0x5678);
  check("behind RAM", read32(end_), 0xffffffff);
  write16(end_ - 2, before);
}

void test_main(void) {
  map_scattered();
  ports();
  string_ports();
  mmio();
  if (on_solder()) {
    wide_ports();
    narrow_and_holes();
    end_of_ram();
  }
}
