// Every line of decode_integer.inc and decode_memory.inc, and the branches, against Unicorn: random encodings of the
// line, operands biased to extremes; all registers, flags and memory are compared. What depends on where the code lies
// (ADR, links, literals) is tested in tests/unit/guest_arm64.
//
// SOLDER_FUZZ_WORDS: encodings per line (default 6). SOLDER_FUZZ_SEED: another stream. SOLDER_FUZZ_LINE: one line
// only.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <random>
#include <string>
#include <string_view>

#include "differential/arm64/differences.h"
#include "differential/arm64/executor.h"
#include "guest/arm64/decode.h"

namespace solder::test {
namespace {

using arm64::Encoding;
using arm64::Insn;

constexpr unsigned kStatesPerWord = 8;

u64 number_from(const char* variable, u64 otherwise) {
  const char* text = std::getenv(variable);
  return text != nullptr ? std::strtoull(text, nullptr, 0) : otherwise;
}

bool contains(const Encoding& e, std::string_view part) {
  return std::string_view(e.name).find(part) != std::string_view::npos;
}
bool starts(const Encoding& e, std::string_view part) {
  return std::string_view(e.name).starts_with(part);
}

/// Accesses that need natural alignment.
bool is_ordered(const Encoding& e) {
  return (e.value & 0x3f000000) == 0x08000000 || (e.value & 0x3f200c00) == 0x38200000;
}

/// CONSTRAINED UNPREDICTABLE (C6.2, each instruction): both may do what they like.
bool unpredictable(const Encoding& e, u32 word) {
  if (std::string_view(e.table) != "memory") return false;
  const Insn i{word};
  const bool indexed = contains(e, "post-index") || contains(e, "pre-index");
  const bool pair = (e.value & 0x3a000000) == 0x28000000;
  const bool load_pair = (pair && i.bit(22)) || starts(e, "LDXP");
  if (indexed && !i.bit(26) && i.rn() != 31 && (i.rt() == i.rn() || (pair && i.rt2() == i.rn()))) return true;
  if (load_pair && i.rt() == i.rt2()) return true;
  return starts(e, "STX") &&
         (i.rs() == i.rt() || (i.rs() == i.rn() && i.rn() != 31) || (starts(e, "STXP") && i.rs() == i.rt2()));
}

/// Depends on the address of the code.
bool relative(const Encoding& e) {
  static constexpr std::string_view kNames[] = {"ADR", "ADRP", "BL", "BLR", "BR", "RET"};
  for (const std::string_view name : kNames) {
    if (name == e.name) return true;
  }
  return contains(e, "literal");
}

class General : public testing::Test {
 protected:
  u64 bits() { return random_(); }
  u64 below(u64 n) { return random_() % n; }

  Machine random_machine() {
    Machine m;
    for (u64& x : m.x) {
      constexpr u64 kExtremes[] = {
          0,          1,          0x7f,       0x80,         0x7fff,  0x8000,       0x7fffffff,
          0xffff,     0x80000000, 0xffffffff, u64{1} << 63, ~u64{0}, ~u64{0} >> 1, 0xffffffff80000000,
          0x100000000};
      switch (below(4)) {
        case 0:
          x = kExtremes[below(std::size(kExtremes))];
          break;
        case 1:
          x = bits() >> below(64);
          break;
        case 2:
          x = below(2) != 0 ? below(100) : ~below(100);
          break;
        default:
          x = bits();
          break;
      }
    }
    m.sp = kDataBase + kDataSize / 2;
    for (ir::V128& v : m.v) v.d = {bits(), bits()};
    m.nzcv = static_cast<u32>(below(16)) << 28;
    for (u8& b : m.data) b = static_cast<u8>(bits());
    return m;
  }

  /// Makes the access hit the data, wherever its offset points. False: it cannot.
  bool aim(const Encoding& e, u32 word, Machine& m) {
    const Insn i{word};
    u64 target = kDataBase + 64 + below(kDataSize - 256);
    if (is_ordered(e)) target &= ~u64{15};
    u64 offset = 0;
    if (contains(e, "register offset")) {
      if (i.rm() == i.rn()) return false;
      if (i.rm() != 31) m.x[i.rm()] = below(2) != 0 ? below(16) : ~below(16);
      const u64 m_value = i.rm() == 31 ? 0 : m.x[i.rm()];
      const u64 extended = i.bits(15, 13) == 2   ? static_cast<u32>(m_value)
                           : i.bits(15, 13) == 6 ? static_cast<u64>(sign_extend(m_value, 32))
                                                 : m_value;
      const unsigned size = i.bit(26) && i.bit(23) ? 4 : i.bits(31, 30);
      offset = i.bit(12) ? extended << size : extended;
    } else if (contains(e, "unsigned offset")) {
      offset = u64{i.bits(21, 10)} << (i.bit(26) && i.bit(23) ? 4 : i.bits(31, 30));
    } else if (contains(e, "signed offset") || contains(e, "no allocate")) {
      const unsigned size = i.bit(26) ? 2 + i.bits(31, 30) : i.bits(31, 30) == 2 ? 3 : 2;
      offset = static_cast<u64>(i.simm(21, 15)) << size;
    } else if (contains(e, "pre-index") && (e.value & 0x3a000000) == 0x28000000) {
      const unsigned size = i.bit(26) ? 2 + i.bits(31, 30) : i.bits(31, 30) == 2 ? 3 : 2;
      offset = static_cast<u64>(i.simm(21, 15)) << size;
    } else if (contains(e, "pre-index") || contains(e, "unscaled") || contains(e, "unprivileged")) {
      offset = static_cast<u64>(i.simm(20, 12));
    }
    if (i.rn() != 31) {
      m.x[i.rn()] = target - offset;
    } else {
      m.sp = (target - offset) & ~u64{15};
    }
    return true;
  }

  void compare(Executor& ours, const char* table) {
    const std::unique_ptr<Executor> oracle = make_unicorn_executor();
    ASSERT_NE(oracle, nullptr);
    const u64 words = number_from("SOLDER_FUZZ_WORDS", 6);
    const char* only = std::getenv("SOLDER_FUZZ_LINE");
    random_.seed(number_from("SOLDER_FUZZ_SEED", 1));
    for (const Encoding& e : arm64::encodings()) {
      if (std::string_view(e.table) != table || relative(e) || (only != nullptr && std::string_view(e.name) != only))
        continue;
      normal_ = 0;
      unsigned failures = 0;
      for (u64 n = 0; n < words && failures < 3; ++n) {
        const u32 word = e.value | (static_cast<u32>(bits()) & ~e.mask);
        if (arm64::decode(word) != &e || unpredictable(e, word)) continue;
        for (unsigned k = 0; k < kStatesPerWord && failures < 3; ++k) failures += check(e, word, ours, *oracle) ? 0 : 1;
      }
      EXPECT_GT(normal_, 0U) << e.name << ": no encoding of the line was defined";
    }
  }

 private:
  bool check(const Encoding& e, u32 word, Executor& ours, Executor& oracle) {
    Machine before = random_machine();
    if ((word & 0x0a000000) == 0x08000000 && !aim(e, word, before)) return true;
    std::vector<u32> code = {word};
    // A store-exclusive without its load always fails: mostly there is one before it.
    if (starts(e, "STX") && below(4) != 0) {
      const u32 load = (word & ~0x001f'8000U) | 0x005f'0000;
      code.insert(code.begin(), starts(e, "STXP") ? (load & ~0x00007c1fU) | (28U << 10) | 27 : (load & ~0x1fU) | 27);
      if (const Insn i{word}; i.rn() == 27 || i.rn() == 28) return true;
    }
    Machine a = before;
    Machine b = before;
    const Ended end_a = ours.run(a, code);
    const Ended end_b = oracle.run(b, code);
    if (end_a == Ended::undefined && end_b == Ended::undefined) return true;
    if (end_a == Ended::normally) ++normal_;
    std::string text;
    if (end_a != end_b) {
      text = fmt::format("\n    ended {} / {}", static_cast<int>(end_a), static_cast<int>(end_b));
    } else if (end_a == Ended::normally) {
      text = difference(a, b);
    }
    if (text.empty() || known_difference(e.name, word, before, a, b) != nullptr) return true;
    ADD_FAILURE() << fmt::format("{} {:08x} nzcv {:08x}{}", e.name, word, before.nzcv, text);
    return false;
  }

 protected:
  static std::string difference(const Machine& ours, const Machine& oracle) {
    std::string text;
    const auto note = [&](const std::string& name, u64 a, u64 b) {
      if (a != b) text += fmt::format("\n    {}: ours {:016x}, oracle {:016x}", name, a, b);
    };
    for (usize n = 0; n < ours.x.size(); ++n) note(fmt::format("x{}", n), ours.x[n], oracle.x[n]);
    note("sp", ours.sp, oracle.sp);
    for (usize n = 0; n < ours.v.size(); ++n) {
      note(fmt::format("v{} low", n), ours.v[n].d[0], oracle.v[n].d[0]);
      note(fmt::format("v{} high", n), ours.v[n].d[1], oracle.v[n].d[1]);
    }
    note("nzcv", ours.nzcv, oracle.nzcv);
    note("pc", ours.pc, oracle.pc);
    for (usize n = 0; n < ours.data.size(); ++n) note(fmt::format("data[{}]", n), ours.data[n], oracle.data[n]);
    return text;
  }

  std::mt19937_64 random_;

 private:
  u64 normal_ = 0;  // runs of the current line that did something
};

TEST_F(General, IntegerInterpreted) {
  compare(*make_front_end_executor(make_interpreter_engine()), "integer");
}

TEST_F(General, IntegerCompiled) {
  compare(*make_front_end_executor(make_compiled_engine()), "integer");
}

TEST_F(General, IntegerCompiledWithFallbacks) {
  compare(*make_front_end_executor(make_compiled_engine(false, true)), "integer");
}

TEST_F(General, MemoryInterpreted) {
  compare(*make_front_end_executor(make_interpreter_engine()), "memory");
}

TEST_F(General, MemoryCompiled) {
  compare(*make_front_end_executor(make_compiled_engine()), "memory");
}

TEST_F(General, MemoryCompiledWithSlowMemory) {
  compare(*make_front_end_executor(make_compiled_engine(true, false)), "memory");
}

/// Where the oracle is wrong: narrow minima and maxima look only at their own bits.
TEST_F(General, NarrowMinimaAndMaxima) {
  const std::unique_ptr<Executor> engines[] = {make_front_end_executor(make_interpreter_engine()),
                                               make_front_end_executor(make_compiled_engine())};
  struct Row {
    u32 word;  // Rs = x1, Rt = x2, Rn = x3
    u64 operand, memory, result;
  };
  const Row rows[] = {
      {0x38214062, 0xffffff01, 0x80, 0x01},                       // LDSMAXB
      {0x38215062, 0x12345601, 0x80, 0x80},                       // LDSMINB
      {0x38216062, 0x12345601, 0x80, 0x80},                       // LDUMAXB
      {0x38217062, 0x12345601, 0x80, 0x01},                       // LDUMINB
      {0x78214062, 0xffff157f, 0xf195, 0x157f},                   // LDSMAXH
      {0x78215062, 0x157f, 0xf195, 0xf195},                       // LDSMINH
      {0xb8216062, 0xdfd54858, 0x0ad66f7d, 0xdfd54858},           // LDUMAX W
      {0xb8217062, 0x5'80000000, 0xff9fb672, 0x80000000},         // LDUMIN W
      {0xb8214062, 0xffffffff'00000001, 0x80000000, 0x00000001},  // LDSMAX W
  };
  for (const Row& row : rows) {
    for (const auto& ours : engines) {
      Machine m;
      m.x[1] = row.operand;
      m.x[3] = kDataBase;
      for (unsigned n = 0; n < 8; ++n) m.data[n] = static_cast<u8>(row.memory >> (n * 8));
      ASSERT_EQ(ours->run(m, {&row.word, 1}), Ended::normally);
      u64 left = 0;
      for (unsigned n = 0; n < 8; ++n) left |= u64{m.data[n]} << (n * 8);
      EXPECT_EQ(left, row.result) << fmt::format("{:08x}", row.word);
      EXPECT_EQ(m.x[2], row.memory) << fmt::format("{:08x}", row.word);
    }
  }
}

/// Conditional branches over two instructions, which only those that are not taken run.
TEST_F(General, Branches) {
  const auto ours = make_front_end_executor(make_compiled_engine());
  const auto oracle = make_unicorn_executor();
  ASSERT_NE(oracle, nullptr);
  random_.seed(1);
  for (const Encoding& e : arm64::encodings()) {
    const bool conditional = (e.value & 0x7e000000) == 0x34000000 || (e.value & 0xff000010) == 0x54000000;
    const bool test_bit = (e.value & 0x7e000000) == 0x36000000;
    if (!conditional && !test_bit) continue;
    for (unsigned n = 0; n < 200; ++n) {
      u32 word = e.value | (static_cast<u32>(bits()) & ~e.mask);
      word = (word & ~(test_bit ? 0x3fffU << 5 : 0x7ffffU << 5)) | (3U << 5);
      const u32 code[] = {word, 0xd2800029, 0xd280004a};  // movz x9, #1; movz x10, #2
      const Machine before = random_machine();
      Machine a = before;
      Machine b = before;
      ASSERT_EQ(ours->run(a, code), Ended::normally);
      ASSERT_EQ(oracle->run(b, code), Ended::normally);
      ASSERT_EQ(difference(a, b), "") << fmt::format("{} {:08x} nzcv {:08x}", e.name, word, before.nzcv);
    }
  }
}

}  // namespace
}  // namespace solder::test
