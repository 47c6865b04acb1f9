#include "differential/arm64/random_machine.h"

#include <fmt/format.h>

namespace solder::test {
namespace {

using fp::test::Values;

/// A register of lanes of one size.
ir::V128 random_vector(Values& values) {
  ir::V128 v{};
  const u64 kind = values.below(10);
  for (unsigned i = 0; i < 2; ++i) {
    if (kind < 3) {
      v.d[i] = values.next(ir::Lane::d);
    } else if (kind < 6) {
      v.d[i] = values.next(ir::Lane::s) | values.next(ir::Lane::s) << 32;
    } else if (kind < 7) {
      for (unsigned n = 0; n < 4; ++n) v.d[i] |= values.next(ir::Lane::h) << (n * 16);
    } else if (kind < 8) {  // small signed bytes, as shift amounts and table indices are
      for (unsigned n = 0; n < 8; ++n) v.d[i] |= ((values.below(140) - 70) & 0xff) << (n * 8);
    } else if (kind < 9) {  // lane extremes
      for (unsigned n = 0; n < 4; ++n) {
        constexpr u64 kExtremes[] = {0, 1, 0x7fff, 0x8000, 0xffff, 0x8001, 0x00ff, 0x7f80};
        v.d[i] |= kExtremes[values.below(8)] << (n * 16);
      }
    } else {
      v.d[i] = values.bits();
    }
  }
  return v;
}

}  // namespace

Machine random_machine(Values& values) {
  Machine m;
  for (u64& x : m.x) {
    switch (values.below(6)) {
      case 0:
        x = values.next(ir::Lane::d);
        break;
      case 1:
        x = values.below(2) != 0 ? values.below(300) : ~values.below(300);
        break;
      case 2: {
        constexpr u64 kExtremes[] = {0,       0x7fffffff,   0x80000000,   0xffffffff,
                                     ~u64{0}, u64{1} << 63, ~u64{0} >> 1, 0xffffffff80000000};
        x = kExtremes[values.below(8)];
        break;
      }
      default:
        x = values.bits() >> values.below(64);
    }
  }
  m.sp = kDataBase + kDataSize / 2;
  for (ir::V128& v : m.v) v = random_vector(values);
  m.nzcv = static_cast<u32>(values.below(16)) << 28;
  m.fpcr = static_cast<u32>(values.below(4)) << 22;
  if (values.below(4) == 0) m.fpcr |= 1U << 24;
  if (values.below(4) == 0) m.fpcr |= 1U << 25;
  if (values.below(8) == 0) m.fpcr |= 1U << 26;
  constexpr u32 kStatus[] = {0, 0, 0, 1, 0x10, 0x80, 0x08000000, 0x0800009f};
  m.fpsr = kStatus[values.below(8)];
  for (u8& b : m.data) b = static_cast<u8>(values.bits());
  return m;
}

std::string difference(const Machine& ours, const Machine& oracle) {
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
  note("fpsr", ours.fpsr, oracle.fpsr);
  note("pc", ours.pc, oracle.pc);
  for (usize n = 0; n < ours.data.size(); ++n) note(fmt::format("data[{}]", n), ours.data[n], oracle.data[n]);
  return text;
}

}  // namespace solder::test
