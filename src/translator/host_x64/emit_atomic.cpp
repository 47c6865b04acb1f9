/// Exclusives, compare-and-swap and read-modify-write on host memory, under the TLB's write tag. Big-endian and
/// unaligned ones take the slow path.
#include <cstddef>

#include "translator/host_x64/emitter.h"
#include "translator/ir/context.h"

namespace solder::host_x64 {

using ir::CoreState;
using ir::MemAttr;
using ir::Rmw;
using ir::Type;

namespace {

/// Atomics are checked for natural alignment whatever the attribute says: what is not aligned is the slow path's
/// business.
MemAttr aligned(MemAttr attr) {
  attr.align = ir::Align::natural;
  return attr;
}

constexpr u32 kVectorsLive = 1;
constexpr u32 kWide = 2;
constexpr u32 kVector = 4;

}  // namespace

void Emitter::load_exclusive(u32 i) {
  const Inst& inst = an_.insts[i];
  MemAttr attr = aligned(MemAttr::unpack(inst.sub));
  const unsigned bytes = attr.bytes();
  const u8 address = r_.use(inst.a, true);
  const bool vector = inst.type == Type::v128;
  const bool wide = inst.type == Type::i64;
  const bool slow_only = attr.big_endian && bytes > 1;
  // Apart from the address, which the monitor needs afterwards.
  const u8 to = vector ? r_.define_x(i) : r_.define_apart(i);
  const Near miss = slow_only ? a_.jmp_near() : probe(address, 0, attr, false);
  const auto host = a_.g64(address) + a_.rax;
  if (vector) {
    if (!slow_only) {
      // One 16-byte access, aligned: atomic on hosts with AVX.
      if (bytes == 16) {
        a_.vmovups(a_.x(to), a_.ptr[host]);
      } else {
        a_.vmovq(a_.x(to), a_.qword[host]);
      }
    }
  } else {
    if (!slow_only) {
      switch (bytes) {
        case 1:
          a_.movzx(a_.g32(to), a_.byte[host]);
          break;
        case 2:
          a_.movzx(a_.g32(to), a_.word[host]);
          break;
        case 4:
          a_.mov(a_.g32(to), a_.dword[host]);
          break;
        default:
          a_.mov(a_.g64(to), a_.qword[host]);
          break;
      }
    }
  }
  attr.sign = false;
  Stub& stub = add_stub(&Emitter::slow_load, miss);
  stub.back = a_.position();
  stub.p = {address,
            0,
            u32{attr.pack()} | (pc_offset(delta_) << 16),
            to,
            (vector ? 1U : 0U) | (wide ? 2U : 0U),
            r_.vectors_live() ? 1U : 0U};
  a_.mov(a_.qword[a_.state(offsetof(CoreState, monitor_address))], a_.g64(address));
  a_.mov(a_.qword[a_.state(offsetof(CoreState, monitor_size))], static_cast<int>(bytes));
  const usize value = offsetof(CoreState, monitor_value);
  if (vector) {
    a_.vmovups(a_.ptr[a_.state(value)], a_.x(to));
  } else {
    a_.mov(a_.qword[a_.state(value)], a_.g64(to));
    a_.mov(a_.qword[a_.state(value + 8)], 0);
  }
}

void Emitter::store_exclusive(u32 i) {
  const Inst& inst = an_.insts[i];
  const MemAttr attr = aligned(MemAttr::unpack(inst.sub));
  const unsigned bytes = attr.bytes();
  const bool vector = an_.insts[inst.c].type == Type::v128;
  const usize monitor = offsetof(CoreState, monitor_value);
  if (vector) {
    r_.take(kRdx);
    if (config_.pins.count() == 0) r_.take(kRbx);
  }
  const u8 address = r_.use(inst.a, true);
  const u8 value = vector ? r_.use_x(inst.c) : r_.use(inst.c, bytes == 8);
  const u8 pointer = vector ? r_.temporary() : kRcx;
  const u8 to = r_.define_apart(i);
  a_.cmp(a_.qword[a_.state(offsetof(CoreState, monitor_address))], a_.g64(address));
  const Near other_address = a_.jcc_near(Cc::ne);
  a_.cmp(a_.qword[a_.state(offsetof(CoreState, monitor_size))], static_cast<int>(bytes));
  const Near other_size = a_.jcc_near(Cc::ne);
  const bool slow_only = (attr.big_endian && bytes > 1) || (vector && (bytes != 16 || !config_.features.cmpxchg16b));
  const Near miss = slow_only ? a_.jmp_near() : probe(address, 0, attr, true);
  if (!slow_only) {
    a_.lea(a_.g64(pointer), a_.ptr[a_.g64(address) + a_.rax]);
    a_.mov(a_.rax, a_.qword[a_.state(monitor)]);
    const auto target = a_.g64(pointer);
    if (vector) {
      a_.mov(a_.qword[a_.frame(offsetof(Frame, saved_rbx))], a_.rbx);
      a_.mov(a_.rdx, a_.qword[a_.state(monitor + 8)]);
      a_.vmovq(a_.rbx, a_.x(value));
      a_.vpextrq(a_.rcx, a_.x(value), 1);
      a_.lock();
      a_.cmpxchg16b(a_.ptr[target]);
      a_.mov(a_.rbx, a_.qword[a_.frame(offsetof(Frame, saved_rbx))]);
    } else {
      a_.lock();
      switch (bytes) {
        case 1:
          a_.cmpxchg(a_.byte[target], a_.g8(value));
          break;
        case 2:
          a_.cmpxchg(a_.word[target], a_.g16(value));
          break;
        case 4:
          a_.cmpxchg(a_.dword[target], a_.g32(value));
          break;
        default:
          a_.cmpxchg(a_.qword[target], a_.g64(value));
          break;
      }
    }
    a_.setcc(Cc::ne, kRax);
    a_.movzx(a_.g32(to), a_.al);
  }
  Stub& stub = add_stub(&Emitter::slow_store_exclusive, miss);
  stub.back = a_.position();
  stub.p = {address, value, u32{attr.pack()} | (pc_offset(delta_) << 16), to,
            (vector ? kVector : 0) | (r_.vectors_live() ? kVectorsLive : 0)};
  const Short done = a_.jmp_short();
  a_.bind(other_address);
  a_.bind(other_size);
  a_.mov(a_.g32(to), 1);
  a_.bind(done);
  a_.mov(a_.qword[a_.state(offsetof(CoreState, monitor_address))], -1);
}

void Emitter::slow_store_exclusive(const Stub& stub) {
  const MemAttr attr = MemAttr::unpack(static_cast<u16>(stub.p[2]));
  const u8 to = static_cast<u8>(stub.p[3]);
  const usize argument = offsetof(Frame, argument);
  const usize monitor = offsetof(CoreState, monitor_value);
  a_.vmovups(a_.x(kXmmScratch0), a_.ptr[a_.state(monitor)]);
  a_.vmovups(a_.ptr[a_.frame(argument)], a_.x(kXmmScratch0));
  if ((stub.p[4] & kVector) != 0) {
    a_.vmovups(a_.ptr[a_.frame(argument + 16)], a_.x(static_cast<u8>(stub.p[1])));
  } else {
    extend(kRax, static_cast<u8>(stub.p[1]), attr.bytes(), false, true);
    a_.mov(a_.qword[a_.frame(argument + 16)], a_.rax);
  }
  call_slow(config_.thunks.compare_exchange, static_cast<u8>(stub.p[0]), 0, stub.p[2], (stub.p[4] & kVectorsLive) != 0);
  // Stored when what was there is what the monitor saw.
  a_.xor_(a_.rax, a_.qword[a_.frame(argument)]);
  if (attr.bytes() == 16) {
    a_.mov(a_.rcx, a_.qword[a_.frame(offsetof(Frame, result) + 8)]);
    a_.xor_(a_.rcx, a_.qword[a_.frame(argument + 8)]);
    a_.or_(a_.rax, a_.rcx);
  }
  a_.cmp(a_.rax, 1);
  a_.setcc(Cc::ae, kRax);
  a_.movzx(a_.g32(to), a_.al);
  a_.jmp_to(stub.back);
}

void Emitter::compare_and_swap(u32 i) {
  const Inst& inst = an_.insts[i];
  const MemAttr attr = aligned(MemAttr::unpack(inst.sub));
  const unsigned bytes = attr.bytes();
  const bool vector = inst.type == Type::v128;
  const bool wide = inst.type == Type::i64;
  if (vector) {
    r_.take(kRdx);
    if (config_.pins.count() == 0) r_.take(kRbx);
  }
  const u8 address = r_.use(inst.a, true);
  const u8 expected = vector ? r_.use_x(inst.b) : r_.use(inst.b, bytes == 8);
  const u8 desired = vector ? r_.use_x(inst.c) : r_.use(inst.c, bytes == 8);
  const u8 pointer = vector ? r_.temporary() : kRcx;
  const bool slow_only = (attr.big_endian && bytes > 1) || (vector && (bytes != 16 || !config_.features.cmpxchg16b));
  const u8 to = vector ? r_.define_x(i) : r_.define_apart(i);
  const Near miss = slow_only ? a_.jmp_near() : probe(address, 0, attr, true);
  const auto target = a_.g64(pointer);
  if (!slow_only) {
    a_.lea(target, a_.ptr[a_.g64(address) + a_.rax]);
    if (vector) {
      a_.mov(a_.qword[a_.frame(offsetof(Frame, saved_rbx))], a_.rbx);
      a_.vmovq(a_.rax, a_.x(expected));
      a_.vpextrq(a_.rdx, a_.x(expected), 1);
      a_.vmovq(a_.rbx, a_.x(desired));
      a_.vpextrq(a_.rcx, a_.x(desired), 1);
      a_.lock();
      a_.cmpxchg16b(a_.ptr[target]);
      a_.mov(a_.rbx, a_.qword[a_.frame(offsetof(Frame, saved_rbx))]);
    } else {
      a_.mov(a_.rax, a_.g64(expected));
      a_.lock();
      switch (bytes) {
        case 1:
          a_.cmpxchg(a_.byte[target], a_.g8(desired));
          break;
        case 2:
          a_.cmpxchg(a_.word[target], a_.g16(desired));
          break;
        case 4:
          a_.cmpxchg(a_.dword[target], a_.g32(desired));
          break;
        default:
          a_.cmpxchg(a_.qword[target], a_.g64(desired));
          break;
      }
    }
  }
  if (vector) {
    a_.vmovq(a_.x(to), a_.rax);
    a_.vpinsrq(a_.x(to), a_.x(to), a_.rdx, 1);
  } else {
    extend(to, kRax, bytes, attr.sign, wide);
  }
  Stub& stub = add_stub(&Emitter::slow_compare_exchange, miss);
  stub.back = a_.position();
  stub.p = {address, expected, u32{attr.pack()} | (pc_offset(delta_) << 16),
            to,      desired,  (vector ? kVector : 0) | (wide ? kWide : 0) | (r_.vectors_live() ? kVectorsLive : 0)};
}

void Emitter::slow_compare_exchange(const Stub& stub) {
  const MemAttr attr = MemAttr::unpack(static_cast<u16>(stub.p[2]));
  const u8 to = static_cast<u8>(stub.p[3]);
  const usize argument = offsetof(Frame, argument);
  const bool vector = (stub.p[5] & kVector) != 0;
  if (vector) {
    a_.vmovups(a_.ptr[a_.frame(argument)], a_.x(static_cast<u8>(stub.p[1])));
    a_.vmovups(a_.ptr[a_.frame(argument + 16)], a_.x(static_cast<u8>(stub.p[4])));
  } else {
    extend(kRax, static_cast<u8>(stub.p[1]), attr.bytes(), false, true);
    a_.mov(a_.qword[a_.frame(argument)], a_.rax);
    extend(kRax, static_cast<u8>(stub.p[4]), attr.bytes(), false, true);
    a_.mov(a_.qword[a_.frame(argument + 16)], a_.rax);
  }
  call_slow(config_.thunks.compare_exchange, static_cast<u8>(stub.p[0]), 0, stub.p[2], (stub.p[5] & kVectorsLive) != 0);
  if (vector) {
    if (attr.bytes() == 16) {
      a_.vmovups(a_.x(to), a_.ptr[a_.frame(offsetof(Frame, result))]);
    } else {
      a_.vmovq(a_.x(to), a_.rax);
    }
  } else {
    extend(to, kRax, attr.bytes(), attr.sign, (stub.p[5] & kWide) != 0);
  }
  a_.jmp_to(stub.back);
}

void Emitter::read_modify_write(u32 i) {
  const Inst& inst = an_.insts[i];
  const MemAttr attr = aligned(MemAttr::unpack(inst.sub));
  const unsigned bytes = attr.bytes();
  const auto operation = static_cast<Rmw>(inst.c);
  const bool wide = inst.type == Type::i64;
  const bool compares =
      operation == Rmw::smax || operation == Rmw::smin || operation == Rmw::umax || operation == Rmw::umin;
  const bool slow_only = (attr.big_endian && bytes > 1) || (compares && bytes < 4);
  const u8 address = r_.use(inst.a, true);
  const u8 operand = r_.use(inst.b, bytes == 8);
  const u8 fresh = r_.temporary();
  const u8 to = r_.define_apart(i);
  const Near miss = slow_only ? a_.jmp_near() : probe(address, 0, attr, true);
  const auto pointer = a_.rcx;
  const auto exchange_add = [&](auto instruction) {
    switch (bytes) {
      case 1:
        instruction(a_.byte[pointer], a_.g8(fresh));
        break;
      case 2:
        instruction(a_.word[pointer], a_.g16(fresh));
        break;
      case 4:
        instruction(a_.dword[pointer], a_.g32(fresh));
        break;
      default:
        instruction(a_.qword[pointer], a_.g64(fresh));
        break;
    }
  };
  if (!slow_only) {
    a_.lea(pointer, a_.ptr[a_.g64(address) + a_.rax]);
    if (operation == Rmw::add || operation == Rmw::swap) {
      a_.mov(a_.g64(fresh), a_.g64(operand));
      exchange_add([&](const Xbyak::Address& memory, const auto& reg) {
        if (operation == Rmw::add) {
          a_.lock();
          a_.xadd(memory, reg);
        } else {
          a_.xchg(memory, reg);
        }
      });
      extend(to, fresh, bytes, false, wide);
    } else {
      switch (bytes) {
        case 1:
          a_.movzx(a_.eax, a_.byte[pointer]);
          break;
        case 2:
          a_.movzx(a_.eax, a_.word[pointer]);
          break;
        case 4:
          a_.mov(a_.eax, a_.dword[pointer]);
          break;
        default:
          a_.mov(a_.rax, a_.qword[pointer]);
          break;
      }
      const u32 again = a_.position();
      const auto result = a_.gpr(fresh, bytes == 8);
      const auto old = a_.gpr(kRax, bytes == 8);
      const auto right = a_.gpr(operand, bytes == 8);
      switch (operation) {
        case Rmw::clear:
          a_.andn(result, right, old);
          break;
        case Rmw::exclusive_or:
          a_.mov(result, old);
          a_.xor_(result, right);
          break;
        case Rmw::set:
          a_.mov(result, old);
          a_.or_(result, right);
          break;
        default: {
          a_.mov(result, old);
          a_.cmp(right, old);
          Cc better = Cc::g;
          if (operation == Rmw::smin) better = Cc::l;
          if (operation == Rmw::umax) better = Cc::a;
          if (operation == Rmw::umin) better = Cc::b;
          a_.cmovcc(better, result, right);
          break;
        }
      }
      a_.lock();
      exchange_add([&](const Xbyak::Address& memory, const auto& reg) { a_.cmpxchg(memory, reg); });
      a_.jcc_to(Cc::ne, again);
      extend(to, kRax, bytes, false, wide);
    }
  }
  Stub& stub = add_stub(&Emitter::slow_read_modify_write, miss);
  stub.back = a_.position();
  stub.p = {address,
            operand,
            u32{attr.pack()} | (pc_offset(delta_) << 16),
            to,
            static_cast<u32>(operation),
            (wide ? kWide : 0) | (r_.vectors_live() ? kVectorsLive : 0)};
}

void Emitter::slow_read_modify_write(const Stub& stub) {
  const MemAttr attr = MemAttr::unpack(static_cast<u16>(stub.p[2]));
  const usize argument = offsetof(Frame, argument);
  extend(kRax, static_cast<u8>(stub.p[1]), attr.bytes(), false, true);
  a_.mov(a_.qword[a_.frame(argument)], a_.rax);
  a_.mov(a_.dword[a_.frame(argument + 16)], stub.p[4]);
  call_slow(config_.thunks.read_modify_write, static_cast<u8>(stub.p[0]), 0, stub.p[2],
            (stub.p[5] & kVectorsLive) != 0);
  extend(static_cast<u8>(stub.p[3]), kRax, attr.bytes(), false, (stub.p[5] & kWide) != 0);
  a_.jmp_to(stub.back);
}

}  // namespace solder::host_x64
