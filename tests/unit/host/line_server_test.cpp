#include "host/line_server.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <filesystem>
#include <future>
#include <string>
#include <thread>

namespace solder::host {
namespace {

/// Answers when it is let.
class Slow final : public LineServer::Handler {
 public:
  void line(LineServer::Client client, std::string_view text) override {
    asked.set_value();
    answer.get_future().wait();
    server->send(client, std::string("late ") + std::string(text));
  }
  void line_too_long(LineServer::Client) override {}
  std::unique_ptr<LineServer> server;
  std::promise<void> asked;
  std::promise<void> answer;
};

TEST(LineServer, ARequestUnderWayIsAnsweredBeforeItStops) {
  std::string folder = (std::filesystem::temp_directory_path() / "solder-line.XXXXXX").string();
  ASSERT_NE(::mkdtemp(folder.data()), nullptr);
  const std::string path = folder + "/socket";
  Slow handler;
  auto made = LineServer::listen("test", path, handler);
  ASSERT_TRUE(made) << made.error().text();
  handler.server = std::move(*made);
  ASSERT_TRUE(handler.server->start());

  const UniqueFd client(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
  ASSERT_EQ(::connect(client.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::write(client.get(), "one\n", 4), 4);
  handler.asked.get_future().wait();
  std::thread stopper([&] { handler.server->stop(); });
  handler.answer.set_value();
  stopper.join();
  handler.server.reset();
  std::array<char, 64> reply{};
  std::string text;
  for (ssize_t n = 0; (n = ::read(client.get(), reply.data(), reply.size())) > 0;)
    text.append(reply.data(), static_cast<usize>(n));
  EXPECT_EQ(text, "late one\n");
  EXPECT_FALSE(std::filesystem::exists(path));
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace solder::host
