/// Random but valid IR blocks, for holding the interpreter, the passes and the emitters against each other.
///
///   RandomIr random(seed, options);
///   TestState state; random.randomize(state); FlatMemory memory(options.arena_base, options.arena_bytes); …
///   ir::Block block; random.make(block);
///   interpreter.run(block, pc, state) against the emitter's code on copies, then `differences(…)`.
#pragma once

#include <array>
#include <cstring>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "translator/ir/builder.h"
#include "translator/ir/core_state.h"
#include "translator/ir/guest.h"
#include "translator/ir/ir.h"

namespace solder::test {

inline constexpr usize kTestRegisters = 32;

/// A guest's state record as random blocks use it.
struct TestState : ir::CoreState {
  TestState() = default;
  // An atomic cannot be copied, but nobody else looks at a test's state.
  TestState(const TestState& other) : ir::CoreState() { *this = other; }
  TestState& operator=(const TestState& other) {
    if (this != &other) std::memcpy(static_cast<void*>(this), &other, sizeof(*this));
    return *this;
  }
  ~TestState() = default;

  alignas(64) std::array<u64, kTestRegisters> x{};  // not in CoreState's tail padding
  std::array<ir::V128, kTestRegisters> v{};
};

[[nodiscard]] u32 offset_of_x(unsigned index);
[[nodiscard]] u32 offset_of_v(unsigned index);

/// The layout to give an emitter: every x register may be pinned.
[[nodiscard]] const ir::GuestLayout& test_layout();

/// The helpers that random blocks call, by number; deterministic, working on a TestState.
[[nodiscard]] std::span<const ir::Helper> test_helpers();

struct RandomIrOptions {
  unsigned guest_insns = 12;  ///< at most
  bool flags = true;
  bool memory = true;
  bool faults = true;      ///< some accesses miss the arena or are unaligned where that faults
  bool exclusives = true;  ///< load_ex, store_ex, cas, atomic
  bool big_endian = true;
  bool calls = true;
  bool side_exits = true;
  bool vectors = true;
  bool crypto = true;
  bool floats = true;
  bool half_precision = true;
  bool fp_modes = true;         ///< rounding, flush to zero and default NaN other than the default; one choice a block
  bool forwarding = true;       ///< gets through the builder, which forwards; else every get stays
  u64 arena_base = 0x40000000;  ///< of the memory that blocks access; page-aligned
  u32 arena_bytes = 0x4000;     ///< a power of two
  std::vector<ir::Op> only;     ///< if not empty: the value operations to choose from
};

/// A source of blocks. Equal seeds and options make equal blocks.
class RandomIr {
 public:
  explicit RandomIr(u64 seed, RandomIrOptions options = {}) : options_(std::move(options)), engine_(seed) {}

  /// Fills registers, flags, monitor and rounding mode (host_mxcsr follows `fp_mode`).
  void randomize(TestState& state);
  void randomize(std::span<u8> memory);
  /// Makes a block that `ir::verify` accepts; `fp_mode` tells the modes its arithmetic runs in.
  void make(ir::Block& block);
  /// Rounding, flush and default NaN of the last block (chosen when it was made; as FPCR would have it).
  [[nodiscard]] const ir::FpAttr& fp_mode() const { return fp_mode_; }

  [[nodiscard]] u64 below(u64 limit) { return engine_() % limit; }
  [[nodiscard]] bool chance(unsigned percent) { return below(100) < percent; }
  /// Interesting numbers more often than chance would: edges, small ones, floating-point specials.
  [[nodiscard]] u64 number();
  [[nodiscard]] ir::V128 vector_number();

 private:
  struct Pool {
    std::vector<ir::Value> i32, i64, v128, flags;
  };

  ir::Value pick(ir::Builder& builder, ir::Type type);
  void keep(ir::Type type, ir::Value value);
  void value_operation(ir::Builder& builder);
  void integer_attributes(ir::Inst& inst);
  bool vector_attributes(ir::Inst& inst);
  bool float_attributes(ir::Builder& builder, ir::Inst& inst);
  void memory_operation(ir::Builder& builder);
  void exclusive_operation(ir::Builder& builder);
  ir::Value address(ir::Builder& builder, unsigned alignment);
  void write_back(ir::Builder& builder);
  void side_exit(ir::Builder& builder);
  void final_exit(ir::Builder& builder, u64 next);
  [[nodiscard]] bool wanted(ir::Op op) const;
  ir::FpAttr random_mode();

  RandomIrOptions options_;
  std::mt19937_64 engine_;
  ir::FpAttr fp_mode_;
  Pool pool_;
  std::vector<ir::Op> operations_;
};

/// What differs between two outcomes, or nothing. Looks at what a guest can see, not at contexts and requests.
[[nodiscard]] std::string differences(const TestState& expected, const TestState& actual);

}  // namespace solder::test
