#include "support/random_ir.h"

#include <fmt/core.h>

#include <array>

#include "translator/ir/op_info.h"

namespace solder::test {

using ir::Inst;
using ir::Lane;
using ir::Op;
using ir::Operand;
using ir::Result;
using ir::Type;
using ir::Value;
using ir::Width;

// TestState is not a standard-layout type, so no offsetof: its aligned members follow CoreState without gaps.
static_assert(sizeof(TestState) == sizeof(ir::CoreState) + kTestRegisters * (sizeof(u64) + sizeof(ir::V128)));

u32 offset_of_x(unsigned index) {
  return static_cast<u32>(sizeof(ir::CoreState) + index * sizeof(u64));
}
u32 offset_of_v(unsigned index) {
  return static_cast<u32>(sizeof(ir::CoreState) + kTestRegisters * sizeof(u64) + index * sizeof(ir::V128));
}

const ir::GuestLayout& test_layout() {
  static const auto offsets = [] {
    std::array<u16, kTestRegisters> all{};
    for (unsigned i = 0; i < kTestRegisters; ++i) all[i] = static_cast<u16>(offset_of_x(i));
    return all;
  }();
  static const ir::GuestLayout layout{.hot_registers = offsets, .state_size = sizeof(TestState)};
  return layout;
}

std::span<const ir::Helper> test_helpers() {
  static const std::array<ir::Helper, 5> helpers = {{
      {"mix", [](ir::CoreState*, u64 a, u64 b, u64 c) { return a * 3 ^ (b + (c << 7)); }, ir::kPure},
      {"sum_registers",
       [](ir::CoreState* state, u64 a, u64, u64) {
         u64 sum = a;
         for (const u64 x : static_cast<TestState*>(state)->x) sum = sum * 5 + x;
         return sum + state->flags + state->pc;
       },
       ir::kReadsState},
      {"write_registers",
       [](ir::CoreState* state, u64 a, u64 b, u64) {
         auto* test = static_cast<TestState*>(state);
         test->x[a % kTestRegisters] = b;
         test->x[1] ^= test->x[0];
         test->v[a % kTestRegisters].d[0] += b;
         test->flags ^= ir::kFlagC;
         return b ^ 1;
       },
       ir::kReadsState | ir::kWritesState},
      {"maybe_leave",
       [](ir::CoreState* state, u64 a, u64 b, u64) -> u64 {
         if ((a & 7) != 0) return 0;
         auto* test = static_cast<TestState*>(state);
         test->x[2] = state->pc;
         state->pc = b;
         return 1;
       },
       ir::kReadsState | ir::kWritesState | ir::kMayExit},
      {"leave_if_zero",
       [](ir::CoreState* state, u64 a, u64, u64) -> u64 {
         if ((a & 15) != 0) return 0;
         state->pc += 0x1000;
         return 1;
       },
       ir::kReadsState | ir::kMayExit},
  }};
  return helpers;
}

// ---- numbers ----

u64 RandomIr::number() {
  static constexpr u64 kEdges[] = {0,
                                   1,
                                   2,
                                   3,
                                   7,
                                   8,
                                   31,
                                   32,
                                   63,
                                   64,
                                   0x7f,
                                   0x80,
                                   0xff,
                                   0x7fff,
                                   0x8000,
                                   0xffff,
                                   0x7fffffff,
                                   0x80000000,
                                   0xffffffff,
                                   0x100000000,
                                   0x7fffffffffffffff,
                                   0x8000000000000000,
                                   0xffffffffffffffff,
                                   0xfffffffffffffffe,
                                   0xffffffff80000000,
                                   0x00ff00ff00ff00ff,
                                   0x8080808080808080,
                                   0x8000800080008000,
                                   0x8000000080000000};
  switch (below(6)) {
    case 0:
    case 1:
      return kEdges[below(std::size(kEdges))];
    case 2:
      return below(256);
    case 3:
      return u64{0} - below(256);
    case 4:
      return vector_number().d[0];
    default:
      return engine_();
  }
}

ir::V128 RandomIr::vector_number() {
  // Zero, one, infinity, NaNs, denormals, extremes of the three formats.
  static constexpr u16 kHalves[] = {0, 0x3c00, 0x7c00, 0x7e01, 0x7c01, 1, 0x3ff, 0x400, 0x7bff, 0x4248, 0x3555};
  static constexpr u32 kSingles[] = {0,          0x3f800000, 0x7f800000, 0x7fc00001, 0x7f800001,
                                     1,          0x7fffff,   0x00800000, 0x7f7fffff, 0x40490fdb,
                                     0x3eaaaaab, 0x4f000000, 0x5f000000, 0x4b000001};
  static constexpr u64 kDoubles[] = {0,
                                     0x3ff0000000000000,
                                     0x7ff0000000000000,
                                     0x7ff8000000000001,
                                     0x7ff0000000000001,
                                     1,
                                     0xfffffffffffff,
                                     0x0010000000000000,
                                     0x7fefffffffffffff,
                                     0x400921fb54442d18,
                                     0x3fd5555555555555,
                                     0x41e0000000000000,
                                     0x43e0000000000000,
                                     0x36a0000000000000};
  ir::V128 v{};
  switch (below(6)) {
    case 0:
      for (u16& h : v.h) h = static_cast<u16>(kHalves[below(std::size(kHalves))] | (below(2) << 15));
      break;
    case 1:
      for (u32& s : v.s) s = static_cast<u32>(kSingles[below(std::size(kSingles))] | (below(2) << 31));
      break;
    case 2:
      for (u64& d : v.d) d = kDoubles[below(std::size(kDoubles))] | (below(2) << 63);
      break;
    case 3:  // ordinary magnitudes
      for (u32& s : v.s) s = static_cast<u32>((below(2) << 31) | ((110 + below(40)) << 23) | below(1 << 23));
      break;
    case 4:
      for (u64& d : v.d) d = (below(2) << 63) | ((1000 + below(60)) << 52) | below(u64{1} << 52);
      break;
    default:
      v.d = {engine_(), engine_()};
      break;
  }
  return v;
}

void RandomIr::randomize(TestState& state) {
  for (u64& x : state.x) x = number();
  for (ir::V128& v : state.v) v = vector_number();
  state.flags = static_cast<u32>((below(2) * ir::kFlagN) | (below(2) * ir::kFlagZ) | (below(2) * ir::kFlagC) |
                                 (below(2) * ir::kFlagV));
  state.fp_status = 0;
  state.monitor_address = ir::kNoMonitor;
  // MXCSR.RC, SDM 10.2.3: nearest, down, up, zero.
  static constexpr u32 kControls[] = {0, 2, 1, 3, 0, 0};
  state.host_mxcsr = 0x1f80U | (kControls[static_cast<u8>(fp_mode_.round)] << 13);
}

void RandomIr::randomize(std::span<u8> memory) {
  for (u8& byte : memory) byte = static_cast<u8>(engine_());
}

// ---- values ----

Value RandomIr::pick(ir::Builder& builder, Type type) {
  std::vector<Value>* pool = nullptr;
  switch (type) {
    case Type::i32:
      pool = &pool_.i32;
      break;
    case Type::i64:
      pool = &pool_.i64;
      break;
    case Type::v128:
      pool = &pool_.v128;
      break;
    case Type::flags:
      pool = &pool_.flags;
      break;
    case Type::none:
      return {};
  }
  if (!pool->empty() && chance(60)) return (*pool)[pool->size() - 1 - below(std::min<u64>(pool->size(), 8))];
  const auto fresh_get = [&](Type wanted, u32 offset) {
    if (options_.forwarding) return builder.get(wanted, offset);
    return builder.emit({Op::get, wanted, 0, offset});
  };
  Value value;
  switch (type) {
    case Type::i32:
      value = chance(30) ? builder.constant(type, number())
                         : fresh_get(type, offset_of_x(static_cast<unsigned>(below(kTestRegisters))));
      break;
    case Type::i64:
      if (chance(5)) {
        value = builder.pc_rel(below(64) * 4);
      } else {
        value = chance(30) ? builder.constant(type, number())
                           : fresh_get(type, offset_of_x(static_cast<unsigned>(below(kTestRegisters))));
      }
      break;
    case Type::v128:
      value = chance(15) ? builder.v_const(vector_number().d[0], chance(50) ? Width::v128 : Width::v64)
                         : fresh_get(type, offset_of_v(static_cast<unsigned>(below(kTestRegisters))));
      break;
    default:
      value = fresh_get(Type::flags, offsetof(ir::CoreState, flags));
      break;
  }
  keep(type, value);
  return value;
}

void RandomIr::keep(Type type, Value value) {
  switch (type) {
    case Type::i32:
      pool_.i32.push_back(value);
      break;
    case Type::i64:
      pool_.i64.push_back(value);
      break;
    case Type::v128:
      pool_.v128.push_back(value);
      break;
    case Type::flags:
      pool_.flags.push_back(value);
      break;
    case Type::none:
      break;
  }
}

bool RandomIr::wanted(Op op) const {
  const ir::OpInfo& info = ir::info(op);
  if ((info.traits & ir::kPureOp) == 0 || op == Op::get || op == Op::pc_rel || op == Op::constant ||
      op == Op::v_const) {
    return false;
  }
  const bool any_flags = info.result == Result::flags || info.a == Operand::flags || info.c == Operand::flags;
  if (op >= Op::aes_e) return options_.crypto;
  if (op >= Op::f_add) return options_.floats && (options_.flags || !any_flags);
  if (op >= Op::v_const) return options_.vectors;
  return options_.flags || !any_flags;
}

void RandomIr::value_operation(ir::Builder& builder) {
  const Op op = operations_[below(operations_.size())];
  const ir::OpInfo& info = ir::info(op);
  Inst inst{.op = op};
  const Type integer = chance(50) ? Type::i32 : Type::i64;
  switch (info.result) {
    case Result::i32:
      inst.type = Type::i32;
      break;
    case Result::i64:
      inst.type = Type::i64;
      break;
    case Result::integer:
      inst.type = op == Op::byte_swap32 ? Type::i64 : integer;
      break;
    case Result::v128:
      inst.type = Type::v128;
      break;
    case Result::flags:
      inst.type = Type::flags;
      break;
    default: {
      static constexpr Type kTypes[] = {Type::i32, Type::i64, Type::v128};
      inst.type = kTypes[below(options_.vectors ? 3 : 2)];
      break;
    }
  }
  const Type by_sub = chance(50) ? Type::i32 : Type::i64;
  const auto operand = [&](Operand kind) -> u32 {
    switch (kind) {
      case Operand::same:
        return pick(builder, inst.type).id;
      case Operand::i32:
        return pick(builder, Type::i32).id;
      case Operand::i64:
        return pick(builder, Type::i64).id;
      case Operand::integer:
        return pick(builder, integer).id;
      case Operand::by_sub:
        inst.sub = static_cast<u16>(by_sub);
        return pick(builder, by_sub).id;
      case Operand::v128:
        return pick(builder, Type::v128).id;
      case Operand::optional_v128:
        return op == Op::v_table && chance(50) ? ~u32{0} : pick(builder, Type::v128).id;
      case Operand::flags:
        return pick(builder, Type::flags).id;
      default:
        return ~u32{0};
    }
  };
  inst.a = operand(info.a);
  inst.b = operand(info.b);
  inst.c = operand(info.c);
  if (op == Op::crc32) {
    const unsigned log2 = static_cast<unsigned>(below(integer == Type::i64 ? 4 : 3));
    inst.sub = static_cast<u16>((1U << log2) | (chance(50) ? 16U : 0U));
  }
  integer_attributes(inst);
  if ((info.traits & ir::kVecAttr) != 0 && !vector_attributes(inst)) return;
  if ((info.traits & ir::kFpAttr) != 0 && !float_attributes(builder, inst)) return;
  keep(inst.type, builder.emit(inst));
}

// ---- memory ----

Value RandomIr::address(ir::Builder& builder, unsigned alignment) {
  const bool stray = options_.faults && chance(4);
  const bool skewed = options_.faults && chance(4);
  // Sixteen bytes of room at the end; the caller adds offsets within it.
  u64 mask = (u64{options_.arena_bytes} - 1) & ~u64{31};
  if (!skewed) mask = (mask | 31) & ~u64{alignment - 1} & (u64{options_.arena_bytes} / 2 - 1);
  const Value index = builder.binary(Op::and_, pick(builder, Type::i64), builder.c64(mask));
  const Value base = builder.c64(stray ? options_.arena_base - (u64{1} << 20) : options_.arena_base);
  return builder.binary(Op::add, index, skewed ? builder.add(base, builder.c64(1 + below(15))) : base);
}

void RandomIr::memory_operation(ir::Builder& builder) {
  static constexpr Type kTypes[] = {Type::i32, Type::i64, Type::v128};
  const Type type = kTypes[below(options_.vectors ? 3 : 2)];
  ir::MemAttr attr;
  attr.size_log2 = static_cast<u8>(below(type == Type::i32 ? 3 : type == Type::i64 ? 4 : 5));
  attr.sign = type != Type::v128 && chance(30);
  attr.big_endian = options_.big_endian && chance(15);
  attr.order = static_cast<ir::Order>(below(8) < 6 ? 0 : 1 + below(3));
  attr.mmu = chance(10) ? ir::MmuIndex::unprivileged : ir::MmuIndex::current;
  const bool aligned = chance(50);
  if (aligned && options_.faults && chance(30)) attr.align = ir::Align::natural;
  const Value where = address(builder, aligned ? attr.bytes() : 1);
  i32 offset = 0;
  if (chance(50)) offset = static_cast<i32>(below(16)) * static_cast<i32>(attr.bytes());
  if (chance(50)) {
    attr.sign = false;
    builder.store(where, pick(builder, type), attr, offset);
  } else {
    keep(type, builder.load(type, where, attr, offset));
  }
}

void RandomIr::exclusive_operation(ir::Builder& builder) {
  static constexpr Type kTypes[] = {Type::i32, Type::i64, Type::v128};
  const bool rmw = chance(30);
  const Type type = kTypes[below(options_.vectors && !rmw ? 3 : 2)];
  ir::MemAttr attr;
  attr.size_log2 = static_cast<u8>(type == Type::v128 ? 4 : below(type == Type::i32 ? 3 : 4));
  attr.align = ir::Align::natural;
  attr.order = static_cast<ir::Order>(below(4));
  attr.big_endian = options_.big_endian && chance(15);
  const Value where = address(builder, 16);
  if (rmw) {
    keep(type, builder.atomic(type, static_cast<ir::Rmw>(below(9)), where, pick(builder, type), attr));
    return;
  }
  if (chance(40)) {
    // Half of the time what is expected is there.
    const Value expected = chance(50) ? builder.load(type, where, attr) : pick(builder, type);
    keep(type, builder.cas(type, where, expected, pick(builder, type), attr));
    return;
  }
  if (chance(90)) keep(type, builder.load_ex(type, where, attr));
  if (chance(20)) builder.store(where, pick(builder, type), attr);
  if (chance(90)) {
    ir::MemAttr other = attr;
    if (chance(10) && type != Type::v128) other.size_log2 = 0;
    keep(Type::i32, builder.store_ex(where, pick(builder, type), other));
  }
}

// ---- blocks ----

void RandomIr::write_back(ir::Builder& builder) {
  for (u64 n = 1 + below(3); n != 0; --n) {
    switch (below(options_.vectors ? 4 : 2)) {
      case 0:
        builder.put(offset_of_x(static_cast<unsigned>(below(kTestRegisters))), pick(builder, Type::i64));
        break;
      case 1:
        builder.put(offset_of_x(static_cast<unsigned>(below(kTestRegisters))),
                    builder.zext32(pick(builder, Type::i32)));
        break;
      default:
        builder.put(offset_of_v(static_cast<unsigned>(below(kTestRegisters))), pick(builder, Type::v128));
        break;
    }
  }
  if (options_.flags && chance(40)) builder.put(offsetof(ir::CoreState, flags), pick(builder, Type::flags));
}

void RandomIr::side_exit(ir::Builder& builder) {
  const u64 target = (below(64) - 16) * 4;
  switch (below(4)) {
    case 0:
    case 1:
      if (options_.flags) {
        builder.exit_if(static_cast<ir::Cond>(below(14)), pick(builder, Type::flags), target);
        break;
      }
      [[fallthrough]];
    case 2: {
      const bool wide = chance(50);
      const bool zero = chance(50);
      const ir::ExitTest test = wide ? (zero ? ir::ExitTest::zero64 : ir::ExitTest::nonzero64)
                                     : (zero ? ir::ExitTest::zero32 : ir::ExitTest::nonzero32);
      builder.exit_if(test, pick(builder, wide ? Type::i64 : Type::i32), target);
      break;
    }
    default: {
      const bool wide = chance(50);
      builder.exit_if(chance(50) ? ir::ExitTest::bit_set : ir::ExitTest::bit_clear,
                      pick(builder, wide ? Type::i64 : Type::i32), target, static_cast<u8>(below(wide ? 64 : 32)));
      break;
    }
  }
}

void RandomIr::final_exit(ir::Builder& builder, u64 next) {
  switch (below(6)) {
    case 0:
      if (chance(50)) builder.push_return(next);
      builder.exit_indirect(pick(builder, Type::i64), static_cast<ir::ExitHint>(below(3)));
      break;
    case 1:
      builder.put(offsetof(ir::CoreState, pc), pick(builder, Type::i64));
      builder.exit_dispatch();
      break;
    case 2:
      builder.exit_interpret(next);
      break;
    case 3:
      builder.exit_direct(next + 0x2000);
      break;
    default:
      builder.exit_direct(next);
      break;
  }
}

void RandomIr::make(ir::Block& block) {
  if (operations_.empty()) {
    for (usize i = 0; i < static_cast<usize>(Op::count); ++i) {
      if (wanted(static_cast<Op>(i))) operations_.push_back(static_cast<Op>(i));
    }
    if (!options_.only.empty()) operations_ = options_.only;
  }
  block.clear();
  fp_mode_ = random_mode();
  ir::Builder builder(block, test_helpers().data(), test_helpers().size());
  pool_ = {};
  const u64 count = 1 + below(options_.guest_insns);
  for (u64 i = 0; i < count; ++i) {
    builder.insn_start(i * 4);
    if (!options_.forwarding) pool_ = {};
    for (u64 n = below(4); n != 0; --n) value_operation(builder);
    if (options_.memory && chance(25)) memory_operation(builder);
    if (options_.exclusives && chance(6)) exclusive_operation(builder);
    for (u64 n = below(3); n != 0; --n) value_operation(builder);
    if (options_.memory && chance(2)) builder.fence(static_cast<ir::Order>(1 + below(3)));
    if (options_.calls && chance(6)) {
      const u64 helper = below(test_helpers().size());
      const bool may_exit = (test_helpers()[helper].effects & ir::kMayExit) != 0;
      const Type type = may_exit ? Type::none : chance(50) ? Type::i32 : Type::i64;
      const Value value = builder.call(type, static_cast<u16>(helper), pick(builder, Type::i64),
                                       pick(builder, chance(50) ? Type::i32 : Type::i64), pick(builder, Type::i64));
      if (type != Type::none) keep(type, value);
    }
    write_back(builder);
    if (options_.side_exits && chance(10)) side_exit(builder);
  }
  block.guest_insts = static_cast<u32>(count);
  block.guest_bytes = static_cast<u32>(count * 4);
  final_exit(builder, count * 4);
}

std::string differences(const TestState& expected, const TestState& actual) {
  std::string out;
  const auto compare = [&](std::string_view name, u64 want, u64 got) {
    if (want != got) out += fmt::format("{}: expected {:#x}, got {:#x}\n", name, want, got);
  };
  compare("pc", expected.pc, actual.pc);
  compare("flags", expected.flags, actual.flags);
  compare("fp_status", expected.fp_status, actual.fp_status);
  compare("monitor_address", expected.monitor_address, actual.monitor_address);
  if (expected.monitor_address != ir::kNoMonitor) {
    compare("monitor_size", expected.monitor_size, actual.monitor_size);
    compare("monitor_value.low", expected.monitor_value.d[0], actual.monitor_value.d[0]);
    compare("monitor_value.high", expected.monitor_value.d[1], actual.monitor_value.d[1]);
  }
  for (usize i = 0; i < kTestRegisters; ++i) {
    compare(fmt::format("x{}", i), expected.x[i], actual.x[i]);
    compare(fmt::format("v{}.low", i), expected.v[i].d[0], actual.v[i].d[0]);
    compare(fmt::format("v{}.high", i), expected.v[i].d[1], actual.v[i].d[1]);
  }
  return out;
}

}  // namespace solder::test
