#include "translator/host_x64/thunks.h"

#include <cstddef>

namespace solder::host_x64 {
namespace {

using ir::CoreState;

class ThunkWriter {
 public:
  ThunkWriter(Assembler& a, const Pins& pins) : a_(a), pins_(pins) {}

  const u8* start() {
    a_.align(16);
    return a_.address(a_.position());
  }

  void save_pins() {
    for (unsigned i = 0; i < pins_.count(); ++i) a_.mov(a_.qword[a_.state(pins_.offset(i))], a_.g64(Pins::reg(i)));
  }
  /// Translated code leaves AF and PF in the flags image; C sees N, Z, C and V only.
  void clean_flags() {
    constexpr auto kMask = static_cast<i16>(ir::kFlagN | ir::kFlagZ | ir::kFlagC | ir::kFlagV);
    a_.and_(a_.word[a_.state(offsetof(CoreState, flags))], static_cast<u32>(i32{kMask}));
  }
  void load_pins() {
    for (unsigned i = 0; i < pins_.count(); ++i) a_.mov(a_.g64(Pins::reg(i)), a_.qword[a_.state(pins_.offset(i))]);
  }

  /// fp_status |= MXCSR's sticky bits, in A64's places: IE, ZE..PE (bits 0, 2..5) to bits 0, 1..4. Clobbers rcx and
  /// `temp`.
  void merge_sticky(u8 temp, usize depth) {
    const auto memory = a_.dword[a_.frame(offsetof(Frame, guest_mxcsr) + depth)];
    a_.stmxcsr(memory);
    a_.mov(a_.ecx, memory);
    a_.mov(a_.g32(temp), a_.ecx);
    a_.and_(a_.ecx, 0x3c);
    a_.and_(a_.g32(temp), 1);
    a_.shr(a_.ecx, 1);
    a_.or_(a_.ecx, a_.g32(temp));
    a_.or_(a_.dword[a_.state(offsetof(CoreState, fp_status))], a_.ecx);
  }

  const u8* enter() {
    const u8* at = start();
    for (const u8 reg : kCalleeSaved) a_.push(a_.g64(reg));
    a_.sub(a_.rsp, sizeof(Frame) + 8);
    a_.mov(a_.g64(kStateReg), a_.rdi);
    a_.mov(a_.g64(kContextReg), a_.qword[a_.state(offsetof(CoreState, context))]);
    a_.stmxcsr(a_.dword[a_.frame(offsetof(Frame, caller_mxcsr))]);
    a_.ldmxcsr(a_.dword[a_.state(offsetof(CoreState, host_mxcsr))]);
    a_.mov(a_.rax, a_.qword[a_.state(offsetof(CoreState, pc))]);
    a_.and_(a_.rax, -4096);
    a_.mov(a_.qword[a_.state(offsetof(CoreState, pc_page))], a_.rax);
    a_.mov(a_.rax, a_.rsi);
    load_pins();
    a_.jmp(a_.rax);
    return at;
  }

  /// The common end: eax = why, rdx = slot. The second address is for when C's MXCSR is loaded already.
  struct Common {
    const u8* from_guest;
    const u8* from_c;
  };
  Common leave() {
    const u8* at = start();
    clean_flags();
    merge_sticky(kRsi, 0);
    const u8* from_c = a_.address(a_.position());
    a_.ldmxcsr(a_.dword[a_.frame(offsetof(Frame, caller_mxcsr))]);
    a_.add(a_.rsp, sizeof(Frame) + 8);
    for (usize i = kCalleeSaved.size(); i-- > 0;) a_.pop(a_.g64(kCalleeSaved[i]));
    a_.ret();
    return {at, from_c};
  }

  /// pc_relative: eax is an offset from pc_page, else rax the pc itself.
  const u8* leave_with_pc(Leave why, bool pc_relative, const Common& common) {
    const u8* at = start();
    if (pc_relative) a_.add(a_.rax, a_.qword[a_.state(offsetof(CoreState, pc_page))]);
    a_.mov(a_.qword[a_.state(offsetof(CoreState, pc))], a_.rax);
    save_pins();
    a_.mov(a_.eax, static_cast<u32>(why));
    a_.jmp(static_cast<const void*>(common.from_guest));
    return at;
  }
  const u8* leave_dispatch(const Common& common) {
    const u8* at = start();
    save_pins();
    a_.xor_(a_.eax, a_.eax);
    a_.jmp(static_cast<const void*>(common.from_guest));
    return at;
  }

  // In what follows we were called from a block: the frame is 8 bytes further away, and 8 more keep C's alignment.
  static constexpr usize kDepth = 16;
  [[nodiscard]] static Xbyak::RegExp at_frame(usize offset) { return Assembler::frame(offset + kDepth); }

  void save_registers(bool vectors) {
    a_.sub(a_.rsp, 8);
    for (usize i = 0; i < kCallerSaved.size(); ++i) {
      a_.mov(a_.qword[at_frame(offsetof(Frame, saved_gpr) + 8 * i)], a_.g64(kCallerSaved[i]));
    }
    if (!vectors) return;
    for (u8 i = 0; i < kXmmTemps; ++i)
      a_.vmovaps(a_.ptr[at_frame(offsetof(Frame, saved_xmm) + usize{16} * i)], a_.x(i));
  }
  void restore_registers(bool vectors) {
    for (usize i = 0; i < kCallerSaved.size(); ++i) {
      a_.mov(a_.g64(kCallerSaved[i]), a_.qword[at_frame(offsetof(Frame, saved_gpr) + 8 * i)]);
    }
    if (vectors) {
      for (u8 i = 0; i < kXmmTemps; ++i)
        a_.vmovaps(a_.x(i), a_.ptr[at_frame(offsetof(Frame, saved_xmm) + usize{16} * i)]);
    }
    a_.add(a_.rsp, 8);
  }
  /// C code runs with the default MXCSR: neither rounds as the guest does nor adds to the guest's sticky bits.
  void guest_mxcsr_off() {
    a_.stmxcsr(a_.dword[at_frame(offsetof(Frame, guest_mxcsr))]);
    a_.ldmxcsr(a_.dword[at_frame(offsetof(Frame, caller_mxcsr))]);
  }
  void guest_mxcsr_on() { a_.ldmxcsr(a_.dword[at_frame(offsetof(Frame, guest_mxcsr))]); }

  const u8* pure(bool vectors) {
    const u8* at = start();
    save_registers(vectors);
    a_.mov(a_.rdi, a_.rax);
    a_.mov(a_.esi, a_.dword[a_.rax + offsetof(PureCall, rules)]);
    a_.lea(a_.rdx, a_.ptr[at_frame(offsetof(Frame, argument))]);
    a_.lea(a_.rcx, a_.ptr[at_frame(offsetof(Frame, argument) + 16)]);
    a_.lea(a_.r8, a_.ptr[at_frame(offsetof(Frame, argument) + 32)]);
    a_.lea(a_.r9, a_.ptr[a_.state(offsetof(CoreState, fp_status))]);
    a_.lea(a_.r10, a_.ptr[at_frame(offsetof(Frame, result))]);
    a_.sub(a_.rsp, 16);
    a_.mov(a_.qword[a_.rsp], a_.r10);
    a_.call(a_.qword[a_.rax + offsetof(PureCall, function)]);
    a_.add(a_.rsp, 16);
    restore_registers(vectors);
    a_.ret();
    return at;
  }

  /// After a call whose nonzero result leaves the block with the state as C left it.
  void leave_if_nonzero(const Common& common) {
    a_.test(a_.rax, a_.rax);
    const Short stay = a_.jcc_short(Cc::e);
    a_.add(a_.rsp, kDepth);
    a_.xor_(a_.eax, a_.eax);
    a_.jmp(static_cast<const void*>(common.from_c));
    a_.bind(stay);
  }

  const u8* helper(u8 effects, bool vectors, const Common& common) {
    const u8* at = start();
    const bool state = effects != 0;
    if (state) {
      save_pins();
      a_.add(a_.rcx, a_.qword[a_.state(offsetof(CoreState, pc_page))]);
      a_.mov(a_.qword[a_.state(offsetof(CoreState, pc))], a_.rcx);
    }
    save_registers(vectors);
    if (state) {
      clean_flags();
      merge_sticky(kRsi, kDepth);
      a_.ldmxcsr(a_.dword[at_frame(offsetof(Frame, caller_mxcsr))]);
    } else {
      guest_mxcsr_off();
    }
    a_.mov(a_.rdi, a_.g64(kStateReg));
    a_.mov(a_.rsi, a_.qword[at_frame(offsetof(Frame, argument))]);
    a_.mov(a_.rdx, a_.qword[at_frame(offsetof(Frame, argument) + 16)]);
    a_.mov(a_.rcx, a_.qword[at_frame(offsetof(Frame, argument) + 32)]);
    a_.call(a_.rax);
    if ((effects & ir::kMayExit) != 0) leave_if_nonzero(common);
    if (state) {
      a_.ldmxcsr(a_.dword[a_.state(offsetof(CoreState, host_mxcsr))]);
      a_.mov(a_.g64(kContextReg), a_.qword[a_.state(offsetof(CoreState, context))]);
    } else {
      guest_mxcsr_on();
    }
    restore_registers(vectors);
    if ((effects & ir::kWritesState) != 0) load_pins();
    a_.ret();
    return at;
  }

  /// The memory hooks: `arguments` loads rcx, r8, r9.
  template <class Arguments>
  const u8* hook(const void* function, bool vectors, const Common& common, Arguments arguments) {
    const u8* at = start();
    save_pins();
    save_registers(vectors);
    a_.mov(a_.edx, a_.ecx);
    a_.shr(a_.ecx, 16);
    a_.movzx(a_.edx, a_.dx);
    a_.add(a_.rcx, a_.qword[a_.state(offsetof(CoreState, pc_page))]);
    a_.mov(a_.qword[a_.state(offsetof(CoreState, pc))], a_.rcx);
    clean_flags();
    merge_sticky(kRsi, kDepth);
    a_.ldmxcsr(a_.dword[at_frame(offsetof(Frame, caller_mxcsr))]);
    a_.mov(a_.rdi, a_.g64(kStateReg));
    a_.mov(a_.rsi, a_.rax);
    arguments();
    a_.mov(a_.rax, reinterpret_cast<u64>(function));
    a_.call(a_.rax);
    leave_if_nonzero(common);
    a_.ldmxcsr(a_.dword[a_.state(offsetof(CoreState, host_mxcsr))]);
    a_.mov(a_.rax, a_.qword[at_frame(offsetof(Frame, result))]);
    a_.mov(a_.g64(kContextReg), a_.qword[a_.state(offsetof(CoreState, context))]);
    restore_registers(vectors);
    a_.ret();
    return at;
  }
  void load_argument_address(const Xbyak::Reg64& reg, usize frame_offset) {
    a_.lea(reg, a_.ptr[at_frame(frame_offset)]);
  }

 private:
  static constexpr std::array<u8, 6> kCalleeSaved{kRbx, kRbp, kR12, kR13, kR14, kR15};
  Assembler& a_;
  const Pins& pins_;
};

}  // namespace

Thunks emit_thunks(Assembler& a, const Pins& pins, const RuntimeHooks& hooks) {
  ThunkWriter w(a, pins);
  Thunks t;
  t.enter = w.enter();
  const ThunkWriter::Common common = w.leave();
  t.leave_requested = w.leave_with_pc(Leave::requested, true, common);
  t.leave_killed = w.leave_with_pc(Leave::lookup, true, common);
  t.leave_link = w.leave_with_pc(Leave::link, true, common);
  t.leave_interpret = w.leave_with_pc(Leave::interpret, true, common);
  t.leave_lookup = w.leave_with_pc(Leave::lookup, false, common);
  t.leave_dispatch = w.leave_dispatch(common);
  constexpr usize kArgument = offsetof(Frame, argument);
  constexpr usize kResult = offsetof(Frame, result);
  for (unsigned vectors = 0; vectors < 2; ++vectors) {
    const bool v = vectors != 0;
    t.pure[vectors] = w.pure(v);
    for (u8 effects = 0; effects < 8; ++effects) t.helper[effects][vectors] = w.helper(effects, v, common);
    t.load[vectors] =
        w.hook(reinterpret_cast<const void*>(hooks.load), v, common, [&] { w.load_argument_address(a.rcx, kResult); });
    t.store[vectors] = w.hook(reinterpret_cast<const void*>(hooks.store), v, common,
                              [&] { w.load_argument_address(a.rcx, kArgument); });
    t.compare_exchange[vectors] = w.hook(reinterpret_cast<const void*>(hooks.compare_exchange), v, common, [&] {
      w.load_argument_address(a.rcx, kArgument);
      w.load_argument_address(a.r8, kArgument + 16);
      w.load_argument_address(a.r9, kResult);
    });
    t.read_modify_write[vectors] = w.hook(reinterpret_cast<const void*>(hooks.read_modify_write), v, common, [&] {
      a.mov(a.ecx, a.dword[ThunkWriter::at_frame(kArgument + 16)]);
      a.shl(a.ecx, 16);
      a.or_(a.edx, a.ecx);
      a.mov(a.rcx, a.qword[ThunkWriter::at_frame(kArgument)]);
      w.load_argument_address(a.r8, kResult);
    });
  }
  emit_constants(a, t);
  return t;
}

}  // namespace solder::host_x64
