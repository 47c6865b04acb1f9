#include <fmt/format.h>

#include <string_view>

#include "differential/machine_state.h"
#include "guest/arm64/insn.h"

namespace solder::differential {
namespace {

using arm64::Insn;

constexpr u64 kIntegers[] = {0,
                             1,
                             2,
                             0x7f,
                             0x80,
                             0xff,
                             0x7fff,
                             0x8000,
                             0x7fffffff,
                             0x80000000,
                             0xffffffff,
                             0x100000000,
                             0x7fffffffffffffff,
                             0x8000000000000000,
                             0xffffffffffffffff,
                             0xffffffff80000000,
                             0x0123456789abcdef};

constexpr u64 kDoubles[] = {0x0000000000000000, 0x8000000000000000, 0x3ff0000000000000, 0xbff0000000000000,
                            0x4000000000000000, 0x3fe0000000000000, 0x7ff0000000000000, 0xfff0000000000000,
                            0x7ff8000000000000, 0x7ff0000000000001, 0xfff8000000001234, 0xfff4000000000000,
                            0x0000000000000001, 0x800fffffffffffff, 0x0010000000000000, 0x7fefffffffffffff,
                            0x41e0000000000000, 0xc1e0000000000000, 0x43e0000000000000, 0x3ff8000000000000,
                            0x4330000000000001, 0x36a0000000000000, 0x47efffffffffffff, 0x3810000000000000};
constexpr u32 kSingles[] = {0x00000000, 0x80000000, 0x3f800000, 0xbf800000, 0x40000000, 0x3f000000,
                            0x7f800000, 0xff800000, 0x7fc00000, 0x7f800001, 0xffc01234, 0xffa00000,
                            0x00000001, 0x807fffff, 0x00800000, 0x7f7fffff, 0x4f000000, 0xcf000000,
                            0x5f000000, 0x3fc00000, 0x4b000001, 0x33800000, 0x477fe000, 0x38800000};
constexpr u16 kHalves[] = {0x0000, 0x8000, 0x3c00, 0xbc00, 0x7c00, 0xfc00,
                           0x7e00, 0x7d00, 0x0001, 0x83ff, 0x0400, 0x7bff};

bool one_of(std::string_view name, std::initializer_list<std::string_view> prefixes) {
  for (const std::string_view prefix : prefixes) {
    if (name.starts_with(prefix)) return true;
  }
  return false;
}

template <class T, usize N, class R>
T pick(const T (&from)[N], R& random) {
  return from[random() % N];
}

}  // namespace

u64 Generator::integer() {
  switch (random_() % 4) {
    case 0:
      return pick(kIntegers, random_);
    case 1:
      return random_() >> (random_() % 64);
    default:
      return random_();
  }
}

u64 Generator::vector_half() {
  if (!floating_point_) return integer();
  switch (random_() % 8) {
    case 0:
      return pick(kDoubles, random_);
    case 1:
      return pick(kSingles, random_) | (u64{pick(kSingles, random_)} << 32);
    case 2: {
      u64 value = 0;
      for (unsigned at = 0; at < 64; at += 16) value |= u64{pick(kHalves, random_)} << at;
      return value;
    }
    case 3: {  // ordinary doubles of like exponents
      const u64 exponent = 1023 - 30 + random_() % 60;
      return (random_() & 0x800fffffffffffff) | (exponent << 52);
    }
    case 4: {
      const auto single = [&] { return (random_() & 0x807fffff) | ((127 - 20 + random_() % 40) << 23); };
      return single() | (single() << 32);
    }
    case 5:
      return integer();
    default:
      return random_();
  }
}

std::vector<u8> Generator::data() {
  std::vector<u8> bytes(kDataSize);
  for (usize at = 0; at < bytes.size(); ++at) bytes[at] = static_cast<u8>(random_());
  return bytes;
}

void Generator::aim(Case& test) {
  const std::string_view name = test.encoding->name;
  Insn i{test.word};
  Registers& r = test.registers;
  if (name.find("literal") != std::string_view::npos) {
    const u64 target = kDataBase + (random_() % (kDataSize - 64) & ~u64{3});
    const u32 offset = static_cast<u32>((target - r.pc) >> 2);
    test.word = (test.word & ~(0x7ffffU << 5)) | ((offset & 0x7ffff) << 5);
    return;
  }
  u64 base = kDataBase + 0x8000 + random_() % 0x2000;
  if (one_of(name, {"STXR", "LDXR", "STXP", "LDXP", "STLR", "LDAR", "LDAPR", "CAS", "LDADD", "LDCLR", "LDEOR", "LDSET",
                    "LDSMAX", "LDSMIN", "LDUMAX", "LDUMIN", "SWP"})) {
    base &= ~u64{15};
  }
  const bool indexed = name.find("register offset") != std::string_view::npos;
  if (indexed) {
    if (i.rm() == i.rn()) {
      test.word = (test.word & ~(0x1fU << 16)) | (((i.rm() + 1) & 0x1f) << 16);
      i = Insn{test.word};
      if (i.rm() == i.rn()) return;
    }
    if (i.rm() != 31) r.x[i.rm()] = static_cast<u64>(static_cast<i64>(random_() % 0x800) - 0x400);
    // UXTW of a negative number leaves the window.
    if (i.bits(15, 13) == 2 && i.rm() != 31) r.x[i.rm()] = (random_() << 32) | (random_() % 0x400);
  }
  if (i.rn() == 31) {
    r.sp = base & ~u64{15};
  } else {
    r.x[i.rn()] = base;
  }
}

Case Generator::make(const arm64::Encoding& encoding, u64 pc) {
  Case test;
  test.encoding = &encoding;
  test.word = encoding.value | (static_cast<u32>(random_()) & ~encoding.mask);
  Registers& r = test.registers;
  r.pc = pc;
  for (u64& x : r.x) x = integer();
  r.sp = kDataBase + 0x8000;
  r.nzcv = static_cast<u32>(random_() & 0xf) << 28;
  for (ir::V128& v : r.v) v.d = {vector_half(), vector_half()};
  if (floating_point_ && random_() % 2 != 0) r.fpcr = static_cast<u32>(random_()) & 0x07c00000;
  // Loads and stores, in whichever file they are: op0 = x1x0.
  if ((test.word & 0x0a000000) == 0x08000000) aim(test);
  return test;
}

std::string difference(const Outcome& expected, const Outcome& actual) {
  if (expected.exception != actual.exception) {
    return fmt::format("exception: expected {}, got {}", expected.exception, actual.exception);
  }
  if (expected.exception) return {};
  const Registers& e = expected.registers;
  const Registers& a = actual.registers;
  for (unsigned n = 0; n < 31; ++n) {
    if (e.x[n] != a.x[n]) return fmt::format("x{}: expected {:016x}, got {:016x}", n, e.x[n], a.x[n]);
  }
  if (e.sp != a.sp) return fmt::format("sp: expected {:016x}, got {:016x}", e.sp, a.sp);
  if (e.pc != a.pc) return fmt::format("pc: expected {:016x}, got {:016x}", e.pc, a.pc);
  if (e.nzcv != a.nzcv) return fmt::format("nzcv: expected {:08x}, got {:08x}", e.nzcv, a.nzcv);
  for (unsigned n = 0; n < 32; ++n) {
    if (e.v[n].d != a.v[n].d) {
      return fmt::format("v{}: expected {:016x}_{:016x}, got {:016x}_{:016x}", n, e.v[n].d[1], e.v[n].d[0], a.v[n].d[1],
                         a.v[n].d[0]);
    }
  }
  if (e.fpsr != a.fpsr) return fmt::format("fpsr: expected {:08x}, got {:08x}", e.fpsr, a.fpsr);
  return {};
}

}  // namespace solder::differential
