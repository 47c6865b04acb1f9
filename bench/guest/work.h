/* The benchmark guest's parts: each work does a fixed amount and returns a checksum, so that both emulators do the same
 * and must get the same result. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct work {
  const char* name;
  /* Does `n` units; the checksum depends on every one. */
  uint64_t (*run)(uint64_t n);
  uint64_t units; /* chosen so that an emulator needs a few tenths of a second */
};

extern const struct work integer_works[];
extern const struct work float_works[];
extern const struct work memory_works[];
extern const struct work system_works[];
