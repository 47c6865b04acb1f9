#include "translator/run/block_table.h"

namespace solder::run {
namespace {
constexpr usize kFirstBits = 14;
}

BlockTable::BlockTable() {
  generations_.push_back(std::make_unique<Slots>(kFirstBits));
  current_.store(generations_.back().get(), std::memory_order_release);
}

TranslatedBlock* BlockTable::find(const u8* code, u64 key) const {
  const Slots& slots = *current_.load(std::memory_order_acquire);
  for (usize i = slots.start(code, key);; i = (i + 1) & slots.mask) {
    const u8* there = slots.at[i].code.load(std::memory_order_acquire);
    if (there == nullptr) return nullptr;
    if (there != code) continue;
    // A slot that is just taken over may still show the old block, or the new one already: the block itself decides.
    TranslatedBlock* block = slots.at[i].block.load(std::memory_order_acquire);
    if (block->code == code && block->key == key && block->alive.load(std::memory_order_acquire)) return block;
  }
}

void BlockTable::place(Slots& slots, TranslatedBlock* block) {
  for (usize i = slots.start(block->code, block->key);; i = (i + 1) & slots.mask) {
    const TranslatedBlock* old = slots.at[i].block.load(std::memory_order_relaxed);
    const bool replaces = old != nullptr && !old->alive.load(std::memory_order_relaxed);
    if (old != nullptr && !replaces) continue;
    if (!replaces) ++used_;
    slots.at[i].block.store(block, std::memory_order_release);
    slots.at[i].code.store(block->code, std::memory_order_release);
    return;
  }
}

void BlockTable::insert(TranslatedBlock* block) {
  Slots* slots = current_.load(std::memory_order_relaxed);
  if (used_ * 2 >= slots->at.size()) {
    const usize bits = 64 - slots->shift + 1;
    auto bigger = std::make_unique<Slots>(bits);
    used_ = 0;
    for (const auto& entry : slots->at) {
      TranslatedBlock* old = entry.block.load(std::memory_order_relaxed);
      if (old != nullptr && old->alive.load(std::memory_order_relaxed)) place(*bigger, old);
    }
    generations_.push_back(std::move(bigger));
    slots = generations_.back().get();
    current_.store(slots, std::memory_order_release);
  }
  place(*slots, block);
}

void BlockTable::clear() {
  while (generations_.size() > 1) generations_.erase(generations_.begin());
  for (Slot& entry : generations_.front()->at) {
    entry.code.store(nullptr, std::memory_order_relaxed);
    entry.block.store(nullptr, std::memory_order_relaxed);
  }
  current_.store(generations_.front().get(), std::memory_order_release);
  used_ = 0;
}

}  // namespace solder::run
