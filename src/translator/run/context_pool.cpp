#include "translator/run/context_pool.h"

#include <algorithm>
#include <bit>

#include "base/bits.h"
#include "base/check.h"

namespace solder::run {
namespace {

using ir::Context;
using ir::kTagInvalid;
constexpr u64 kPage = memory::kPageSize;
/// Block key of a context that only data accesses used so far.
constexpr u64 kDataOnly = ~u64{0};
/// With a range of more pages than this, what is used is looked at instead of the range.
constexpr u64 kMaxPagesOneByOne = 512;

usize executed_slot(u64 page, usize slots) {
  return ((page >> 12) ^ (page >> 22)) % slots;
}

}  // namespace

void PooledContext::drop_entry(usize index) {
  tlb[index] = ir::TlbEntry{};
  pages[index].page = kTagInvalid;
  used_tlb_[index / 64] &= ~(u64{1} << (index % 64));
}

void PooledContext::clear() {
  for (usize word = 0; word < used_tlb_.size(); ++word) {
    for (u64 left = used_tlb_[word]; left != 0; left &= left - 1) {
      const usize index = word * 64 + static_cast<usize>(std::countr_zero(left));
      tlb[index] = ir::TlbEntry{};
      pages[index].page = kTagInvalid;
    }
    used_tlb_[word] = 0;
  }
  large_.reset();
  huge_.clear();
  clear_jumps();
}

void PooledContext::clear_jumps() {
  for (usize word = 0; word < used_jumps_.size(); ++word) {
    for (u64 left = used_jumps_[word]; left != 0; left &= left - 1) {
      jumps[word * 64 + static_cast<usize>(std::countr_zero(left))] = ir::JumpEntry{};
    }
    used_jumps_[word] = 0;
  }
  executed_.reset();
  returns.fill(ir::JumpEntry{});
}

void PooledContext::drop_page_jumps(u64 page) {
  for (ir::JumpEntry& entry : returns) {
    if (align_down(entry.pc, kPage) == page) entry = ir::JumpEntry{};
  }
  if (!executed_.test(executed_slot(page, kExecutedSlots))) return;
  // A page's pcs share the upper two index bits and have all values of the lower ten (context.h, jump_index).
  const usize first = Context::jump_index(page) & ~usize{1023};
  for (usize word = first / 64; word < (first + 1024) / 64; ++word) {
    for (u64 left = used_jumps_[word]; left != 0; left &= left - 1) {
      const usize bit_index = static_cast<usize>(std::countr_zero(left));
      ir::JumpEntry& jump = jumps[word * 64 + bit_index];
      if (align_down(jump.pc, kPage) != page) continue;
      jump = ir::JumpEntry{};
      used_jumps_[word] &= ~(u64{1} << bit_index);
    }
  }
}

void PooledContext::drop_many(u64 first, u64 last) {
  for (usize word = 0; word < used_tlb_.size(); ++word) {
    for (u64 left = used_tlb_[word]; left != 0; left &= left - 1) {
      const usize index = word * 64 + static_cast<usize>(std::countr_zero(left));
      const PageInfo& info = pages[index];
      const u64 base = align_down(info.page, u64{1} << info.page_bits);
      if (base <= last && first <= base + mask64(info.page_bits)) drop_entry(index);
    }
  }
  for (usize word = 0; word < used_jumps_.size(); ++word) {
    for (u64 left = used_jumps_[word]; left != 0; left &= left - 1) {
      const usize bit_index = static_cast<usize>(std::countr_zero(left));
      ir::JumpEntry& jump = jumps[word * 64 + bit_index];
      if (jump.pc < first || jump.pc > last + kPage - 1) continue;
      jump = ir::JumpEntry{};
      used_jumps_[word] &= ~(u64{1} << bit_index);
    }
  }
  returns.fill(ir::JumpEntry{});
}

void PooledContext::drop(u64 address, u64 length) {
  const u64 first = align_down(address, kPage);
  const u64 count = (address - first + length + kPage - 1) / kPage;
  if (count > kMaxPagesOneByOne) return drop_many(first, first + (count - 1) * kPage);
  for (const Huge& huge : huge_) {
    // A huge mapping of which any byte is meant goes wholly: with it the context, for there is no list of its pieces.
    if (((first ^ huge.base) >> huge.bits) == 0 || (((first + (count - 1) * kPage) ^ huge.base) >> huge.bits) == 0) {
      return clear();
    }
  }
  for (u64 i = 0; i < count; ++i) {
    const u64 page = first + i * kPage;
    const usize index = Context::tlb_index(page);
    if (pages[index].page == page) drop_entry(index);
    drop_page_jumps(page);
    if ((i == 0 || page % (u64{1} << kLargeBits) == 0) && large_.test(large_slot(page))) {
      const usize frame = Context::tlb_index(align_down(page, u64{1} << kLargeBits));
      for (usize piece = frame; piece < frame + (usize{1} << (kLargeBits - 12)); ++piece) {
        const PageInfo& info = pages[piece];
        if (info.page == kTagInvalid || info.page_bits == 12 || ((info.page ^ page) >> kLargeBits) != 0) continue;
        const u64 last = first + (count - 1) * kPage;
        const u64 base = align_down(info.page, u64{1} << info.page_bits);
        if (base > last || base + (u64{1} << info.page_bits) <= first) continue;
        drop_page_jumps(info.page);
        drop_entry(piece);
      }
    }
  }
}

void PooledContext::fill(const PageInfo& info) {
  const usize index = Context::tlb_index(info.page);
  tlb[index] = ir::TlbEntry{};
  pages[index] = info;
  used_tlb_[index / 64] |= u64{1} << (index % 64);
  if (info.page_bits <= 12) return;
  if (info.page_bits <= kLargeBits) {
    large_.set(large_slot(info.page));
    return;
  }
  for (const Huge& huge : huge_) {
    if (huge.bits == info.page_bits && ((info.page ^ huge.base) >> huge.bits) == 0) return;
  }
  if (huge_.size() == kMaxHuge) {
    // Rather one wide entry, which flushes too much, than a list without end.
    const unsigned bits = 64 - static_cast<unsigned>(std::countl_zero(huge_[0].base ^ info.page));
    huge_[0].bits = bits < 63 ? std::max<unsigned>(bits, info.page_bits) : 63;
    return;
  }
  huge_.push_back({align_down(info.page, u64{1} << info.page_bits), info.page_bits});
}

void PooledContext::add_jump(u64 pc, const void* host) {
  const usize index = Context::jump_index(pc);
  jumps[index] = {pc, host};
  used_jumps_[index / 64] |= u64{1} << (index % 64);
  executed_.set(executed_slot(align_down(pc, kPage), kExecutedSlots));
}

PooledContext& ContextPool::recycle(const ir::ContextKey& key, u64 block_key) {
  PooledContext* chosen = nullptr;
  if (contexts_.size() < kContexts) {
    contexts_.push_back(std::make_unique<PooledContext>());
    chosen = contexts_.back().get();
  } else {
    for (const auto& context : contexts_) {
      if (context.get() == recent_[0] || context.get() == recent_[1]) continue;
      if (chosen == nullptr || context->last_used_ < chosen->last_used_) chosen = context.get();
    }
    SOLDER_CHECK(chosen != nullptr, "a pool has more contexts than the two that are in use");
    chosen->clear();
  }
  chosen->key_ = key;
  chosen->block_key_ = block_key;
  chosen->taken_ = true;
  return *chosen;
}

PooledContext& ContextPool::select(const ir::ContextKey& key, u64 block_key) {
  PooledContext* chosen = nullptr;
  for (PooledContext* context : recent_) {
    if (context != nullptr && context->key_ == key && context->block_key_ == block_key) chosen = context;
  }
  if (chosen == nullptr) {
    for (const auto& context : contexts_) {
      if (!(context->key_ == key)) continue;
      if (context->block_key_ == kDataOnly) context->block_key_ = block_key;
      if (context->block_key_ == block_key) {
        chosen = context.get();
        break;
      }
    }
  }
  if (chosen == nullptr) chosen = &recycle(key, block_key);
  chosen->last_used_ = ++clock_;
  recent_[0] = chosen;
  return *chosen;
}

PooledContext& ContextPool::select_data(const ir::ContextKey& key) {
  PooledContext* chosen = recent_[1] != nullptr && recent_[1]->key_ == key ? recent_[1] : nullptr;
  if (chosen == nullptr) {
    for (const auto& context : contexts_) {
      if (context->key_ == key && (chosen == nullptr || chosen->last_used_ < context->last_used_)) {
        chosen = context.get();
      }
    }
  }
  if (chosen == nullptr) chosen = &recycle(key, kDataOnly);
  chosen->last_used_ = ++clock_;
  recent_[1] = chosen;
  return *chosen;
}

void ContextPool::flush_all() {
  for (const auto& context : contexts_) context->clear();
}

void ContextPool::flush_asid(u32 asid) {
  for (const auto& context : contexts_) {
    if (context->key_.asid == asid) context->clear();
  }
}

void ContextPool::flush_range(u64 address, u64 length, std::optional<u32> asid) {
  for (const auto& context : contexts_) {
    if (!asid || context->key_.asid == *asid) context->drop(address, length);
  }
}

void ContextPool::clear_jumps() {
  for (const auto& context : contexts_) context->clear_jumps();
}

bool ContextPool::live(const Writer& writer) const {
  if (writer.host_page == 0) return false;
  const ir::TlbEntry& entry = contexts_[writer.context]->tlb[writer.index];
  return entry.write_tag != kTagInvalid && entry.write_tag + entry.addend == writer.host_page;
}

void ContextPool::allow_writes(PooledContext& context, u64 page) {
  const usize index = Context::tlb_index(page);
  ir::TlbEntry& entry = context.tlb[index];
  entry.write_tag = page;
  u16 number = 0;
  while (contexts_[number].get() != &context) ++number;
  const u64 host_page = page + entry.addend;
  const usize at = bucket(host_page);
  Writer* place = nullptr;
  for (Writer& writer : writers_[at]) {
    if (writer.host_page == host_page && writer.context == number && writer.index == index) return;
    if (place == nullptr && !live(writer)) place = &writer;
  }
  if (place == nullptr) {
    crowded_.set(at);
    return;
  }
  *place = {host_page, number, static_cast<u16>(index)};
}

void ContextPool::drop_writes(const u8* host) {
  const u64 host_page = reinterpret_cast<u64>(host);
  const usize at = bucket(host_page);
  for (Writer& writer : writers_[at]) {
    if (writer.host_page != host_page) continue;
    if (live(writer)) contexts_[writer.context]->tlb[writer.index].write_tag = kTagInvalid;
    writer = {};
  }
  if (!crowded_.test(at)) return;
  for (const auto& context : contexts_) {
    for (ir::TlbEntry& entry : context->tlb) {
      if (entry.write_tag != kTagInvalid && entry.write_tag + entry.addend == host_page) {
        entry.write_tag = kTagInvalid;
      }
    }
  }
}

}  // namespace solder::run
