#include "models/virtio/queue.h"

#include <gtest/gtest.h>

#include <random>

#include "support/virtio_driver.h"

namespace solder::models::virtio {
namespace {

using testing::Buffer;
using testing::DriverRing;
using testing::FakeMachine;

constexpr u64 kBase = FakeMachine::kRamBase;
constexpr u64 kData = kBase + 0x20000;

struct Fixture {
  explicit Fixture(bool packed, u16 size = 8, bool event_index = false)
      : dma(machine.space), ring(machine.space, kBase, size, packed), queue(dma) {
    queue.start({.size = size,
                 .descriptors = ring.descriptors,
                 .driver = ring.driver,
                 .device = ring.device,
                 .packed = packed,
                 .event_index = event_index,
                 .indirect = true});
  }
  FakeMachine machine;
  memory::DmaPort dma;
  DriverRing ring;
  Queue queue;
};

class QueueTest : public ::testing::TestWithParam<bool> {};

TEST_P(QueueTest, ChainsGoRoundTheRingManyTimes) {
  Fixture f(GetParam());
  for (u32 round = 0; round < 100; ++round) {
    f.ring.add({{kData, 16, false}, {kData + 64, 8 + round, true}, {kData + 256, 8, true}});
    Chain chain;
    ASSERT_TRUE(f.queue.pop(chain));
    ASSERT_EQ(chain.readable.size(), 1U);
    ASSERT_EQ(chain.writable.size(), 2U);
    EXPECT_EQ(chain.writable_bytes(), 16 + round);
    Chain none;
    EXPECT_FALSE(f.queue.pop(none));
    f.queue.push(chain, round);
    u32 id = 0;
    u32 written = 0;
    ASSERT_TRUE(f.ring.take(id, written));
    EXPECT_EQ(written, round);
    EXPECT_FALSE(f.ring.take(id, written));
  }
  EXPECT_TRUE(f.queue.broken().empty());
}

TEST_P(QueueTest, IndirectTablesAreOneRequest) {
  Fixture f(GetParam());
  for (u32 round = 0; round < 20; ++round) {
    f.ring.add({{kData, 16, false}, {kData + 64, 100, true}, {kData + 256, 1, true}}, kData + 0x1000);
    Chain chain;
    ASSERT_TRUE(f.queue.pop(chain)) << f.queue.broken();
    EXPECT_EQ(chain.readable_bytes(), 16U);
    EXPECT_EQ(chain.writable_bytes(), 101U);
    f.queue.push(chain, 101);
    u32 id = 0;
    u32 written = 0;
    ASSERT_TRUE(f.ring.take(id, written));
  }
}

TEST_P(QueueTest, AChainThatIsPutBackComesAgain) {
  Fixture f(GetParam());
  for (u32 round = 0; round < 10; ++round) {
    f.ring.add({{kData, 1, false}, {kData, 1 + round, false}, {kData, 1, false}});
    Chain first;
    ASSERT_TRUE(f.queue.pop(first));
    f.queue.unpop(first);
    Chain again;
    ASSERT_TRUE(f.queue.pop(again));
    EXPECT_EQ(again.id, first.id);
    EXPECT_EQ(again.readable_bytes(), 3 + round);
    f.queue.push(again, 0);
    u32 id = 0;
    u32 written = 0;
    ASSERT_TRUE(f.ring.take(id, written));
  }
}

TEST_P(QueueTest, InterruptsFollowTheDriversWish) {
  Fixture f(GetParam());
  const auto one = [&] {
    f.ring.add({{kData, 1, false}});
    Chain chain;
    ASSERT_TRUE(f.queue.pop(chain));
    f.queue.push(chain, 0);
    u32 id = 0;
    u32 written = 0;
    f.ring.take(id, written);
  };
  EXPECT_FALSE(f.queue.wants_interrupt());
  one();
  EXPECT_TRUE(f.queue.wants_interrupt());
  EXPECT_FALSE(f.queue.wants_interrupt());
  // VIRTQ_AVAIL_F_NO_INTERRUPT, RING_EVENT_FLAGS_DISABLE
  f.ring.put<u16>(GetParam() ? f.ring.driver + 2 : f.ring.driver, 1);
  one();
  EXPECT_FALSE(f.queue.wants_interrupt());
}

TEST_P(QueueTest, EventIndexInterruptsOnlyWhenTheEventIsPassed) {
  Fixture f(GetParam(), 8, true);
  u32 interrupts = 0;
  for (u16 i = 0; i < 40; ++i) {
    // Wants one interrupt at every fourth buffer.
    const u16 target = static_cast<u16>(i / 4 * 4 + 3);
    if (GetParam()) {
      const bool wrap = (target / 8) % 2 == 0;
      f.ring.put<u16>(f.ring.driver, static_cast<u16>(target % 8 | (wrap ? 0x8000 : 0)));
      f.ring.put<u16>(f.ring.driver + 2, 2);
    } else {
      f.ring.put<u16>(f.ring.driver + 4 + 2 * 8, target);
    }
    f.ring.add({{kData, 1, false}});
    Chain chain;
    ASSERT_TRUE(f.queue.pop(chain));
    f.queue.push(chain, 0);
    u32 id = 0;
    u32 written = 0;
    ASSERT_TRUE(f.ring.take(id, written));
    const bool wanted = f.queue.wants_interrupt();
    EXPECT_EQ(wanted, i % 4 == 3) << i;
    interrupts += wanted ? 1 : 0;
  }
  EXPECT_EQ(interrupts, 10U);
}

TEST_P(QueueTest, EnablingNotificationsSeesWhatCameMeanwhile) {
  Fixture f(GetParam());
  f.queue.enable_notifications(false);
  EXPECT_FALSE(f.queue.enable_notifications(true));
  f.ring.add({{kData, 1, false}});
  EXPECT_TRUE(f.queue.enable_notifications(true));
}

TEST_P(QueueTest, WhateverTheRingHoldsNothingBreaksButTheQueue) {
  std::mt19937_64 random(GetParam() ? 1 : 2);
  for (u32 round = 0; round < 3000; ++round) {
    Fixture f(GetParam(), 8, round % 2 == 0);
    // Valid chains first, then noise over the structures: flags, indices, addresses, lengths.
    f.ring.add({{kData, 16, false}, {kData + 64, 8, true}}, round % 3 == 0 ? kData + 0x1000 : 0);
    for (u32 i = 0; i < 12; ++i) {
      const u64 areas[] = {f.ring.descriptors, f.ring.driver, f.ring.device, kData + 0x1000};
      f.ring.put<u8>(areas[random() % 4] + random() % 160, static_cast<u8>(random()));
    }
    for (u32 i = 0; i < 20; ++i) {
      Chain chain;
      if (!f.queue.pop(chain)) break;
      std::array<u8, 64> bytes{};
      read_chain(f.dma, chain.readable, random() % 70, bytes);
      write_chain(f.dma, chain.writable, random() % 70, bytes);
      f.queue.push(chain, static_cast<u32>(random()));
      f.queue.wants_interrupt();
    }
    f.queue.enable_notifications(true);
  }
}

INSTANTIATE_TEST_SUITE_P(Rings, QueueTest, ::testing::Bool(),
                         [](const auto& param) { return param.param ? "packed" : "split"; });

TEST(Queue, ALoopIsNamed) {
  Fixture f(false);
  f.ring.add({{kData, 16, false}, {kData, 16, false}});
  f.ring.put<u16>(f.ring.descriptors + 16 + 12, 1);  // the second has a next …
  f.ring.put<u16>(f.ring.descriptors + 16 + 14, 0);  // … the first
  Chain chain;
  EXPECT_FALSE(f.queue.pop(chain));
  EXPECT_NE(f.queue.broken().find("loop"), std::string::npos);
}

TEST(Queue, ARingOutsideMemoryIsBroken) {
  FakeMachine machine;
  const memory::DmaPort dma(machine.space);
  Queue queue(dma);
  queue.start({.size = 8, .descriptors = 0, .driver = 0x1000, .device = 0x2000});
  Chain chain;
  EXPECT_FALSE(queue.pop(chain));
  EXPECT_FALSE(queue.broken().empty());
}

TEST(Chain, CopiesAcrossSegmentsFromAnOffset) {
  FakeMachine machine;
  const memory::DmaPort dma(machine.space);
  const std::vector<Segment> segments{{kData, 3}, {kData + 100, 5}};
  const std::array<u8, 8> in{1, 2, 3, 4, 5, 6, 7, 8};
  EXPECT_EQ(write_chain(dma, segments, 0, in), 8U);
  std::array<u8, 8> out{};
  EXPECT_EQ(read_chain(dma, segments, 2, out), 6U);
  EXPECT_EQ(out[0], 3);
  EXPECT_EQ(out[5], 8);
}

}  // namespace
}  // namespace solder::models::virtio
