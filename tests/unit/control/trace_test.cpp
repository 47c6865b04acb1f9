// The trace of accesses.
#include "control/trace.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include "control/trace_readers.h"
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

/// Records of a register's reads, and a file that they go to.
class FileTrace : public ::testing::Test {
 protected:
  FileTrace() {
    block_.rw("CTRL", 0x8, storage_);
    record_.access.owner = &owner_;
    record_.access.handler = &block_;
    record_.access.offset = 8;
  }
  void open(const std::string& path) {
    auto opened = FileTraceReader::open(path);
    ASSERT_TRUE(opened) << opened.error().text();
    reader_ = std::move(*opened);
  }
  bool put() { return reader_->record(record_); }

  std::unique_ptr<TraceReader> reader_;

 private:
  const std::string owner_ = "/uart@9000000";
  std::mutex lock_;
  u32 storage_ = 0;
  device::RegisterBlock block_{"test", 0x100, lock_};
  TraceRecord record_;
};

/// A named pipe with a reader, who reads when told.
class Pipe {
 public:
  Pipe() {
    EXPECT_EQ(::mkfifo(path().c_str(), 0600), 0);
    fd_ = UniqueFd(::open(path().c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
    ::fcntl(fd_.get(), F_SETPIPE_SZ, 4096);
  }
  std::string read() {
    std::string out;
    std::array<char, 4096> bytes;
    for (ssize_t n = 0; (n = ::read(fd_.get(), bytes.data(), bytes.size())) > 0;)
      out.append(bytes.data(), static_cast<usize>(n));
    return out;
  }
  void close() { fd_.reset(); }
  [[nodiscard]] std::string path() const { return directory_.file("pipe"); }

 private:
  testing::Directory directory_;
  UniqueFd fd_;
};

usize count(std::string_view text, std::string_view what) {
  usize found = 0;
  for (usize at = text.find(what); at != std::string_view::npos; at = text.find(what, at + what.size())) ++found;
  return found;
}

constexpr std::string_view kWarning = "the trace is not complete";

TEST_F(FileTrace, AFullDiskEndsItWithOneWarning) {
  open("/dev/full");
  ::testing::internal::CaptureStderr();
  EXPECT_TRUE(put());
  EXPECT_FALSE(reader_->flush());
  EXPECT_FALSE(put());
  EXPECT_FALSE(reader_->dropped(1));
  EXPECT_FALSE(reader_->flush());
  reader_.reset();
  const std::string told = ::testing::internal::GetCapturedStderr();
  EXPECT_EQ(count(told, kWarning), 1U) << told;
  EXPECT_NE(told.find("/dev/full: No space left on device"), std::string::npos) << told;
}

TEST_F(FileTrace, AReaderThatGoesEndsItAndNotTheProcess) {
  Pipe pipe;
  open(pipe.path());
  EXPECT_TRUE(put());
  EXPECT_TRUE(reader_->flush());
  EXPECT_EQ(count(pipe.read(), "CTRL"), 1U);
  pipe.close();
  ::testing::internal::CaptureStderr();
  EXPECT_TRUE(put());
  EXPECT_FALSE(reader_->flush());
  reader_.reset();
  EXPECT_EQ(count(::testing::internal::GetCapturedStderr(), kWarning), 1U);
}

TEST_F(FileTrace, AReaderThatStopsIsToldWhatItMissed) {
  Pipe pipe;
  open(pipe.path());
  constexpr usize kRecords = 100'000;  // more than is kept
  for (usize i = 0; i < kRecords; ++i) ASSERT_TRUE(put());
  ASSERT_TRUE(reader_->dropped(7));
  ASSERT_TRUE(reader_->flush());
  std::string text;
  for (std::string more = pipe.read(); !more.empty(); more = pipe.read()) {
    text += more;
    ASSERT_TRUE(reader_->flush());
  }
  const usize lines = count(text, "CTRL = 0x0");
  EXPECT_GT(lines, 1000U);
  EXPECT_LT(lines, kRecords);
  const std::string missing = fmt::format("({} lines were not read in time and are missing)\n", kRecords - lines);
  EXPECT_NE(text.find(missing), std::string::npos) << text.substr(text.size() - 200);
  EXPECT_NE(text.find("(7 accesses were too fast for the trace and are missing)\n"), std::string::npos);
  EXPECT_EQ(count(text, "missing"), 2U) << "said once";
  EXPECT_EQ(text.back(), '\n');
  // Who reads again gets all.
  EXPECT_TRUE(put());
  EXPECT_TRUE(reader_->flush());
  EXPECT_EQ(count(pipe.read(), "CTRL = 0x0"), 1U);
}

TEST_F(FileTrace, ItsEndWaitsForASlowReaderAndNotForOneThatStopped) {
  Pipe pipe;
  open(pipe.path());
  constexpr usize kRecords = 200;  // more than the pipe holds
  for (usize i = 0; i < kRecords; ++i) ASSERT_TRUE(put());
  std::string text;
  std::atomic<bool> ended{false};
  std::thread slow([&] {
    while (!ended) text += pipe.read();
    text += pipe.read();
  });
  reader_.reset();
  ended = true;
  slow.join();
  EXPECT_EQ(count(text, "CTRL = 0x0"), kRecords);
  open(pipe.path());
  for (usize i = 0; i < kRecords; ++i) ASSERT_TRUE(put());
  ::testing::internal::CaptureStderr();
  reader_.reset();
  EXPECT_EQ(count(::testing::internal::GetCapturedStderr(), kWarning), 1U);
}

TEST(Trace, AFullDiskDoesNotEndTheMachine) {
  Running run("/dev/full");
  for (int i = 0; i < 200; ++i) run.ask({{"do", "read"}, {"address", "0x9000018"}, {"width", 4}});
  EXPECT_EQ(run.ask({{"do", "status"}})["starts"], 1);
}

// The machine's end takes what is left of the trace, on the main thread.
TEST(Trace, AReaderThatStopsKeepsNoResetAndNoQuitWaiting) {
  Pipe pipe;
  Running run(pipe.path());
  for (int i = 0; i < 200; ++i) run.ask({{"do", "read"}, {"address", "0x9000018"}, {"width", 4}});
  run.ask({{"do", "reset"}});
  Json status = Json::object();
  while (status.value("starts", 1) != 2) status = run.client->ask({{"do", "status"}}).value_or(Json::object());
  run.ask({{"do", "read"}, {"address", "0x9000018"}, {"width", 4}});
  run.ask({{"do", "quit"}});
  EXPECT_EQ(run.end(), machine::EndReason::quit);
}

}  // namespace
}  // namespace solder::control
