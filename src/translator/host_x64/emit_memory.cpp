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

Near Emitter::probe(u8 address, i32 offset, MemAttr attr, bool write, unsigned count) {
  if (config_.options.force_slow_memory) return a_.jmp_near();
  const unsigned bytes = attr.bytes();
  // rcx = page of the last byte, or, where alignment is demanded, of the first with the low bits that must be zero.
  const bool natural = attr.align == ir::Align::natural || bytes == 1;
  const i32 reach = offset + (natural ? 0 : static_cast<i32>(bytes * count - 1));
  const i32 page_mask = -4096 | (natural ? static_cast<i32>(bytes - 1) : 0);
  const int tag = static_cast<int>(write ? offsetof(ir::TlbEntry, write_tag) : offsetof(ir::TlbEntry, read_tag));
  const int addend = static_cast<int>(offsetof(ir::TlbEntry, addend));
  // The most frequent code of all: written as bytes, which is much faster than instruction by instruction.
  Assembler::Bytes code;
  code.lea(kRcx, true, address, reach);
  code.put({0x48, 0x81, 0xe1});  // and rcx, page_mask
  code.put32(static_cast<u32>(page_mask));
  // rax = the entry of the first byte's page.
  code.lea(kRax, false, address, offset);
  code.put({0xc1, 0xe8, kIndexShift});  // shr eax, kIndexShift
  code.put({0x25});                     // and eax, kIndexMask
  code.put32(kIndexMask);
  if (attr.mmu == ir::MmuIndex::unprivileged) {
    a_.append(code);
    a_.add(a_.rax, a_.qword[a_.state(offsetof(CoreState, unprivileged))]);
    a_.cmp(a_.rcx, a_.qword[a_.rax + tag]);
    const Near miss = a_.jcc_near(Cc::ne);
    a_.mov(a_.rax, a_.qword[a_.rax + addend]);
    return miss;
  }
  static_assert(kContextReg == kR15);
  code.put({0x49, 0x3b, 0x4c, 0x07, static_cast<u8>(tag)});  // cmp rcx, [r15 + rax + tag]
  code.put({0x0f, 0x85});                                    // jne
  const Near miss{a_.position() + code.size};
  code.put32(0);
  code.put({0x49, 0x8b, 0x44, 0x07, static_cast<u8>(addend)});  // mov rax, [r15 + rax + addend]
  a_.append(code);
  return miss;
}

void Emitter::call_slow(const std::array<const u8*, 2>& thunk, u8 address, i32 offset, u32 attr, bool vectors) {
  Assembler::Bytes code;
  code.lea(kRax, true, address, offset);
  code.put({0xb9});  // mov ecx, attr
  code.put32(attr);
  a_.append(code);
  a_.call(static_cast<const void*>(thunk[vectors ? 1 : 0]));
}

/// A second access of the same instruction that touches the bytes after the first one's (LDP, STP): one probe serves
/// both.
u32 Emitter::find_pair(u32 i) const {
  const Inst& inst = an_.insts[i];
  const MemAttr attr = MemAttr::unpack(inst.sub);
  if (config_.options.force_slow_memory || attr.bytes() < 4 || attr.order != ir::Order::none) return kNone;
  const u32 end = std::min<u32>(i + 4, static_cast<u32>(an_.insts.size()));
  for (u32 j = i + 1; j < end; ++j) {
    const Inst& other = an_.insts[j];
    if (an_.skip[j] != 0 || other.op == Op::get || other.op == Op::constant) continue;
    const bool next_to = other.op == inst.op && other.a == inst.a && other.sub == inst.sub && other.type == inst.type &&
                         other.b == inst.b + attr.bytes();
    return next_to ? j : kNone;
  }
  return kNone;
}

void Emitter::load(u32 i) {
  const Inst& inst = an_.insts[i];
  const MemAttr attr = MemAttr::unpack(inst.sub);
  const i32 offset = static_cast<i32>(inst.b);
  const u32 pair = find_pair(i);
  if (pair != kNone) r_.advance_through(pair);
  const u8 address = r_.use(inst.a, true);
  const bool vector = inst.type == Type::v128;
  const bool wide = inst.type == Type::i64;
  // Before the probe: what makes room for the results must be done on both paths.
  const u8 to = vector ? r_.define_x(i) : (pair != kNone ? r_.define_apart(i) : r_.define_like(i, inst.a));
  u8 second = 0;
  if (pair != kNone) {
    second = vector ? r_.define_x(pair) : r_.define_like(pair, inst.a);
    fused_[pair] = 1;
  }
  const Near miss = probe(address, offset, attr, false, pair != kNone ? 2 : 1);
  host_load(to, a_.g64(address) + a_.rax + offset, attr, vector, wide);
  if (pair != kNone) {
    host_load(second, a_.g64(address) + a_.rax + (offset + static_cast<i32>(attr.bytes())), attr, vector, wide);
  }
  Stub& stub = add_stub(&Emitter::slow_load, miss);
  stub.back = a_.position();
  stub.p = {address,
            static_cast<u32>(offset),
            u32{inst.sub} | (pc_offset(delta_) << 16),
            to,
            (vector ? 1U : 0U) | (wide ? 2U : 0U) | (pair != kNone ? 4U : 0U),
            r_.vectors_live() ? 1U : 0U,
            second};
}

void Emitter::slow_load(const Stub& stub) {
  const MemAttr attr = MemAttr::unpack(static_cast<u16>(stub.p[2]));
  const auto one = [&](u8 to, i32 offset) {
    call_slow(config_.thunks.load, static_cast<u8>(stub.p[0]), offset, stub.p[2], stub.p[5] != 0);
    if ((stub.p[4] & 1) != 0) {
      if (attr.bytes() == 16) {
        a_.vmovups(a_.x(to), a_.ptr[a_.frame(offsetof(Frame, result))]);
      } else {
        a_.vmovq(a_.x(to), a_.rax);
      }
    } else {
      extend(to, kRax, attr.bytes(), attr.sign, (stub.p[4] & 2) != 0);
    }
  };
  const i32 offset = static_cast<i32>(stub.p[1]);
  one(static_cast<u8>(stub.p[3]), offset);
  if ((stub.p[4] & 4) != 0) one(static_cast<u8>(stub.p[6]), offset + static_cast<i32>(attr.bytes()));
  a_.jmp_to(stub.back);
}

Emitter::StoreValue Emitter::store_value(u32 value, MemAttr attr) {
  StoreValue stored;
  stored.vector = an_.insts[value].type == Type::v128;
  if (stored.vector) {
    stored.reg = r_.use_x(value);
    return stored;
  }
  // Small constants go straight to memory.
  if (!attr.big_endian && attr.order == ir::Order::none && r_.current(value) < 0) {
    stored.immediate = r_.imm32(value, attr.bytes() == 8);
  }
  if (!stored.immediate) stored.reg = r_.use(value, attr.bytes() == 8);
  return stored;
}

void Emitter::store(u32 i) {
  const Inst& inst = an_.insts[i];
  const MemAttr attr = MemAttr::unpack(inst.sub);
  const i32 offset = static_cast<i32>(inst.b);
  u32 pair = find_pair(i);
  if (pair != kNone && (an_.insts[inst.c].type == Type::v128) != (an_.insts[an_.insts[pair].c].type == Type::v128)) {
    pair = kNone;
  }
  const u8 address = r_.use(inst.a, true);
  const StoreValue first = store_value(inst.c, attr);
  StoreValue second;
  if (pair != kNone) {
    // What stands between the two are reads of guest registers.
    for (u32 k = i + 1; k < pair; ++k) {
      if (an_.skip[k] == 0 && an_.insts[k].op == Op::get) r_.get(k, an_.insts[k].a);
      fused_[k] = 1;
    }
    r_.advance_through(pair);
    second = store_value(an_.insts[pair].c, attr);
    fused_[pair] = 1;
  }
  const Near miss = probe(address, offset, attr, true, pair != kNone ? 2 : 1);
  host_store(first, a_.g64(address) + a_.rax + offset, attr);
  if (pair != kNone) {
    host_store(second, a_.g64(address) + a_.rax + (offset + static_cast<i32>(attr.bytes())), attr);
  }
  Stub& stub = add_stub(&Emitter::slow_store, miss);
  stub.back = a_.position();
  stub.p = {address, static_cast<u32>(offset), u32{inst.sub} | (pc_offset(delta_) << 16), pair != kNone ? 1U : 0U,
            r_.vectors_live() ? 1U : 0U};
  stub.stored = {first, second};
}

void Emitter::slow_store(const Stub& stub) {
  const MemAttr attr = MemAttr::unpack(static_cast<u16>(stub.p[2]));
  const auto argument = a_.frame(offsetof(Frame, argument));
  const unsigned bytes = attr.bytes();
  const auto one = [&](const StoreValue& stored, i32 offset) {
    if (stored.vector) {
      a_.vmovups(a_.ptr[argument], a_.x(stored.reg));
      if (bytes < 8) {
        a_.mov(a_.eax, a_.dword[argument]);
        extend(kRax, kRax, bytes, false, true);
        a_.mov(a_.qword[argument], a_.rax);
      }
    } else {
      if (stored.immediate) {
        a_.mov(a_.rax, static_cast<i64>(*stored.immediate));
        extend(kRax, kRax, bytes, false, true);
      } else {
        extend(kRax, stored.reg, bytes, false, true);
      }
      a_.mov(a_.qword[argument], a_.rax);
    }
    call_slow(config_.thunks.store, static_cast<u8>(stub.p[0]), offset, stub.p[2], stub.p[4] != 0);
  };
  const i32 offset = static_cast<i32>(stub.p[1]);
  one(stub.stored[0], offset);
  if (stub.p[3] != 0) one(stub.stored[1], offset + static_cast<i32>(bytes));
  a_.jmp_to(stub.back);
}

}  // namespace solder::host_x64
