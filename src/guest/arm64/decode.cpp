#include "guest/arm64/decode.h"

#include <algorithm>
#include <array>
#include <bit>
#include <vector>

namespace solder::arm64 {
namespace {

consteval Encoding make(Handler handler, const char* pattern, const char* name, const char* table) {
  Encoding e{0, 0, handler, pattern, name, table};
  unsigned n = 0;
  for (; pattern[n] != '\0'; ++n) {
    const u32 b = u32{1} << (31 - n);
    if (pattern[n] == '0' || pattern[n] == '1') e.mask |= b;
    if (pattern[n] == '1') e.value |= b;
  }
  if (n != 32) throw "a pattern has 32 characters";
  return e;
}

constexpr Encoding kEncodings[] = {
#define A64(handler, pattern, text) make(sem::handler, pattern, text, "branch_system"),
#include "guest/arm64/decode_branch_system.inc"
#undef A64
#define A64(handler, pattern, text) make(sem::handler, pattern, text, "fp_simd"),
#include "guest/arm64/decode_fp_simd.inc"
#undef A64
#define A64(handler, pattern, text) make(sem::handler, pattern, text, "integer"),
#include "guest/arm64/decode_integer.inc"
#undef A64
#define A64(handler, pattern, text) make(sem::handler, pattern, text, "memory"),
#include "guest/arm64/decode_memory.inc"
#undef A64
};

// Buckets by bits 31..21, each with its candidates, most fixed bits first.
constexpr unsigned kBucketBits = 11;

class Lookup {
 public:
  Lookup() {
    for (u32 i = 0; i < starts_.size() - 1; ++i) {
      starts_[i] = static_cast<u32>(candidates_.size());
      const u32 high = i << (32 - kBucketBits);
      constexpr u32 kHighMask = ~u32{0} << (32 - kBucketBits);
      const auto first = static_cast<std::ptrdiff_t>(candidates_.size());
      for (const Encoding& e : kEncodings) {
        if (((e.value ^ high) & e.mask & kHighMask) == 0) candidates_.push_back(&e);
      }
      std::stable_sort(candidates_.begin() + first, candidates_.end(), [](const Encoding* a, const Encoding* b) {
        return std::popcount(a->mask) > std::popcount(b->mask);
      });
    }
    starts_.back() = static_cast<u32>(candidates_.size());
  }
  [[nodiscard]] const Encoding* find(u32 word) const {
    const u32 bucket = word >> (32 - kBucketBits);
    for (u32 i = starts_[bucket]; i < starts_[bucket + 1]; ++i) {
      if ((word & candidates_[i]->mask) == candidates_[i]->value) return candidates_[i];
    }
    return nullptr;
  }

 private:
  std::array<u32, (usize{1} << kBucketBits) + 1> starts_{};
  std::vector<const Encoding*> candidates_;
};

}  // namespace

const Encoding* decode(u32 word) {
  static const Lookup lookup;
  return lookup.find(word);
}

std::span<const Encoding> encodings() {
  return kEncodings;
}

}  // namespace solder::arm64
