/* Memory works: the translator's address path. */
#include <stdlib.h>
#include <string.h>

#include "work.h"

enum { kBytes = 16 << 20 };

static uint8_t* arena(void) {
  static uint8_t* memory;
  if (memory == 0) {
    memory = malloc(kBytes);
    memset(memory, 1, kBytes);
  }
  return memory;
}

/* A chain of dependent loads over 16 MiB: TLB misses and load latency. */
static uint64_t chase(uint64_t n) {
  uint64_t* slots = (uint64_t*)arena();
  const uint64_t count = kBytes / 64;
  for (uint64_t i = 0; i < count; ++i) slots[i * 8] = (i * 40503 + 12345) % count;
  uint64_t at = 0;
  while (n-- > 0) at = slots[at * 8];
  return at;
}

/* The same within 32 KiB: load latency alone. */
static uint64_t chase_near(uint64_t n) {
  uint64_t* slots = (uint64_t*)arena();
  for (uint64_t i = 0; i < 4096; ++i) slots[i] = (i * 1103 + 1) % 4096;
  uint64_t at = 0;
  while (n-- > 0) at = slots[at];
  return at;
}

static uint64_t copy(uint64_t n) {
  uint8_t* memory = arena();
  while (n-- > 0) memcpy(memory + kBytes / 2, memory + (n & 63), 1 << 20);
  return memory[kBytes / 2 + 77];
}

/* Byte-wise text work: count words. */
static uint64_t words(uint64_t n) {
  static char text[65536];
  for (size_t i = 0; i < sizeof text; ++i) text[i] = "the quick brown fox  "[i % 21];
  uint64_t count = 0;
  while (n-- > 0) {
    int in_word = 0;
    for (size_t i = 0; i < sizeof text; ++i) {
      const int space = text[i] == ' ' || text[i] == '\n';
      count += (uint64_t)(!space && !in_word);
      in_word = !space;
    }
    text[n & 65535] = 'x';
  }
  return count;
}

const struct work memory_works[] = {
    {"mem.chase", chase, 500000},
    {"mem.chase32k", chase_near, 30000000},
    {"mem.copy", copy, 50},
    {"mem.words", words, 400},
    {0},
};
