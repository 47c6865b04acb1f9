/// Operations against the A64 instruction of the same meaning, run by Unicorn.
#include <fmt/core.h>
#include <gtest/gtest.h>
#include <unicorn/unicorn.h>

#include <optional>

#include "base/check.h"
#include "support/flat_memory.h"
#include "support/random_ir.h"
#include "translator/interpreter/interpreter.h"
#include "translator/interpreter/scalar.h"
#include "translator/ir/op_info.h"

namespace solder {
namespace {

using ir::Lane;
using ir::Op;
using ir::Round;
using ir::Type;
using ir::Width;

/// FPCR's rounding mode, not one of the operation's own.
constexpr auto kMode = static_cast<Round>(7);

// Operand letters: d, n, m, r: v0..v3. x, y: x1, x2. u, v, w: w1, w2, w1. k, l: w0, x0. f: flags. -: none.
// The result is v0, x0 or w0, or the flags.
struct VectorRow {
  const char* text;
  u32 word;
  Op op;
  Type type;
  ir::VecAttr attr;
  char a, b, c;
};
struct FloatRow {
  const char* text;
  u32 word;
  Op op;
  Type type;
  Lane lane;
  Width width;
  u8 extra;
  Round round;
  char a, b, c;
  int fraction_bits;  ///< -1: b is a value
};
struct ScalarRow {
  const char* text;
  u32 word;
  Op op;
  Type type;
  u16 sub;
  char a, b, c;
};

constexpr VectorRow kVectorRows[] = {
#include "differential/translator_ir/a64_vector.inc"
};
constexpr FloatRow kFloatRows[] = {
#include "differential/translator_ir/a64_float.inc"
};
constexpr ScalarRow kScalarRows[] = {
#include "differential/translator_ir/a64_scalar.inc"
};

constexpr u32 kFpcrFlush = 1U << 24;
constexpr u32 kFpcrDefaultNan = 1U << 25;
constexpr u32 kFpcrAlternativeHalf = 1U << 26;
constexpr u32 kFpsrMask = 0x0800009f;  // QC, IDC, IXC, UFC, OFC, DZC, IOC

class Oracle {
 public:
  Oracle() {
    check(uc_open(UC_ARCH_ARM64, UC_MODE_LITTLE_ENDIAN, &uc_));
    check(uc_ctl_set_cpu_model(uc_, UC_CPU_ARM64_MAX));
    check(uc_mem_map(uc_, kCode, 0x10000, UC_PROT_ALL));
    u64 enable = u64{3} << 20;  // CPACR_EL1.FPEN
    check(uc_reg_write(uc_, UC_ARM64_REG_CPACR_EL1, &enable));
  }
  ~Oracle() { uc_close(uc_); }
  Oracle(const Oracle&) = delete;
  Oracle& operator=(const Oracle&) = delete;

  /// Runs one instruction, the `index`-th of the test, on the state's x0..x2, v0..v3 and flags.
  void run(usize index, u32 word, u32 fpcr, test::TestState& state) {
    const u64 address = kCode + index * 4;
    if (index >= loaded_) {
      check(uc_mem_write(uc_, address, &word, 4));
      loaded_ = index + 1;
    }
    u64 nzcv = interpreter::scalar::flags_unpack(state.flags);
    u64 control = fpcr;
    u64 status = 0;
    int ids[] = {UC_ARM64_REG_X0,   UC_ARM64_REG_X1, UC_ARM64_REG_X2, UC_ARM64_REG_NZCV, UC_ARM64_REG_FPCR,
                 UC_ARM64_REG_FPSR, UC_ARM64_REG_V0, UC_ARM64_REG_V1, UC_ARM64_REG_V2,   UC_ARM64_REG_V3};
    void* values[] = {&state.x[0], &state.x[1], &state.x[2], &nzcv,       &control,
                      &status,     &state.v[0], &state.v[1], &state.v[2], &state.v[3]};
    check(uc_reg_write_batch(uc_, ids, values, 10));
    check(uc_emu_start(uc_, address, address + 4, 0, 1));
    nzcv = 0;
    check(uc_reg_read_batch(uc_, ids, values, 10));
    state.flags = interpreter::scalar::flags_pack(static_cast<u32>(nzcv));
    state.fp_status = static_cast<u32>(status) & kFpsrMask;
  }

 private:
  static constexpr u64 kCode = 0x100000;
  static void check(uc_err error) { SOLDER_CHECK(error == UC_ERR_OK, uc_strerror(error)); }

  uc_engine* uc_ = nullptr;
  usize loaded_ = 0;
};

ir::Value operand(ir::Builder& builder, char letter) {
  switch (letter) {
    case 'd':
      return builder.get(Type::v128, test::offset_of_v(0));
    case 'n':
      return builder.get(Type::v128, test::offset_of_v(1));
    case 'm':
      return builder.get(Type::v128, test::offset_of_v(2));
    case 'r':
      return builder.get(Type::v128, test::offset_of_v(3));
    case 'x':
      return builder.get(Type::i64, test::offset_of_x(1));
    case 'y':
      return builder.get(Type::i64, test::offset_of_x(2));
    case 'l':
      return builder.get(Type::i64, test::offset_of_x(0));
    case 'u':
    case 'w':
      return builder.get(Type::i32, test::offset_of_x(1));
    case 'v':
      return builder.get(Type::i32, test::offset_of_x(2));
    case 'k':
      return builder.get(Type::i32, test::offset_of_x(0));
    case 'f':
      return builder.get(Type::flags, offsetof(ir::CoreState, flags));
    default:
      return {};
  }
}

void make_block(ir::Block& block, ir::Inst inst, char a, char b, char c) {
  block.clear();
  ir::Builder builder(block);
  builder.insn_start(0);
  if (a != '-') inst.a = operand(builder, a).id;
  if (b != '-') inst.b = operand(builder, b).id;
  if (c != '-') inst.c = operand(builder, c).id;
  if (inst.op == Op::f_from_gpr) inst.c = static_cast<u32>(builder.type({inst.a}));
  const ir::Value value = builder.emit(inst);
  switch (inst.type) {
    case Type::i32:
      builder.put(test::offset_of_x(0), builder.zext32(value));
      break;
    case Type::i64:
      builder.put(test::offset_of_x(0), value);
      break;
    case Type::v128:
      builder.put(test::offset_of_v(0), value);
      break;
    default:
      builder.put(offsetof(ir::CoreState, flags), value);
      break;
  }
  builder.exit_direct(4);
  ASSERT_EQ(ir::verify(block), "") << ir::print(block);
}

/// What the instruction of the block makes when its pure function is called, on the values the block's gets read.
void check_pure(const ir::Block& block, const ir::Inst& inst, const test::TestState& before,
                const test::TestState& after) {
  const auto value = [&](u32 id) {
    ir::V128 v{};
    if (id >= block.insts.size() || block.insts[id].op != Op::get) return v;
    const ir::Inst& get = block.insts[id];
    std::memcpy(&v, reinterpret_cast<const u8*>(&before) + get.a, ir::state_bytes(get.type));
    return v;
  };
  u32 status = 0;
  ir::V128 result{};
  interpreter::pure_function(inst.op)(inst, ir::FpRules::arm, value(inst.a), value(inst.b), value(inst.c), status,
                                      result);
  switch (inst.type) {
    case Type::i32:
    case Type::i64:
      ASSERT_EQ(result.d[0], after.x[0]);
      break;
    case Type::v128:
      ASSERT_EQ(result.d, after.v[0].d);
      break;
    default:
      ASSERT_EQ(result.d[0], after.flags);
      break;
  }
  ASSERT_EQ(status, after.fp_status);
}

struct Mode {
  ir::FpAttr attr;
  u32 fpcr = 0;
};

class A64Oracle : public ::testing::Test {
 protected:
  /// Compares one operation with one instruction on `rounds` random states.
  void compare(const char* text, u32 word, ir::Inst inst, char a, char b, char c, u32 fpcr, unsigned rounds) {
    ir::Block block;
    make_block(block, inst, a, b, c);
    ir::Inst made{};
    for (const ir::Inst& candidate : block.insts) {
      if (candidate.op == inst.op) made = candidate;
    }
    for (unsigned round = 0; round < rounds; ++round) {
      test::TestState state;
      random_.randomize(state);
      if (random_.chance(10)) state.v[2] = state.v[1];
      const test::TestState before = state;
      test::TestState want = state;
      oracle_.run(index_, word, fpcr, want);
      want.pc = 4;
      interpreter_.run(block, 0, state);
      const std::string why = test::differences(want, state);
      if (!why.empty()) {
        ADD_FAILURE() << text << fmt::format(" fpcr={:#x}\n", fpcr) << why << inputs(before) << ir::print(block);
        ++failures_;
        return;
      }
      check_pure(block, made, before, state);
    }
  }

  void next() { ++index_; }
  [[nodiscard]] bool give_up() const { return failures_ > 20; }

 private:
  static std::string inputs(const test::TestState& state) {
    std::string out;
    for (unsigned i = 0; i < 4; ++i) {
      out += fmt::format("v{} = {:016x}:{:016x}", i, state.v[i].d[1], state.v[i].d[0]);
      out += i < 3 ? fmt::format("  x{} = {:016x}\n", i, state.x[i]) : "\n";
    }
    return out;
  }

  Oracle oracle_;
  // --gtest_random_seed gives other numbers.
  test::RandomIr random_{42 + static_cast<u64>(GTEST_FLAG_GET(random_seed))};
  test::FlatMemory memory_{0, 0};
  interpreter::Interpreter interpreter_{test::test_helpers(), memory_};
  usize index_ = 0;
  unsigned failures_ = 0;
};

TEST_F(A64Oracle, Scalars) {
  for (const ScalarRow& row : kScalarRows) {
    compare(row.text, row.word, {row.op, row.type, row.sub}, row.a, row.b, row.c, 0, 200);
    next();
    if (give_up()) return;
  }
}

TEST_F(A64Oracle, Vectors) {
  for (const VectorRow& row : kVectorRows) {
    compare(row.text, row.word, {row.op, row.type, row.attr.pack()}, row.a, row.b, row.c, 0, 40);
    next();
    if (give_up()) return;
  }
}

TEST_F(A64Oracle, Floats) {
  for (const FloatRow& row : kFloatRows) {
    // Unicorn sign-extends this one's 16-bit result to 32 bits; the architecture zeroes the upper bits.
    const bool known_bug =
        row.op == Op::f_to_int && row.lane == Lane::h && row.width == Width::scalar && row.fraction_bits > 0;
    for (unsigned mode = 0; mode < (known_bug ? 0U : 32U); ++mode) {
      ir::FpAttr attr{.lane = row.lane, .width = row.width, .extra = row.extra};
      attr.round = row.round == kMode ? static_cast<Round>(mode & 3) : row.round;
      attr.flush = (mode & 4) != 0;
      attr.default_nan = (mode & 8) != 0;
      // FPCR.FZ does not concern half-precision arithmetic (FZ16 does, which no CPU model offers), only what
      // conversions make of other formats.
      u32 fpcr = ((mode & 3) << 22) | (attr.flush ? kFpcrFlush : 0) | (attr.default_nan ? kFpcrDefaultNan : 0);
      if ((mode & 16) != 0) {
        const bool halves = row.lane == Lane::h || (row.extra & 7) == static_cast<u8>(Lane::h);
        if (row.op != Op::f_convert || !halves) break;
        attr.extra |= 8;
        fpcr |= kFpcrAlternativeHalf;
      }
      ir::Inst inst{row.op, row.type, attr.pack()};
      if (row.fraction_bits >= 0) inst.b = static_cast<u32>(row.fraction_bits);
      compare(row.text, row.word, inst, row.a, row.b, row.c, fpcr, 12);
      if (give_up()) return;
    }
    next();
  }
}

}  // namespace
}  // namespace solder
