/// The vector constants of translated code.
#include "translator/host_x64/thunks.h"

namespace solder::host_x64 {
namespace {

struct Half {
  u64 low;
  u64 high;
};

constexpr Half both(u64 value) {
  return {value, value};
}
constexpr Half words(u32 value) {
  return both(u64{value} | (u64{value} << 32));
}

constexpr Half value_of(Const c) {
  switch (c) {
    case Const::abs_s:
      return words(0x7fff'ffff);
    case Const::abs_d:
      return both(0x7fff'ffff'ffff'ffff);
    case Const::sign_s:
      return words(0x8000'0000);
    case Const::sign_d:
      return both(0x8000'0000'0000'0000);
    case Const::min_normal_s:
      return words(0x0080'0000);
    case Const::min_normal_d:
      return both(0x0010'0000'0000'0000);
    case Const::all_ones:
      return both(~u64{0});
    case Const::count:
      break;
  }
  return {};
}

}  // namespace

void emit_constants(Assembler& a, Thunks& thunks) {
  a.align(64);
  thunks.constants = a.address(a.position());
  for (u8 i = 0; i < static_cast<u8>(Const::count); ++i) {
    const Half half = value_of(static_cast<Const>(i));
    a.dq(half.low);
    a.dq(half.high);
  }
}

}  // namespace solder::host_x64
