/// The host code of representative guest instructions, as text in tests/golden/host_x64/. A change of it is reviewed as
/// a diff: SOLDER_UPDATE_GOLDEN=1 writes the files anew.
#include <cstdlib>
#include <fstream>
#include <functional>
#include <sstream>

#include "machine.h"

namespace solder {
namespace {

using ir::Builder;
using ir::Cond;
using ir::MemAttr;
using ir::Op;
using ir::Type;
using ir::Value;

u32 x(unsigned n) {
  return test::offset_of_x(n);
}
u32 v(unsigned n) {
  return test::offset_of_v(n);
}
constexpr u32 kFlags = offsetof(ir::CoreState, flags);
constexpr unsigned kCold = 20;  ///< a register without a home

struct Snippet {
  const char* name;
  std::function<void(Builder&)> make;
};

const std::vector<Snippet>& snippets() {
  static const std::vector<Snippet> all = {
      {"add_immediate", [](Builder& b) { b.put(x(0), b.add(b.get(Type::i64, x(0)), b.c64(1))); }},
      {"add_registers_32",
       [](Builder& b) { b.put(x(0), b.zext32(b.add(b.get(Type::i32, x(1)), b.get(Type::i32, x(kCold))))); }},
      {"add_cold", [](Builder& b) { b.put(x(kCold), b.add(b.get(Type::i64, x(kCold + 1)), b.get(Type::i64, x(2)))); }},
      {"compare_and_branch",
       [](Builder& b) {
         const Value a = b.get(Type::i64, x(0));
         const Value c = b.get(Type::i64, x(1));
         const Value f = b.flags_sub(a, c);
         b.put(kFlags, f);
         b.insn_start(4);
         b.exit_if(Cond::hi, f, 0x40);
       }},
      {"subtract_setting_flags_loop",
       [](Builder& b) {
         const Value a = b.get(Type::i64, x(1));
         const Value r = b.sub(a, b.c64(1));
         const Value f = b.flags_sub(a, b.c64(1));
         b.put(x(1), r);
         b.put(kFlags, f);
         b.insn_start(4);
         b.exit_if(Cond::ne, f, 0);
       }},
      {"branch_on_old_flags", [](Builder& b) { b.exit_if(Cond::ge, b.get(Type::flags, kFlags), 0x40); }},
      {"compare_zero_and_branch",
       [](Builder& b) { b.exit_if(ir::ExitTest::zero64, b.get(Type::i64, x(kCold)), 0x40); }},
      {"test_bit_and_branch", [](Builder& b) { b.exit_if(ir::ExitTest::bit_set, b.get(Type::i64, x(0)), 0x40, 37); }},
      {"select",
       [](Builder& b) {
         b.put(x(0), b.select(Cond::lt, b.flags_sub(b.get(Type::i64, x(2)), b.c64(5)), b.get(Type::i64, x(0)),
                              b.get(Type::i64, x(1))));
       }},
      {"load", [](Builder& b) { b.put(x(0), b.load(Type::i64, b.get(Type::i64, x(1)), MemAttr{}, 16)); }},
      {"load_byte_signed",
       [](Builder& b) {
         b.put(x(kCold), b.load(Type::i64, b.get(Type::i64, x(1)), MemAttr{.size_log2 = 0, .sign = true}));
       }},
      {"load_pair",
       [](Builder& b) {
         const Value a = b.get(Type::i64, x(2));
         const Value first = b.load(Type::i64, a, MemAttr{});
         const Value second = b.load(Type::i64, a, MemAttr{}, 8);
         b.put(x(0), first);
         b.put(x(1), second);
         b.put(x(2), b.add(a, b.c64(16)));
       }},
      {"store_release",
       [](Builder& b) {
         b.store(b.get(Type::i64, x(1)), b.get(Type::i64, x(0)), MemAttr{.order = ir::Order::release});
       }},
      {"atomic_add",
       [](Builder& b) {
         b.put(x(0), b.atomic(Type::i64, ir::Rmw::add, b.get(Type::i64, x(1)), b.get(Type::i64, x(2)), MemAttr{}));
       }},
      {"page_address",
       [](Builder& b) {
         b.put(x(0), b.and_(b.pc_rel(0), b.c64(~u64{0xfff})));
         b.put(x(1), b.pc_rel(0x123456));
       }},
      {"vector_copy", [](Builder& b) { b.put(v(0), b.get(Type::v128, v(1))); }},
  };
  return all;
}

TEST(Golden, HostCode) {
  test::HostMachine machine;
  const std::string path = SOLDER_SOURCE_DIR "/tests/golden/host_x64/snippets.txt";
  std::string text;
  for (const Snippet& snippet : snippets()) {
    ir::Block block;
    Builder b(block);
    b.insn_start(0);
    snippet.make(b);
    b.exit_direct(0x80);
    ASSERT_EQ(ir::verify(block), "") << snippet.name;
    const auto compiled = machine.compiler->compile(block, 0x100);
    text += std::string("== ") + snippet.name + "\n" + machine.compiler->disassemble(*compiled) + "\n";
  }
  if (text.find("cmp dword ptr") == std::string::npos) GTEST_SKIP() << "built without Zydis: no disassembly";
  if (std::getenv("SOLDER_UPDATE_GOLDEN") != nullptr) {
    std::ofstream(path) << text;
    return;
  }
  std::ifstream file(path);
  std::stringstream golden;
  golden << file.rdbuf();
  EXPECT_EQ(golden.str(), text) << "SOLDER_UPDATE_GOLDEN=1 accepts the new code";
}

}  // namespace
}  // namespace solder
