// The control socket of a machine that runs.
#include <sys/stat.h>

#include "running.h"

namespace solder::control {
namespace {

using testing::Directory;
using testing::RawClient;
using testing::Running;

TEST(Control, StatusTellsOfTheMachine) {
  Running run;
  const Json status = run.ask({{"do", "status"}, {"id", "first"}});
  EXPECT_EQ(status["id"], "first");
  EXPECT_EQ(status["accelerator"]["name"], "test");
  EXPECT_EQ(status["paused"], false);
  EXPECT_EQ(status["starts"], 1);
  ASSERT_EQ(status["cpus"].size(), 2U);
  EXPECT_EQ(status["cpus"][0]["state"], "halted");
  EXPECT_EQ(status["cpus"][1]["state"], "off");
  EXPECT_EQ(status["memory"][0]["start"], "0x40000000");
}

TEST(Control, InterruptsAreCounted) {
  Running run;
  const auto uart = [&] {
    const Json irq = run.ask({{"do", "irq"}});
    for (const Json& wire : irq["wires"])
      if (wire["node"] == "/pl011@9000000") return wire;
    return Json();
  };
  Json wire = uart();
  ASSERT_TRUE(wire.is_object());
  EXPECT_EQ(wire["input"], "SPI 1");
  EXPECT_EQ(wire["handled"], "here");
  EXPECT_EQ(wire["level"], false);
  EXPECT_EQ(wire["count"], 0);
  // UARTCR: on; UARTIMSC: transmit; a byte makes the transmit interrupt rise (DDI 0183, section 3.3.10).
  run.ask({{"do", "write"}, {"address", "0x9000030"}, {"width", 4}, {"value", 0x301}});
  run.ask({{"do", "write"}, {"address", "0x9000038"}, {"width", 4}, {"value", 0x20}});
  run.ask({{"do", "write"}, {"address", "0x9000000"}, {"width", 4}, {"value", 'x'}});
  wire = uart();
  EXPECT_EQ(wire["level"], true);
  EXPECT_EQ(wire["count"], 1);
  // UARTICR
  run.ask({{"do", "write"}, {"address", "0x9000044"}, {"width", 4}, {"value", 0x7ff}});
  wire = uart();
  EXPECT_EQ(wire["level"], false);
  EXPECT_EQ(wire["count"], 1);
}

TEST(Control, TreeAndExplain) {
  Running run;
  const std::string dts = run.ask({{"do", "tree"}})["dts"];
  EXPECT_NE(dts.find("pl011@9000000"), std::string::npos);
  EXPECT_EQ(dts.find("solder,"), std::string::npos);
  const std::string text = run.ask({{"do", "explain"}, {"node", "uart0"}})["text"];
  EXPECT_NE(text.find("SPI 1"), std::string::npos);
  EXPECT_EQ(run.refuse({{"do", "explain"}, {"node", "/nowhere"}}).where, "/nowhere");
}

TEST(Control, WhatLiesWhere) {
  Running run;
  bool ram = false;
  bool uart = false;
  const Json reply = run.ask({{"do", "memory"}});
  for (const Json& range : reply["ranges"]) {
    EXPECT_EQ(range["space"], "memory");
    ram |= range["start"] == "0x40000000" && range["kind"] == "RAM" && range["access"] == "directly";
    uart |= range["start"] == "0x9000000" && range["kind"] == "device" && range["node"] == "/pl011@9000000" &&
            range["bytes"] == 0x1000;
  }
  EXPECT_TRUE(ram);
  EXPECT_TRUE(uart);
}

TEST(Control, MemoryAsACpuSeesIt) {
  Running run;
  run.ask({{"do", "write"}, {"address", 0x40001000}, {"data", "0102030405060708"}});
  EXPECT_EQ(run.ask({{"do", "read"}, {"address", 0x40001002}, {"bytes", 4}})["data"], "03040506");
  EXPECT_EQ(run.ask({{"do", "read"}, {"address", "0x40001000"}, {"width", 2}})["value"], "0x201");
  EXPECT_EQ(run.ask({{"do", "read"}, {"address", "0x9000018"}, {"width", 4}})["value"], "0x97");  // UARTFR
  EXPECT_EQ(run.refuse({{"do", "read"}, {"address", 0}}).where, "address");
  EXPECT_EQ(run.refuse({{"do", "read"}, {"address", 0x40000000}, {"bytes", 1 << 20}}).where, "bytes");
  EXPECT_EQ(run.refuse({{"do", "read"}, {"address", 0x40000000}, {"width", 3}}).where, "width");
  EXPECT_EQ(run.refuse({{"do", "read"}, {"address", ~u64{0}}, {"width", 8}}).where, "address");
  EXPECT_EQ(run.refuse({{"do", "write"}, {"address", 0x40000000}, {"width", 1}, {"value", 256}}).where, "value");
  EXPECT_EQ(run.refuse({{"do", "read"}, {"address", 0}, {"space", "disk"}}).where, "space");
  EXPECT_EQ(run.refuse({{"do", "read"}, {"adress", 0}}).where, "adress");
}

TEST(Control, PauseAndResumeMayBeRepeated) {
  Running run;
  run.ask({{"do", "pause"}});
  run.ask({{"do", "pause"}});
  EXPECT_EQ(run.ask({{"do", "status"}})["paused"], true);
  const Json before = run.ask({{"do", "status"}})["uptime_ns"];
  EXPECT_EQ(run.ask({{"do", "status"}})["uptime_ns"], before);
  run.ask({{"do", "resume"}});
  run.ask({{"do", "resume"}});
  EXPECT_EQ(run.ask({{"do", "status"}})["paused"], false);
}

TEST(Control, IrqchipWantsAPausedMachineWhoseControllersCanMove) {
  Running run;
  EXPECT_EQ(run.refuse({{"do", "irqchip"}, {"mode", "user"}}).what, "the machine is running");
  run.ask({{"do", "pause"}});
  const Error error = run.refuse({{"do", "irqchip"}, {"mode", "user"}});
  EXPECT_NE(error.what.find("x86-64"), std::string::npos) << error.what;
  EXPECT_FALSE(run.refuse({{"do", "irqchip"}, {"mode", "elsewhere"}}).what.empty());
  EXPECT_FALSE(run.refuse({{"do", "irqchip"}}).what.empty());
  EXPECT_EQ(run.ask({{"do", "status"}})["paused"], true) << "nothing has changed";
  run.ask({{"do", "resume"}});
  // A machine that is asked to move and ends at the same time answers.
  run.ask({{"do", "pause"}});
  run.ask({{"do", "quit"}});
  (void)run.client->ask({{"do", "irqchip"}, {"mode", "user"}});
  EXPECT_EQ(run.end(), machine::EndReason::quit);
}

TEST(Control, SurvivesAResetAndEndsTheRun) {
  Running run;
  run.ask({{"do", "pause"}});
  run.ask({{"do", "write"}, {"address", 0x40001000}, {"data", "ff"}});
  run.ask({{"do", "reset"}});
  Json status = Json::object();
  while (status.value("starts", 1) != 2) status = run.client->ask({{"do", "status"}}).value_or(Json::object());
  EXPECT_EQ(status["paused"], false);
  EXPECT_EQ(run.ask({{"do", "read"}, {"address", 0x40001000}})["data"], "00");
  run.ask({{"do", "quit"}});
  EXPECT_EQ(run.end(), machine::EndReason::quit);
}

TEST(Control, ThePowerButtonReachesTheGuest) {
  Running run;
  run.ask({{"do", "powerdown"}});  // gpio-keys of the board
}

TEST(Control, HostileClientsGetErrors) {
  Running run;
  const std::string path = run.directory.file("socket");
  RawClient client(path);
  for (const char* text : {"", "   ", "nonsense", "[1,2", R"({"do": "fly"})", R"({"do": ["status"]})", "\x01\xff"}) {
    client.send(std::string(text) + "\n");
    if (std::string(text).find_first_not_of(' ') == std::string::npos) continue;
    const std::string reply = client.line();
    EXPECT_NE(reply.find(R"("ok":false)"), std::string::npos) << text << ": " << reply;
  }
  client.send(std::string(1 << 20, 'x') + "\n" + R"({"do": "status"})" + "\n");
  EXPECT_NE(client.line().find("too long"), std::string::npos);
  EXPECT_NE(client.line().find(R"("ok":true)"), std::string::npos);
  // One that asks and does not read, and one that is gone in the middle of a line.
  RawClient deaf(path);
  std::string many;
  for (u32 i = 0; i < 1000; ++i) many += "{\"do\": \"tree\"}\n";
  deaf.flood(many);
  { RawClient(path).send("{\"do\": "); }
  // A machine is not held up by them.
  RawClient polite(path);
  polite.send("{\"do\": \"status\"}\r\n");
  polite.end_sending();
  EXPECT_NE(polite.line().find(R"("ok":true)"), std::string::npos);
}

TEST(Control, TheSocketIsPrivateAndGoesWithTheRun) {
  std::string path;
  Directory outer;
  {
    Running run;
    path = run.directory.file("socket");
    struct stat info {};
    ASSERT_EQ(::stat(path.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0600U);
    // Somebody listens: it is not replaced.
    const auto second = Server::create({path, {}, "test", ""});
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().where, "--control " + path);
    run.ask({{"do", "quit"}});
  }
  EXPECT_FALSE(std::filesystem::exists(path));
  EXPECT_FALSE(SocketClient::connect(path));
  // A socket that was left behind is; a file is not.
  const std::string stale = outer.file("stale");
  {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, stale.c_str(), sizeof address.sun_path - 1);
    const UniqueFd left(::socket(AF_UNIX, SOCK_STREAM, 0));
    ASSERT_EQ(::bind(left.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  }
  EXPECT_TRUE(Server::create({stale, {}, "test", ""}));
  const std::string file = outer.file("file");
  std::ofstream(file) << "precious";
  EXPECT_FALSE(Server::create({file, {}, "test", ""}));
  EXPECT_TRUE(std::filesystem::exists(file));
}

}  // namespace
}  // namespace solder::control
