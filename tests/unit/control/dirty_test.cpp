// Which pages are written: the request `dirty`.
#include "running.h"

namespace solder::control {
namespace {

using testing::Running;

void write(Running& run, const char* address, const char* data) {
  run.ask({{"do", "write"}, {"address", address}, {"data", data}});
}

TEST(Dirty, PagesThatWereWrittenSinceTheLastQuestion) {
  Running run;
  write(run, "0x40001000", "01");
  const Json first = run.ask({{"do", "dirty"}, {"runs", 10}});
  EXPECT_EQ(first["started"], true);
  EXPECT_TRUE(first["ranges"].empty());
  write(run, "0x40003000", "01");
  write(run, "0x4003effe", "01020304");  // two pages, the second in another word of the bitmap
  const Json second = run.ask({{"do", "dirty"}, {"runs", 10}});
  EXPECT_EQ(second["started"], false);
  ASSERT_EQ(second["ranges"].size(), 1U);
  const Json& range = second["ranges"][0];
  EXPECT_EQ(range["start"], "0x40000000");
  EXPECT_EQ(range["dirty"], 3);
  EXPECT_EQ(range["pages"].get<u64>(), range["bytes"].get<u64>() / 4096);
  const Json want = {{{"address", "0x40003000"}, {"pages", 1}}, {{"address", "0x4003e000"}, {"pages", 2}}};
  EXPECT_EQ(range["runs"], want);
  EXPECT_EQ(run.ask({{"do", "dirty"}})["ranges"][0]["dirty"], 0) << "told once";
}

TEST(Dirty, RunsAreAsManyAsWereAskedFor) {
  Running run;
  run.ask({{"do", "dirty"}});
  for (const char* address : {"0x40000000", "0x40002000", "0x40004000"}) write(run, address, "01");
  const Json reply = run.ask({{"do", "dirty"}, {"runs", 2}});
  EXPECT_EQ(reply["ranges"][0]["dirty"], 3);
  EXPECT_EQ(reply["ranges"][0]["runs"].size(), 2U);
  EXPECT_EQ(reply["runs_left_out"], 1);
  EXPECT_EQ(run.refuse({{"do", "dirty"}, {"runs", 4096}}).where, "runs");
  EXPECT_EQ(run.refuse({{"do", "dirty"}, {"run", 1}}).where, "run");
}

TEST(Dirty, StoppedItForgets) {
  Running run;
  run.ask({{"do", "dirty"}});
  write(run, "0x40001000", "01");
  run.ask({{"do", "dirty"}, {"stop", true}});
  write(run, "0x40002000", "01");
  EXPECT_EQ(run.ask({{"do", "dirty"}})["started"], true);
  write(run, "0x40004000", "01");
  EXPECT_EQ(run.ask({{"do", "dirty"}})["ranges"][0]["dirty"], 1);
}

TEST(Dirty, AResetBeginsAnew) {
  Running run;
  run.ask({{"do", "dirty"}});
  run.ask({{"do", "reset"}});
  while (true) {
    const auto status = run.client->ask({{"do", "status"}});
    if (status && (*status)["starts"] == 2) break;
    std::this_thread::yield();
  }
  EXPECT_EQ(run.ask({{"do", "dirty"}})["started"], true);
}

}  // namespace
}  // namespace solder::control
