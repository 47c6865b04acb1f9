/// Registers declared as data. From one declaration come dispatch, access rules, names in traces and `explain`,
/// and what the register fuzzer drives.
#pragma once

#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/types.h"
#include "memory/mmio.h"

namespace solder::device {

enum class RegisterAccess : u8 { read_only, write_only, read_write };

using ReadFn = std::function<u32()>;
using WriteFn = std::function<void(u32)>;
/// For banks of equal registers: the index within the bank.
using ReadIndexFn = std::function<u32(u32 index)>;
using WriteIndexFn = std::function<void(u32 index, u32 value)>;

/// One declared register, or a bank of `count` registers `stride` bytes apart.
struct Register {
  std::string name;
  u64 offset = 0;
  unsigned width = 4;  ///< bytes: 1, 2, 4, 8
  u32 count = 1;
  u32 stride = 4;
  RegisterAccess access = RegisterAccess::read_write;
  u64 write_mask = ~u64{0};
  std::function<u64(u32 index)> read;
  std::function<void(u32 index, u64 value)> write;
};

/// A window made of registers. An access wider than a register is split over its neighbours. A narrow read gets its
/// part of the register; a narrow write at a register's first byte writes the whole register, zero-extended; one that
/// starts inside a register needs `allow_narrow`, and is shifted to its place. The rest, and holes, are RAZ/WI and
/// counted. All handlers run under the model's lock.
class RegisterBlock final : public memory::MmioHandler {
 public:
  RegisterBlock(std::string owner, u64 size, std::mutex& lock);

  /// A register whose handlers do everything. Pass an empty function for a side that does nothing.
  RegisterBlock& reg(std::string_view name, u64 offset, ReadFn read, WriteFn write);
  RegisterBlock& ro(std::string_view name, u64 offset, ReadFn read);
  RegisterBlock& wo(std::string_view name, u64 offset, WriteFn write);
  /// A constant.
  RegisterBlock& constant(std::string_view name, u64 offset, u32 value);
  /// Plain storage with a mask of writable bits; `changed` runs after a write.
  RegisterBlock& rw(std::string_view name, u64 offset, u32& storage, u32 write_mask = ~u32{0},
                    std::function<void()> changed = {});
  RegisterBlock& ro(std::string_view name, u64 offset, const u32& storage);
  /// A bank of 32-bit registers.
  RegisterBlock& bank(std::string_view name, u64 offset, u32 count, ReadIndexFn read, WriteIndexFn write,
                      u32 stride = 4);
  /// Anything else: 8-, 16- or 64-bit registers, odd strides.
  RegisterBlock& add(Register reg);
  /// PrimeCell identification registers (0xfe0..0xffc) for a part number and designer/revision, as DDI 0183
  /// section 3.3.
  RegisterBlock& primecell_id(u16 part, u8 revision);
  /// Writes may start inside a register (byte-banked registers such as GICD_IPRIORITYR).
  RegisterBlock& allow_narrow();
  /// A write of `value`, of exactly `size` bytes at `offset`, is a doorbell (memory/write_hints.h).
  RegisterBlock& doorbell(u64 offset, unsigned size, u64 value) {
    hints_.doorbells.push_back({offset, size, value});
    return *this;
  }
  /// Writes within `size` bytes at `offset` may be made later (memory/write_hints.h).
  RegisterBlock& deferrable(u64 offset, u64 size) {
    hints_.deferrable.push_back({offset, size});
    return *this;
  }

  /// `work` runs after each access, without the model's lock: for what calls other models.
  RegisterBlock& afterwards(std::function<void()> work);

  u64 read(u64 offset, unsigned size) override;
  void write(u64 offset, unsigned size, u64 value) override;
  [[nodiscard]] const memory::WriteHints* write_hints() const override { return &hints_; }
  [[nodiscard]] std::string register_name(u64 offset) const override;

  /// The register at `offset`, or null.
  [[nodiscard]] const Register* find(u64 offset) const;
  [[nodiscard]] const std::vector<Register>& registers() const { return registers_; }
  [[nodiscard]] u64 size() const { return size_; }
  /// Accesses that hit no register or broke its rules, so far.
  [[nodiscard]] u64 stray_accesses() const { return stray_; }

 private:
  u64 read_locked(u64 offset, unsigned size);
  void write_locked(u64 offset, unsigned size, u64 value);

  std::string owner_;
  u64 size_;
  std::mutex& lock_;
  bool narrow_ = false;
  std::function<void()> afterwards_;
  u64 stray_ = 0;
  memory::WriteHints hints_;
  std::vector<Register> registers_;  // sorted by offset
};

}  // namespace solder::device
