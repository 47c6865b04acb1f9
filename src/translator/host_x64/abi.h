/// The translation ABI in numbers: which host register holds what, and the stack frame of translated code.
#pragma once

#include <array>
#include <span>

#include "base/types.h"
#include "translator/ir/core_state.h"
#include "translator/ir/guest.h"
#include "translator/ir/ir.h"

namespace solder::host_x64 {

// Host registers by their number in instructions.
inline constexpr u8 kRax = 0, kRcx = 1, kRdx = 2, kRbx = 3, kRsp = 4, kRbp = 5, kRsi = 6, kRdi = 7;
inline constexpr u8 kR8 = 8, kR9 = 9, kR10 = 10, kR11 = 11, kR12 = 12, kR13 = 13, kR14 = 14, kR15 = 15;

inline constexpr u8 kStateReg = kRbp;    ///< CoreState
inline constexpr u8 kContextReg = kR15;  ///< Context of the current regime
// rax and rcx (and xmm13..15) never hold a value across IR instructions: every emission may clobber them.

/// Homes of the hottest guest registers, the callee-saved first. Those not needed serve as temporaries.
inline constexpr std::array<u8, 6> kPinRegs{kRbx, kR12, kR13, kR14, kR9, kR10};
inline constexpr std::array<u8, 5> kTempRegs{kRdx, kRsi, kRdi, kR8, kR11};
/// What a C function may clobber, besides rax and rcx.
inline constexpr std::array<u8, 7> kCallerSaved{kRdx, kRsi, kRdi, kR8, kR9, kR10, kR11};

inline constexpr u8 kXmmTemps = 13;  ///< xmm0..xmm12 hold values
inline constexpr u8 kXmmScratch0 = 15, kXmmScratch1 = 14, kXmmScratch2 = 13;

inline constexpr unsigned kSpillSlots = 512;

/// At rsp while translated code runs; rsp is 16-byte aligned there.
struct Frame {
  std::array<ir::V128, 3> argument;
  ir::V128 result;
  std::array<u64, 8> saved_gpr;
  u64 saved_rbx;
  u32 caller_mxcsr;
  u32 guest_mxcsr;
  std::array<ir::V128, 13> saved_xmm;
  std::array<ir::V128, kSpillSlots> spill;
};
static_assert(sizeof(Frame) % 16 == 0);

/// What the fallback thunk needs to call the interpreter's function; lies behind the block's code.
struct PureCall {
  ir::Inst inst;
  const void* function;
  u64 rules;
};

/// Which guest register lives where.
class Pins {
 public:
  explicit Pins(std::span<const u16> hot_registers) {
    for (const u16 offset : hot_registers) {
      if (count_ == kPinRegs.size()) break;
      offsets_[count_++] = offset;
    }
  }
  [[nodiscard]] unsigned count() const { return count_; }
  [[nodiscard]] u16 offset(unsigned pin) const { return offsets_[pin]; }
  [[nodiscard]] static u8 reg(unsigned pin) { return kPinRegs[pin]; }
  /// The pin whose eight bytes include this offset, or -1.
  [[nodiscard]] int find(u32 offset) const {
    for (unsigned i = 0; i < count_; ++i) {
      if (offset - offsets_[i] < 8) return static_cast<int>(i);
    }
    return -1;
  }

 private:
  std::array<u16, kPinRegs.size()> offsets_{};
  unsigned count_ = 0;
};

}  // namespace solder::host_x64
