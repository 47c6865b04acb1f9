/// The code that all blocks share: entering, leaving, and calling C with the guest's state where C can see it.
#pragma once

#include <array>

#include "base/types.h"
#include "translator/host_x64/abi.h"
#include "translator/host_x64/assembler.h"
#include "translator/host_x64/compiler.h"

namespace solder::host_x64 {

/// Addresses in the writable view, as the assembler reckons.
struct Thunks {
  /// LeaveResult enter(CoreState*, const u8* entry)
  const u8* enter = nullptr;

  // Jumped to. Leave::link expects the target's page offset in eax and the slot in rdx; requested, killed and interpret
  // a page offset in eax; lookup the virtual pc in rax.
  const u8* leave_requested = nullptr;
  const u8* leave_killed = nullptr;
  const u8* leave_link = nullptr;
  const u8* leave_interpret = nullptr;
  const u8* leave_lookup = nullptr;
  const u8* leave_dispatch = nullptr;

  // Called; all keep every register but rax, rcx (and flags). Second index: whether vector registers hold values.
  /// rax = PureCall*; operands in frame.argument, the result in frame.result.
  std::array<const u8*, 2> pure{};
  /// By effects. rax = function, ecx = page offset of the pc; arguments in frame.argument; the result in rax.
  std::array<std::array<const u8*, 2>, 8> helper{};
  /// rax = address, ecx = attr | page offset << 16. load: rax and frame.result = value; store: value in
  /// frame.argument[0]; compare_exchange: expected and desired in frame.argument[0], [1], old in frame.result and rax.
  std::array<const u8*, 2> load{};
  std::array<const u8*, 2> store{};
  std::array<const u8*, 2> compare_exchange{};
  /// The Rmw number in frame.argument[1], the operand in frame.argument[0]; old in rax.
  std::array<const u8*, 2> read_modify_write{};

  const u8* constants = nullptr;  ///< Constant table
};

/// Vector constants that code refers to, 16 bytes each: the value in every lane.
enum class Const : u8 {
  abs_s,
  abs_d,
  sign_s,
  sign_d,
  min_normal_s,
  min_normal_d,
  all_ones,
  low_byte,
  low_half,    ///< the lowest lane only
  even_bytes,  ///< 0x00ff in every 16-bit lane
  pack_bytes,
  pack_halves,  ///< shuffles: the even bytes, or 16-bit lanes, to the lower half
  reverse_16_b,
  reverse_32_b,
  reverse_64_b,
  reverse_32_h,
  reverse_64_h,  ///< shuffles: lanes in containers
  nibbles,
  popcounts,  ///< 0x0f bytes; the popcount of every nibble
  sixteen,
  beyond,  ///< for table lookups: 16s, and 0x70s
  minus_one_s,
  minus_one_d,
  two32_s,
  two32_d,
  two63_s,
  two63_d,
  count
};

struct LeaveResult {
  u64 why;
  u8* slot;
};

/// Writes the thunks at the assembler's position.
[[nodiscard]] Thunks emit_thunks(Assembler& a, const Pins& pins, const RuntimeHooks& hooks);
/// The values of `Const`.
void emit_constants(Assembler& a, Thunks& thunks);

}  // namespace solder::host_x64
