/// Which guest code is translated, where it lies, and what happens when it is written.
///
/// How a store finds stale translations. A page with translations is a *code page* (Ram::is_code_page): no vCPU may
/// have a write tag for it, so every store to it comes to the slow path, and DMA to Ram::mark_written. Both compare the
/// bytes with a bitmap of 64-byte granules, so data next to code costs a test and not a lock. Making a page a code page
/// goes in this order: mark it; take away the translating vCPU's own write tags; ask the other vCPUs that ever had one
/// to drop theirs; mark the granules; only then read the code. Another vCPU may still store through an old tag until it
/// answers; when it does, blocks made meanwhile are compared with memory and killed if they differ. A guest that orders
/// such a store before the execution (DSB) has answered by then, because the barrier answers first.
#pragma once

#include <array>
#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "memory/ram.h"
#include "translator/host_x64/compiler.h"
#include "translator/ir/guest.h"
#include "translator/run/block_table.h"

namespace solder::run {

/// A page of RAM that holds, or held, translated code.
struct CodePage {
  memory::Ram* ram = nullptr;
  u64 offset = 0;                        ///< of the page in its RAM
  std::atomic<u64> granules{0};          ///< 64-byte pieces with translated code
  std::atomic<u64> being_translated{0};  ///< pieces that a translation under way may read
  TranslatedBlock* blocks = nullptr;
  u32 unanswered = 0;  ///< vCPUs that have not yet dropped their write tags
};

/// Per RAM: its code pages, and which vCPUs ever had a write tag for a page.
struct RamCode {
  explicit RamCode(memory::Ram& r)
      : ram(r), pages(r.size() >> memory::kPageShift), writers(r.size() >> memory::kPageShift) {}
  memory::Ram& ram;
  std::vector<std::atomic<CodePage*>> pages;
  std::vector<std::atomic<u8>> writers;  ///< bit = vCPU index mod 8
};

struct CodeCacheCounts {
  std::atomic<u64> translations{0};
  std::atomic<u64> guest_insts{0};
  std::atomic<u64> kills{0};
  std::atomic<u64> flushes{0};
  std::atomic<u64> links{0};
};

/// All translations of one machine.
class CodeCache final : public memory::CodeWatcher {
 public:
  /// Takes away write tags for a page from those of `writers` (bits as RamCode's): the calling vCPU's at once, others'
  /// by message. Under the cache's lock. Returns how many vCPUs have yet to answer.
  using Protect = std::function<u32(CodePage& page, u8 writers)>;

  /// `compiler` null: blocks are kept as IR for the interpreter.
  /// `dirty_source` becomes that of each RAM that vCPUs get write tags for.
  explicit CodeCache(host_x64::Compiler* compiler, std::weak_ptr<memory::DirtySource> dirty_source = {})
      : compiler_(compiler), dirty_source_(std::move(dirty_source)) {}
  ~CodeCache() override;

  [[nodiscard]] TranslatedBlock* find(const u8* code, u64 key) const { return table_.find(code, key); }
  /// Translates at `offset` of `ram`. Null: the buffer is full, flush and try again.
  [[nodiscard]] TranslatedBlock* translate(const ir::GuestCpu& guest, memory::Ram& ram, u64 offset,
                                           ir::TranslateRequest request, const Protect& protect);
  /// Makes the direct exit `slot` jump to `target` if both lie in one page and are alive.
  void link(u8* slot, TranslatedBlock* target);
  /// A vCPU has dropped its write tags for `page`.
  void answered(CodePage& page);
  /// Forgets everything. No vCPU is in translated code.
  void clear();
  /// Whether dead blocks have piled up so that a flush is due.
  [[nodiscard]] bool wants_flush() const { return dead_insts_.load(std::memory_order_relaxed) > kMaxDeadInsts; }

  /// Whether a write of these bytes (in one page) would meet translated code.
  [[nodiscard]] bool holds_code(memory::Ram& ram, u64 offset, u64 length) const;
  void code_written(memory::Ram& ram, u64 offset, u64 length) override;

  /// The records of `ram`; made at first use. Null when there are too many RAMs to follow.
  [[nodiscard]] RamCode* ram_code(memory::Ram& ram);
  [[nodiscard]] const CodeCacheCounts& counts() const { return counts_; }

 private:
  static constexpr usize kMaxRams = 64;
  static constexpr u64 kMaxDeadInsts = 4'000'000;
  [[nodiscard]] RamCode* find_ram(const memory::Ram& ram) const;
  CodePage& page_at(RamCode& code, u64 offset);
  template <class Wanted>
  void kill_if(CodePage& page, Wanted wanted);

  host_x64::Compiler* compiler_;
  std::weak_ptr<memory::DirtySource> dirty_source_;
  mutable std::mutex mutex_;
  BlockTable table_;
  std::array<std::atomic<RamCode*>, kMaxRams> rams_{};
  std::deque<CodePage> pages_;
  std::deque<TranslatedBlock> blocks_;
  std::map<const u8*, TranslatedBlock*> by_entry_;
  ir::Block scratch_;
  std::atomic<u64> dead_insts_{0};
  CodeCacheCounts counts_;
};

}  // namespace solder::run
