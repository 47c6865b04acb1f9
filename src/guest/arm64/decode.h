/// The decode table: every A64 encoding is one line of a decode_*.inc file.
///
///   A64(Handler, "sf-and-so-on pattern of 32 characters, bit 31 first", "NAME")
///
/// 0 and 1 are fixed bits, x is ignored, any other letter is (part of) a field. Where two patterns overlap the one with
/// more fixed bits wins, and its fixed bits must contain the other's.
#pragma once

#include <span>

#include "base/types.h"
#include "guest/arm64/insn.h"

namespace solder::arm64 {

class Translate;
using Handler = void (*)(Translate& t, Insn i);

struct Encoding {
  u32 mask = 0;   ///< fixed bits
  u32 value = 0;  ///< what they are
  Handler handler = nullptr;
  const char* pattern = nullptr;
  const char* name = nullptr;
  const char* table = nullptr;  ///< which file: "integer", "branch_system", "memory", "fp_simd"
};

/// Null: unallocated.
[[nodiscard]] const Encoding* decode(u32 word);
/// All of them, for tests and fuzzers.
[[nodiscard]] std::span<const Encoding> encodings();

#define A64(handler, pattern, text) void handler(Translate& t, Insn i);
namespace sem {
#include "guest/arm64/decode_branch_system.inc"
#include "guest/arm64/decode_fp_simd.inc"
#include "guest/arm64/decode_integer.inc"
#include "guest/arm64/decode_memory.inc"
}  // namespace sem
#undef A64

}  // namespace solder::arm64
