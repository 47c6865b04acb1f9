/// The state of an i8254: what the model here runs on, and what an in-kernel one is loaded from and stored to
/// (kvm_pit_state2, whose fields have the same names).
#pragma once

#include <array>

#include "base/types.h"
#include "device/archive.h"

namespace solder::models::timer {

/// The input clock of a PC's counters in Hz: 14.31818 MHz / 12.
constexpr u64 kPitHz = 1'193'182;

/// Which byte of a count is next, and which bytes a counter takes (control word bits 5..4: low, high or both).
enum class PitAccess : u8 { none = 0, low = 1, high = 2, word_low = 3, word_high = 4 };

/// One counter.
struct PitChannel {
  u32 count = 0x1'0000;     ///< initial count as written (BCD: as digits), 0 written means 0x10000
  u16 latched_count = 0;    ///< what a latch command kept, as the guest reads it
  u8 count_latched = 0;     ///< PitAccess of the latched bytes not read yet; 0: nothing latched
  u8 status_latched = 0;    ///< whether `status` is read next
  u8 status = 0;            ///< latched status byte
  u8 read_state = 3;        ///< PitAccess of the next byte read
  u8 write_state = 3;       ///< PitAccess of the next byte written
  u8 write_latch = 0;       ///< the low byte of a count that is half written
  u8 rw_mode = 3;           ///< PitAccess that the control word chose: low, high, word_low
  u8 mode = 0;              ///< 0..5
  u8 bcd = 0;               ///< 1: four decimal digits
  u8 gate = 1;              ///< level of the gate input
  i64 count_load_time = 0;  ///< nanoseconds of machine time at which `count` went into the counting element

  // What KVM does not keep. A record that comes from there leaves these as they are here, but `counting`, which is 1.
  u8 counting = 0;  ///< the counting element has a count and is under way (or stopped by the gate: `held`)
  u8 held = 0;      ///< the gate stops it; `held_ticks` were counted since the load
  u64 held_ticks = 0;
  u32 next_count = 0;  ///< a count that waits for the trigger or the end of the period ("null count"); 0: none
  i64 next_time = 0;   ///< machine time at which it is taken without a trigger; 0: only by a trigger

  void state(device::Archive& archive) {
    archive("count", count)("latched_count", latched_count)("count_latched", count_latched)(
        "status_latched", status_latched)("status", status)("read_state", read_state)("write_state", write_state)(
        "write_latch", write_latch)("rw_mode", rw_mode)("mode", mode)("bcd", bcd)("gate", gate)(
        "count_load_time", count_load_time)("counting", counting)("held", held)("held_ticks", held_ticks)(
        "next_count", next_count)("next_time", next_time);
  }
};

/// The three counters and port 0x61's part of them. The gate of counter 2 is bit 0 of port 0x61. The saved state of a
/// PIT device, wherever it lives, is this record and nothing else, so that it can move.
struct PitState {
  std::array<PitChannel, 3> channels{};
  u8 speaker_data = 0;  ///< bit 1 of port 0x61 (KVM_PIT_FLAGS_SPEAKER_DATA_ON)
  u8 hpet_legacy = 0;   ///< interrupt 0 belongs to the HPET (KVM_PIT_FLAGS_HPET_LEGACY): counter 0 drives nothing
  i64 edge_time = -1;   ///< machine time of counter 0's next interrupt; 0: none; -1: follows from the counter

  void state(device::Archive& archive) {
    archive("channels", channels)("speaker_data", speaker_data)("hpet_legacy", hpet_legacy)("edge_time", edge_time);
  }
};

}  // namespace solder::models::timer
