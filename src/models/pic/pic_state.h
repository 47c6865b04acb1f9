/// The state of a pair of i8259: what the model here runs on, and what the in-kernel pair is loaded from and stored to
/// (kvm_pic_state).
#pragma once

#include <array>

#include "base/types.h"
#include "device/archive.h"

namespace solder::models::pic {

/// One chip.
struct ChipState {
  u8 levels = 0;       ///< of the inputs; edges are found by it
  u8 requests = 0;     ///< IRR
  u8 mask = 0;         ///< IMR, OCW1
  u8 in_service = 0;   ///< ISR
  u8 lowest = 7;       ///< the input with the lowest priority; rotation moves it
  u8 vector_base = 0;  ///< ICW2
  u8 init_state = 0;   ///< the initialisation word that is awaited: 1: ICW2, 2: ICW3, 3: ICW4; 0: none
  bool needs_icw4 = false;
  bool single = false;           ///< ICW1: no cascade. KVM does not know it
  bool read_in_service = false;  ///< OCW3: reads return ISR rather than IRR
  bool poll = false;             ///< OCW3: the next read is a poll
  bool special_mask = false;
  bool auto_eoi = false;
  bool rotate_on_auto_eoi = false;
  bool special_fully_nested = false;
  u8 level_triggered = 0;  ///< ELCR

  void state(device::Archive& archive) {
    archive("levels", levels)("requests", requests)("mask", mask)("in_service", in_service)("lowest", lowest)(
        "vector_base", vector_base)("init_state", init_state)("needs_icw4", needs_icw4)("single", single)(
        "read_in_service", read_in_service)("poll", poll)("special_mask", special_mask)("auto_eoi", auto_eoi)(
        "rotate_on_auto_eoi", rotate_on_auto_eoi)("special_fully_nested", special_fully_nested)("level_triggered",
                                                                                                level_triggered);
  }
};

struct PairState {
  std::array<ChipState, 2> chips{};  ///< master, slave

  void state(device::Archive& archive) { archive("chips", chips); }
};

/// Inputs whose trigger ELCR cannot change: timer, keyboard, cascade; real-time clock, FPU.
constexpr std::array<u8, 2> kLevelWritable{0xf8, 0xde};

}  // namespace solder::models::pic
