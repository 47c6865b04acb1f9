/// What differential tests of arm64 instructions put in and compare.
#pragma once

#include <array>
#include <random>
#include <string>
#include <vector>

#include "base/types.h"
#include "guest/arm64/decode.h"
#include "translator/ir/ir.h"

namespace solder::differential {

/// Where things lie. Everything is within reach of a PC-relative load.
inline constexpr u64 kCodeBase = 0x100000;
inline constexpr u64 kCodeSize = 0x40000;
inline constexpr u64 kDataBase = 0x150000;
inline constexpr u64 kDataSize = 0x20000;

/// User-visible registers of an arm64 CPU.
struct Registers {
  std::array<u64, 31> x{};
  u64 sp = 0;
  u64 pc = 0;
  u32 nzcv = 0;
  u32 fpcr = 0;
  u32 fpsr = 0;
  std::array<ir::V128, 32> v{};
};

/// One instruction with the state it starts from.
struct Case {
  const arm64::Encoding* encoding = nullptr;
  u32 word = 0;
  Registers registers;
};

/// What came out of it. Data memory is compared in place.
struct Outcome {
  bool exception = false;  ///< it did not complete; registers then do not count
  Registers registers;
};

/// Something that executes instructions. It owns its data memory, which starts as `fill` and lives from case to case.
class Executor {
 public:
  virtual ~Executor() = default;
  virtual void fill(const std::vector<u8>& data) = 0;
  virtual Outcome run(const Case& test) = 0;
  [[nodiscard]] virtual std::vector<u8> data() = 0;
};

/// Makes random cases from the decode table.
class Generator {
 public:
  explicit Generator(u64 seed) : random_(seed) {}
  Case make(const arm64::Encoding& encoding, u64 pc);
  std::vector<u8> data();
  /// Whether to put NaNs, infinities, denormals and their like into SIMD registers, and vary FPCR.
  void set_floating_point(bool on) { floating_point_ = on; }

 private:
  u64 integer();
  u64 vector_half();
  void aim(Case& test);  // makes a load or store hit the data window

  std::mt19937_64 random_;
  bool floating_point_ = false;
};

/// The first difference as text; empty when equal. Registers only.
[[nodiscard]] std::string difference(const Outcome& expected, const Outcome& actual);

}  // namespace solder::differential
