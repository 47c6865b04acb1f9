#include "memory/address_space.h"

#include <gtest/gtest.h>

#include <thread>

#include "memory/dma.h"

namespace solder::memory {
namespace {

/// Answers reads with its tag and the offset; remembers the last write.
class Echo final : public MmioHandler {
 public:
  explicit Echo(u64 tag) : tag_(tag) {}
  u64 read(u64 offset, unsigned) override { return tag_ + offset; }
  void write(u64 offset, unsigned size, u64 value) override {
    last_offset = offset;
    last_size = size;
    last_value = value;
  }
  u64 last_offset = 0;
  unsigned last_size = 0;
  u64 last_value = 0;

 private:
  u64 tag_;
};

Region window(const char* name, Gpa start, u64 size, MmioHandler& handler, int priority = 0) {
  return {.name = name, .start = start, .size = size, .handler = &handler, .priority = priority};
}

TEST(AddressSpace, HolesAreNotThere) {
  AddressSpace space("memory");
  EXPECT_FALSE(space.load(0x1000, 4).ok);
  EXPECT_FALSE(space.store(0x1000, 4, 1));
  EXPECT_EQ(space.map().find(0), nullptr);
}

TEST(AddressSpace, HigherPriorityShowsAndOffsetsSurviveTheCut) {
  AddressSpace space("memory");
  Echo low(0x10000);
  Echo high(0x20000);
  ASSERT_TRUE(space.add(window("low", 0x1000, 0x3000, low)));
  const auto id = space.add(window("high", 0x2000, 0x1000, high, 1));
  ASSERT_TRUE(id);
  EXPECT_EQ(space.load(0x1010, 4).value, 0x10010U);
  EXPECT_EQ(space.load(0x2010, 4).value, 0x20010U);
  EXPECT_EQ(space.load(0x3010, 4).value, 0x12010U);
  EXPECT_EQ(space.map().ranges().size(), 3U);
  space.remove(*id);
  EXPECT_EQ(space.load(0x2010, 4).value, 0x11010U);
  EXPECT_EQ(space.map().ranges().size(), 1U);
}

TEST(AddressSpace, EqualPrioritiesMayNotOverlapAndTheErrorNamesBoth) {
  AddressSpace space("memory");
  Echo a(0);
  Echo b(0);
  ASSERT_TRUE(space.add(window("/uart@1000", 0x1000, 0x1000, a)));
  const auto second = space.add(window("/rtc@1800", 0x1800, 0x1000, b));
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().where, "/rtc@1800");
  EXPECT_NE(second.error().what.find("/uart@1000"), std::string::npos);
}

TEST(AddressSpace, ARangeMayEndAtTheVeryTopButNotWrap) {
  AddressSpace space("memory");
  Echo a(7);
  ASSERT_TRUE(space.add(window("top", ~u64{0} - 0xfff, 0x1000, a)));
  EXPECT_EQ(space.load(~u64{0} - 0xfff, 8).value, 7U);
  EXPECT_FALSE(space.add(window("wrap", ~u64{0} - 0xfff, 0x2000, a)));
}

TEST(AddressSpace, AnAliasShowsItsTargetNowAndLater) {
  AddressSpace space("memory");
  ASSERT_TRUE(space.add_alias("alias", 0x8000, 0x1000, 0x1000));
  EXPECT_FALSE(space.load(0x8000, 4).ok);
  Echo a(0x100);
  ASSERT_TRUE(space.add(window("dev", 0x1000, 0x1000, a)));
  EXPECT_EQ(space.load(0x8004, 4).value, 0x104U);
}

TEST(AddressSpace, MovesAWindowAndTellsListeners) {
  AddressSpace space("memory");
  Echo a(0);
  const auto id = space.add(window("bar", 0x1000, 0x1000, a));
  ASSERT_TRUE(id);
  Gpa seen = 0;
  space.listen([&](const FlatMap&, const FlatMap& after) { seen = after.ranges().front().start; });
  ASSERT_TRUE(space.move(*id, 0x5000));
  EXPECT_EQ(seen, 0x5000U);
  EXPECT_TRUE(space.load(0x5000, 4).ok);
  EXPECT_FALSE(space.load(0x1000, 4).ok);
}

TEST(AddressSpace, BulkAccessCrossesPieces) {
  AddressSpace space("memory");
  auto ram = Ram::create("ram", 0x1000).value();
  auto more = Ram::create("more", 0x1000).value();
  ASSERT_TRUE(space.add({.name = "ram", .start = 0x1000, .size = 0x1000, .ram = ram.get()}));
  ASSERT_TRUE(space.add({.name = "more", .start = 0x2000, .size = 0x1000, .ram = more.get()}));
  const u64 pattern = 0x1122334455667788;
  EXPECT_TRUE(space.write(0x1ffc, &pattern, 8));
  EXPECT_EQ(ram->host()[0xffc], 0x88);
  EXPECT_EQ(more->host()[3], 0x11);
  u64 back = 0;
  EXPECT_TRUE(space.read(0x1ffc, &back, 8));
  EXPECT_EQ(back, pattern);
  EXPECT_FALSE(space.read(0x2ffc, &back, 8));
  EXPECT_EQ(space.ram_pointer(0x1ffc, 8), nullptr);
  EXPECT_EQ(space.ram_pointer(0x1ff8, 8), ram->host() + 0xff8);
}

TEST(AddressSpace, ReadOnlyRamDropsStores) {
  AddressSpace space("memory");
  auto rom = Ram::create("rom", 0x1000).value();
  rom->host()[0] = 0x5a;
  ASSERT_TRUE(space.add({.name = "rom", .start = 0, .size = 0x1000, .ram = rom.get(), .read_only = true}));
  EXPECT_TRUE(space.store(0, 1, 0));
  EXPECT_EQ(space.load(0, 1).value, 0x5aU);
}

class Recorder final : public IoObserver {
 public:
  void accessed(const IoAccess& access) noexcept override { seen.push_back(access); }
  std::vector<IoAccess> seen;
};

TEST(AddressSpace, AnObserverIsToldOfDevicesOnly) {
  AddressSpace space("memory");
  Echo device(0x70);
  auto ram = Ram::create("ram", kPageSize);
  ASSERT_TRUE(ram);
  ASSERT_TRUE(space.add(window("/device", 0x1000, 0x100, device)));
  ASSERT_TRUE(space.add({.name = "/ram", .start = 0x10000, .size = kPageSize, .ram = ram->get()}));
  Recorder recorder;
  EXPECT_FALSE(space.observed());
  EXPECT_TRUE(space.store(0x1008, 4, 5));
  space.observe(&recorder);
  EXPECT_TRUE(space.observed());
  EXPECT_TRUE(space.store(0x10000, 4, 5));
  EXPECT_TRUE(space.store(0x1008, 4, 0x1234));
  EXPECT_EQ(space.load(0x1004, 2).value, 0x74U);
  const FlatRange* range = space.map().find(0x1000);
  ASSERT_NE(range, nullptr);
  EXPECT_EQ(space.read_window(*range, 0x1001, 1, 77), 0x71U);
  space.observe(nullptr);
  EXPECT_TRUE(space.store(0x1008, 4, 6));
  ASSERT_EQ(recorder.seen.size(), 3U);
  const IoAccess& store = recorder.seen[0];
  EXPECT_TRUE(store.write);
  EXPECT_FALSE(store.port);
  EXPECT_EQ(store.address, 0x1008U);
  EXPECT_EQ(store.offset, 8U);
  EXPECT_EQ(store.size, 4);
  EXPECT_EQ(store.value, 0x1234U);
  EXPECT_EQ(*store.owner, "/device");
  EXPECT_EQ(store.handler, &device);
  EXPECT_GE(store.end_ns, store.begin_ns);
  EXPECT_EQ(store.exit_ns, 0U);
  EXPECT_FALSE(recorder.seen[1].write);
  EXPECT_EQ(recorder.seen[1].value, 0x74U);
  EXPECT_EQ(recorder.seen[2].exit_ns, 77U);
  EXPECT_EQ(device.last_value, 6U);
}

TEST(AddressSpace, ReadersNeedNoLockWhileTheMapChanges) {
  AddressSpace space("memory");
  Echo fixed(1);
  Echo moving(2);
  ASSERT_TRUE(space.add(window("fixed", 0x1000, 0x1000, fixed)));
  const auto id = space.add(window("moving", 0x10000, 0x1000, moving));
  std::atomic<bool> stop{false};
  u64 wrong = 0;
  std::thread reader([&] {
    while (!stop) wrong += space.load(0x1000, 4).value == 1 ? 0 : 1;
  });
  for (u64 i = 0; i < 200; ++i) ASSERT_TRUE(space.move(*id, 0x10000 + i * 0x1000));
  stop = true;
  reader.join();
  EXPECT_EQ(wrong, 0U);
}

class Watcher final : public CodeWatcher {
 public:
  void code_written(Ram&, u64 offset, u64 length) override { hits.emplace_back(offset, length); }
  std::vector<std::pair<u64, u64>> hits;
};

TEST(Ram, EveryWriterReachesDirtyBitsAndTheCodeWatcher) {
  AddressSpace space("memory");
  auto ram = Ram::create("ram", 0x100000).value();
  ASSERT_TRUE(space.add({.name = "ram", .start = 0x40000000, .size = 0x100000, .ram = ram.get()}));
  Watcher watcher;
  ram->set_code_watcher(&watcher);
  ram->set_code_page(0x3000, true);
  ASSERT_TRUE(ram->start_tracking(DirtyClient::migration));
  const DmaPort dma(space);
  const u32 word = 1;
  EXPECT_TRUE(dma.store(0x40001000, word));
  EXPECT_TRUE(watcher.hits.empty());
  EXPECT_TRUE(space.store(0x40003010, 4, 7));
  ASSERT_EQ(watcher.hits.size(), 1U);
  EXPECT_EQ(watcher.hits[0], (std::pair<u64, u64>{0x3010, 4}));
  EXPECT_TRUE(dma.store(0x40002ffe, word));  // reaches two bytes into the code page
  EXPECT_EQ(watcher.hits.size(), 2U);
  EXPECT_EQ(ram->take_dirty(DirtyClient::migration, 0), 0b1110U);
  EXPECT_EQ(ram->take_dirty(DirtyClient::migration, 0), 0U);
}

TEST(Ram, ClientsClearTheirOwnBitsOnly) {
  auto ram = Ram::create("ram", 0x10000).value();
  ASSERT_TRUE(ram->start_tracking(DirtyClient::migration));
  ASSERT_TRUE(ram->start_tracking(DirtyClient::display));
  ram->mark_written(0x2000, 1);
  EXPECT_EQ(ram->take_dirty(DirtyClient::migration, 0), 4U);
  EXPECT_TRUE(ram->dirty(DirtyClient::display, 0x2000));
  ram->stop_tracking(DirtyClient::display);
  EXPECT_FALSE(ram->dirty(DirtyClient::display, 0x2000));
}

/// An accelerator: refuses, or tells of one page at a time.
class Source final : public DirtySource {
 public:
  Status tracking_changed(Ram& ram) override {
    tracked.push_back(ram.tracking());
    if (refuses) return fail("host", "cannot track");
    return {};
  }
  Status collect(Ram& ram) override {
    ram.mark_dirty(page++ * kPageSize, 1);
    return {};
  }
  std::vector<bool> tracked;
  bool refuses = false;
  u64 page = 4;
};

TEST(Ram, AsksItsAcceleratorForWhatTheGuestWrote) {
  auto ram = Ram::create("ram", 0x10000).value();
  auto source = std::make_shared<Source>();
  ram->set_dirty_source(source);
  ASSERT_TRUE(ram->start_tracking(DirtyClient::migration));
  EXPECT_EQ(source->tracked, std::vector<bool>{true});
  ram->mark_written(0, 1);
  ASSERT_TRUE(ram->collect_dirty());
  EXPECT_EQ(ram->take_dirty(DirtyClient::migration, 0), 0b10001U);
  ASSERT_TRUE(ram->start_tracking(DirtyClient::watch));
  ram->stop_tracking(DirtyClient::watch);
  EXPECT_TRUE(source->tracked.back()) << "one client is left";
  ram->stop_tracking(DirtyClient::migration);
  EXPECT_FALSE(source->tracked.back());
  source->refuses = true;
  const Status refused = ram->start_tracking(DirtyClient::migration);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().what, "cannot track");
  EXPECT_FALSE(ram->tracking()) << "as before";
  // An accelerator that has gone has nothing to tell.
  source.reset();
  ASSERT_TRUE(ram->start_tracking(DirtyClient::migration));
  EXPECT_TRUE(ram->collect_dirty());
  EXPECT_EQ(ram->take_dirty(DirtyClient::migration, 0), 0U);
}

class Nobody final : public IoObserver {
 public:
  void accessed(const IoAccess&) noexcept override {}
};

TEST(AddressSpace, TellsWhetherSomebodyWatches) {
  AddressSpace space("memory");
  std::vector<bool> told;
  space.listen_observation([&](bool observed) {
    told.push_back(observed);
    EXPECT_EQ(space.observed(), observed);
  });
  Nobody observer;
  space.observe(&observer);
  space.observe(nullptr);
  EXPECT_EQ(told, (std::vector<bool>{true, false}));
}

TEST(Ram, RejectsSizesThatAreNoPages) {
  EXPECT_FALSE(Ram::create("ram", 1000));
}

TEST(Dma, WindowsTranslateAndBound) {
  AddressSpace space("memory");
  auto ram = Ram::create("ram", 0x10000).value();
  ASSERT_TRUE(space.add({.name = "ram", .start = 0x80000000, .size = 0x10000, .ram = ram.get()}));
  const DmaPort dma(space, {{.bus = 0, .cpu = 0x80000000, .size = 0x8000}});
  const u32 value = 0xcafe;
  EXPECT_TRUE(dma.store(0x10, value));
  EXPECT_EQ(ram->host()[0x10], 0xfe);
  EXPECT_FALSE(dma.store(0x7ffe, value));  // runs out of the window: nothing is written
  EXPECT_EQ(ram->host()[0x7ffe], 0);
  u32 back = 1;
  EXPECT_FALSE(dma.load(0x9000, back));
  EXPECT_EQ(back, 0U);
  std::vector<iovec> pieces;
  EXPECT_TRUE(dma.map(0x20, 0x100, pieces));
  EXPECT_EQ(pieces.size(), 1U);
  EXPECT_FALSE(dma.map(~u64{0} - 4, 0x100, pieces));
  EXPECT_EQ(pieces.size(), 1U);
}

TEST(Dma, DoesNotReachWindows) {
  AddressSpace space("memory");
  Echo device(0);
  ASSERT_TRUE(space.add(window("dev", 0, 0x1000, device)));
  const DmaPort dma(space);
  u32 value = 0;
  EXPECT_FALSE(dma.load(0, value));
  EXPECT_EQ(dma.pointer(0, 4), nullptr);
}

}  // namespace
}  // namespace solder::memory
