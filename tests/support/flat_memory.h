/// Guest memory for IR tests: an array at a virtual address. What lies outside, and unaligned accesses that ask for
/// alignment, fault.
#pragma once

#include <cstring>
#include <vector>

#include "base/bits.h"
#include "translator/ir/guest.h"

namespace solder::test {

class FlatMemory final : public ir::MemoryPort {
 public:
  FlatMemory(u64 base, usize size) : base_(base), bytes_(size) {}

  [[nodiscard]] u64 base() const { return base_; }
  [[nodiscard]] std::vector<u8>& bytes() { return bytes_; }
  [[nodiscard]] const std::vector<u8>& bytes() const { return bytes_; }

  /// The last access that faulted.
  [[nodiscard]] bool faulted() const { return faulted_; }
  [[nodiscard]] u64 fault_address() const { return fault_address_; }
  void clear_fault() { faulted_ = false; }

  bool load(u64 address, ir::MemAttr attr, ir::V128& value) override {
    if (!check(address, attr, attr.align == ir::Align::natural)) return false;
    value = read(address, attr);
    return true;
  }

  bool store(u64 address, ir::MemAttr attr, const ir::V128& value) override {
    if (!check(address, attr, attr.align == ir::Align::natural)) return false;
    write(address, attr, value);
    return true;
  }

  bool compare_exchange(u64 address, ir::MemAttr attr, const ir::V128& expected, const ir::V128& desired,
                        ir::V128& old) override {
    if (!check(address, attr, true)) return false;
    old = read(address, attr);
    if (std::memcmp(&old, &expected, attr.bytes()) == 0) write(address, attr, desired);
    return true;
  }

  bool read_modify_write(u64 address, ir::MemAttr attr, ir::Rmw operation, u64 operand, u64& old) override {
    if (!check(address, attr, true)) return false;
    const unsigned bits = attr.bytes() * 8;
    old = read(address, attr).d[0];
    ir::V128 value{};
    value.d[0] = combine(operation, old, operand & mask64(bits), bits) & mask64(bits);
    write(address, attr, value);
    return true;
  }

  void fence(ir::Order /*order*/) override {}

 private:
  static u64 combine(ir::Rmw operation, u64 old, u64 operand, unsigned bits) {
    const i64 signed_old = sign_extend(old, bits);
    const i64 signed_operand = sign_extend(operand, bits);
    switch (operation) {
      case ir::Rmw::add:
        return old + operand;
      case ir::Rmw::clear:
        return old & ~operand;
      case ir::Rmw::exclusive_or:
        return old ^ operand;
      case ir::Rmw::set:
        return old | operand;
      case ir::Rmw::smax:
        return signed_old > signed_operand ? old : operand;
      case ir::Rmw::smin:
        return signed_old < signed_operand ? old : operand;
      case ir::Rmw::umax:
        return old > operand ? old : operand;
      case ir::Rmw::umin:
        return old < operand ? old : operand;
      case ir::Rmw::swap:
        return operand;
    }
    return operand;
  }

  bool check(u64 address, ir::MemAttr attr, bool aligned) {
    const u64 offset = address - base_;
    const bool inside = offset < bytes_.size() && bytes_.size() - offset >= attr.bytes();
    if (inside && (!aligned || (address & (attr.bytes() - 1)) == 0)) return true;
    faulted_ = true;
    fault_address_ = address;
    return false;
  }

  ir::V128 read(u64 address, ir::MemAttr attr) const {
    ir::V128 value{};
    std::memcpy(&value, bytes_.data() + (address - base_), attr.bytes());
    if (attr.big_endian) reverse(value, attr.bytes());
    return value;
  }

  void write(u64 address, ir::MemAttr attr, ir::V128 value) {
    if (attr.big_endian) reverse(value, attr.bytes());
    std::memcpy(bytes_.data() + (address - base_), &value, attr.bytes());
  }

  static void reverse(ir::V128& value, unsigned count) {
    for (unsigned i = 0; i < count / 2; ++i) std::swap(value.b[i], value.b[count - 1 - i]);
  }

  u64 base_;
  std::vector<u8> bytes_;
  bool faulted_ = false;
  u64 fault_address_ = 0;
};

}  // namespace solder::test
