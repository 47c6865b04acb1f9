/// An arm64 CPU with RAM and a slow, simple way of running code: every access walks the page tables.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "guest/arm64/cpu.h"
#include "memory/address_space.h"
#include "time/clock.h"
#include "translator/interpreter/interpreter.h"

namespace solder::arm64::test {

inline constexpr Gpa kRam = 0x40000000;
inline constexpr u64 kRamSize = 4_MiB;
inline constexpr u64 kVectors = kRam + 0x800;
inline constexpr u64 kCode = kRam + 0x2000;

/// Remembers what the guest asked for.
class RecordingTlb final : public ir::TlbControl {
 public:
  void flush_all(bool broadcast) override { note("all", broadcast); }
  void flush_asid(u32 asid, bool broadcast) override { note("asid " + std::to_string(asid), broadcast); }
  void flush_range(u64 address, u64 length, std::optional<u32> asid, bool broadcast) override {
    note("range " + std::to_string(address) + "+" + std::to_string(length) +
             (asid ? " of " + std::to_string(*asid) : ""),
         broadcast);
  }
  void barrier() override { calls.push_back("barrier"); }
  void regime_changed() override { ++regime_changes; }

  std::vector<std::string> calls;
  unsigned regime_changes = 0;

 private:
  void note(const std::string& what, bool broadcast) { calls.push_back(what + (broadcast ? " everywhere" : "")); }
};

class Machine : public ir::MemoryPort {
 public:
  explicit Machine(time::Clock* clock = nullptr, time::TimerQueue* timers = nullptr)
      : space_("memory"), ram_(memory::Ram::create("ram", kRamSize).value()) {
    memory::Region region;
    region.name = "ram";
    region.start = kRam;
    region.size = kRamSize;
    region.ram = ram_.get();
    EXPECT_TRUE(space_.add(region).has_value());
    cpu::CpuRequest request;
    request.memory = &space_;
    request.clock = clock;
    request.timers = timers;
    cpu_ = std::make_unique<Arm64Cpu>(request);
    cpu_->attach(tlb);
    interpreter_ = std::make_unique<interpreter::Interpreter>(cpu_->helpers(), *this);
    s().core.pc = kCode;
    s().vbar_el1 = kVectors;
    s().cpacr_el1 = u64{3} << 20;
    cpu_->mode_changed();
  }

  Arm64Cpu& cpu() { return *cpu_; }
  Arm64State& s() { return cpu_->arch(); }

  void put(Gpa address, std::initializer_list<u32> words) {
    for (const u32 word : words) {
      write(address, word, 4);
      address += 4;
    }
  }
  void write(Gpa address, u64 value, unsigned size = 8) {
    std::memcpy(space_.ram_pointer(address, size), &value, size);
  }
  u64 read(Gpa address, unsigned size = 8) {
    u64 value = 0;
    std::memcpy(&value, space_.ram_pointer(address, size), size);
    return value;
  }

  /// Puts the words at kCode and runs that many instructions, one block each.
  void run(std::initializer_list<u32> words) {
    put(kCode, words);
    s().core.pc = kCode;
    for (usize n = 0; n < words.size(); ++n) step();
  }

  /// One instruction, or the exception of its fetch.
  void step() {
    const u64 pc = s().core.pc;
    const auto found = cpu_->walk(pc, ir::AccessKind::execute, ir::MmuIndex::current);
    if (!found) return cpu_->raise_memory_fault(found.error());
    ir::TranslateRequest request;
    request.pc = pc;
    request.code = {space_.ram_pointer(found->physical, 4), 4};
    request.key = cpu_->key();
    request.single = true;
    cpu_->translate(request, block);
    EXPECT_EQ(ir::verify(block), "") << ir::print(block);
    interpreter_->run(block, pc, s().core);
  }

  void go_to_el0() {
    cpu_->set_level(0, 0);
    cpu_->mode_changed();
  }

  [[nodiscard]] u32 exception_class() { return static_cast<u32>(s().esr_el1 >> 26); }

  // MemoryPort
  bool load(u64 address, ir::MemAttr attr, ir::V128& value) override {
    u8* host = translate(address, attr, ir::AccessKind::read);
    if (host == nullptr) return false;
    value = {};
    std::memcpy(&value, host, attr.bytes());
    return true;
  }
  bool store(u64 address, ir::MemAttr attr, const ir::V128& value) override {
    u8* host = translate(address, attr, ir::AccessKind::write);
    if (host == nullptr) return false;
    std::memcpy(host, &value, attr.bytes());
    return true;
  }
  bool compare_exchange(u64 address, ir::MemAttr attr, const ir::V128& expected, const ir::V128& desired,
                        ir::V128& old) override {
    u8* host = translate(address, attr, ir::AccessKind::write);
    if (host == nullptr) return false;
    old = {};
    std::memcpy(&old, host, attr.bytes());
    if (std::memcmp(&old, &expected, attr.bytes()) == 0) std::memcpy(host, &desired, attr.bytes());
    return true;
  }
  bool read_modify_write(u64, ir::MemAttr, ir::Rmw, u64, u64&) override { return false; }
  void fence(ir::Order) override {}

  RecordingTlb tlb;
  ir::Block block;

 private:
  u8* translate(u64 address, ir::MemAttr attr, ir::AccessKind kind) {
    if (attr.align == ir::Align::natural && (address & (attr.bytes() - 1)) != 0) {
      cpu_->raise_memory_fault(cpu_->alignment_fault(address, kind));
      return nullptr;
    }
    const auto found = cpu_->walk(address, kind, attr.mmu);
    if (!found) {
      cpu_->raise_memory_fault(found.error());
      return nullptr;
    }
    u8* host = space_.ram_pointer(found->physical, attr.bytes());
    if (host == nullptr) cpu_->raise_memory_fault(cpu_->bus_fault(address, kind));
    return host;
  }

  memory::AddressSpace space_;
  std::unique_ptr<memory::Ram> ram_;
  std::unique_ptr<Arm64Cpu> cpu_;
  std::unique_ptr<interpreter::Interpreter> interpreter_;
};

}  // namespace solder::arm64::test
