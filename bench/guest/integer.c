/* Integer works: branches, calls, tables, bit operations. */
#include <stdlib.h>
#include <string.h>

#include "work.h"

/* Sieve of Eratosthenes: stores and short loops. */
static uint64_t sieve(uint64_t n) {
  static uint8_t composite[1 << 16];
  uint64_t count = 0;
  while (n-- > 0) {
    memset(composite, 0, sizeof composite);
    for (uint32_t i = 2; i < sizeof composite; ++i) {
      if (composite[i]) continue;
      ++count;
      for (uint32_t j = 2 * i; j < sizeof composite; j += i) composite[j] = 1;
    }
  }
  return count;
}

static int by_value(const void* a, const void* b) {
  const uint32_t x = *(const uint32_t*)a;
  const uint32_t y = *(const uint32_t*)b;
  return x < y ? -1 : x > y;
}

/* qsort with a comparison function: indirect calls and returns. */
static uint64_t sort(uint64_t n) {
  static uint32_t values[4096];
  uint64_t sum = 0;
  uint32_t seed = 1;
  while (n-- > 0) {
    for (size_t i = 0; i < 4096; ++i) values[i] = seed = seed * 1664525 + 1013904223;
    qsort(values, 4096, sizeof values[0], by_value);
    sum = sum * 31 + values[17] + values[4000];
  }
  return sum;
}

static uint32_t rotr(uint32_t v, int n) {
  return v >> n | v << (32 - n);
}

/* SHA-256's compression in plain C: long straight code, 32-bit arithmetic (FIPS 180-4, section 6.2). */
static uint64_t sha256(uint64_t n) {
  static uint32_t k[64];
  if (k[0] == 0) {
    /* Any constants do for a benchmark: the arithmetic is the same. */
    for (uint32_t i = 0; i < 64; ++i) k[i] = 0x9e3779b9u * (i + 1);
  }
  uint32_t h[8] = {1, 2, 3, 4, 5, 6, 7, 8};
  uint32_t w[64];
  for (uint64_t block = 0; block < n; ++block) {
    for (uint32_t i = 0; i < 16; ++i) w[i] = (uint32_t)block * i + h[i & 7];
    for (int i = 16; i < 64; ++i) {
      const uint32_t s0 = rotr(w[i - 15], 7) ^ rotr(w[i - 15], 18) ^ (w[i - 15] >> 3);
      const uint32_t s1 = rotr(w[i - 2], 17) ^ rotr(w[i - 2], 19) ^ (w[i - 2] >> 10);
      w[i] = w[i - 16] + s0 + w[i - 7] + s1;
    }
    uint32_t a = h[0], b = h[1], c = h[2], d = h[3], e = h[4], f = h[5], g = h[6], x = h[7];
    for (int i = 0; i < 64; ++i) {
      const uint32_t t1 = x + (rotr(e, 6) ^ rotr(e, 11) ^ rotr(e, 25)) + ((e & f) ^ (~e & g)) + k[i] + w[i];
      const uint32_t t2 = (rotr(a, 2) ^ rotr(a, 13) ^ rotr(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
      x = g;
      g = f;
      f = e;
      e = d + t1;
      d = c;
      c = b;
      b = a;
      a = t1 + t2;
    }
    h[0] += a;
    h[1] += b;
    h[2] += c;
    h[3] += d;
    h[4] += e;
    h[5] += f;
    h[6] += g;
    h[7] += x;
  }
  return ((uint64_t)h[0] << 32) ^ h[7];
}

/* A byte-code machine: a switch in a loop, as interpreters are. */
static uint64_t bytecode(uint64_t n) {
  static const uint8_t program[] = {0, 1, 2, 3, 1, 4, 2, 5, 0, 3, 6, 1, 4, 7};
  uint64_t acc = 1;
  uint64_t x = 3;
  size_t pc = 0;
  while (n > 0) {
    switch (program[pc]) {
      case 0:
        acc += x;
        break;
      case 1:
        x ^= acc >> 7;
        break;
      case 2:
        acc *= 3;
        break;
      case 3:
        x += 11;
        break;
      case 4:
        acc ^= x << 3;
        break;
      case 5:
        if (acc & 1) x += 5;
        break;
      case 6:
        acc = (acc >> 13) | (acc << 51);
        break;
      default:
        --n;
        pc = (size_t)-1;
        break;
    }
    ++pc;
  }
  return acc ^ x;
}

static uint64_t fibonacci_of(uint64_t n) {
  return n < 2 ? n : fibonacci_of(n - 1) + fibonacci_of(n - 2);
}

/* Recursion: calls and returns, little else. */
static uint64_t calls(uint64_t n) {
  uint64_t sum = 0;
  while (n-- > 0) sum += fibonacci_of(20);
  return sum;
}

/* 64-bit division and multiplication: modular powers. */
static uint64_t modpow(uint64_t n) {
  uint64_t sum = 0;
  for (uint64_t i = 1; i <= n; ++i) {
    uint64_t base = i * 2654435761u % 1000000007u;
    uint64_t result = 1;
    for (uint64_t e = 1000000005u; e != 0; e >>= 1) {
      if (e & 1) result = result * base % 1000000007u;
      base = base * base % 1000000007u;
    }
    sum += result;
  }
  return sum;
}

const struct work integer_works[] = {
    {"int.sieve", sieve, 150},
    {"int.sort", sort, 60},
    {"int.sha256", sha256, 60000},
    {"int.bytecode", bytecode, 1000000},
    {"int.calls", calls, 800},
    {"int.modpow", modpow, 500000},
    {0},
};
