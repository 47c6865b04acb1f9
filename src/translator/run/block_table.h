/// Translated blocks by where their code lies and the mode it was translated for.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "base/types.h"
#include "translator/ir/ir.h"

namespace solder::run {

struct CodePage;

/// One translation, shared by all vCPUs. Its memory stays until the code cache is emptied: a vCPU may still be in it
/// after it was killed.
struct TranslatedBlock {
  const u8* code = nullptr;  ///< host address of the guest code in RAM: the physical pc, whatever its aliases
  u64 key = 0;
  u32 guest_bytes = 0;
  u32 guest_insts = 0;
  std::atomic<bool> alive{true};
  u8* entry = nullptr;  ///< host code; null when the block is run by the interpreter
  u32 size = 0;
  ir::Block ir;  ///< for the interpreter only
  // The rest under the code cache's lock.
  CodePage* page = nullptr;
  TranslatedBlock* next_in_page = nullptr;
  std::vector<u8*> incoming;  ///< slots of other blocks that jump straight here
  std::vector<u8> bytes;      ///< the code as translated, while some vCPU may still write the page unseen
};

/// Open addressing with linear probing. Probes take no lock; insertions serialise on the caller's lock. A dead block
/// keeps its place until the table is cleared or an equal one takes it, so a probe never misses a live block behind it.
class BlockTable {
 public:
  BlockTable();
  /// The live block for {code, key}, or null. Any thread.
  [[nodiscard]] TranslatedBlock* find(const u8* code, u64 key) const;
  /// Under the lock.
  void insert(TranslatedBlock* block);
  /// Under the lock, no reader about.
  void clear();
  [[nodiscard]] usize size() const { return used_; }

 private:
  /// The code pointer again, so that a probe touches a block only when it is probably the one.
  struct Slot {
    std::atomic<const u8*> code{nullptr};
    std::atomic<TranslatedBlock*> block{nullptr};
  };
  struct Slots {
    explicit Slots(usize bits) : shift(64 - bits), mask((usize{1} << bits) - 1), at(usize{1} << bits) {}
    unsigned shift;
    usize mask;
    std::vector<Slot> at;
    [[nodiscard]] usize start(const u8* code, u64 key) const {
      // Fibonacci hashing; code addresses differ in the middle bits, keys in the low ones.
      return ((reinterpret_cast<u64>(code) >> 2) ^ (key << 44) ^ (key >> 20)) * 0x9e37'79b9'7f4a'7c15U >> shift;
    }
  };
  void place(Slots& slots, TranslatedBlock* block);

  std::vector<std::unique_ptr<Slots>> generations_;  // old ones stay for readers inside them, until clear
  std::atomic<Slots*> current_;
  usize used_ = 0;
};

}  // namespace solder::run
