/// The slow path of every guest memory access: walks, devices, page crossings, code pages, atomics, faults.
#pragma once

#include <optional>

#include "memory/address_space.h"
#include "translator/ir/guest.h"
#include "translator/run/code_cache.h"
#include "translator/run/context_pool.h"
#include "translator/run/mailbox.h"
#include "translator/run/options.h"

namespace solder::run {

struct MemoryCounts {
  u64 slow_accesses = 0;
  u64 walks = 0;
  u64 device_accesses = 0;
  u64 code_page_stores = 0;
};

/// What the memory slow path needs done by its vCPU.
class GuestMemoryOwner {
 public:
  virtual ~GuestMemoryOwner() = default;
  /// A store is about to change code that the running block may be made of: leave the block, run this instruction
  /// alone.
  virtual void retry_alone() = 0;
  /// Around calls into devices: meanwhile others need not wait for this vCPU.
  virtual void leave_for_device() = 0;
  virtual void back_from_device() = 0;
};

/// One vCPU's view of memory. Owning thread only.
class GuestMemory final : public ir::MemoryPort {
 public:
  GuestMemory(ir::GuestCpu& guest, memory::AddressSpace& space, CodeCache& code, ContextPool& pool, u32 index,
              const TranslatorOptions& options, GuestMemoryOwner& owner)
      : guest_(guest),
        space_(space),
        code_(code),
        pool_(pool),
        writer_bit_(static_cast<u8>(1U << (index % 8))),
        options_(options),
        owner_(owner) {}

  bool load(u64 address, ir::MemAttr attr, ir::V128& value) override;
  bool store(u64 address, ir::MemAttr attr, const ir::V128& value) override;
  bool compare_exchange(u64 address, ir::MemAttr attr, const ir::V128& expected, const ir::V128& desired,
                        ir::V128& old) override;
  bool read_modify_write(u64 address, ir::MemAttr attr, ir::Rmw operation, u64 operand, u64& old) override;
  void fence(ir::Order order) override;

  /// Where code at `pc` lies. Empty: a fault was raised. `ram` null: not in RAM, fetch through the space at `physical`.
  struct Code {
    memory::Ram* ram = nullptr;
    u64 offset = 0;
    Gpa physical = 0;
  };
  [[nodiscard]] std::optional<Code> find_code(u64 pc);
  /// While one instruction runs alone, stores to its own code need no retry.
  void set_alone(bool alone) { alone_ = alone; }
  [[nodiscard]] const MemoryCounts& counts() const { return counts_; }

 private:
  /// A byte's place. host is null for devices.
  struct Place {
    u8* host = nullptr;
    Gpa physical = 0;
    const memory::FlatRange* range = nullptr;
    bool device = false;
  };
  /// False: a fault was raised.
  bool find(u64 address, unsigned size, ir::AccessKind kind, ir::MmuIndex mmu, Place& place);
  bool raise(const ir::MemoryFault& fault);
  bool load_raw(u64 address, ir::MemAttr attr, ir::V128& value);
  bool store_raw(u64 address, ir::MemAttr attr, const ir::V128& value);
  void open_fast_path(PooledContext& context, usize index, ir::AccessKind kind);

  u64 device_load(const Place& place, unsigned size);
  void device_store(const Place& place, unsigned size, u64 value);
  bool device_read(u64 address, const Place& place, unsigned size, ir::V128& value);
  bool device_write(u64 address, const Place& place, unsigned size, const ir::V128& value);
  /// Whether `size` bytes at `place` are code that the running instruction's page may be executing.
  [[nodiscard]] bool hits_running_code(const Place& place, unsigned size);
  bool before_store(const Place& place, unsigned size);
  void after_store(const Place& place, unsigned size);

  ir::GuestCpu& guest_;
  memory::AddressSpace& space_;
  CodeCache& code_;
  ContextPool& pool_;
  u8 writer_bit_;
  const TranslatorOptions& options_;
  GuestMemoryOwner& owner_;
  bool alone_ = false;
  PooledContext* only_context_ = nullptr;  // the one-entry TLB: where its entry is
  usize only_index_ = 0;
  MemoryCounts counts_;
};

}  // namespace solder::run
