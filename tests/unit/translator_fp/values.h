/// Operands for floating-point tests: the values where mistakes live, and random ones near them.
#pragma once

#include <array>
#include <random>

#include "base/types.h"
#include "translator/ir/ir.h"

namespace solder::fp::test {

class Values {
 public:
  explicit Values(u64 seed) : random_(seed) {}

  u64 bits() { return random_(); }
  u64 below(u64 limit) { return random_() % limit; }

  /// One operand of the format.
  u64 next(ir::Lane lane) {
    const unsigned total = lane == ir::Lane::d ? 64 : lane == ir::Lane::s ? 32 : 16;
    const unsigned fraction = lane == ir::Lane::d ? 52 : lane == ir::Lane::s ? 23 : 10;
    const u64 exponent_max = (u64{1} << (total - 1 - fraction)) - 1;
    const u64 fraction_mask = (u64{1} << fraction) - 1;
    const u64 bias = exponent_max / 2;
    u64 exponent = 0;
    switch (below(8)) {
      case 0:
        exponent = 0;
        break;
      case 1:
        exponent = exponent_max;
        break;
      case 2:
        exponent = 1 + below(3);
        break;
      case 3:
        exponent = exponent_max - 1 - below(3);
        break;
      case 4:
      case 5:
        exponent = bias - 3 + below(70) % (exponent_max - bias);
        break;
      case 6:
        exponent = bias - 2 + below(5);
        break;
      default:
        exponent = below(exponent_max + 1);
    }
    u64 f = 0;
    switch (below(6)) {
      case 0:
        f = 0;
        break;
      case 1:
        f = fraction_mask;
        break;
      case 2:
        f = u64{1} << below(fraction);
        break;
      case 3:
        f = fraction_mask ^ (u64{1} << below(fraction));
        break;
      default:
        f = bits() & fraction_mask;
    }
    return (below(2) << (total - 1)) | (exponent << fraction) | f;
  }

 private:
  std::mt19937_64 random_;
};

}  // namespace solder::fp::test
