/// One vCPU's contexts: a software TLB and jump cache for each of the translation regimes it used last.
/// Only the vCPU's own thread touches them.
#pragma once

#include <array>
#include <bitset>
#include <memory>
#include <optional>
#include <vector>

#include "base/types.h"
#include "memory/address_space.h"
#include "translator/ir/context.h"
#include "translator/ir/guest.h"

namespace solder::run {

/// What the slow path knows of a page that the TLB entry of the same index has no room for.
struct PageInfo {
  u64 page = ir::kTagInvalid;                ///< virtual address of the page; invalid: nothing known
  Gpa physical = 0;                          ///< of the page
  const memory::FlatRange* range = nullptr;  ///< what lies at the byte that was touched last; null: a hole
  u8 page_bits = 12;                         ///< of the guest's mapping
  bool readable = false;
  bool writable = false;
  bool executable = false;
  bool device = false;
};

/// A context with its identity and the means to empty it quickly.
class PooledContext : public ir::Context {
 public:
  std::array<PageInfo, usize{1} << ir::kTlbBits> pages;

  /// Every TLB entry and jump: a cost in proportion to what is used.
  void clear();
  /// Jumps only: the host code they lead to is gone.
  void clear_jumps();
  /// Drops whatever translates some byte of [address, address+length), large mappings wholly.
  void drop(u64 address, u64 length);
  void drop_entry(usize index);

  /// Makes the entry of `info.page` say `info`, without any tag yet.
  void fill(const PageInfo& info);
  void add_jump(u64 pc, const void* host);

 private:
  friend class ContextPool;
  void drop_page_jumps(u64 page);
  void drop_many(u64 first, u64 last);
  [[nodiscard]] static usize large_slot(u64 address) { return (address >> kLargeBits) % kLargeSlots; }

  // Mappings up to 2^kLargeBits bytes are found by their place in the TLB; larger ones are listed.
  static constexpr unsigned kLargeBits = 21;
  static constexpr usize kLargeSlots = 512;
  static constexpr usize kMaxHuge = 8;
  static constexpr usize kExecutedSlots = 1024;
  struct Huge {
    u64 base;
    unsigned bits;
  };

  ir::ContextKey key_;
  u64 block_key_ = 0;
  bool taken_ = false;
  u64 last_used_ = 0;
  std::array<u64, (usize{1} << ir::kTlbBits) / 64> used_tlb_{};
  std::array<u64, (usize{1} << ir::kJumpBits) / 64> used_jumps_{};
  std::bitset<kLargeSlots> large_;        // slots of 2 MiB frames with pieces of a larger mapping
  std::vector<Huge> huge_;                // larger mappings with pieces here
  std::bitset<kExecutedSlots> executed_;  // hashed pages that have entries in jumps
};

/// The pool: 32 contexts, the least recently used one is recycled.
class ContextPool {
 public:
  static constexpr usize kContexts = 32;

  /// The context for a regime; `block_key` too, because a jump cache leads to code of one mode.
  PooledContext& select(const ir::ContextKey& key, u64 block_key);
  /// The context for data accesses of a regime that no code runs in now.
  PooledContext& select_data(const ir::ContextKey& key);
  [[nodiscard]] static PooledContext& of(ir::Context* shared) { return *static_cast<PooledContext*>(shared); }

  void flush_all();
  void flush_asid(u32 asid);
  /// `asid` empty: in all contexts.
  void flush_range(u64 address, u64 length, std::optional<u32> asid);
  void clear_jumps();

  /// Sets the write tag of `page` (filled before) and remembers it for drop_writes.
  void allow_writes(PooledContext& context, u64 page);
  /// Takes away every write tag that leads to the page at `host_page`.
  void drop_writes(const u8* host_page);

 private:
  PooledContext& recycle(const ir::ContextKey& key, u64 block_key);

  // Which entries have write tags for a host page: two per bucket; a bucket that had more is searched for everywhere.
  struct Writer {
    u64 host_page = 0;
    u16 context = 0;
    u16 index = 0;
  };
  static constexpr usize kWriterBuckets = 4096;
  [[nodiscard]] static usize bucket(u64 host_page) { return (host_page >> 12) * 0x9e37'79b9'7f4a'7c15U >> (64 - 12); }
  [[nodiscard]] bool live(const Writer& writer) const;

  std::vector<std::unique_ptr<PooledContext>> contexts_;
  std::array<PooledContext*, 2> recent_{};
  u64 clock_ = 0;
  std::array<std::array<Writer, 2>, kWriterBuckets> writers_{};
  std::bitset<kWriterBuckets> crowded_;
};

}  // namespace solder::run
