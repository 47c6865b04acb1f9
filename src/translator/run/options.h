/// What a user can ask of the translator: `--translator fast|interpreter|stats…` and the stress switches of the tests.
#pragma once

#include <optional>
#include <string_view>

#include "base/result.h"
#include "base/types.h"

namespace solder::run {

struct TranslatorOptions {
  bool interpreter = false;  ///< no host code at all: everything through the IR interpreter
  bool stats = false;        ///< print Accelerator::statistics at the end
  // Stress switches: each makes a rare path the usual one.
  bool one_insn = false;     ///< blocks of one guest instruction
  bool one_tlb = false;      ///< a TLB that holds one page
  bool trace = false;        ///< a line per block entry on standard error: pc and the general registers' sum
  bool no_link = false;      ///< every block returns to the dispatcher
  bool slow_memory = false;  ///< host code never takes the TLB fast path
  bool fallback = false;     ///< host code calls the interpreter's function for every operation that has one
  u32 flush_every = 0;       ///< empty the code cache after so many translations; 0: only when it is full
  std::optional<u64>
      random_irq;  ///< seed: interrupts are delivered at random later points, blocks end at random places
  u64 buffer_bytes = u64{256} << 20;  ///< size of the host code buffer
};

/// Parses a comma-separated list: fast, interpreter, stats, one-insn, one-tlb, no-link, trace, slow-memory, fallback,
/// flush=N, random-irq=SEED, buffer=MiB. Errors name the word.
[[nodiscard]] Result<TranslatorOptions> parse_options(std::string_view text);

}  // namespace solder::run
