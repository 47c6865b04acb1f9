#include "translator/run/options.h"

#include <charconv>
#include <string>

namespace solder::run {
namespace {

Result<u64> number(std::string_view word, std::string_view digits) {
  u64 value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc{} || end != digits.data() + digits.size()) {
    return fail("--translator", "'" + std::string(word) + "' needs a decimal number after '='");
  }
  return value;
}

}  // namespace

Result<TranslatorOptions> parse_options(std::string_view text) {
  TranslatorOptions options;
  while (!text.empty()) {
    const usize comma = text.find(',');
    const std::string_view word = text.substr(0, comma);
    text = comma == std::string_view::npos ? std::string_view{} : text.substr(comma + 1);
    const usize equals = word.find('=');
    const std::string_view name = word.substr(0, equals);
    if (equals != std::string_view::npos) {
      const u64 value = SOLDER_TRY(number(word, word.substr(equals + 1)));
      if (name == "flush" && value != 0 && value <= 0xffff'ffff) {
        options.flush_every = static_cast<u32>(value);
        continue;
      }
      if (name == "random-irq") {
        options.random_irq = value;
        continue;
      }
      if (name == "buffer" && value >= 1 && value <= 2048) {
        options.buffer_bytes = value << 20;
        continue;
      }
    } else if (name == "fast") {
      options.interpreter = false;
      continue;
    } else if (name == "interpreter") {
      options.interpreter = true;
      continue;
    } else if (name == "stats") {
      options.stats = true;
      continue;
    } else if (name == "one-insn") {
      options.one_insn = true;
      continue;
    } else if (name == "one-tlb") {
      options.one_tlb = true;
      continue;
    } else if (name == "no-link") {
      options.no_link = true;
      continue;
    } else if (name == "trace") {
      options.trace = true;
      options.no_link = true;
      continue;
    } else if (name == "slow-memory") {
      options.slow_memory = true;
      continue;
    } else if (name == "fallback") {
      options.fallback = true;
      continue;
    }
    return fail(
        "--translator", "'" + std::string(word) + "' is not a switch of the translator, or out of its range",
        "use a comma-separated list of: fast, interpreter, stats, one-insn, one-tlb, no-link, trace, slow-memory, "
        "fallback, flush=N, random-irq=SEED, buffer=MiB");
  }
  return options;
}

}  // namespace solder::run
