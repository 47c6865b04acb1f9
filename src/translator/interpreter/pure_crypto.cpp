/// AES, SHA-1 and SHA-256 steps: DDI 0487, shared pseudocode (AESSubBytes…, SHAhashSHA256…), FIPS 197 and FIPS 180-4.
#include <array>
#include <bit>

#include "translator/interpreter/pure.h"

namespace solder::interpreter::pure {
namespace {

/// Product in GF(2^8) modulo x^8 + x^4 + x^3 + x + 1.
constexpr u8 gf_multiply(u8 x, u8 y) {
  unsigned product = 0;
  unsigned shifted = x;
  for (unsigned i = 0; i < 8; ++i) {
    if (((y >> i) & 1) != 0) product ^= shifted;
    shifted = (shifted << 1) ^ ((shifted & 0x80) != 0 ? 0x11bU : 0U);
  }
  return static_cast<u8>(product);
}

struct SubstitutionBoxes {
  std::array<u8, 256> forward{};
  std::array<u8, 256> inverse{};
};

/// FIPS 197 5.1.1: the inverse in GF(2^8), then an affine map.
constexpr SubstitutionBoxes make_boxes() {
  SubstitutionBoxes boxes;
  u8 power = 1;    // 3^i
  u8 inverse = 1;  // 3^-i; 0xf6 = 3^-1
  for (unsigned i = 0; i < 255; ++i) {
    const u8 mapped = static_cast<u8>(inverse ^ std::rotl(inverse, 1) ^ std::rotl(inverse, 2) ^ std::rotl(inverse, 3) ^
                                      std::rotl(inverse, 4) ^ 0x63);
    boxes.forward[power] = mapped;
    boxes.inverse[mapped] = power;
    power = gf_multiply(power, 3);
    inverse = gf_multiply(inverse, 0xf6);
  }
  boxes.forward[0] = 0x63;
  boxes.inverse[0x63] = 0;
  return boxes;
}
constexpr SubstitutionBoxes kBoxes = make_boxes();

/// A column's contribution of each byte value to (Inv)MixColumns, coefficients from row 0 down.
constexpr std::array<u32, 256> make_mix(u8 c0, u8 c1, u8 c2, u8 c3) {
  std::array<u32, 256> table{};
  for (unsigned i = 0; i < 256; ++i) {
    const u8 x = static_cast<u8>(i);
    table[i] = u32{gf_multiply(x, c0)} | (u32{gf_multiply(x, c1)} << 8) | (u32{gf_multiply(x, c2)} << 16) |
               (u32{gf_multiply(x, c3)} << 24);
  }
  return table;
}
constexpr auto kMix = make_mix(2, 1, 1, 3);
constexpr auto kInverseMix = make_mix(14, 9, 13, 11);

V128 mix_columns(const std::array<u32, 256>& table, const V128& a) {
  V128 out;
  for (unsigned i = 0; i < 4; ++i) {
    out.s[i] = table[a.b[4 * i]] ^ std::rotl(table[a.b[4 * i + 1]], 8) ^ std::rotl(table[a.b[4 * i + 2]], 16) ^
               std::rotl(table[a.b[4 * i + 3]], 24);
  }
  return out;
}

u32 choose(u32 x, u32 y, u32 z) {
  return ((y ^ z) & x) ^ z;
}
u32 majority(u32 x, u32 y, u32 z) {
  return (x & y) | ((x | y) & z);
}
u32 parity(u32 x, u32 y, u32 z) {
  return x ^ y ^ z;
}

/// Four rounds of SHA-1: x = a,b,c,d; y = e; w = schedule plus constant.
template <class Fn>
V128 sha1_rounds(V128 x, u32 y, const V128& w, Fn&& fn) {
  for (unsigned i = 0; i < 4; ++i) {
    y += std::rotl(x.s[0], 5) + fn(x.s[1], x.s[2], x.s[3]) + w.s[i];
    x.s[1] = std::rotl(x.s[1], 30);
    const u32 e = x.s[3];
    x.s = {y, x.s[0], x.s[1], x.s[2]};
    y = e;
  }
  return x;
}

/// Four rounds of SHA-256: x = a,b,c,d; y = e,f,g,h; w = schedule plus constants.
void sha256_rounds(V128& x, V128& y, const V128& w) {
  for (unsigned i = 0; i < 4; ++i) {
    const u32 sigma1 = std::rotr(y.s[0], 6) ^ std::rotr(y.s[0], 11) ^ std::rotr(y.s[0], 25);
    const u32 sigma0 = std::rotr(x.s[0], 2) ^ std::rotr(x.s[0], 13) ^ std::rotr(x.s[0], 22);
    const u32 t = y.s[3] + sigma1 + choose(y.s[0], y.s[1], y.s[2]) + w.s[i];
    const u32 e = x.s[3] + t;
    const u32 new_a = t + sigma0 + majority(x.s[0], x.s[1], x.s[2]);
    x.s = {new_a, x.s[0], x.s[1], x.s[2]};
    y.s = {e, y.s[0], y.s[1], y.s[2]};
  }
}

}  // namespace

SOLDER_PURE(aes_e) {
  V128 mixed;
  mixed.d = {a.d[0] ^ b.d[0], a.d[1] ^ b.d[1]};
  V128 out;
  // ShiftRows: row r (byte r of every column) moves r columns to the left.
  for (unsigned i = 0; i < 16; ++i) out.b[i] = kBoxes.forward[mixed.b[(i + 4 * (i % 4)) % 16]];
  result = out;
}
SOLDER_PURE(aes_d) {
  V128 mixed;
  mixed.d = {a.d[0] ^ b.d[0], a.d[1] ^ b.d[1]};
  V128 out;
  for (unsigned i = 0; i < 16; ++i) out.b[i] = kBoxes.inverse[mixed.b[(i + 12 * (i % 4)) % 16]];
  result = out;
}
SOLDER_PURE(aes_mc) {
  result = mix_columns(kMix, a);
}
SOLDER_PURE(aes_imc) {
  result = mix_columns(kInverseMix, a);
}

SOLDER_PURE(sha1_c) {
  result = sha1_rounds(a, b.s[0], c, choose);
}
SOLDER_PURE(sha1_p) {
  result = sha1_rounds(a, b.s[0], c, parity);
}
SOLDER_PURE(sha1_m) {
  result = sha1_rounds(a, b.s[0], c, majority);
}

SOLDER_PURE(sha1_h) {
  const u32 rotated = std::rotl(a.s[0], 30);
  result.s = {rotated, 0, 0, 0};
}
SOLDER_PURE(sha1_su0) {
  V128 out;
  out.d = {a.d[1] ^ a.d[0] ^ c.d[0], b.d[0] ^ a.d[1] ^ c.d[1]};
  result = out;
}
SOLDER_PURE(sha1_su1) {
  const u32 t0 = a.s[0] ^ b.s[1];
  const u32 t1 = a.s[1] ^ b.s[2];
  const u32 t2 = a.s[2] ^ b.s[3];
  const u32 t3 = a.s[3];
  result.s = {std::rotl(t0, 1), std::rotl(t1, 1), std::rotl(t2, 1), std::rotl(t3, 1) ^ std::rotl(t0, 2)};
}

SOLDER_PURE(sha256_h) {
  V128 x = a;
  V128 y = b;
  sha256_rounds(x, y, c);
  result = x;
}
SOLDER_PURE(sha256_h2) {
  V128 x = b;
  V128 y = a;
  sha256_rounds(x, y, c);
  result = y;
}
SOLDER_PURE(sha256_su0) {
  const std::array<u32, 4> t = {a.s[1], a.s[2], a.s[3], b.s[0]};
  V128 out;
  for (unsigned i = 0; i < 4; ++i) out.s[i] = a.s[i] + (std::rotr(t[i], 7) ^ std::rotr(t[i], 18) ^ (t[i] >> 3));
  result = out;
}
SOLDER_PURE(sha256_su1) {
  const std::array<u32, 4> t0 = {b.s[1], b.s[2], b.s[3], c.s[0]};
  V128 out;
  for (unsigned i = 0; i < 4; ++i) {
    const u32 t1 = i < 2 ? c.s[2 + i] : out.s[i - 2];
    out.s[i] = a.s[i] + t0[i] + (std::rotr(t1, 17) ^ std::rotr(t1, 19) ^ (t1 >> 10));
  }
  result = out;
}

}  // namespace solder::interpreter::pure
