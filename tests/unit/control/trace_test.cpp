// The trace of accesses.
#include "control/trace.h"

#include "control/trace_text.h"
#include "device/registers.h"
#include "running.h"

namespace solder::control {
namespace {

using testing::Running;

TEST(TraceRing, KeepsOrderAndSaysWhenItIsFull) {
  TraceRing ring(4);
  TraceRecord record;
  for (u64 i = 0; i < 4; ++i) {
    record.machine_ns = i;
    EXPECT_TRUE(ring.push(record));
  }
  EXPECT_FALSE(ring.push(record));
  for (u64 i = 0; i < 4; ++i) {
    ASSERT_TRUE(ring.pop(record));
    EXPECT_EQ(record.machine_ns, i);
  }
  EXPECT_FALSE(ring.pop(record));
  EXPECT_TRUE(ring.push(record));
}

TEST(TraceRing, SeveralThreadsLoseNothingThatWasTaken) {
  TraceRing ring(64);
  std::atomic<u64> pushed{0};
  std::atomic<bool> done{false};
  std::vector<std::thread> threads;
  for (u32 t = 0; t < 3; ++t)
    threads.emplace_back([&, t] {
      TraceRecord record;
      record.access.cpu = t;
      for (u64 i = 0; i < 20'000; ++i) {
        record.machine_ns = i;
        if (ring.push(record)) ++pushed;
      }
    });
  u64 popped = 0;
  std::array<u64, 3> last{};
  std::thread reader([&] {
    TraceRecord record;
    while (true) {
      const bool ended = done;
      while (ring.pop(record)) {
        ++popped;
        // Each thread's records come in its order.
        EXPECT_GE(record.machine_ns, last[record.access.cpu]);
        last[record.access.cpu] = record.machine_ns;
      }
      if (ended) break;
    }
  });
  for (auto& thread : threads) thread.join();
  done = true;
  reader.join();
  EXPECT_EQ(popped, pushed);
}

TEST(TraceText, NamesTheRegister) {
  std::mutex lock;
  device::RegisterBlock block("test", 0x100, lock);
  u32 storage = 0;
  block.rw("CTRL", 0x8, storage);
  block.bank(
      "BANK", 0x20, 4, [](u32) { return 0; }, [](u32, u32) {});
  const std::string owner = "/uart@9000000";
  TraceRecord record{{.cpu = 1,
                      .address = 0x9000008,
                      .size = 4,
                      .value = 0x90,
                      .owner = &owner,
                      .handler = &block,
                      .offset = 8,
                      .begin_ns = 5000,
                      .end_ns = 5300,
                      .exit_ns = 4100},
                     12'345'678'901};
  EXPECT_EQ(trace_text(record),
            "12.345678 cpu1 exit 1.2us  read  /uart@9000000 CTRL = 0x90  (4 bytes at 0x9000008)  model 0.3us");
  record.access.exit_ns = 0;
  record.access.write = true;
  record.access.port = true;
  record.access.size = 1;
  record.access.offset = 0x2a;
  EXPECT_EQ(trace_text(record),
            "12.345678 cpu1  write /uart@9000000 BANK[2]+2 = 0x90  (1 byte at port 0x9000008)  model 0.3us");
  record.access.offset = 0x40;
  EXPECT_EQ(register_name(record.access), "+0x40");
  EXPECT_EQ(trace_json(record)["value"], "0x90");
}

TEST(TraceFilter, TakesNodesAndWhatIsBelow) {
  const auto takes = [](const TraceFilter& filter, const std::string& owner, bool write) {
    memory::IoAccess access;
    access.owner = &owner;
    access.write = write;
    return filter.takes(access);
  };
  const TraceFilter filter{.nodes = {"/isa", "/uart@1"}, .writes = false};
  EXPECT_TRUE(takes(filter, "/isa", false));
  EXPECT_TRUE(takes(filter, "/isa/rtc", false));
  EXPECT_FALSE(takes(filter, "/isabel", false));
  EXPECT_FALSE(takes(filter, "/uart@10", false));
  EXPECT_FALSE(takes(filter, "/isa", true));
  EXPECT_TRUE(takes({}, "/anything", true));
}

TEST(Trace, StreamsToAClientUntilItsCount) {
  Running run;
  auto watcher = SocketClient::connect(run.directory.file("socket"));
  ASSERT_TRUE(watcher);
  const auto begun = watcher->ask({{"do", "trace"}, {"nodes", {"uart0"}}, {"reads", true}, {"count", 2}});
  ASSERT_TRUE(begun) << begun.error().text();
  EXPECT_TRUE((*begun)["kernel"].is_string());
  EXPECT_EQ((*begun)["nodes"][0], "/pl011@9000000");
  // The subscription begins right after its reply: ask until it ended.
  std::atomic<bool> ended{false};
  std::thread driver([&] {
    while (!ended) {
      (void)run.client->ask({{"do", "read"}, {"address", "0x9010000"}, {"width", 4}});  // the RTC: filtered
      (void)run.client->ask({{"do", "read"}, {"address", "0x9000018"}, {"width", 4}});
    }
  });
  u32 records = 0;
  while (const auto event = watcher->next()) {
    if ((*event)["event"] == "trace-end") break;
    ASSERT_EQ((*event)["event"], "io");
    EXPECT_EQ((*event)["node"], "/pl011@9000000");
    EXPECT_EQ((*event)["register"], "UARTFR");
    EXPECT_EQ((*event)["value"], "0x97");
    ++records;
  }
  ended = true;
  driver.join();
  EXPECT_EQ(records, 2U);
  EXPECT_FALSE(watcher->ask({{"do", "trace"}, {"nodes", {"/nowhere"}}}));
  EXPECT_TRUE(watcher->ask({{"do", "trace-stop"}}));
}

TEST(Trace, AFileHasAllFromTheStartAndAcrossResets) {
  testing::Directory directory;
  const std::string file = directory.file("trace");
  {
    Running run(file);
    run.ask({{"do", "write"}, {"address", "0x9000024"}, {"width", 4}, {"value", 0x1d}});  // UARTIBRD
    run.ask({{"do", "reset"}});
    Json status = Json::object();
    while (status.value("starts", 1) != 2) status = run.client->ask({{"do", "status"}}).value_or(Json::object());
    run.ask({{"do", "write"}, {"address", "0x9000024"}, {"width", 4}, {"value", 0x2e}});
  }
  std::stringstream text;
  text << std::ifstream(file).rdbuf();
  const usize first = text.str().find("write /pl011@9000000 UARTIBRD = 0x1d  (4 bytes at 0x9000024)");
  const usize second = text.str().find("write /pl011@9000000 UARTIBRD = 0x2e  (4 bytes at 0x9000024)");
  EXPECT_NE(first, std::string::npos) << text.str();
  EXPECT_NE(second, std::string::npos) << text.str();
  EXPECT_LT(first, second);
}

TEST(Trace, AFileThatCannotBeWrittenIsAnError) {
  EXPECT_FALSE(Server::create({{}, "/nowhere/trace", "test", ""}));
}

}  // namespace
}  // namespace solder::control
