#include "translator/run/code_cache.h"

#include <algorithm>
#include <cstring>

#include "base/bits.h"
#include "base/check.h"

namespace solder::run {
namespace {

/// Bits of the 64-byte granules that [first, last] of a page touch.
u64 granule_mask(u64 first, u64 last) {
  return mask64(static_cast<unsigned>(last / 64 + 1)) & ~mask64(static_cast<unsigned>(first / 64));
}

}  // namespace

CodeCache::~CodeCache() {
  for (auto& entry : rams_) {
    if (RamCode* code = entry.load()) {
      code->ram.set_code_watcher(nullptr);
      delete code;
    }
  }
}

RamCode* CodeCache::find_ram(const memory::Ram& ram) const {
  for (const auto& entry : rams_) {
    RamCode* code = entry.load(std::memory_order_acquire);
    if (code == nullptr) return nullptr;
    if (&code->ram == &ram) return code;
  }
  return nullptr;
}

RamCode* CodeCache::ram_code(memory::Ram& ram) {
  if (RamCode* code = find_ram(ram)) return code;
  const std::scoped_lock lock(mutex_);
  for (auto& entry : rams_) {
    RamCode* code = entry.load(std::memory_order_relaxed);
    if (code != nullptr && &code->ram == &ram) return code;
    if (code == nullptr) {
      auto fresh = std::make_unique<RamCode>(ram);
      ram.set_code_watcher(this);
      ram.set_dirty_source(dirty_source_);
      entry.store(fresh.get(), std::memory_order_release);
      return fresh.release();
    }
  }
  return nullptr;
}

CodePage& CodeCache::page_at(RamCode& code, u64 offset) {
  auto& entry = code.pages[offset >> memory::kPageShift];
  CodePage* page = entry.load(std::memory_order_relaxed);
  if (page == nullptr) {
    page = &pages_.emplace_back();
    page->ram = &code.ram;
    page->offset = align_down(offset, memory::kPageSize);
    entry.store(page, std::memory_order_release);
  }
  return *page;
}

TranslatedBlock* CodeCache::translate(const ir::GuestCpu& guest, memory::Ram& ram, u64 offset,
                                      ir::TranslateRequest request, const Protect& protect) {
  RamCode* code = ram_code(ram);
  SOLDER_CHECK(code != nullptr, "more RAM blocks than the code cache follows");
  const std::scoped_lock lock(mutex_);
  const u8* start = ram.host() + offset;
  if (TranslatedBlock* block = table_.find(start, request.key)) return block;

  CodePage& page = page_at(*code, offset);
  if (page.blocks == nullptr) {
    ram.set_code_page(page.offset, true);
    // Against write-tag fills, which set their writer bit and then look at the code page mark.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    auto& writers = code->writers[offset >> memory::kPageShift];
    page.unanswered += protect(page, writers.load(std::memory_order_seq_cst));
  }
  const u64 in_page = offset & (memory::kPageSize - 1);
  page.being_translated.store(granule_mask(in_page, memory::kPageSize - 1), std::memory_order_seq_cst);
  // Against writers, which store and then look at the granules.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  request.code = {start, memory::kPageSize - in_page};
  scratch_.clear();
  guest.translate(request, scratch_);
  SOLDER_CHECK(!scratch_.insts.empty(), "the guest translated nothing");
  const u64 length = std::clamp<u64>(scratch_.guest_bytes, 1, request.code.size());

  std::unique_ptr<host_x64::Compiled> compiled;
  if (compiler_ != nullptr) {
    compiled = compiler_->compile(scratch_, static_cast<u32>(in_page));
    if (!compiled) {
      page.being_translated.store(0, std::memory_order_release);
      if (page.blocks == nullptr) ram.set_code_page(page.offset, false);
      return nullptr;
    }
  }
  TranslatedBlock& block = blocks_.emplace_back();
  block.code = start;
  block.key = request.key;
  block.guest_bytes = static_cast<u32>(length);
  block.guest_insts = scratch_.guest_insts;
  if (compiled) {
    block.entry = compiled->entry;
    block.size = compiled->size;
    by_entry_.emplace(block.entry, &block);
  } else {
    block.ir = scratch_;
  }
  block.page = &page;
  block.next_in_page = page.blocks;
  page.blocks = &block;
  if (page.unanswered != 0) block.bytes.assign(start, start + length);
  page.granules.fetch_or(granule_mask(in_page, in_page + length - 1), std::memory_order_seq_cst);
  page.being_translated.store(0, std::memory_order_release);
  table_.insert(&block);
  counts_.translations.fetch_add(1, std::memory_order_relaxed);
  counts_.guest_insts.fetch_add(scratch_.guest_insts, std::memory_order_relaxed);
  return &block;
}

void CodeCache::link(u8* slot, TranslatedBlock* target) {
  const std::scoped_lock lock(mutex_);
  auto above = by_entry_.upper_bound(slot);
  if (above == by_entry_.begin()) return;
  TranslatedBlock* source = std::prev(above)->second;
  if (slot >= source->entry + source->size) return;
  // The mapping may have changed since the source block was entered: only what lies in the same physical page is
  // certain to be at the same distance in every virtual view of it.
  if (source->page != target->page || source->key != target->key) return;
  if (!source->alive.load(std::memory_order_relaxed) || !target->alive.load(std::memory_order_relaxed)) return;
  compiler_->link(slot, target->entry);
  target->incoming.push_back(slot);
  counts_.links.fetch_add(1, std::memory_order_relaxed);
}

template <class Wanted>
void CodeCache::kill_if(CodePage& page, Wanted wanted) {
  u64 granules = 0;
  TranslatedBlock** place = &page.blocks;
  while (TranslatedBlock* block = *place) {
    const u64 first = static_cast<u64>(block->code - page.ram->host()) - page.offset;
    const u64 last = first + block->guest_bytes - 1;
    if (!wanted(*block, first, last)) {
      granules |= granule_mask(first, last);
      place = &block->next_in_page;
      continue;
    }
    block->alive.store(false, std::memory_order_release);
    if (compiler_ != nullptr) {
      compiler_->kill(block->entry);
      for (u8* slot : block->incoming) compiler_->unlink(slot);
    }
    block->incoming.clear();
    *place = block->next_in_page;
    dead_insts_.fetch_add(block->guest_insts, std::memory_order_relaxed);
    counts_.kills.fetch_add(1, std::memory_order_relaxed);
  }
  page.granules.store(granules, std::memory_order_seq_cst);
  if (page.blocks == nullptr) page.ram->set_code_page(page.offset, false);
}

bool CodeCache::holds_code(memory::Ram& ram, u64 offset, u64 length) const {
  const RamCode* code = find_ram(ram);
  if (code == nullptr) return false;
  const CodePage* page = code->pages[offset >> memory::kPageShift].load(std::memory_order_acquire);
  if (page == nullptr) return false;
  const u64 first = offset & (memory::kPageSize - 1);
  const u64 touched = granule_mask(first, std::min(first + length, memory::kPageSize) - 1);
  return ((page->granules.load(std::memory_order_seq_cst) | page->being_translated.load(std::memory_order_seq_cst)) &
          touched) != 0;
}

void CodeCache::code_written(memory::Ram& ram, u64 offset, u64 length) {
  RamCode* code = find_ram(ram);
  if (code == nullptr || length == 0) return;
  // The bytes were stored before; they must be visible before the granules are looked at (see translate).
  std::atomic_thread_fence(std::memory_order_seq_cst);
  const u64 end = std::min(offset + length, ram.size());
  for (u64 at = offset; at < end;) {
    const u64 piece_end = std::min(align_down(at, memory::kPageSize) + memory::kPageSize, end);
    if (ram.is_code_page(at) && holds_code(ram, at, piece_end - at)) {
      const std::scoped_lock lock(mutex_);
      if (CodePage* page = code->pages[at >> memory::kPageShift].load(std::memory_order_relaxed)) {
        const u64 low = at - page->offset;
        const u64 high = piece_end - page->offset - 1;
        kill_if(*page, [&](const TranslatedBlock&, u64 first, u64 last) { return first <= high && low <= last; });
      }
    }
    at = piece_end;
  }
}

void CodeCache::answered(CodePage& page) {
  const std::scoped_lock lock(mutex_);
  SOLDER_CHECK(page.unanswered != 0, "an answer that nobody asked for");
  --page.unanswered;
  kill_if(page, [](const TranslatedBlock& block, u64, u64) {
    return !block.bytes.empty() && std::memcmp(block.bytes.data(), block.code, block.bytes.size()) != 0;
  });
}

void CodeCache::clear() {
  const std::scoped_lock lock(mutex_);
  for (CodePage& page : pages_) {
    page.blocks = nullptr;
    page.granules.store(0, std::memory_order_relaxed);
    page.ram->set_code_page(page.offset, false);
  }
  table_.clear();
  by_entry_.clear();
  blocks_.clear();
  if (compiler_ != nullptr) compiler_->reset();
  dead_insts_.store(0, std::memory_order_relaxed);
  counts_.flushes.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace solder::run
