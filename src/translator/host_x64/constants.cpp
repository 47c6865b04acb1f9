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

/// Shuffle indices that give zero.
constexpr u64 kNothing = ~u64{0};

// clang-format off
constexpr Half value_of(Const c) {
  switch (c) {
    case Const::abs_s: return words(0x7fff'ffff);
    case Const::abs_d: return both(0x7fff'ffff'ffff'ffff);
    case Const::sign_s: return words(0x8000'0000);
    case Const::sign_d: return both(0x8000'0000'0000'0000);
    case Const::min_normal_s: return words(0x0080'0000);
    case Const::min_normal_d: return both(0x0010'0000'0000'0000);
    case Const::all_ones: return both(~u64{0});
    case Const::low_byte: return {0xff, 0};
    case Const::low_half: return {0xffff, 0};
    case Const::even_bytes: return both(0x00ff'00ff'00ff'00ff);
    case Const::pack_bytes: return {0x0e0c'0a08'0604'0200, kNothing};
    case Const::pack_halves: return {0x0d0c'0908'0504'0100, kNothing};
    case Const::reverse_16_b: return {0x0607'0405'0203'0001, 0x0e0f'0c0d'0a0b'0809};
    case Const::reverse_32_b: return {0x0405'0607'0001'0203, 0x0c0d'0e0f'0809'0a0b};
    case Const::reverse_64_b: return {0x0001'0203'0405'0607, 0x0809'0a0b'0c0d'0e0f};
    case Const::reverse_32_h: return {0x0504'0706'0100'0302, 0x0d0c'0f0e'0908'0b0a};
    case Const::reverse_64_h: return {0x0100'0302'0504'0706, 0x0908'0b0a'0d0c'0f0e};
    case Const::nibbles: return both(0x0f0f'0f0f'0f0f'0f0f);
    case Const::popcounts: return {0x0302'0201'0201'0100, 0x0403'0302'0302'0201};
    case Const::sixteen: return both(0x1010'1010'1010'1010);
    case Const::beyond: return both(0x7070'7070'7070'7070);
    case Const::minus_one_s: return words(0xbf80'0000);
    case Const::minus_one_d: return both(0xbff0'0000'0000'0000);
    case Const::two32_s: return words(0x4f80'0000);
    case Const::two32_d: return both(0x41f0'0000'0000'0000);
    case Const::two63_s: return words(0x5f00'0000);
    case Const::two63_d: return both(0x43e0'0000'0000'0000);
    case Const::count: break;
  }
  return {};
}
// clang-format on

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
