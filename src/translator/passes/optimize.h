/// Removing what nobody looks at from a block, in one backward walk.
#pragma once

#include <array>
#include <vector>

#include "base/types.h"
#include "translator/ir/ir.h"

namespace solder::passes {

/// Scratch is in the object: keep one per translating thread.
class Optimizer {
 public:
  /// Turns into `nop`
  /// - operations without effects whose value is not used;
  /// - puts that a later put overwrites before anything can read the state or leave the block. Nothing else may look at
  ///   the state in between: interrupts are taken at block entries only. So state stays exact wherever the block can be
  ///   left (accesses, calls, exits), but not at every instruction boundary.
  void run(ir::Block& block);

 private:
  /// Which bytes of an 8-byte piece of the state a later put overwrites; valid in its epoch only.
  struct Overwritten {
    u32 epoch = 0;
    u32 piece = 0;
    u8 bytes = 0;
  };
  static constexpr usize kPieces = 128;

  [[nodiscard]] bool is_overwritten(u32 offset, u32 size) const;
  void overwrite(u32 offset, u32 size);
  void read(u32 offset, u32 size);

  std::vector<u8> used_;
  std::array<Overwritten, kPieces> pieces_{};
  u32 epoch_ = 0;
};

}  // namespace solder::passes
