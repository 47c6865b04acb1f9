// The state of a GIC in KVM is the record of the models here: what they save loads there, and comes back the same.
#include "models/gic/saved_state.h"
#include "unit/accel_kvm_arm64/board.h"

namespace solder::accel::kvm {
namespace {

using models::gic::InterruptState;
using models::gic::kSpecialIds;

constexpr const char* kGicV2 = R"(
&gic {
	compatible = "arm,cortex-a15-gic";
	reg = <0x0 0x08000000 0x0 0x10000>, <0x0 0x08010000 0x0 0x10000>;
	solder,backend = "kernel";
	/delete-property/ #redistributor-regions;
};
&its { status = "disabled"; };
)";

constexpr u32 kCpus = 2;
constexpr u32 kWords = 9;  // 256 SPIs, which a board with fewer wires has

/// Something in every field that a GIC in KVM has.
void fill(InterruptState& interrupts, bool lines) {
  u32 seed = 1;
  const auto next = [&seed] { return seed = seed * 1664525 + 1013904223; };
  const auto fill_word = [&](u32 cpu, u32 index) {
    models::gic::Word& word = interrupts.word(cpu, index);
    word.group1 = lines ? next() : 0;
    word.enabled = next();
    word.active = next() & next();
    word.edge = index == 0 ? 0xffff : next();  // SGIs are edges, and KVM's PPIs levels
    word.line = lines && index != 0 ? next() & ~word.edge : 0;
    // Level-triggered interrupts are latched by software only; SGIs of a GICv2 by a source.
    word.latched = next() & (index == 0 ? 0xffff0000 : ~u32{0}) & ~word.line;
    // The timers' and the PMU's inputs follow their devices.
    if (index == 0) word.latched &= ~(1U << 27 | 1U << 30 | 1U << 23);
    for (u32 n = 0; n < 32; ++n) interrupts.set_priority(cpu, index * 32 + n, static_cast<u8>(next() >> 24));
  };
  for (u32 cpu = 0; cpu < kCpus; ++cpu) fill_word(cpu, 0);
  for (u32 index = 1; index < kWords; ++index) fill_word(0, index);
}

void expect_round_trip(device::Device& gic, const std::vector<u8>& record) {
  auto loader = device::Archive::loader(record);
  gic.state(loader);
  ASSERT_TRUE(loader.status().has_value()) << loader.status().error().text();
  auto saver = device::Archive::saver();
  gic.state(saver);
  ASSERT_EQ(saver.data().size(), record.size());
  usize differences = 0;
  for (usize i = 0; i < record.size() && differences < 8; ++i) {
    if (saver.data()[i] == record[i]) continue;
    ++differences;
    ADD_FAILURE() << "byte " << i << " was " << u32{record[i]} << " and is " << u32{saver.data()[i]};
  }
}

TEST(KvmVgicState, GicV3) {
  SOLDER_NEEDS_KVM();
  auto board = Board::build(kTwoCpus);
  if (!board && board.error().text().find("no GICv3") != std::string::npos) {
    GTEST_SKIP() << "needs a host with a GICv3: " << board.error().text();
  }
  ASSERT_TRUE(board.has_value()) << board.error().text();
  InterruptState interrupts(kCpus);
  fill(interrupts, true);
  u32 control = 2;  // KVM's GICv3 has no group 0 for guests
  std::vector<u64> routers(kSpecialIds);
  for (u32 id = 32; id < kWords * 32; ++id) routers[id] = id & 1;
  std::vector<models::gic::CpuRecordV3> cpus(kCpus);
  for (u32 i = 0; i < kCpus; ++i) {
    cpus[i].flags = 4;
    cpus[i].interface.priority_mask = static_cast<u8>(0xf0 - 8 * i);
    cpus[i].interface.binary_point = {static_cast<u8>(3 + i), static_cast<u8>(4 + i)};
    cpus[i].interface.active_priorities = {0, 0x00010010};
    cpus[i].interface.drop_only = i == 1;
  }
  auto record = device::Archive::saver();
  models::gic::archive_v3(record, interrupts, control, routers, cpus);
  expect_round_trip((*board)->gic(), record.data());
}

TEST(KvmVgicState, GicV2) {
  SOLDER_NEEDS_KVM();
  auto board = Board::build(std::string(kTwoCpus) + kGicV2);
  if (!board && board.error().text().find("no GICv2") != std::string::npos) {
    GTEST_SKIP() << "needs a host with a GICv2: " << board.error().text();
  }
  ASSERT_TRUE(board.has_value()) << board.error().text();
  InterruptState interrupts(kCpus);
  fill(interrupts, false);
  u32 control = 1;
  std::vector<u8> targets(kSpecialIds);
  for (u32 id = 32; id < kWords * 32; ++id) targets[id] = static_cast<u8>(id % 4);
  std::vector<models::gic::CpuRecordV2> cpus(kCpus);
  for (u32 i = 0; i < kCpus; ++i) {
    // A software interrupt from the other CPU waits.
    cpus[i].sgi_sources[3 + i] = static_cast<u8>(1U << (1 - i));
    interrupts.word(i, 0).latched |= 1U << (3 + i);
    // PPIs that are pending without a latch of their own cannot be told from their inputs.
    interrupts.word(i, 0).latched &= 0xffff;
    cpus[i].control = 1;
    cpus[i].interface.priority_mask = static_cast<u8>(0xf0 - 8 * i);
    cpus[i].interface.binary_point = {static_cast<u8>(3 + i), static_cast<u8>(4 + i)};
    cpus[i].interface.active_priorities = {0x00010010, 0};
  }
  auto record = device::Archive::saver();
  models::gic::archive_v2(record, interrupts, control, targets, cpus);
  expect_round_trip((*board)->gic(), record.data());
}

}  // namespace
}  // namespace solder::accel::kvm
