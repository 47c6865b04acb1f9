/// From one block of IR to host code: a forward pass over the instructions, rare paths collected behind the code.
/// The operations are spread over emit_*.cpp by subject.
#pragma once

#include <span>
#include <vector>

#include "translator/host_x64/allocator.h"
#include "translator/host_x64/analysis.h"
#include "translator/host_x64/compiler.h"
#include "translator/host_x64/thunks.h"

namespace solder::host_x64 {

/// Optional parts of the host's instruction set; what is missing goes through the interpreter's functions.
/// x86-64-v3 (AVX2, BMI, FMA, MOVBE, F16C) is demanded by Compiler::create.
struct HostFeatures {
  bool aes = false;
  bool sha = false;
  bool pclmul = false;
  bool cmpxchg16b = false;
  bool crc32 = false;
};

/// What all emitters of a compiler share.
struct EmitterConfig {
  const Pins& pins;
  const Thunks& thunks;
  std::span<const ir::Helper> helpers;
  usize state_size;
  HostFeatures features;
  CompilerOptions options;
};

/// Scratch and methods for compiling blocks, one after another, on one thread at a time.
class Emitter {
 public:
  explicit Emitter(const EmitterConfig& config);

  /// Emits at `begin` (writable view). The entry's offset from `begin` and everything else go to the members below.
  /// Throws Xbyak::Error when `end` is reached, and TooComplex.
  void compile(const ir::Block& block, u32 page_offset, u8* begin, u8* end);
  /// A block that only leaves for the interpreter at its first instruction.
  void compile_interpret(u32 page_offset, u8* begin, u8* end);

  u32 entry = 0;
  u32 size = 0;
  std::vector<LinkSlot> links;
  std::vector<PcEntry> pcs;

 private:
  using Inst = ir::Inst;

  /// What a store writes: a register or a constant.
  struct StoreValue {
    u8 reg = 0;
    bool vector = false;
    std::optional<i32> immediate;
  };
  /// A rare path: code behind the block, reached by `from`, going back to `back`.
  struct Stub {
    void (Emitter::*emit)(const Stub&) = nullptr;
    Near from;
    u32 back = 0;
    Near extra;
    std::array<u32, 8> p{};
    std::array<StoreValue, 2> stored{};
  };
  enum class FlagsKind : u8 {
    add,  ///< CF = C
    sub,  ///< CF = !C
    fp    ///< as ucomisd left them
  };
  /// A host condition; `parity`: also true when PF (or), or only when not PF (and).
  struct Condition {
    enum class Parity : u8 { ignore, or_set, and_clear };
    Cc cc = Cc::e;
    Parity parity = Parity::ignore;
    bool always = false;
  };

  // ---- emitter.cpp ----
  void prologue(u32 page_offset);
  void emit(u32 i);
  bool native(u32 i);
  void fallback(u32 i);
  void finish();
  Stub& add_stub(void (Emitter::*emit_stub)(const Stub&), Near from);
  [[nodiscard]] bool original_is_i32(u32 operand) const { return block_->insts[operand].type == ir::Type::i32; }
  void store_argument(u32 field, u32 value, u32 original);
  void call_pure(const Inst& inst, bool vectors);

  // ---- emit_int.cpp, emit_bits.cpp ----
  bool integer(u32 i);
  bool bits(u32 i);
  void binary(u32 i);
  void shift(u32 i);
  void multiply(u32 i);
  void divide(u32 i);
  void insert(u32 i);
  void extract(u32 i);
  void extract_pair(u32 i);
  void crc32(u32 i);
  void count_leading_sign(u32 i);
  void bit_reverse(u32 i);
  void swap_units(u32 i);

  // ---- emit_flags.cpp ----
  bool flags(u32 i);
  /// The host's flags are about to change: what is still needed of them is kept.
  void clobber_flags();
  void preserve_flags();
  void produce_flags(u32 value, FlagsKind kind);
  /// The image of the host's flags in eax.
  void image_to_rax();
  void put_flags(u32 i);
  Condition condition(u32 value, ir::Cond cond);
  /// CF = the value's C (inverted: its opposite).
  void load_carry(u32 value, bool inverted);
  void with_carry(u32 i);
  void compare(u32 i);
  void flags_logic(u32 i);
  void flags_pack(u32 i);
  void flags_unpack(u32 i);
  void flags_select(u32 i);
  void select(u32 i);
  void select_nz(u32 i);
  void select_with(u32 i, Condition c, u32 if_true, u32 if_false);
  /// Sets flags by a value against zero.
  void test_value(u32 value, bool wide);
  [[nodiscard]] u32 find_fused(u32 i, ir::Op op) const;
  void fuse(u32 i, u32 flags_inst, FlagsKind kind);

  // ---- emit_memory.cpp, emit_access.cpp, emit_atomic.cpp ----
  bool memory(u32 i);
  void load(u32 i);
  void store(u32 i);
  /// Checks the software TLB for `count` accesses in a row; rax = the addend. The jump is taken on a miss.
  Near probe(u8 address, i32 offset, ir::MemAttr attr, bool write, unsigned count = 1);
  [[nodiscard]] u32 find_pair(u32 i) const;
  StoreValue store_value(u32 value, ir::MemAttr attr);
  void host_load(u8 to, const Xbyak::RegExp& host, ir::MemAttr attr, bool vector, bool wide);
  void host_store(const StoreValue& stored, const Xbyak::RegExp& host, ir::MemAttr attr);
  void slow_load(const Stub& stub);
  void slow_store(const Stub& stub);
  void slow_compare_exchange(const Stub& stub);
  void slow_read_modify_write(const Stub& stub);
  void slow_store_exclusive(const Stub& stub);
  void call_slow(const std::array<const u8*, 2>& thunk, u8 address, i32 offset, u32 attr, bool vectors);
  void load_exclusive(u32 i);
  void store_exclusive(u32 i);
  void compare_and_swap(u32 i);
  void compare_and_swap_pair(u32 i);
  void read_modify_write(u32 i);
  void fence(u32 i);
  void extend(u8 to, u8 from, unsigned bytes, bool sign, bool wide);

  // ---- emit_control.cpp ----
  bool control(u32 i);
  void exit_if(u32 i);
  void exit_to(u64 delta);
  void exit_to_rax();
  void exit_taken(Condition c, u64 delta);
  void exit_stub(const Stub& stub);
  void link_stub(const Stub& stub);
  void call_helper(u32 i);
  [[nodiscard]] u32 pc_offset(u64 delta) const { return page_offset_ + static_cast<u32>(delta); }
  [[nodiscard]] bool same_page(u64 delta) const { return page_offset_ + delta < 4096; }

  // ---- emit_vector*.cpp, emit_float*.cpp, emit_crypto.cpp: false when there is no native form ----
  bool vector(u32 i);
  bool vector_bitwise(u32 i, ir::VecAttr attr);
  bool vector_moves(u32 i, ir::VecAttr attr);
  bool vector_arithmetic(u32 i, ir::VecAttr attr);
  bool vector_multiply(u32 i, ir::VecAttr attr);
  bool vector_compare(u32 i, ir::VecAttr attr);
  bool vector_shift(u32 i, ir::VecAttr attr);
  bool vector_narrow(u32 i, ir::VecAttr attr);
  bool vector_permute(u32 i, ir::VecAttr attr);
  bool vector_reduce(u32 i, ir::VecAttr attr);
  /// One host instruction on all lanes; false when there is none.
  bool lane_wise(ir::Op op, bool sign, ir::Lane lane, u8 to, u8 a, u8 b);
  void widen(u8 to, u8 from, ir::Lane lane, bool sign);
  void even_lanes(u8 to, u8 from, ir::Lane lane);
  void unzip(u8 to, u8 a, u8 b, ir::Lane lane, ir::Width width, bool odd);
  bool floating(u32 i);
  bool float_arithmetic(u32 i, ir::FpAttr attr);
  bool float_minmax(u32 i, ir::FpAttr attr);
  bool float_compare(u32 i, ir::FpAttr attr);
  bool float_convert(u32 i, ir::FpAttr attr);
  bool float_integer(u32 i, ir::FpAttr attr);
  u8 participating(u8 scratch, u8 from, ir::Width width);
  Near check_result(u8 result, ir::FpAttr attr, bool may_be_tiny);
  void deliver(u8 to, u8 from, ir::FpAttr attr);
  void float_fixup(const Stub& stub);
  void add_fixup(u32 i, Near from, u8 result);
  bool crypto(u32 i);
  /// Zeroes the lanes that do not take part.
  void trim(u8 reg, ir::Width width, ir::Lane lane);
  [[nodiscard]] Xbyak::Address constant(Const c, u32 bytes_in = 0) const {
    const void* at = config_.thunks.constants + static_cast<usize>(c) * 16 + bytes_in;
    return a_.ptr[a_.rip + at];
  }

  Xbyak::Xmm constant_in(u8 reg, Const c) {
    a_.vmovdqa(a_.x(reg), constant(c));
    return a_.x(reg);
  }

  struct PendingCall {
    Near lea;
    PureCall call;
  };

  const EmitterConfig& config_;
  Assembler a_;
  Analysis an_;
  Allocator r_;
  const ir::Block* block_ = nullptr;
  u32 page_offset_ = 0;
  u64 delta_ = 0;           ///< of the current guest instruction
  u32 host_flags_ = kNone;  ///< the flags value that the host's flags hold
  FlagsKind host_kind_ = FlagsKind::add;
  u32 result_flags_ = kNone;  ///< the value by whose sign and zeroness the host's SF and ZF are set
  bool result_wide_ = false;
  std::vector<u8> fused_;
  std::vector<Stub> stubs_;
  std::vector<PendingCall> calls_;
};

}  // namespace solder::host_x64
