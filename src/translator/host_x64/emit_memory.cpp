/// Loads and stores: the software TLB inline, everything else out of line.
#include <cstddef>

#include "translator/host_x64/emitter.h"
#include "translator/ir/context.h"
#include "translator/ir/op_info.h"

namespace solder::host_x64 {

using ir::Context;
using ir::CoreState;
using ir::MemAttr;
using ir::Op;
using ir::Type;

namespace {
static_assert(offsetof(Context, tlb) == 0 && sizeof(ir::TlbEntry) == 32);
constexpr u32 kIndexShift = 12 - 5;
constexpr u32 kIndexMask = ((1U << ir::kTlbBits) - 1) << 5;
}  // namespace

bool Emitter::memory(u32 i) {
  switch (an_.insts[i].op) {
    case Op::load:
      load(i);
      return true;
    case Op::store:
      store(i);
      return true;
    case Op::load_ex:
      load_exclusive(i);
      return true;
    case Op::store_ex:
      store_exclusive(i);
      return true;
    case Op::cas:
      compare_and_swap(i);
      return true;
    case Op::atomic:
      read_modify_write(i);
      return true;
    case Op::fence:
      fence(i);
      return true;
    default:
      return false;
  }
}

Near Emitter::probe(u8 address, i32 offset, MemAttr attr, bool write) {
  if (config_.options.force_slow_memory) return a_.jmp_near();
  const unsigned bytes = attr.bytes();
  const auto base = a_.g64(address);
  // rcx = page of the last byte, or, where alignment is demanded, of the first with the low bits that must be zero.
  const bool natural = attr.align == ir::Align::natural || bytes == 1;
  const i32 reach = offset + (natural ? 0 : static_cast<i32>(bytes - 1));
  if (reach != 0) {
    a_.lea(a_.rcx, a_.ptr[base + reach]);
  } else {
    a_.mov(a_.rcx, base);
  }
  const i32 page_mask = -4096 | (natural ? static_cast<i32>(bytes - 1) : 0);
  a_.and_(a_.rcx, static_cast<u32>(page_mask));
  // rax = the entry of the first byte's page.
  if (offset != 0) {
    a_.lea(a_.eax, a_.ptr[base + offset]);
  } else {
    a_.mov(a_.eax, a_.g32(address));
  }
  a_.shr(a_.eax, kIndexShift);
  a_.and_(a_.eax, kIndexMask);
  const int tag = static_cast<int>(write ? offsetof(ir::TlbEntry, write_tag) : offsetof(ir::TlbEntry, read_tag));
  const int addend = static_cast<int>(offsetof(ir::TlbEntry, addend));
  if (attr.mmu == ir::MmuIndex::unprivileged) {
    a_.add(a_.rax, a_.qword[a_.state(offsetof(CoreState, unprivileged))]);
    a_.cmp(a_.rcx, a_.qword[a_.rax + tag]);
    const Near miss = a_.jcc_near(Cc::ne);
    a_.mov(a_.rax, a_.qword[a_.rax + addend]);
    return miss;
  }
  a_.cmp(a_.rcx, a_.qword[a_.g64(kContextReg) + a_.rax + tag]);
  const Near miss = a_.jcc_near(Cc::ne);
  a_.mov(a_.rax, a_.qword[a_.g64(kContextReg) + a_.rax + addend]);
  return miss;
}

void Emitter::call_slow(const std::array<const u8*, 2>& thunk, u8 address, i32 offset, u32 attr, bool vectors) {
  if (offset != 0) {
    a_.lea(a_.rax, a_.ptr[a_.g64(address) + offset]);
  } else {
    a_.mov(a_.rax, a_.g64(address));
  }
  a_.mov(a_.ecx, attr);
  a_.call(static_cast<const void*>(thunk[vectors ? 1 : 0]));
}

void Emitter::extend(u8 to, u8 from, unsigned bytes, bool sign, bool wide) {
  const auto target = a_.gpr(to, wide);
  switch (bytes) {
    case 1:
      if (sign) {
        a_.movsx(target, a_.g8(from));
      } else {
        a_.movzx(a_.g32(to), a_.g8(from));
      }
      break;
    case 2:
      if (sign) {
        a_.movsx(target, a_.g16(from));
      } else {
        a_.movzx(a_.g32(to), a_.g16(from));
      }
      break;
    case 4:
      if (sign && wide) {
        a_.movsxd(a_.g64(to), a_.g32(from));
      } else {
        a_.mov(a_.g32(to), a_.g32(from));
      }
      break;
    default:
      if (to != from) a_.mov(a_.g64(to), a_.g64(from));
      break;
  }
}

void Emitter::load(u32 i) {
  const Inst& inst = an_.insts[i];
  const MemAttr attr = MemAttr::unpack(inst.sub);
  const i32 offset = static_cast<i32>(inst.b);
  const unsigned bytes = attr.bytes();
  const u8 address = r_.use(inst.a, true);
  const bool vector = inst.type == Type::v128;
  const bool wide = inst.type == Type::i64;
  // Before the probe: what makes room for the result must be done on both paths.
  const u8 to = vector ? r_.define_x(i) : r_.define_like(i, inst.a);
  const Near miss = probe(address, offset, attr, false);
  const auto host = a_.g64(address) + a_.rax + offset;
  if (vector) {
    const auto target = a_.x(to);
    if (attr.big_endian && bytes > 1) {
      // Through general registers: swapped, and the halves exchanged for 16 bytes.
      if (bytes == 16) {
        a_.movbe(a_.rcx, a_.qword[host + 8]);
        a_.vmovq(target, a_.rcx);
        a_.movbe(a_.rcx, a_.qword[host]);
        a_.vpinsrq(target, target, a_.rcx, 1);
      } else {
        if (bytes == 8) {
          a_.movbe(a_.rcx, a_.qword[host]);
        } else if (bytes == 4) {
          a_.movbe(a_.ecx, a_.dword[host]);
        } else {
          a_.movzx(a_.ecx, a_.word[host]);
          a_.rol(a_.cx, 8);
        }
        a_.vmovq(target, a_.rcx);
      }
    } else {
      switch (bytes) {
        case 1:
          a_.movzx(a_.ecx, a_.byte[host]);
          a_.vmovd(target, a_.ecx);
          break;
        case 2:
          a_.movzx(a_.ecx, a_.word[host]);
          a_.vmovd(target, a_.ecx);
          break;
        case 4:
          a_.vmovss(target, a_.dword[host]);
          break;
        case 8:
          a_.vmovsd(target, a_.qword[host]);
          break;
        default:
          a_.vmovups(target, a_.ptr[host]);
          break;
      }
    }
  } else {
    const auto target = a_.gpr(to, wide);
    if (attr.big_endian && bytes > 1) {
      if (bytes == 2) {
        a_.movzx(a_.eax, a_.word[host]);
        a_.rol(a_.ax, 8);
        extend(to, kRax, 2, attr.sign, wide);
      } else if (bytes == 4) {
        a_.movbe(a_.g32(to), a_.dword[host]);
        if (attr.sign && wide) a_.movsxd(a_.g64(to), a_.g32(to));
      } else {
        a_.movbe(a_.g64(to), a_.qword[host]);
      }
    } else {
      switch (bytes) {
        case 1:
          if (attr.sign) {
            a_.movsx(target, a_.byte[host]);
          } else {
            a_.movzx(a_.g32(to), a_.byte[host]);
          }
          break;
        case 2:
          if (attr.sign) {
            a_.movsx(target, a_.word[host]);
          } else {
            a_.movzx(a_.g32(to), a_.word[host]);
          }
          break;
        case 4:
          if (attr.sign && wide) {
            a_.movsxd(a_.g64(to), a_.dword[host]);
          } else {
            a_.mov(a_.g32(to), a_.dword[host]);
          }
          break;
        default:
          a_.mov(a_.g64(to), a_.qword[host]);
          break;
      }
    }
  }
  Stub& stub = add_stub(&Emitter::slow_load, miss);
  stub.back = a_.position();
  stub.p = {address,
            static_cast<u32>(offset),
            u32{inst.sub} | (pc_offset(delta_) << 16),
            to,
            (vector ? 1U : 0U) | (wide ? 2U : 0U),
            r_.vectors_live() ? 1U : 0U};
}

void Emitter::slow_load(const Stub& stub) {
  const MemAttr attr = MemAttr::unpack(static_cast<u16>(stub.p[2]));
  const u8 to = static_cast<u8>(stub.p[3]);
  call_slow(config_.thunks.load, static_cast<u8>(stub.p[0]), static_cast<i32>(stub.p[1]), stub.p[2], stub.p[5] != 0);
  if ((stub.p[4] & 1) != 0) {
    if (attr.bytes() == 16) {
      a_.vmovups(a_.x(to), a_.ptr[a_.frame(offsetof(Frame, result))]);
    } else {
      a_.vmovq(a_.x(to), a_.rax);
    }
  } else {
    extend(to, kRax, attr.bytes(), attr.sign, (stub.p[4] & 2) != 0);
  }
  a_.jmp_to(stub.back);
}

void Emitter::store(u32 i) {
  const Inst& inst = an_.insts[i];
  const MemAttr attr = MemAttr::unpack(inst.sub);
  const i32 offset = static_cast<i32>(inst.b);
  const unsigned bytes = attr.bytes();
  const bool release = attr.order == ir::Order::release || attr.order == ir::Order::acquire_release;
  const bool vector = an_.insts[inst.c].type == Type::v128;
  const u8 address = r_.use(inst.a, true);
  // Small constants go straight to memory.
  const auto imm = vector || attr.big_endian || release ? std::nullopt : r_.imm32(inst.c, bytes == 8);
  const bool immediate = imm && r_.current(inst.c) < 0;
  const u8 value = vector ? r_.use_x(inst.c) : (immediate ? 0 : r_.use(inst.c, false));
  const Near miss = probe(address, offset, attr, true);
  const auto host = a_.g64(address) + a_.rax + offset;
  if (vector) {
    const auto source = a_.x(value);
    if (attr.big_endian && bytes > 1) {
      a_.vmovq(a_.rcx, source);
      switch (bytes) {
        case 2:
          a_.rol(a_.cx, 8);
          a_.mov(a_.word[host], a_.cx);
          break;
        case 4:
          a_.movbe(a_.dword[host], a_.ecx);
          break;
        case 8:
          a_.movbe(a_.qword[host], a_.rcx);
          break;
        default:
          a_.movbe(a_.qword[host + 8], a_.rcx);
          a_.vpextrq(a_.rcx, source, 1);
          a_.movbe(a_.qword[host], a_.rcx);
          break;
      }
    } else {
      switch (bytes) {
        case 1:
          a_.vpextrb(a_.byte[host], source, 0);
          break;
        case 2:
          a_.vpextrw(a_.word[host], source, 0);
          break;
        case 4:
          a_.vmovss(a_.dword[host], source);
          break;
        case 8:
          a_.vmovsd(a_.qword[host], source);
          break;
        default:
          a_.vmovups(a_.ptr[host], source);
          break;
      }
    }
    if (release) a_.lock(), a_.or_(a_.dword[a_.rsp - 8], 0);
  } else if (immediate) {
    switch (bytes) {
      case 1:
        a_.mov(a_.byte[host], static_cast<u8>(*imm));
        break;
      case 2:
        a_.mov(a_.word[host], static_cast<u16>(*imm));
        break;
      case 4:
        a_.mov(a_.dword[host], static_cast<u32>(*imm));
        break;
      default:
        a_.mov(a_.qword[host], *imm);
        break;
    }
  } else if (release) {
    // A later acquiring load must not pass it (A64's LDAR after STLR): exchange is a full barrier.
    a_.mov(a_.rcx, a_.g64(value));
    if (attr.big_endian && bytes > 1) {
      a_.bswap(a_.rcx);
      if (bytes < 8) a_.shr(a_.rcx, static_cast<int>(64 - 8 * bytes));
    }
    switch (bytes) {
      case 1:
        a_.xchg(a_.byte[host], a_.cl);
        break;
      case 2:
        a_.xchg(a_.word[host], a_.cx);
        break;
      case 4:
        a_.xchg(a_.dword[host], a_.ecx);
        break;
      default:
        a_.xchg(a_.qword[host], a_.rcx);
        break;
    }
  } else if (attr.big_endian && bytes > 1) {
    switch (bytes) {
      case 2:
        a_.mov(a_.ecx, a_.g32(value));
        a_.rol(a_.cx, 8);
        a_.mov(a_.word[host], a_.cx);
        break;
      case 4:
        a_.movbe(a_.dword[host], a_.g32(value));
        break;
      default:
        a_.movbe(a_.qword[host], a_.g64(value));
        break;
    }
  } else {
    switch (bytes) {
      case 1:
        a_.mov(a_.byte[host], a_.g8(value));
        break;
      case 2:
        a_.mov(a_.word[host], a_.g16(value));
        break;
      case 4:
        a_.mov(a_.dword[host], a_.g32(value));
        break;
      default:
        a_.mov(a_.qword[host], a_.g64(value));
        break;
    }
  }
  Stub& stub = add_stub(&Emitter::slow_store, miss);
  stub.back = a_.position();
  stub.p = {address,
            static_cast<u32>(offset),
            u32{inst.sub} | (pc_offset(delta_) << 16),
            value,
            vector ? 1U : (immediate ? 2U : 0U),
            r_.vectors_live() ? 1U : 0U,
            immediate ? static_cast<u32>(*imm) : 0};
}

void Emitter::slow_store(const Stub& stub) {
  const MemAttr attr = MemAttr::unpack(static_cast<u16>(stub.p[2]));
  const usize argument = offsetof(Frame, argument);
  const unsigned bytes = attr.bytes();
  if (stub.p[4] == 1) {
    a_.vmovups(a_.ptr[a_.frame(argument)], a_.x(static_cast<u8>(stub.p[3])));
    if (bytes < 8) {
      a_.mov(a_.eax, a_.dword[a_.frame(argument)]);
      extend(kRax, kRax, bytes, false, true);
      a_.mov(a_.qword[a_.frame(argument)], a_.rax);
    }
  } else if (stub.p[4] == 2) {
    a_.mov(a_.rax, static_cast<i64>(static_cast<i32>(stub.p[6])));
    extend(kRax, kRax, bytes, false, true);
    a_.mov(a_.qword[a_.frame(argument)], a_.rax);
  } else {
    extend(kRax, static_cast<u8>(stub.p[3]), bytes, false, true);
    a_.mov(a_.qword[a_.frame(argument)], a_.rax);
  }
  call_slow(config_.thunks.store, static_cast<u8>(stub.p[0]), static_cast<i32>(stub.p[1]), stub.p[2], stub.p[5] != 0);
  a_.jmp_to(stub.back);
}

void Emitter::fence(u32 i) {
  // The host keeps every order but store before load (Intel SDM 3A, 9.2.2).
  const auto order = static_cast<ir::Order>(an_.insts[i].sub);
  if (order != ir::Order::acquire_release) return;
  a_.lock();
  a_.or_(a_.dword[a_.rsp - 8], 0);
}

}  // namespace solder::host_x64
