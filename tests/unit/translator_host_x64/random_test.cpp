/// Random blocks: the emitter and the interpreter make the same of them.
#include "machine.h"
#include "translator/ir/op_info.h"

namespace solder {
namespace {

using host_x64::Leave;
using interpreter::End;

/// SOLDER_FUZZ_ROUNDS=n runs n times as many blocks.
u64 rounds() {
  const char* text = std::getenv("SOLDER_FUZZ_ROUNDS");
  return text == nullptr ? 1 : std::strtoull(text, nullptr, 10);
}

bool same_end(End end, Leave leave) {
  switch (end) {
    case End::next:
      return leave == Leave::link || leave == Leave::lookup;
    case End::dispatch:
    case End::exception:
      return leave == Leave::dispatch;
    case End::interpret:
      return leave == Leave::interpret;
  }
  return false;
}

void compare(test::HostMachine& machine, u64 seed, const test::RandomIrOptions& options, bool use_tlb = true) {
  test::RandomIr random(seed, options);
  ir::Block block;
  random.make(block);
  test::TestState state;
  random.randomize(state);
  test::FlatMemory memory(options.arena_base, options.arena_bytes);
  random.randomize(memory.bytes());
  const u64 pc = 0x10000 + random.below(1024) * 4;

  if (std::getenv("SOLDER_TEST_TRACE") != nullptr)
    std::fprintf(stderr, "seed %llu\n%s\n", static_cast<unsigned long long>(seed), ir::print(block).c_str());
  machine.memory = memory;
  if (use_tlb) machine.fill_tlb();
  test::TestState expected = state;
  interpreter::Interpreter interpreter(test::test_helpers(), memory);
  const End end = interpreter.run(block, pc, expected);

  std::unique_ptr<host_x64::Compiled> compiled = machine.compiler->compile(block, static_cast<u32>(pc & 4095));
  if (!compiled) {
    machine.compiler->reset();
    compiled = machine.compiler->compile(block, static_cast<u32>(pc & 4095));
  }
  ASSERT_NE(compiled, nullptr);
  test::TestState actual = state;
  const host_x64::LeaveInfo leave = machine.run(*compiled, actual, pc);
  const auto report = [&] {
    return "seed " + std::to_string(seed) + "\n" + ir::print(block) + "\n" + machine.compiler->disassemble(*compiled);
  };
  ASSERT_TRUE(same_end(end, leave.why)) << static_cast<int>(end) << " " << static_cast<int>(leave.why) << "\n"
                                        << report();
  ASSERT_EQ(test::differences(expected, actual), "") << report();
  const auto [want, got] = std::mismatch(memory.bytes().begin(), memory.bytes().end(), machine.memory.bytes().begin());
  ASSERT_TRUE(want == memory.bytes().end())
      << "memory at " << want - memory.bytes().begin() << ": expected " << u32{*want} << ", got " << u32{*got} << "\n"
      << report();
}

class RandomBlocks : public testing::TestWithParam<unsigned> {};

TEST_P(RandomBlocks, IntegersOnly) {
  test::HostMachine machine({}, GetParam());
  test::RandomIrOptions options;
  options.vectors = options.floats = options.crypto = options.exclusives = false;
  for (u64 seed = 0; seed < 3000 * rounds(); ++seed) {
    options.forwarding = seed % 2 == 0;
    compare(machine, seed, options);
    if (HasFatalFailure()) return;
  }
}

TEST_P(RandomBlocks, Everything) {
  test::HostMachine machine({}, GetParam());
  test::RandomIrOptions options;
  for (u64 seed = 100000; seed < 100000 + 5000 * rounds(); ++seed) {
    options.forwarding = seed % 2 == 0;
    options.guest_insns = seed % 5 == 0 ? 40 : 12;
    compare(machine, seed, options);
    if (HasFatalFailure()) return;
  }
}

INSTANTIATE_TEST_SUITE_P(Pins, RandomBlocks, testing::Values(0U, 3U, 7U, 32U));

TEST(RandomBlocks, SlowMemory) {
  host_x64::CompilerOptions host;
  host.force_slow_memory = true;
  test::HostMachine machine(host);
  for (u64 seed = 200000; seed < 202000; ++seed) {
    compare(machine, seed, {});
    if (testing::Test::HasFatalFailure()) return;
  }
}

TEST(RandomBlocks, EmptyTlb) {
  test::HostMachine machine;
  for (u64 seed = 300000; seed < 302000; ++seed) {
    compare(machine, seed, {}, false);
    if (testing::Test::HasFatalFailure()) return;
  }
}

TEST(RandomBlocks, Fallback) {
  host_x64::CompilerOptions host;
  host.force_fallback = true;
  test::HostMachine machine(host);
  for (u64 seed = 400000; seed < 402000; ++seed) {
    compare(machine, seed, {});
    if (testing::Test::HasFatalFailure()) return;
  }
}

/// Blocks that found faults once.
TEST(RandomBlocks, FoundFaultsBefore) {
  test::HostMachine machine;
  for (const u64 seed : {163706}) {
    compare(machine, seed, {});
    if (testing::Test::HasFatalFailure()) return;
  }
}

/// Floating point as guests mostly run it: the modes that have inline code.
TEST(RandomBlocks, FloatsInDefaultMode) {
  test::HostMachine machine;
  test::RandomIrOptions options;
  options.fp_modes = options.half_precision = false;
  options.memory = options.calls = options.exclusives = options.side_exits = false;
  for (u8 i = static_cast<u8>(ir::Op::f_add); i < static_cast<u8>(ir::Op::aes_e); ++i) {
    options.only = {static_cast<ir::Op>(i)};
    for (u64 seed = 0; seed < 300; ++seed) {
      compare(machine, 500000 + seed + 1000 * i, options);
      if (testing::Test::HasFatalFailure()) return;
    }
  }
}

/// One operation at a time, so that a failure names it.
class EveryOperation : public testing::TestWithParam<ir::Op> {};

TEST_P(EveryOperation, LikeTheInterpreter) {
  test::HostMachine machine;
  test::RandomIrOptions options;
  options.only = {GetParam()};
  options.memory = options.calls = options.exclusives = false;
  for (u64 seed = 0; seed < 300; ++seed) {
    compare(machine, seed + 1000 * static_cast<u64>(GetParam()), options);
    if (HasFatalFailure()) return;
  }
}

std::vector<ir::Op> pure_operations() {
  std::vector<ir::Op> all;
  for (u8 i = 0; i < static_cast<u8>(ir::Op::count); ++i) {
    const auto op = static_cast<ir::Op>(i);
    if ((ir::info(op).traits & ir::kPureOp) != 0 && op > ir::Op::put && op != ir::Op::v_const) all.push_back(op);
  }
  return all;
}
INSTANTIATE_TEST_SUITE_P(Pure, EveryOperation, testing::ValuesIn(pure_operations()),
                         [](const auto& test_info) { return std::string(ir::name(test_info.param)); });

}  // namespace
}  // namespace solder
